"""Publishes fills at a steady rate until it is stopped: ``python -m bench._load BOOTSTRAP PARTITIONS RATE ACCOUNTS``.

Owns the pace: every 20 ms the fills that are due by then, in one record batch per partition. What is late by more than
100 ms on a busy machine is not made up for, so that a stall does not end in a burst; whoever started this counts what
was published.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time

from aiokafka import AIOKafkaProducer

from bench._records import BATCH_BYTES, fills, partition_of

TICK_S = 0.02
LATE_MAX_S = 0.1
ENDLESS = 1_000_000_000


async def publish(bootstrap: str, partitions: int, rate: int, accounts: int) -> None:
    """Publish until cancelled."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1, max_batch_size=BATCH_BYTES)
    await producer.start()
    records = fills(ENDLESS, accounts, seed=11)
    last = time.monotonic()
    print("publishing", flush=True)
    while True:
        now = time.monotonic()
        due, last = round(min(now - last, LATE_MAX_S) * rate), now
        builders = [producer.create_batch() for _ in range(partitions)]
        for key, value in itertools.islice(records, due):
            builders[partition_of(key, partitions)].append(key=key, value=value, timestamp=None)
        for number, builder in enumerate(builders):
            if builder.record_count():
                await producer.send_batch(builder, "fills", partition=number)
        await asyncio.sleep(TICK_S)


if __name__ == "__main__":
    asyncio.run(publish(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
