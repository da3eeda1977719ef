"""Inserts records into the audit trail: each exactly once, in batches, however often they are delivered.

Owns the order of inserts, progress, and what happens to repeats. What makes a repeat harmless, in order of strength:

1. Before a batch is inserted, the store is asked which of its offsets are there already, in every table of the topic's
   group; those are left out. This needs no memory of its own, so a crash between two inserts, a half-written insert or
   a partition that moved between writers all heal the same way, and plain ``count()`` is exact.
2. An insert carries a token made of its addresses. Where the server knows tokens (22.3 and chDB), one that was still
   running when its connection broke cannot land next to its own repetition.
3. Rows sort by address in ReplacingMergeTree. On older servers the race of point 2, and everywhere two writers that
   hold the same partition at once (one of them paused by its machine), can leave a row twice; ``FINAL`` reads it once.

Rows go first, tables in the order of ``TABLES``, progress last: ``audit_progress`` never names an offset whose rows are
not stored. Refuses to know where records come from and what becomes of their offsets afterwards.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streams.audit.errors import LogReplaced
from streams.audit.rows import Row, row_for
from streams.audit.store import AuditStore
from streams.audit.tables import PROGRESS, TABLES, Table, tables_of

Partition = tuple[str, int]
"""Topic and partition number."""


class AuditRecord(NamedTuple):
    """One Kafka record as it was read; ``key`` and ``value`` are absent where Kafka has none."""

    offset: int
    timestamp_ms: int | None
    key: bytes | None
    value: bytes | None


Batch = Mapping[Partition, Sequence[AuditRecord]]
"""Records of some partitions, each partition's in the order of offsets."""


class BatchInserter:
    """Inserts batches one at a time; blocking, without a clock, and without memory between batches."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    def insert(self, batch: Batch) -> int:
        """Store every record of ``batch`` that is not there yet, then the progress; returns the rows inserted.

        Raises ``AuditUnavailable`` when the same call should be repeated, and ``AuditRefused`` or ``ValueUnfit`` when
        that would not help.
        """
        present = self._present(batch)
        rows: dict[str, list[Row]] = defaultdict(list)
        for (topic, partition), records in batch.items():
            stored = present.get((topic, partition), frozenset())
            seen: set[int] = set()
            for record in records:
                if record.offset not in stored and record.offset not in seen:
                    seen.add(record.offset)
                    table, row = row_for(topic, partition, *record)
                    rows[table.name].append(row)
        for table in TABLES:
            if table_rows := rows.get(table.name):
                self._store.insert(table, table_rows, _token(table, table_rows))
        self._store.insert(PROGRESS, [(*partition, records[-1].offset) for partition, records in batch.items()])
        return sum(map(len, rows.values()))

    def progress(self) -> dict[Partition, int]:
        """Per partition the offset up to which every record is stored."""
        answer = self._store.query(
            "SELECT src_topic, src_partition, max(through_offset) FROM audit_progress GROUP BY src_topic, src_partition"
        )
        return {(topic, partition): through for topic, partition, through in answer.rows}

    def check_log(self, ends: Mapping[Partition, int]) -> None:
        """Compare with the ends of the log (the next offset to be written); raises ``LogReplaced`` when the audit
        holds offsets that the log has not reached, since its rows would then shadow other records."""
        for (topic, partition), through in self.progress().items():
            end = ends.get((topic, partition))
            if end is not None and through >= end:
                raise LogReplaced(topic, partition, through, end)

    def _present(self, batch: Batch) -> dict[Partition, frozenset[int]]:
        """The offsets of ``batch`` that have a row in any table of their group."""
        selects = []
        for topic in dict.fromkeys(topic for topic, _ in batch):
            ranges = " OR ".join(
                f"(src_partition = {number:d} AND src_offset BETWEEN {records[0].offset:d} AND {records[-1].offset:d})"
                for (name, number), records in batch.items()
                if name == topic
            )
            for table in tables_of(topic):
                # S608: the topic is a key of the table map and the table its value, the rest are integers.
                selects.append(
                    f"SELECT src_topic, src_partition, src_offset FROM {table.name} "  # noqa: S608
                    f"WHERE src_topic = '{topic}' AND ({ranges})"
                )
        found: dict[Partition, set[int]] = defaultdict(set)
        for topic, partition, offset in self._store.query(" UNION ALL ".join(selects)).rows:
            found[topic, partition].add(offset)
        return {partition: frozenset(offsets) for partition, offsets in found.items()}


def _token(table: Table, rows: Sequence[Row]) -> str:
    """The same for the same records in the same table, and different for any others: a repeated token with another
    body would be dropped without a word. A row's body follows from its record and the table's columns."""
    digest = hashlib.blake2b(repr((table.name, table.names, rows[0][0])).encode(), digest_size=16)
    for index in (1, 2):
        digest.update(array("q", [row[index] for row in rows]).tobytes())
    return digest.hexdigest()
