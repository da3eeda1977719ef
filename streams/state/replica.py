"""One partition's rows as its changelog tells them: the reading half, the same for standbys, recovery and owners.

Owns the fence of the partition, the order of application, and the note of good rows that an outdated writer buried.
Refuses to write to the changelog.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.errors import PoisonChangelog
from streams.state.fence import EPOCH_KEY, Fence, Kind
from streams.state.row_store import PartitionStore, StorePosition
from streams.transport.record_batch import Record


class Replica:
    """A partition store that follows its changelog."""

    def __init__(self, topic: str, partition: int, store: PartitionStore) -> None:
        self.topic = topic
        self.partition = partition
        self.store = store
        self.fence = Fence(f"{topic}-{partition}", store.position.epoch)
        self.buried: set[bytes] = set()

    @property
    def offset(self) -> int:
        """The last changelog offset applied, -1 for none."""
        return self.store.position.offset

    def replay(self, records: Iterable[Record]) -> None:
        """Apply changelog records in order; known ones are skipped. Raises ``PoisonChangelog`` with nothing applied."""
        applied = self.offset
        fence = Fence(self.fence.where, self.fence.epoch)
        buried = set(self.buried)
        rows: dict[bytes, bytes] = {}
        for record in records:
            if record.offset <= applied:
                continue
            if record.topic != self.topic or record.partition != self.partition:
                raise PoisonChangelog(f"{fence.where}: got a record of {record.topic}")
            entry = fence.admit(record.key, record.value, record.offset)
            if entry.kind is Kind.ROW:
                rows[entry.key] = entry.payload
                buried.discard(entry.key)
            elif entry.kind is Kind.OUTDATED and entry.key != EPOCH_KEY:
                buried.add(entry.key)
            applied = record.offset
        if applied > self.offset:
            self.store.apply(rows, StorePosition(applied, fence.epoch, self.store.position.sources))
        self.fence, self.buried = fence, buried

    def advance(self, offset: int, epoch: int, rows: Mapping[bytes, bytes], sources: Mapping[str, int]) -> None:
        """Apply what this worker itself wrote up to ``offset`` under ``epoch``."""
        merged = {**self.store.position.sources, **sources}
        self.store.apply(rows, StorePosition(offset, epoch, merged))
        self.fence.epoch = epoch
        self.buried.difference_update(rows)

    def close(self) -> None:
        """Release the store."""
        self.store.close()
