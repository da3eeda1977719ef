"""Rows in dictionaries: fastest, and rebuilt from the changelog after every start.

Owns nothing durable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from streams.state.row_store import PartitionStore, RowStore, StorePosition


class MemoryPartition(PartitionStore):
    """One partition's rows in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._position = StorePosition()

    @property
    def position(self) -> StorePosition:
        """How far the rows are."""
        return self._position

    def get(self, key: bytes) -> bytes | None:
        """One row."""
        return self._rows.get(key)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(list(self._rows.items()))

    def __len__(self) -> int:
        return len(self._rows)

    def apply(self, rows: Mapping[bytes, bytes], position: StorePosition) -> None:
        """Take over rows and position."""
        self._rows.update(rows)
        self._position = position

    def close(self) -> None:
        """Forget everything."""
        self._rows = {}
        self._position = StorePosition()


class MemoryStore(RowStore):
    """Partitions in this process's memory."""

    def open(self, partition: int) -> MemoryPartition:
        """An empty partition."""
        return MemoryPartition()
