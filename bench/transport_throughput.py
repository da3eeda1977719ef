"""Records per CPU-second that an agent receives and commits, on our transport; the reference is stock Faust's.

Run from the checkout: ``python -m bench.transport_throughput [--records N]``. The agent counts and does nothing else;
the records are there before it starts. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json

from kafka import KafkaProducer

from bench._transport import Send, broker, received
from bench._transport_worker import PARTITIONS

VALUE = (
    b'{"v":1,"event_id":"f-123456","account":"account-123","instrument":"BTC-PERP","side":"buy","quantity":"0.010",'
    b'"price":"20010","fee":"0.01","trade_time_us":1700000000000000}'
)
STOCK_SHARE = 20
"""Stock Faust is given this fraction of the records: it would take minutes."""


def backlog(count: int) -> Send:
    """Publishes ``count`` records of the size of a fill."""

    def send(producer: KafkaProducer, topic: str) -> None:
        for number in range(count):
            producer.send(topic, key=b"account-%d" % (number % 1000), value=VALUE, partition=number % PARTITIONS)
        producer.flush()

    return send


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=400_000)
    options = parser.parse_args()
    rates = {}
    with broker() as bootstrap:
        for transport, count in (("ours", options.records), ("stock", options.records // STOCK_SHARE)):
            result = received(bootstrap, transport, "throughput", count, backlog(count), before=True)
            rates[transport] = count / result["cpu_s"]
    result = {
        "name": "transport_throughput",
        "ours": round(rates["ours"]),
        "reference": round(rates["stock"]),
        "ratio": round(rates["ours"] / rates["stock"], 1),
        "unit": "records per CPU-second of the receiving process",
        "records": options.records,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
