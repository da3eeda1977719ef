"""The desk: accounts taken out of the columns as books, worked on by plain Python, and put back.

Owns which books are out. While a book is out it is the truth about its account; the columns are again once
``put_back`` has been called, which everybody does before a kernel looks at them. Most accounts are never taken out.
"""

from __future__ import annotations

from engine.books.account import AccountBook
from engine.columns.accounts import AccountColumns


class Desk:
    """Books that are out of ``columns``, by account number."""

    def __init__(self, columns: AccountColumns) -> None:
        self._columns = columns
        self._out: dict[int, AccountBook] = {}

    def take(self, number: int) -> AccountBook:
        """The book of an account, to read and to change."""
        book = self._out.get(number)
        if book is None:
            book = self._out[number] = self._columns.book(number)
        return book

    def look(self, number: int) -> AccountBook:
        """The book of an account, to read only: a copy unless it is out."""
        book = self._out.get(number)
        return self._columns.book(number) if book is None else book

    def put_back(self) -> None:
        """Write every book that is out into the columns."""
        for number, book in self._out.items():
            self._columns.put(number, book)
        self._out.clear()
