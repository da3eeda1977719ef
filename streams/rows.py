"""The durable form of one account: its book and the messages it still owes to the world, as bytes.

Owns the row format. A row is one value, so the state and the source offsets that explain it, and the commands that
follow from it, are written together or not at all. Refuses to know where rows are stored (``streams.state``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from engine.books.account import AccountBook
from engine.state import book_from_plain, book_to_plain

ROW_FORMAT = 1


class UnreadableRow(Exception):
    """A stored row cannot be understood: written by a newer version, or damaged. The worker must stop."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One message to deliver at least once, byte for byte the same each time."""

    topic: str
    key: bytes
    value: bytes


def encode_row(book: AccountBook, outbox: Sequence[OutboxEntry]) -> bytes:
    """The bytes of a row: MessagePack of [format, book, outbox]."""
    entries = [(entry.topic, entry.key, entry.value) for entry in outbox]
    return msgspec.msgpack.encode((ROW_FORMAT, book_to_plain(book), entries))


def decode_row(data: bytes) -> tuple[AccountBook, list[OutboxEntry]]:
    """Inverse of ``encode_row``; raises ``UnreadableRow``."""
    try:
        row_format, plain, entries = msgspec.msgpack.decode(data)
        if row_format != ROW_FORMAT:
            raise UnreadableRow(f"row format {row_format}, this version reads {ROW_FORMAT}")
        return book_from_plain(plain), [OutboxEntry(*entry) for entry in entries]
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, IndexError) as error:
        raise UnreadableRow(f"row of {len(data)} bytes: {error}") from error
