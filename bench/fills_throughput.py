"""Fills per CPU-second of one risk worker on real Kafka, against a bare consumer loop that keeps positions in a dict.

Run from the checkout: ``python -m bench.fills_throughput [--fills N] [--accounts N]``. Ours is the whole way: decode,
validate, exact books, margin of every touched account, rows to a durable changelog and RocksDB, offsets committed. The
reference is aiokafka ``getmany`` + orjson + a dict, which does none of the rest; both consume the same records from the
same broker, and both figures are CPU time of the consuming process. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench._venue import PARTITIONS, cpu_seconds, publish, risk_venue, settle
from tests.faults.cluster import Cluster
from tests.faults.workload import START_US, Event


def fills(count: int, accounts: int) -> list[Event]:
    """Seeded fills of four instruments, by accounts far from any requirement."""
    rng = random.Random(7)
    prices = {"BTC-PERP": "20010", "ETH-PERP": "1500", "BTC-30D": "20100", "BTC-20000-C": "1400"}
    names = sorted(prices)
    events = []
    for number in range(count):
        account, name = f"account-{rng.randrange(accounts)}", rng.choice(names)
        value: dict[str, object] = {
            "v": 1, "event_id": f"f-{number}", "account": account, "instrument": name,
            "side": rng.choice(["buy", "sell"]), "quantity": "0.010", "price": prices[name], "fee": "0.01",
            "trade_time_us": START_US,
        }  # fmt: skip
        events.append(Event("fills", account, value))
    return events


def deposits(accounts: int) -> list[Event]:
    """Enough collateral for everybody."""
    values: list[dict[str, object]] = [
        {
            "v": 1, "event_id": f"d-{number}", "account": f"account-{number}", "kind": "deposit", "asset": "USD",
            "amount": "10000000", "event_time_us": START_US,
        }
        for number in range(accounts)
    ]  # fmt: skip
    return [Event("collateral", str(value["account"]), value) for value in values]


async def bare_loop(bootstrap: str, count: int) -> float:
    """CPU seconds of consuming ``count`` fills into a dict of positions."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition("fills", number) for number in range(PARTITIONS)])
    positions: dict[tuple[str, str], float] = {}
    seen, started = 0, time.process_time()
    while seen < count:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                fill = orjson.loads(record.value)
                key = fill["account"], fill["instrument"]
                quantity = float(fill["quantity"]) if fill["side"] == "buy" else -float(fill["quantity"])
                positions[key] = positions.get(key, 0.0) + quantity
            seen += len(records)
    used = time.process_time() - started
    await consumer.stop()
    return used


def measure(cluster: Cluster, count: int) -> float:
    """Median CPU seconds of three bare loops over the fills that the worker has consumed."""
    return sorted(asyncio.run(bare_loop(cluster.bootstrap, count)) for _ in range(3))[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fills", type=int, default=60_000)
    parser.add_argument("--accounts", type=int, default=1_000)
    options = parser.parse_args()
    with risk_venue() as (cluster, worker):
        publish(cluster, deposits(options.accounts))
        settle(cluster, "the deposits to be consumed")
        events = fills(options.fills, options.accounts)
        cpu_before, wall_before = cpu_seconds(worker), time.monotonic()
        publish(cluster, events)
        settle(cluster, "the fills to be consumed")
        wall = time.monotonic() - wall_before
        ours = options.fills / (cpu_seconds(worker) - cpu_before)
        reference = options.fills / measure(cluster, options.fills)
    result = {
        "name": "fills_throughput",
        "ours": round(ours),
        "reference": round(reference),
        "ratio": round(ours / reference, 4),
        "unit": "fills per CPU-second of the consuming process; the reference keeps positions only",
        "fills_per_second_wall": round(options.fills / wall),
        "fills": options.fills,
        "accounts": options.accounts,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
