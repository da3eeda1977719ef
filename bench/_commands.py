"""Reading what a worker publishes, with the time at which a consumer could.

Owns the reader and the wait. Refuses to know what caused a record.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from kafka import KafkaConsumer, TopicPartition


def reader(bootstrap: str, topic: str, partitions: int) -> KafkaConsumer:
    """A consumer at the end of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=50, enable_auto_commit=False)
    tps = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(tps)
    consumer.seek_to_end(*tps)
    for tp in tps:
        consumer.position(tp)
    return consumer


def wait_for(consumer: KafkaConsumer, key: bytes, deadline_s: float = 30.0) -> float:
    """The wall clock (seconds since the epoch) when a record of ``key`` was read; raises ``TimeoutError``."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        for records in consumer.poll(timeout_ms=50).values():
            if any(record.key == key for record in records):
                return time.time()
    raise TimeoutError(f"no record of {key!r} in {deadline_s:.0f} s")


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the ordered values lie."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
