"""Milliseconds from a record sent to an agent holding it, one record at a time; the reference is stock Faust's agent.

Run from the checkout: ``python -m bench.transport_latency [--records N]``. Coalescing has no linger, so a record that
comes alone must not be later than in stock Faust. Prints one JSON object; ``ours`` and ``reference`` are medians.
"""

from __future__ import annotations

import argparse
import json
import time

from kafka import KafkaProducer

from bench._transport import Send, broker, received
from bench._transport_worker import PARTITIONS

INTERVAL_S = 0.01


def one_at_a_time(count: int) -> Send:
    """Publishes ``count`` records, each with the time at which it was sent."""

    def send(producer: KafkaProducer, topic: str) -> None:
        for number in range(count):
            producer.send(topic, value=b"%.9f" % time.monotonic(), partition=number % PARTITIONS)
            producer.flush()
            time.sleep(INTERVAL_S)

    return send


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1000)
    options = parser.parse_args()
    count = options.records
    with broker() as bootstrap:
        found = {
            transport: received(bootstrap, transport, "latency", count, one_at_a_time(count), before=False)
            for transport in ("ours", "stock")
        }
    ours, stock = found["ours"]["milliseconds"], found["stock"]["milliseconds"]
    middle, tail = count // 2, int(count * 0.99)
    result = {
        "name": "transport_latency",
        "ours": round(ours[middle], 2),
        "reference": round(stock[middle], 2),
        "ratio": round(ours[middle] / stock[middle], 2),
        "unit": "milliseconds, median; lower is better",
        "ours_p99": round(ours[tail], 2),
        "reference_p99": round(stock[tail], 2),
        "records": count,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
