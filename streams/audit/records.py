"""Records as they were read from Kafka: one by one, or as columns of one partition.

Owns joining, ordering and picking among columns. Refuses to look inside keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MILLIS_MAX: Final = (2**63 - 1) // 1000
_INT64: Final = np.iinfo(np.int64)


class AuditRecord(NamedTuple):
    """One Kafka record as it was read; ``key`` and ``value`` are absent where Kafka has none."""

    offset: int
    timestamp_ms: int | None
    key: bytes | None
    value: bytes | None


class RecordColumns:
    """Records of one partition, column by column."""

    __slots__ = ("keys", "offsets", "timestamps_ms", "values")

    def __init__(
        self,
        offsets: NDArray[np.int64],
        timestamps_ms: NDArray[np.int64],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
    ) -> None:
        self.offsets = offsets
        self.timestamps_ms = timestamps_ms
        self.keys = keys
        self.values = values

    @classmethod
    def of(cls, records: Sequence[AuditRecord]) -> RecordColumns:
        """Columns of records; one without a time gets 0."""
        return cls(
            np.array([record.offset for record in records], dtype=np.int64),
            np.array([record.timestamp_ms or 0 for record in records], dtype=np.int64),
            [record.key for record in records],
            [record.value for record in records],
        )

    @classmethod
    def joined(cls, parts: Sequence[RecordColumns]) -> RecordColumns:
        """All records in the order of offsets. Parts arrive in that order unless a partition came back after a
        rebalance while its older records still waited."""
        if len(parts) == 1:
            return parts[0]
        whole = cls(
            np.concatenate([part.offsets for part in parts]),
            np.concatenate([part.timestamps_ms for part in parts]),
            [key for part in parts for key in part.keys],
            [value for part in parts for value in part.values],
        )
        if (np.diff(whole.offsets) >= 0).all():
            return whole
        return whole.picked(np.argsort(whole.offsets, kind="stable"))

    def __len__(self) -> int:
        return len(self.offsets)

    def record(self, index: int) -> AuditRecord:
        """One record."""
        return AuditRecord(
            int(self.offsets[index]), int(self.timestamps_ms[index]), self.keys[index], self.values[index]
        )

    def __iter__(self) -> Iterator[AuditRecord]:
        return map(AuditRecord, self.offsets.tolist(), self.timestamps_ms.tolist(), self.keys, self.values)

    def picked(self, index_R: NDArray[np.intp]) -> RecordColumns:
        """The records at the given positions."""
        indices = index_R.tolist()
        return RecordColumns(
            self.offsets[index_R],
            self.timestamps_ms[index_R],
            [self.keys[index] for index in indices],
            [self.values[index] for index in indices],
        )

    def times_us(self) -> NDArray[np.int64]:
        """Timestamps in microseconds; absurd ones stop at the ends of 64 bits."""
        ms = self.timestamps_ms
        times = ms * 1000
        if len(ms) and (int(ms.max()) > _MILLIS_MAX or int(ms.min()) < -_MILLIS_MAX):
            times = np.where(ms > _MILLIS_MAX, _INT64.max, np.where(ms < -_MILLIS_MAX, _INT64.min, times))
        return times

    def without(self, stored: frozenset[int]) -> RecordColumns:
        """The first record of each offset that is not in ``stored``; the records are in the order of offsets."""
        keep = np.ones(len(self), dtype=np.bool_)
        keep[1:] = self.offsets[1:] != self.offsets[:-1]
        if stored:
            keep &= ~np.isin(self.offsets, np.fromiter(stored, dtype=np.int64, count=len(stored)))
        return self if keep.all() else self.picked(np.flatnonzero(keep))

    def size(self) -> int:
        """Bytes of all values."""
        return sum([len(value) for value in self.values if value is not None])


def columns_of(records: Sequence[AuditRecord] | RecordColumns) -> RecordColumns:
    """Columns, whichever way the records came."""
    return records if isinstance(records, RecordColumns) else RecordColumns.of(records)
