"""Batches of fills as blocks of the table ``fills``, without an object per record.

Owns the step from scanned columns to encoded ones. Records the scanner leaves come back as rows of the ordinary path,
so that each record has exactly the row ``rows.row_for`` gives it. Refuses JSON (``fill_scan``) and de-duplication.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.audit import fill_scan
from streams.audit.amount_scan import Pool, pool_of
from streams.audit.blocks import Block, Piece, encode_texts
from streams.audit.fill_scan import FillColumns, empty_columns, scan_fills
from streams.audit.records import RecordColumns
from streams.audit.rows import Row, row_for
from streams.audit.tables import FILLS

_TOPIC: Final = bytes([len(FILLS.topic)]) + FILLS.topic.encode()


def fill_block(partition: int, records: RecordColumns) -> tuple[Block, list[Row]]:
    """The records as a block, and the rows of those that need the ordinary path."""
    keys, values = _pool(records.keys), _pool(records.values)
    columns = empty_columns(len(records))
    if scan_fills(keys, values, columns) == len(records):
        return _block(partition, records, keys, values, columns, slice(None)), []
    left = np.flatnonzero(~columns.taken_R)
    rows = [row_for(FILLS.topic, partition, *records.record(index))[1] for index in left.tolist()]
    return _block(partition, records, keys, values, columns, np.flatnonzero(columns.taken_R)), rows


def _pool(texts: Sequence[bytes | None]) -> Pool:
    """Absent ones are empty, which no contract allows as key or value: the scanner leaves them."""
    return pool_of([text or b"" for text in texts])


def _block(
    partition: int,
    records: RecordColumns,
    keys: Pool,
    values: Pool,
    columns: FillColumns,
    rows: slice | NDArray[np.intp],
) -> Block:
    """Columns in the order of ``FILLS.columns``."""
    offset_R = records.offsets[rows]
    count = len(offset_R)
    span_RFT = columns.span_RFT[rows]

    def text(member: int) -> memoryview:
        return encode_texts(
            values.bytes_B,
            np.ascontiguousarray(span_RFT[:, member, 0]),
            np.ascontiguousarray(span_RFT[:, member, 1]),
        )

    def amount(index: int) -> bytes:
        return columns.scaled_RAL[rows][:, index].tobytes()

    bodies: tuple[Piece, ...] = (
        _TOPIC * count,
        np.full(count, partition, dtype="<i4").tobytes(),
        offset_R.tobytes(),
        records.times_us()[rows].tobytes(),
        encode_texts(keys.bytes_B, keys.start_R[:-1][rows], keys.start_R[1:][rows]),
        encode_texts(values.bytes_B, values.start_R[:-1][rows], values.start_R[1:][rows]),
        b"\1" * count,
        bytes(count),
        *(text(m) for m in (fill_scan.EVENT_ID, fill_scan.ACCOUNT, fill_scan.INSTRUMENT, fill_scan.SIDE)),
        *(amount(index) for index in range(3)),
        columns.trade_time_us_R[rows].tobytes(),
        text(fill_scan.COMMAND_ID),
    )
    return Block(FILLS, count, bodies)
