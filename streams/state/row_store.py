"""Where rows of owned and standby partitions are kept locally, and how far they are.

Owns the small interface between the row table and a local store: whole partitions, applied in changelog order, each
application one atomic step of rows and position. The changelog is the truth; a store is a copy that saves reading it
again. Refuses to know epochs' meaning, Faust, or what a row contains.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass, field

NOTHING_APPLIED = -1


@dataclass(frozen=True, slots=True)
class StorePosition:
    """How far a partition's rows are: last changelog offset applied, highest owner epoch seen in it, and per source
    topic the offset that the rows explain (as far as the owner told)."""

    offset: int = NOTHING_APPLIED
    epoch: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)


class PartitionStore(ABC):
    """The rows of one partition."""

    @property
    @abstractmethod
    def position(self) -> StorePosition:
        """How far the rows are."""

    @abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """One row, None when there is none."""

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows, in no particular order."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are (may walk over them)."""

    @abstractmethod
    def apply(self, rows: Mapping[bytes, bytes], position: StorePosition) -> None:
        """Write rows and position in one atomic step."""

    @abstractmethod
    def close(self) -> None:
        """Release the partition; what was applied stays where the store is durable."""


class RowStore(ABC):
    """Opens partition stores of one table."""

    @abstractmethod
    def open(self, partition: int) -> PartitionStore:
        """Open a partition, empty at first; raises ``StoreUnavailable``."""


class PartitionRows(Mapping[bytes, bytes]):
    """A read-only view of a partition's rows, for handing over without a copy."""

    def __init__(self, store: PartitionStore) -> None:
        self._store = store

    def __getitem__(self, key: bytes) -> bytes:
        row = self._store.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def __iter__(self) -> Iterator[bytes]:
        return (key for key, _ in self._store)

    def __len__(self) -> int:
        return len(self._store)

    def items(self) -> ItemsView[bytes, bytes]:
        """All rows in one pass over the store, instead of a look-up per key."""
        return _RowItems(self)

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Key and row of each row."""
        return iter(self._store)


class _RowItems(ItemsView[bytes, bytes]):
    _mapping: PartitionRows

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._mapping.pairs()
