"""The written form of an account's book.

Owns the canonical order of its fields and entries: two books are equal exactly when their texts are, whatever order
their entries were made in. There are no floats in a book, so text and back is exact. Refuses to know where it goes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from engine.books.account import AccountBook, Ladder, OpenCommand, Position, Totals
from engine.ids import EVENT_KEY_BYTES
from engine.outcomes import MarginStatus

Value = TypeVar("Value")

Plain = int | str | None | list["Plain"]
"""What a plain form is made of."""

_DIGEST_BYTES = 8
_SEEN_BYTES = EVENT_KEY_BYTES + _DIGEST_BYTES

FIELDS = (
    "account",
    "balances",
    "positions",
    "totals",
    "applied",
    "recent",
    "status",
    "status_changes",
    "liquidation_sequence",
    "liquidation_round",
    "open_commands",
    "ladder",
    "transfer_sequence",
    "transfers_in",
    "bad_records",
)
"""The fields of a book in the order of its plain form."""


def book_to_plain(book: AccountBook) -> list[Plain]:
    """The book as nested lists of ints and strings, entries sorted by key; the ids seen of a topic as one hex
    text, in order of arrival, which decides what is forgotten next."""
    return [
        book.account,
        _entries(book.balances, lambda amount: [amount]),
        _entries(book.positions, lambda held: [held.quantity_e8, held.cost_e8, held.funding_index_e12]),
        _entries(book.totals, _totals_to_plain),
        _entries(book.applied, lambda offset: [offset]),
        _entries(book.recent, lambda seen: [_seen_to_text(seen)]),
        int(book.status),
        book.status_changes,
        book.liquidation_sequence,
        book.liquidation_round,
        _entries(book.open_commands, command_to_plain),
        ladder_to_plain(book.ladder),
        book.transfer_sequence,
        _entries(book.transfers_in, lambda sequence: [sequence]),
        book.bad_records,
    ]


def book_from_plain(plain: list[Plain]) -> AccountBook:
    """Inverse of ``book_to_plain``; raises ValueError or TypeError on anything that is not one."""
    values = dict(zip(FIELDS, plain, strict=True))
    return AccountBook(
        account=_text(values["account"]),
        balances={key: _one(rest) for key, rest in _rows(values["balances"])},
        positions={key: Position(*_ints(rest, 3)) for key, rest in _rows(values["positions"])},
        totals={key: Totals(*_ints(rest, 6)) for key, rest in _rows(values["totals"])},
        applied={key: _one(rest) for key, rest in _rows(values["applied"])},
        recent={key: _seen_from_text(_text(*rest)) for key, rest in _rows(values["recent"])},
        status=MarginStatus(_int(values["status"])),
        status_changes=_int(values["status_changes"]),
        liquidation_sequence=_int(values["liquidation_sequence"]),
        liquidation_round=_int(values["liquidation_round"]),
        open_commands={key: command_from_plain(rest) for key, rest in _rows(values["open_commands"])},
        ladder=ladder_from_plain(values["ladder"]),
        transfer_sequence=_int(values["transfer_sequence"]),
        transfers_in={key: _one(rest) for key, rest in _rows(values["transfers_in"])},
        bad_records=_int(values["bad_records"]),
    )


def canonical_text(book: AccountBook) -> str:
    """The book as one line of JSON with named, sorted keys."""
    named = dict(zip(FIELDS, book_to_plain(book), strict=True))
    return json.dumps(named, sort_keys=True, separators=(",", ":"))


def book_from_text(text: str) -> AccountBook:
    """Inverse of ``canonical_text``; raises ValueError, TypeError or KeyError on anything that is not one."""
    named = json.loads(text)
    if not isinstance(named, dict) or set(named) != set(FIELDS):
        raise ValueError("not the text of a book")
    return book_from_plain([named[field] for field in FIELDS])


def _entries(held: dict[str, Value], to_plain: Callable[[Value], list[Plain]]) -> list[Plain]:
    return [[key, *to_plain(held[key])] for key in sorted(held)]


def _totals_to_plain(totals: Totals) -> list[Plain]:
    return [
        totals.deposited_e8,
        totals.withdrawn_e8,
        totals.realized_pnl_e8,
        totals.traded_value_e8,
        totals.fees_paid_e8,
        totals.funding_paid_e8,
    ]


def _seen_to_text(seen: dict[bytes, bytes]) -> str:
    assert all(len(key) == EVENT_KEY_BYTES and len(digest) == _DIGEST_BYTES for key, digest in seen.items())
    return b"".join(key + digest for key, digest in seen.items()).hex()


def _seen_from_text(text: str) -> dict[bytes, bytes]:
    packed = bytes.fromhex(text)
    if len(packed) % _SEEN_BYTES:
        raise ValueError(f"{len(packed)} bytes are no whole number of event ids with their digests")
    pairs = (packed[at : at + _SEEN_BYTES] for at in range(0, len(packed), _SEEN_BYTES))
    return {pair[:EVENT_KEY_BYTES]: pair[EVENT_KEY_BYTES:] for pair in pairs}


def command_to_plain(command: OpenCommand) -> list[Plain]:
    """An open command as a list."""
    return [
        command.kind,
        command.instrument,
        command.quantity_e8,
        command.limit_price_e8,
        command.filled_e8,
        command.expires_us,
        command.acked_filled_e8,
    ]


def command_from_plain(rest: list[Plain]) -> OpenCommand:
    """Inverse of ``command_to_plain``; raises ValueError or TypeError."""
    kind, instrument, quantity, limit, filled, expires, acked = rest
    acked_e8 = None if acked is None else _int(acked)
    return OpenCommand(
        _text(kind), _text(instrument), _int(quantity), _int(limit), _int(filled), _int(expires), acked_e8
    )


def ladder_to_plain(ladder: Ladder) -> list[Plain]:
    """A ladder as a list."""
    flags = int(ladder.round_made) + 2 * int(ladder.released) + 4 * int(ladder.offered)
    return [ladder.wait_until_us, flags, ladder.fruitless_rounds, ladder.command_sequence]


def ladder_from_plain(value: Plain) -> Ladder:
    """Inverse of ``ladder_to_plain``; raises ValueError or TypeError."""
    if not isinstance(value, list):
        raise TypeError(f"expected a ladder, got {type(value).__name__}")
    wait_us, flags, fruitless, sequence = _ints(value, 4)
    if not 0 <= flags <= 7:
        raise ValueError(f"a ladder has no flags {flags}")
    return Ladder(wait_us, bool(flags & 1), bool(flags & 2), bool(flags & 4), fruitless, sequence)


def _rows(value: Plain) -> list[tuple[str, list[Plain]]]:
    if not isinstance(value, list):
        raise TypeError(f"expected entries, got {type(value).__name__}")
    rows = []
    for row in value:
        if not isinstance(row, list):
            raise TypeError(f"expected an entry, got {type(row).__name__}")
        rows.append((_text(row[0]), row[1:]))
    return rows


def _ints(values: list[Plain], count: int) -> list[int]:
    if len(values) != count:
        raise ValueError(f"expected {count} amounts, got {len(values)}")
    return [_int(value) for value in values]


def _one(values: list[Plain]) -> int:
    return _ints(values, 1)[0]


def _int(value: Plain) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected an integer, got {type(value).__name__}")
    return value


def _text(value: Plain) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value
