"""Real consumers on the bench: stock Faust's and ours, with everything of their application, and no broker.

Owns the few attributes that only a broker could fill.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import faust
from aiokafka.structs import ConsumerRecord
from faust.types import TP, ConsumerMessage

from streams.transport import RecordBatch, broker_urls, coalesce, faust_settings

FILLS = TP("fills", 0)


class Bench:
    """An application whose consumer believes to be assigned ``fills-0`` in generation 7."""

    def __init__(self, *, ours: bool) -> None:
        broker = broker_urls("127.0.0.1:9") if ours else "kafka://127.0.0.1:9"
        self.app = faust.App("bench", broker=broker, **faust_settings())
        self.app.consumer_generation_id = 7
        self.app.topics._acking_topics.add(FILLS.topic)
        if ours:
            coalesce(self.app, [FILLS.topic])
        self.consumer: Any = self.app.consumer
        self.consumer.assignment = lambda: {FILLS}
        self.consumer._commit = self._commit
        self.app.producer.flush = self._flush  # type: ignore[method-assign]
        self.app.crash = self._crash  # type: ignore[method-assign]
        self.commits: list[dict[TP, int]] = []
        self.crashes: list[BaseException] = []
        self.broker_accepts = True

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        self.commits.append(dict(offsets))
        return self.broker_accepts

    async def _flush(self) -> None:
        await asyncio.sleep(0)

    async def _crash(self, reason: BaseException) -> None:
        self.crashes.append(reason)

    def deliver(self, record: Any) -> ConsumerMessage | None:
        """What the consumer makes of a fetched record or batch; tracked like a stream does."""
        message: ConsumerMessage | None = self.consumer._to_message(FILLS, record)
        if message is not None:
            message.incref()
            message.tracked = True
            self.consumer.track_message(message)
        return message

    def acknowledge(self, message: ConsumerMessage | None) -> None:
        """A stream is done with it."""
        assert message is not None
        message.ack(self.consumer)


def record(offset: int, topic: str = "fills", key: bytes | None = b"key", value: bytes | None = b"value") -> Any:
    """One Kafka record."""
    return ConsumerRecord(topic, 0, offset, 0, 0, key, value, None, len(key or b""), len(value or b""), ())


def batch(start: int, end: int, *, generation: int = 7, version: int = 1, topic: str = "fills") -> RecordBatch:
    """A batch of the records from ``start`` up to ``end``."""
    records = [record(offset, topic) for offset in range(start, end)]
    stamp = {"generation": generation, "version": version}
    return RecordBatch(records, topic=topic, partition=0, start=start, end=end, size=8 * len(records), **stamp)
