"""The durable form of one account: its book and the messages it still owes to the world, as bytes.

Owns the frame around the engine's row. A row is one value, so the state and the source offsets that explain it, and
the commands that follow from it, are written together or not at all. Refuses to know where rows are stored
(``streams.state``) and what a book looks like in bytes (``engine.columns.rows``).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

_LENGTH = struct.Struct("<I")


class UnreadableRow(Exception):
    """A stored row cannot be understood: written by another version, or damaged. The worker must stop."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One message to deliver at least once, byte for byte the same each time."""

    topic: str
    key: bytes
    value: bytes


def frame_row(book: bytes, outbox: Sequence[OutboxEntry]) -> bytes:
    """The bytes of a row: length of the book, the book, and as MessagePack the outbox unless it is empty."""
    head = _LENGTH.pack(len(book)) + book
    if not outbox:
        return head
    return head + msgspec.msgpack.encode([(entry.topic, entry.key, entry.value) for entry in outbox])


def frame_rows(books: Sequence[bytes]) -> list[bytes]:
    """``frame_row`` for many accounts that owe nothing."""
    pack = _LENGTH.pack
    return [pack(len(book)) + book for book in books]


def split_row(row: bytes) -> tuple[bytes, list[OutboxEntry]]:
    """Inverse of ``frame_row``; raises ``UnreadableRow``."""
    if len(row) < _LENGTH.size:
        raise UnreadableRow(f"a row of {len(row)} bytes")
    end = _LENGTH.size + _LENGTH.unpack_from(row)[0]
    if end > len(row):
        raise UnreadableRow(f"a row of {len(row)} bytes states a book that ends at {end}")
    book = row[_LENGTH.size : end]
    if end == len(row):
        return book, []
    try:
        return book, [OutboxEntry(*entry) for entry in msgspec.msgpack.decode(row[end:], type=_ENTRIES)]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableRow(f"outbox of a row of {len(row)} bytes: {error}") from error


_ENTRIES = list[tuple[str, bytes, bytes]]
