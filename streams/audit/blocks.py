"""Rows of one table as encoded columns: what stores take in bulk.

Owns the pieces of a Native block per column and how blocks are joined. Refuses to know where values come from; how a
value is encoded is ``native``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from streams.audit.native import encode_counts, encode_name
from streams.audit.tables import Table

_COPY_MIN: Final = 48
"""Bytes from which copying at once beats copying one by one."""

Piece = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Block:
    """``row_count`` rows of ``table``; ``bodies`` holds per column the encoded values of all rows."""

    table: Table
    row_count: int
    bodies: tuple[Piece, ...]

    def __len__(self) -> int:
        return self.row_count

    def native(self, mark: bytes = b"") -> bytes:
        """The block in Native format; ``mark`` goes between a column's type and its values, where newer revisions of
        the network protocol say how values are serialized."""
        parts: list[Piece] = [encode_counts(len(self.bodies), self.row_count)]
        for column, body in zip(self.table.columns, self.bodies, strict=True):
            parts += (encode_name(column.name, column.type), mark, body)
        return b"".join(parts)


def joined(blocks: Sequence[Block]) -> Block:
    """The rows of all blocks, which are of one table. Raises ``ValueError`` where several blocks hold arrays: their
    ends count from the start of a block."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    if any(column.type.startswith("Array(") for column in first.table.columns):
        raise ValueError(f"blocks of {first.table.name} cannot be joined")
    bodies = tuple(b"".join(pieces) for pieces in zip(*(block.bodies for block in blocks), strict=True))
    return Block(first.table, sum(map(len, blocks)), bodies)


def encode_texts(bytes_B: NDArray[np.uint8], start_R: NDArray[np.int64], end_R: NDArray[np.int64]) -> memoryview:
    """A String column: of each row the length and then ``bytes_B[start_R:end_R]``."""
    # A length below 2**63 takes at most 9 bytes.
    size = int((end_R - start_R).sum()) + 9 * len(start_R)
    out_B = np.empty(size, dtype=np.uint8)
    return out_B[: _write_texts(bytes_B, start_R, end_R, out_B)].data


@compiled
def _write_texts(
    bytes_B: NDArray[np.uint8], start_R: NDArray[np.int64], end_R: NDArray[np.int64], out_B: NDArray[np.uint8]
) -> int:
    at = 0
    for row in range(len(start_R)):
        length = end_R[row] - start_R[row]
        rest = length
        while rest > 127:
            out_B[at] = rest & 127 | 128
            rest >>= 7
            at += 1
        out_B[at] = rest
        at += 1
        if length < _COPY_MIN:
            for index in range(length):
                out_B[at + index] = bytes_B[start_R[row] + index]
        else:
            out_B[at : at + length] = bytes_B[start_R[row] : end_R[row]]
        at += length
    return at
