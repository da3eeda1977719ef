"""A changelog partition in memory, with a producer that appends to it when told to deliver.

Owns the stand-in for aiokafka's producer in tests of tenure and takeover; the real one is under the same code in the
Kafka tests of this directory.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from streams.state.fence import EPOCH_KEY, seal

TOPIC = "app-rows-changelog"


@dataclass(frozen=True)
class LogRecord:
    """A record as a consumer returns it."""

    offset: int
    key: bytes | None
    value: bytes | None
    topic: str = TOPIC
    partition: int = 0
    timestamp: int = 0
    timestamp_type: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def serialized_key_size(self) -> int:
        return len(self.key or b"")

    @property
    def serialized_value_size(self) -> int:
        return len(self.value or b"")


@dataclass
class Metadata:
    """A delivery report."""

    offset: int


class Batch:
    """A produce batch of at most ``limit`` records."""

    def __init__(self, limit: int) -> None:
        self.records: list[tuple[bytes, bytes]] = []
        self.limit = limit

    def append(self, *, timestamp: int | None, key: bytes, value: bytes) -> object | None:
        if len(self.records) >= self.limit:
            return None
        self.records.append((key, value))
        return object()

    def close(self) -> None:
        """Nothing to do."""

    def record_count(self) -> int:
        return len(self.records)


@dataclass
class ChangelogLog:
    """The log and its producers' queue. ``auto`` delivers at once; otherwise ``deliver`` does, in order."""

    records: list[LogRecord] = field(default_factory=list)
    auto: bool = True
    batch_limit: int = 1000
    queued: list[tuple[Batch, asyncio.Future[Metadata]]] = field(default_factory=list)
    stalled: asyncio.Event | None = None
    reads: list[tuple[int, int]] = field(default_factory=list)

    def create_batch(self) -> Batch:
        return Batch(self.batch_limit)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Metadata]:
        assert topic == TOPIC and partition == 0
        if self.stalled is not None:
            await self.stalled.wait()
        future: asyncio.Future[Metadata] = asyncio.get_running_loop().create_future()
        self.queued.append((batch, future))
        if self.auto:
            self.deliver()
        return future

    def deliver(self, count: int | None = None) -> None:
        """Append queued batches to the log and report them."""
        for batch, future in self.queued[:count]:
            future.set_result(Metadata(len(self.records)))
            for key, value in batch.records:
                self.append(key, value)
        del self.queued[:count]

    def refuse(self, error: BaseException) -> None:
        """Fail everything queued."""
        for _, future in self.queued:
            future.set_exception(error)
        self.queued.clear()

    def append(self, key: bytes | None, value: bytes | None) -> int:
        """Append one record as somebody else would; its offset."""
        self.records.append(LogRecord(len(self.records), key, value))
        return len(self.records) - 1

    def foreign_row(self, epoch: int, key: bytes, row: bytes) -> int:
        """A row of another writer."""
        return self.append(key, seal(epoch, row))

    def foreign_claim(self, epoch: int) -> int:
        """A claim of another worker."""
        return self.append(EPOCH_KEY, seal(epoch, b"somebody else"))

    async def read_range(self, partition: int, first: int, end: int) -> list[LogRecord]:
        self.reads.append((first, end))
        await asyncio.sleep(0)
        return self.records[first:end]

    def rows(self) -> list[tuple[bytes, bytes]]:
        """Keys and sealed values of everything in the log."""
        return [(record.key or b"", record.value or b"") for record in self.records]
