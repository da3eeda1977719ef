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
ROUNDS = 4
"""Both take turns, so that a busy minute of the machine counts against both."""


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
    count = options.records // ROUNDS
    found: dict[str, list[float]] = {"ours": [], "stock": []}
    with broker() as bootstrap:
        for _ in range(ROUNDS):
            for transport, ages in found.items():
                send = one_at_a_time(count)
                ages += received(bootstrap, transport, "latency", count, send, before=False)["milliseconds"]
    ours, stock = sorted(found["ours"]), sorted(found["stock"])
    middle, tail = len(ours) // 2, int(len(ours) * 0.99)
    result = {
        "name": "transport_latency",
        "ours": round(ours[middle], 2),
        "reference": round(stock[middle], 2),
        "ratio": round(ours[middle] / stock[middle], 2),
        "unit": "milliseconds, median; lower is better",
        "ours_p99": round(ours[tail], 2),
        "reference_p99": round(stock[tail], 2),
        "records": len(ours),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
