"""One partition's rows as its changelog tells them: the reading half, the same for standbys, recovery and owners.

Owns the fence of the partition, the order of application, and the note of good rows that an outdated writer buried.
Refuses to write to the changelog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from streams.errors import PoisonChangelog
from streams.state.fence import EPOCH_KEY, RESERVED_PREFIX, Fence, Kind
from streams.state.row_store import PartitionStore, StorePosition
from streams.transport.record_batch import Record, RecordBatch


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
        header = fence.header()
        buried = set(self.buried)
        rows: dict[bytes, bytes] = {}
        for offset, key, value in self._entries(records):
            if offset <= applied:
                continue
            applied = offset
            if header and key and value and value.startswith(header) and key[:1] != RESERVED_PREFIX:
                rows[key] = value[len(header) :]
                if buried:
                    buried.discard(key)
                continue
            entry = fence.admit(key, value, offset)
            header = fence.header()
            if entry.kind is Kind.ROW:
                rows[entry.key] = entry.payload
                buried.discard(entry.key)
            elif entry.kind is Kind.OUTDATED and entry.key != EPOCH_KEY:
                buried.add(entry.key)
        if applied > self.offset:
            self.store.apply(rows, StorePosition(applied, fence.epoch, self.store.position.sources))
        self.fence, self.buried = fence, buried

    def _entries(self, records: Iterable[Record]) -> Iterator[tuple[int, bytes | None, bytes | None]]:
        """Offset, key and value of each record; a batch gives them without making records."""
        if isinstance(records, RecordBatch):
            self._check_address(records.topic, records.partition)
            yield from zip(records.offsets.tolist(), records.keys, records.values, strict=True)
            return
        for record in records:
            # What is known already may come from anywhere.
            if record.offset > self.offset:
                self._check_address(record.topic, record.partition)
            yield record.offset, record.key, record.value

    def _check_address(self, topic: str, partition: int) -> None:
        if topic != self.topic or partition != self.partition:
            raise PoisonChangelog(f"{self.fence.where}: got a record of {topic}")

    def advance(self, offset: int, epoch: int, rows: Mapping[bytes, bytes], sources: Mapping[str, int]) -> None:
        """Apply what this worker itself wrote up to ``offset`` under ``epoch``."""
        merged = {**self.store.position.sources, **sources}
        self.store.apply(rows, StorePosition(offset, epoch, merged))
        self.fence.epoch = epoch
        self.buried.difference_update(rows)

    def close(self) -> None:
        """Release the store."""
        self.store.close()
