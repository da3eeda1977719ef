"""One fetch of one partition as a single Kafka message: its offset is the last, its value the records.

Owns the object that Faust carries in place of thousands of messages. It has every attribute Faust reads of a consumer
record. Its records are columns (``keys``, ``values``, ``offsets``, ``timestamps``), made when they are asked for; an
object per record exists only for those who iterate. Refuses to decode anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.transport.segments import RawRecord


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


class BatchRecord(NamedTuple):
    """One record of a batch, with its address."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class RecordBatch:
    """Consecutive records of one partition that quack like one record.

    ``start`` and ``end`` are the fetch positions before and after (they also cover compacted offsets), ``generation``
    the group generation and ``version`` the partition's seek count, both taken in the fetch thread at the moment the
    records were drained. ``raw`` are the records as the parser left them: whoever needs neither topic nor partition of
    a record, or its headers alone, iterates these at no cost. ``size`` is the bytes of all keys and values.
    """

    __slots__ = (
        "_keys",
        "_offsets",
        "_records",
        "_timestamps",
        "_values",
        "end",
        "first",
        "generation",
        "offset",
        "partition",
        "raw",
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
        self,
        raw: Sequence[RawRecord],
        *,
        topic: str,
        partition: int,
        start: int,
        end: int,
        generation: int,
        version: int,
        size: int,
    ) -> None:
        last = raw[-1]
        self.topic = topic
        self.partition = partition
        self.offset = last.offset
        self.first = raw[0].offset
        self.timestamp = last.timestamp
        self.timestamp_type = last.timestamp_type
        self.raw = raw
        self.start = start
        self.end = end
        self.generation = generation
        self.version = version
        self.size = size
        self._keys: list[bytes | None] | None = None
        self._values: list[bytes | None] | None = None
        self._offsets: NDArray[np.int64] | None = None
        self._timestamps: NDArray[np.int64] | None = None
        self._records: list[BatchRecord] | None = None

    def slices(self, records_max: int) -> Iterator[RecordBatch]:
        """The batch in consecutive parts of at most ``records_max`` records; its ``size`` is not divided."""
        for first in range(0, len(self.raw), records_max):
            raw = self.raw[first : first + records_max]
            last = first + records_max >= len(self.raw)
            yield RecordBatch(
                raw,
                topic=self.topic,
                partition=self.partition,
                start=raw[0].offset if first else self.start,
                end=self.end if last else raw[-1].offset + 1,
                generation=self.generation,
                version=self.version,
                size=self.size,
            )

    @property
    def value(self) -> RecordBatch:
        """The batch itself: what ``event.message.value`` and ``event.value`` are."""
        return self

    @property
    def serialized_value_size(self) -> int:
        """Bytes of all keys and values."""
        return self.size

    @property
    def keys(self) -> list[bytes | None]:
        """The key of each record."""
        if self._keys is None:
            self._keys = [record.key for record in self.raw]
        return self._keys

    @property
    def values(self) -> list[bytes | None]:
        """The value of each record."""
        if self._values is None:
            self._values = [record.value for record in self.raw]
        return self._values

    @property
    def offsets(self) -> NDArray[np.int64]:
        """The offset of each record, ascending; compaction and transactions leave gaps."""
        if self._offsets is None:
            if self.offset - self.first + 1 == len(self.raw):
                self._offsets = np.arange(self.first, self.offset + 1, dtype=np.int64)
            else:
                self._offsets = np.array([record.offset for record in self.raw], dtype=np.int64)
        return self._offsets

    @property
    def timestamps(self) -> NDArray[np.int64]:
        """The timestamp of each record, milliseconds since 1970; what it means says ``timestamp_type``."""
        if self._timestamps is None:
            self._timestamps = np.array([record.timestamp for record in self.raw], dtype=np.int64)
        return self._timestamps

    @property
    def records(self) -> Sequence[BatchRecord]:
        """An object per record, made at the first call."""
        if self._records is None:
            raw = self.raw
            self._records = list(
                map(
                    BatchRecord,
                    repeat(self.topic),
                    repeat(self.partition),
                    self.offsets.tolist(),
                    [record.timestamp for record in raw],
                    [record.timestamp_type for record in raw],
                    self.keys,
                    self.values,
                    [record.headers for record in raw],
                )
            )
        return self._records

    def __iter__(self) -> Iterator[BatchRecord]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        span = f"{self.first}..{self.offset}"
        return f"<RecordBatch {self.topic}-{self.partition} {span} generation={self.generation}>"
