"""Records of the benchmarks, as bytes: who trades what, drawn from a seed, and the fast way to publish many of them.

Owns the population (accounts far from any requirement unless a benchmark says otherwise) and publishing in large record
batches, keyed to partitions as Kafka's default partitioner does. Refuses to know what consumes them.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Iterator

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from tests.faults.workload import START_US

PRICES = {"BTC-20000-C": "1400", "BTC-30D": "20100", "BTC-PERP": "20010", "ETH-PERP": "1500"}
BATCH_BYTES = 400_000

KeyedRecord = tuple[bytes, bytes]
"""Key and value."""


def fills(count: int, accounts: int, *, seed: int = 7) -> Iterator[KeyedRecord]:
    """Fills of four instruments by accounts ``account-0`` and following."""
    rng = random.Random(seed)
    names = sorted(PRICES)
    for number in range(count):
        account, name = f"account-{rng.randrange(accounts)}", rng.choice(names)
        value = {
            "v": 1, "event_id": f"f-{seed}-{number}", "account": account, "instrument": name,
            "side": rng.choice(("buy", "sell")), "quantity": "0.010", "price": PRICES[name], "fee": "0.01",
            "trade_time_us": START_US,
        }  # fmt: skip
        yield account.encode(), orjson.dumps(value)


def deposits(accounts: int, amount: str = "10000000") -> Iterator[KeyedRecord]:
    """One deposit of dollars for every account."""
    for number in range(accounts):
        account = f"account-{number}"
        value = {
            "v": 1, "event_id": f"d-{number}", "account": account, "kind": "deposit", "asset": "USD",
            "amount": amount, "event_time_us": START_US,
        }  # fmt: skip
        yield account.encode(), orjson.dumps(value)


@functools.lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, partitions: int) -> int:
    """Where Kafka's default partitioner puts a key."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


async def publish_all(bootstrap: str, topic: str, partitions: int, records: Iterable[KeyedRecord]) -> int:
    """Publish records in batches as large as a broker takes; returns their number once the broker has them all."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_batch_size=BATCH_BYTES)
    await producer.start()
    builders = [producer.create_batch() for _ in range(partitions)]
    count = 0
    try:
        for key, value in records:
            number = partition_of(key, partitions)
            if builders[number].append(key=key, value=value, timestamp=None) is None:
                await producer.send_batch(builders[number], topic, partition=number)
                builders[number] = producer.create_batch()
                builders[number].append(key=key, value=value, timestamp=None)
            count += 1
        for number, builder in enumerate(builders):
            if builder.record_count():
                await producer.send_batch(builder, topic, partition=number)
    finally:
        await producer.stop()
    return count
