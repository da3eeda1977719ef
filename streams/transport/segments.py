"""Record batches as they come off the wire, before aiokafka makes an object of every record.

aiokafka's ``PartitionRecords`` unpacks a fetch response record by record and wraps each in a ``ConsumerRecord``, which
costs more than everything else a batch needs. Its generator has all the care in it (checksums, control batches, aborted
transactions, compacted offsets, positions), so it is kept and fed something larger: in place of each Kafka batch a view
of it that iterates as segments, a segment being consecutive raw records that quack like one. What the generator does
for a record it then does for a segment. Owns that view. Refuses to know budgets and batches of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Protocol

from aiokafka.consumer.fetcher import FetchResult


class RawRecord(Protocol):
    """A record as aiokafka's parser leaves it: no topic, no partition."""

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


class Segment:
    """Consecutive raw records of one Kafka batch; to aiokafka a record with the last one's offset."""

    __slots__ = ("offset", "records")

    def __init__(self, records: list[RawRecord]) -> None:
        self.records = records
        self.offset = records[-1].offset

    @property
    def size(self) -> int:
        """Bytes of all keys and values."""
        records = self.records
        keys = sum(map(len, filter(None, [record.key for record in records])))
        return keys + sum(map(len, filter(None, [record.value for record in records])))


class SegmentedRecords:
    """In place of aiokafka's ``MemoryRecords``: the same batches, each iterating as segments of at most ``limit``."""

    def __init__(self, records: Any, position: int) -> None:
        self._records = records
        self._position = position
        self.limit = 1

    def has_next(self) -> bool:
        """Whether a further batch is there."""
        return bool(self._records.has_next())

    def next_batch(self) -> SegmentedBatch:
        """The next batch."""
        return SegmentedBatch(self._records.next_batch(), self)

    def cut(self, records: Iterator[RawRecord]) -> Iterator[Segment]:
        """Segments of ``records``, without those before the position: compressed batches come whole, also when the
        fetch began in their middle."""
        while raw := list(islice(records, self.limit)):
            if raw[0].offset < self._position:
                raw = [record for record in raw if record.offset >= self._position]
                if not raw:
                    continue
            segment = Segment(raw)
            self._position = segment.offset + 1
            yield segment


class SegmentedBatch:
    """A Kafka batch of aiokafka's parser that iterates as segments and is itself in everything else."""

    __slots__ = ("_batch", "_owner")

    def __init__(self, batch: Any, owner: SegmentedRecords) -> None:
        self._batch = batch
        self._owner = owner

    def __iter__(self) -> Iterator[Segment]:
        # aiokafka's compiled batch is its own iterator and begins anew when asked for one; the chain asks it once.
        return self._owner.cut(chain(self._batch))

    def __next__(self) -> RawRecord:
        """The next raw record: how aiokafka reads the marker of a control batch."""
        record: RawRecord = next(self._batch)
        return record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)


def limit_segments(result: Any, limit: int) -> None:
    """Let a buffered fetch result of aiokafka yield segments from now on, the next ones of at most ``limit`` records.

    Anything but a result with records (an error waiting to be raised) is left alone. Must be called before the first
    record of the result was taken, and then before each further one.
    """
    if type(result) is not FetchResult or result._partition_records is None:
        return
    unpacking = result._partition_records
    if not isinstance(unpacking._records, SegmentedRecords):
        # Its generator has not begun: it looks at both only when the first record is asked for.
        unpacking._records = SegmentedRecords(unpacking._records, unpacking.next_fetch_offset)
        unpacking._consumer_record = _as_it_is
    unpacking._records.limit = limit


def _as_it_is(_tp: object, segment: Segment) -> Segment:
    return segment
