"""The changelog as a log: packing rows into produce batches, and reading a stretch of one partition again.

Owns the two raw operations on a changelog topic. Refuses to decide anything: who may write is the tenure's business,
what a record means the fence's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol

import faust
from aiokafka import TopicPartition

from streams.errors import ChangelogTruncated, RowTooLarge
from streams.state.fence import seal
from streams.transport.groupless import groupless_consumer
from streams.transport.record_batch import Record

_READ_DEADLINE_S = 60.0
_RECORD_OVERHEAD_BYTES = 128

ReadRange = Callable[[int, int, int], Awaitable[list[Record]]]
"""partition, first offset, end offset (exclusive) -> the records there."""


class Batch(Protocol):
    """aiokafka's batch builder, as far as it is used here."""

    def append(self, *, timestamp: int | None, key: bytes, value: bytes) -> object | None:
        """Add a record; None when it does not fit."""

    def close(self) -> None:
        """Take no more records."""


class Delivery(Protocol):
    """What the broker says of a delivered batch."""

    @property
    def offset(self) -> int: ...


class BatchProducer(Protocol):
    """aiokafka's producer, as far as it is used here."""

    def create_batch(self) -> Batch:
        """An empty batch."""

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Delivery]:
        """Queue a batch; its future is done when the broker has it."""


def pack(
    producer: BatchProducer, rows: Mapping[bytes, bytes], epoch: int, request_bytes_max: int
) -> Iterator[tuple[Batch, dict[bytes, bytes]]]:
    """Fill produce batches with sealed rows; yields each closed batch with the rows in it.

    Raises ``RowTooLarge`` for a row that no request can carry.
    """
    batch, packed = producer.create_batch(), dict[bytes, bytes]()
    for key, row in rows.items():
        value = seal(epoch, row)
        if len(key) + len(value) + _RECORD_OVERHEAD_BYTES > request_bytes_max:
            raise RowTooLarge(
                f"row {key!r} has {len(row)} bytes and a produce request {request_bytes_max}: raise "
                "producer_max_request_size and the changelog's max.message.bytes, or find out why the row grew"
            )
        if batch.append(timestamp=None, key=key, value=value) is None:
            batch.close()
            yield batch, packed
            batch, packed = producer.create_batch(), {}
            appended = batch.append(timestamp=None, key=key, value=value)
            assert appended is not None, "an empty batch takes any record"
        packed[key] = row
    if packed:
        batch.close()
        yield batch, packed


def range_reader(app: faust.App, topic: str) -> ReadRange:
    """A function that reads a stretch of one partition of ``topic`` with a consumer of its own."""

    async def read(partition: int, first: int, end: int) -> list[Record]:
        consumer = groupless_consumer(app)
        tp = TopicPartition(topic, partition)
        records: list[Record] = []
        await consumer.start()
        try:
            consumer.assign([tp])
            consumer.seek(tp, first)
            async with asyncio.timeout(_READ_DEADLINE_S):
                while await consumer.position(tp) < end:
                    fetched = await consumer.getmany(tp, timeout_ms=500)
                    records += [record for record in fetched.get(tp, ()) if record.offset < end]
        except TimeoutError as error:
            raise ChangelogTruncated(f"{topic}-{partition}: offsets {first} to {end - 1} cannot be read") from error
        finally:
            await consumer.stop()
        return records

    return read
