"""Reading one durable row, as a test wants it."""

from __future__ import annotations

from engine.books.account import AccountBook
from engine.columns.accounts import AccountColumns
from engine.columns.rows import decode
from streams.rows import OutboxEntry, split_row


def read_row(row: bytes) -> tuple[AccountBook, list[OutboxEntry]]:
    """The book in a row, and what it owes."""
    data, owed = split_row(row)
    columns = AccountColumns()
    (number,) = decode(columns, [data], 0).tolist()
    return columns.book(number), owed
