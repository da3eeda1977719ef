"""A changelog as risk workers leave it behind: ``python -m bench._rows BOOTSTRAP TOPIC PARTITIONS ACCOUNTS``.

Owns the population of a restart: every account with dollars, eight positions and a full memory of recent fills; those
named in ``FALLING`` near their requirement. Only ``changelog_values`` and ``books_of`` know how a row is written.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from bench._records import KeyedRecord, publish_all
from engine.books.account import RECENT_EVENTS_MAX, AccountBook, Position, Totals
from engine.columns.accounts import AccountColumns
from engine.columns.rows import decode, encode
from streams.rows import frame_row, split_row
from streams.state.fence import seal
from tests.faults.workload import EXPIRY_US, Event, instrument

CHANGELOG = "crossmargin-risk-accounts-changelog"
OWNER_EPOCH = 1
CHUNK = 4_096
E8 = 100_000_000
MARKS = {
    "BTC-PERP": 20_010, "ETH-PERP": 1_500, "BTC-30D": 20_100, "BTC-20000-C": 1_400,
    "BTC-18000-P": 600, "BTC-19000-P": 900, "BTC-21000-C": 1_000, "BTC-22000-C": 700,
}  # fmt: skip
"""What the positions were bought for: the market of the fault tests and the instruments of ``more_instruments``."""

FALLING = ("falling-0", "falling-1")
"""Long ten ETH-PERP; the first falls below its requirement at 1,300, the second at 1,000."""

BREACH_PRICES = ("1300", "1000")
_FALLING_DOLLARS = (3_000, 5_500)
_CHUNK = 4096


_RECENT = {(k + 1).to_bytes(8): (k * 31 + 1).to_bytes(8) for k in range(RECENT_EVENTS_MAX)}
"""Ids that no record of a benchmark has, and their digests."""


def more_instruments() -> list[Event]:
    """Listings of the options that the market of the fault tests lacks."""
    kinds = {"C": "call", "P": "put"}
    return [
        instrument(name, kinds[name[-1]], mark_feed="BTC-30D", strike=name.split("-")[1], expiry_us=EXPIRY_US)
        for name in MARKS
        if name.count("-") == 2 and name != "BTC-20000-C"
    ]


def changelog_values(books: Sequence[AccountBook]) -> list[bytes]:
    """The changelog values of accounts that owe no message, by the running version's encoder."""
    columns = AccountColumns()
    numbers = np.zeros(len(books), np.int32)
    for index, book in enumerate(books):
        numbers[index] = columns.open(book.account, 0)
        columns.put(int(numbers[index]), book)
    return [seal(OWNER_EPOCH, frame_row(row, ())) for row in encode(columns, numbers)]


def books_of(values: Sequence[bytes]) -> list[AccountBook]:
    """The books in changelog values of rows, one per account. The fence is not asked: a benchmark has no replaced
    owners."""
    columns = AccountColumns()
    rows = [split_row(value[len(seal(OWNER_EPOCH, b"")) :])[0] for value in values]
    return [columns.book(int(number)) for number in decode(columns, rows, 0)]


def rich_book(number: int) -> AccountBook:
    """Small positions in every instrument, long and short, and ten million dollars."""
    dollars = 10_000_000 * E8
    positions = {}
    for index, (name, price) in enumerate(MARKS.items()):
        quantity_e8 = (number * 7919 + index * 104_729) % 1_000 * 100_000 - 50_000_000 or E8
        positions[name] = Position(quantity_e8, quantity_e8 * price, 0)
    account = f"account-{number}"
    return AccountBook(
        account,
        balances={"USD": dollars},
        positions=positions,
        totals={"USD": Totals(deposited_e8=dollars, traded_value_e8=sum(p.cost_e8 for p in positions.values()))},
        recent={"fills": _RECENT},
    )


def falling_book(account: str, dollars: int) -> AccountBook:
    """Ten ETH-PERP at 1,500 on few dollars."""
    quantity_e8, dollars_e8 = 10 * E8, dollars * E8
    return AccountBook(
        account,
        balances={"USD": dollars_e8},
        positions={"ETH-PERP": Position(quantity_e8, quantity_e8 * 1_500, 0)},
        totals={"USD": Totals(deposited_e8=dollars_e8, traded_value_e8=quantity_e8 * 1_500)},
    )


def population(accounts: int) -> Iterator[AccountBook]:
    """All accounts, the falling ones first."""
    for account, dollars in zip(FALLING, _FALLING_DOLLARS, strict=True):
        yield falling_book(account, dollars)
    for number in range(accounts):
        yield rich_book(number)


def rows(accounts: int) -> Iterator[KeyedRecord]:
    """Keys and changelog values of the whole population."""
    books = population(accounts)
    while chunk := list(itertools.islice(books, CHUNK)):
        yield from zip((book.account.encode() for book in chunk), changelog_values(chunk), strict=True)


if __name__ == "__main__":
    asyncio.run(publish_all(sys.argv[1], sys.argv[2], int(sys.argv[3]), rows(int(sys.argv[4]))))
