"""State: the durable state of the engine as text, bytes and one hash.

Owns what "the same state" means: the books of all accounts, nothing else. Marks and reference data are read again
from their topics and are not part of it. The form of one book is that of ``engine.books.record``.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from engine.books.account import AccountBook
from engine.books.record import book_from_plain, book_from_text, book_to_plain, canonical_text

__all__ = ["book_from_plain", "book_from_text", "book_to_plain", "canonical_text", "state_hash"]


def state_hash(books: Iterable[AccountBook]) -> str:
    """32 hex digits over the canonical texts of ``books`` in account order, one per line."""
    digest = blake2b(digest_size=16)
    for book in sorted(books, key=lambda book: book.account):
        digest.update(canonical_text(book).encode() + b"\n")
    return digest.hexdigest()
