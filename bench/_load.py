"""Publishes fills at a steady rate until it is stopped: ``python -m bench._load BOOTSTRAP PARTITIONS RATE ACCOUNTS``.

Owns the pace: every 20 ms the fills that are due by then, in one record batch per partition. Refuses to fall behind
silently: it ends with an error when it is a second late.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time

from aiokafka import AIOKafkaProducer

from bench._records import BATCH_BYTES, fills, partition_of

TICK_S = 0.02
ENDLESS = 1_000_000_000


async def publish(bootstrap: str, partitions: int, rate: int, accounts: int) -> None:
    """Publish until cancelled; raises ``RuntimeError`` when the rate cannot be kept."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1, max_batch_size=BATCH_BYTES)
    await producer.start()
    records = fills(ENDLESS, accounts, seed=11)
    started, sent = time.monotonic(), 0
    print("publishing", flush=True)
    while True:
        due = int((time.monotonic() - started) * rate) - sent
        if due > rate:
            raise RuntimeError(f"a second behind {rate} fills per second")
        builders = [producer.create_batch() for _ in range(partitions)]
        for key, value in itertools.islice(records, due):
            builders[partition_of(key, partitions)].append(key=key, value=value, timestamp=None)
        for number, builder in enumerate(builders):
            if builder.record_count():
                await producer.send_batch(builder, "fills", partition=number)
        sent += due
        await asyncio.sleep(TICK_S)


if __name__ == "__main__":
    asyncio.run(publish(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
