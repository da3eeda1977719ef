"""One fetch of one partition as a single Kafka message: its offset is the last, its value the records.

Owns the object that Faust carries in place of thousands of messages. It has every attribute Faust reads of a consumer
record. Refuses to decode anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Record(Protocol):
    """What streams may rely on of one Kafka record; aiokafka's ``ConsumerRecord`` is one."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...
    @property
    def serialized_key_size(self) -> int: ...
    @property
    def serialized_value_size(self) -> int: ...


class RecordBatch:
    """Consecutive records of one partition that quack like one record.

    ``start`` and ``end`` are the fetch positions before and after (they also cover compacted offsets), ``generation``
    the group generation and ``version`` the partition's seek count, both taken in the fetch thread at the moment the
    records were drained.
    """

    __slots__ = (
        "end",
        "first",
        "generation",
        "offset",
        "partition",
        "records",
        "size",
        "start",
        "timestamp",
        "timestamp_type",
        "topic",
        "version",
    )

    headers = ()
    key = None
    checksum = None
    serialized_key_size = 0

    def __init__(
        self, records: Sequence[Record], *, start: int, end: int, generation: int, version: int, size: int
    ) -> None:
        last = records[-1]
        self.topic = last.topic
        self.partition = last.partition
        self.offset = last.offset
        self.first = records[0].offset
        self.timestamp = last.timestamp
        self.timestamp_type = last.timestamp_type
        self.records = records
        self.start = start
        self.end = end
        self.generation = generation
        self.version = version
        self.size = size

    @property
    def value(self) -> RecordBatch:
        """The batch itself: what ``event.message.value`` and ``event.value`` are."""
        return self

    @property
    def serialized_value_size(self) -> int:
        """Bytes of all keys and values."""
        return self.size

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        span = f"{self.first}..{self.offset}"
        return f"<RecordBatch {self.topic}-{self.partition} {span} generation={self.generation}>"
