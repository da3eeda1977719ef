"""Milliseconds from a published mark to the liquidation command it causes, readable by a consumer, on real Kafka.

Run from the checkout: ``python -m bench.price_to_command [--rounds N]``. Each round lowers the price of one perpetual
so that exactly one more account breaches. The reference is the bare way there and back on the same broker, sent and
read by the same two clients. Prints one JSON object; ``ours`` and ``reference`` are medians.
"""

from __future__ import annotations

import argparse
import json
import time

import orjson
from kafka import KafkaConsumer, TopicPartition

from bench._venue import PARTITIONS, publish, risk_venue, settle
from tests.faults.cluster import Cluster
from tests.faults.workload import START_US, Event, mark

FIRST_PRICE = 1_500.0


def book(rounds: int) -> list[Event]:
    """One account per round with one long position each, sized so that they breach one after another."""
    events = []
    for number in range(rounds):
        account = f"round-{number}"
        deposit: dict[str, object] = {
            "v": 1, "event_id": f"d-{number}", "account": account, "kind": "deposit", "asset": "USD",
            "amount": f"{3_000 + 10 * number}", "event_time_us": START_US,
        }  # fmt: skip
        fill: dict[str, object] = {
            "v": 1, "event_id": f"f-{number}", "account": account, "instrument": "ETH-PERP", "side": "buy",
            "quantity": "10", "price": "1500", "trade_time_us": START_US,
        }  # fmt: skip
        events += [Event("collateral", account, deposit), Event("fills", account, fill)]
    return events


def breach_price(number: int) -> float:
    """A price at which accounts up to ``number`` are below maintenance margin (12 % of notional), and no further one.

    equity 3000 + 10 n + 10 (p - 1500) < 1.2 p, so the n-th breaches below (12000 - 10 n) / 8.8.
    """
    return (12_000 - 10 * number - 5) / 8.8


def wait_for(consumer: KafkaConsumer, account: bytes, deadline_s: float = 20.0) -> float:
    """The time at which a record of ``account`` was read."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        for records in consumer.poll(timeout_ms=50).values():
            if any(record.key == account for record in records):
                return time.monotonic()
    raise TimeoutError(f"no record of {account!r}")


def reader(cluster: Cluster, topic: str, partitions: int) -> KafkaConsumer:
    """A consumer at the end of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=cluster.bootstrap, fetch_max_wait_ms=50, enable_auto_commit=False)
    tps = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(tps)
    consumer.seek_to_end(*tps)
    for tp in tps:
        consumer.position(tp)
    return consumer


def latencies(cluster: Cluster, rounds: int) -> list[float]:
    """Milliseconds from mark to command, sorted."""
    consumer = reader(cluster, "liquidations", PARTITIONS)
    found = []
    for number in range(rounds):
        price = mark("ETH-PERP", f"{breach_price(number):.2f}", time_us=START_US + 1 + number)
        payload = orjson.dumps(price.value)
        sent = time.monotonic()
        cluster.producer.send("marks", key=b"ETH-PERP", value=payload)
        found.append((wait_for(consumer, f"round-{number}".encode()) - sent) * 1000)
        time.sleep(0.05)
    consumer.close()
    return sorted(found)


def round_trips(cluster: Cluster, rounds: int) -> list[float]:
    """Milliseconds from a record sent to the same record read, sorted."""
    consumer = reader(cluster, "prices", 1)
    found = []
    for number in range(rounds):
        key, sent = b"probe-%d" % number, time.monotonic()
        cluster.producer.send("prices", key=key, value=b"{}")
        found.append((wait_for(consumer, key) - sent) * 1000)
        time.sleep(0.05)
    consumer.close()
    return sorted(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with risk_venue() as (cluster, _):
        publish(cluster, book(options.rounds))
        settle(cluster, "the book to be consumed")
        ours, reference = latencies(cluster, options.rounds), round_trips(cluster, options.rounds)
    middle, tail = options.rounds // 2, min(options.rounds - 1, int(options.rounds * 0.99))
    result = {
        "name": "price_to_command",
        "ours": round(ours[middle], 2),
        "reference": round(reference[middle], 2),
        "ratio": round(ours[middle] / reference[middle], 2),
        "unit": "milliseconds, median; lower is better",
        "ours_p99": round(ours[tail], 2),
        "reference_p99": round(reference[tail], 2),
        "rounds": options.rounds,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
