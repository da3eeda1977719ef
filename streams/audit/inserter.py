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
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streams.audit.blocks import Block, joined
from streams.audit.errors import LogReplaced
from streams.audit.fill_blocks import fill_block
from streams.audit.records import AuditRecord, RecordColumns, columns_of
from streams.audit.rows import Row, row_for
from streams.audit.store import AuditStore, block_of
from streams.audit.tables import FILLS, PROGRESS, TABLES, Table, tables_of

Partition = tuple[str, int]
"""Topic and partition number."""


Batch = Mapping[Partition, Sequence[AuditRecord] | RecordColumns]
"""Records of some partitions, each partition's in the order of offsets."""


_Columns = Mapping[Partition, RecordColumns]


@dataclass(slots=True)
class _Pending:
    """What one insert brings into one table, with the addresses of its rows."""

    rows: list[Row] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    topic: str = ""
    partitions: list[NDArray[np.int64]] = field(default_factory=list)
    offsets: list[NDArray[np.int64]] = field(default_factory=list)


class BatchInserter:
    """Inserts batches one at a time; blocking, without a clock, and without memory between batches."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    def insert(self, batch: Batch) -> int:
        """Store every record of ``batch`` that is not there yet, then the progress; returns the rows inserted.

        Raises ``AuditUnavailable`` when the same call should be repeated, and ``AuditRefused`` or ``ValueUnfit`` when
        that would not help.
        """
        columns = {partition: columns_of(records) for partition, records in batch.items()}
        present = self._present(columns)
        pending: dict[str, _Pending] = defaultdict(_Pending)
        for partition, records in columns.items():
            _prepare(partition, records.without(present.get(partition, frozenset())), pending)
        stored = 0
        for table in TABLES:
            if table.name in pending:
                stored += self._insert(table, pending[table.name])
        ends = [(*partition, int(records.offsets[-1])) for partition, records in columns.items()]
        self._store.insert(PROGRESS, ends)
        return stored

    def _insert(self, table: Table, pending: _Pending) -> int:
        rows: Sequence[Row] | Block = pending.rows
        if pending.blocks:
            rows = joined([*pending.blocks, *([block_of(table, pending.rows)] if pending.rows else [])])
        self._store.insert(table, rows, _token(table, pending))
        return len(rows)

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

    def _present(self, batch: _Columns) -> dict[Partition, frozenset[int]]:
        """The offsets of ``batch`` that have a row in any table of their group."""
        selects = []
        spans = {partition: records.offsets for partition, records in batch.items()}
        for topic in dict.fromkeys(topic for topic, _ in spans):
            ranges = " OR ".join(
                f"(src_partition = {number:d} AND src_offset BETWEEN {offsets[0]:d} AND {offsets[-1]:d})"
                for (name, number), offsets in spans.items()
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


def _prepare(partition: Partition, records: RecordColumns, pending: dict[str, _Pending]) -> None:
    """Sort the rows of new records by table."""
    topic, number = partition
    if not len(records):
        return
    if topic == FILLS.topic:
        block, rows = fill_block(number, records)
        _note(pending[FILLS.name], topic, number, records.offsets)
        pending[FILLS.name].rows += rows
        if len(block):
            pending[FILLS.name].blocks.append(block)
        return
    offsets: dict[str, list[int]] = defaultdict(list)
    for record in records:
        table, row = row_for(topic, number, *record)
        pending[table.name].rows.append(row)
        offsets[table.name].append(record.offset)
    for name, of_table in offsets.items():
        _note(pending[name], topic, number, np.array(of_table, dtype=np.int64))


def _note(pending: _Pending, topic: str, partition: int, offsets: NDArray[np.int64]) -> None:
    pending.topic = topic
    pending.partitions.append(np.full(len(offsets), partition, dtype=np.int64))
    pending.offsets.append(offsets)


def _token(table: Table, pending: _Pending) -> str:
    """The same for the same records in the same table, and different for any others: a repeated token with another
    body would be dropped without a word. A row's body follows from its record and the table's columns."""
    digest = hashlib.blake2b(repr((table.name, table.names, pending.topic)).encode(), digest_size=16)
    for addresses in (pending.partitions, pending.offsets):
        digest.update(np.concatenate(addresses).tobytes())
    return digest.hexdigest()
