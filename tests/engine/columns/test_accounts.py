"""Books go into the columns and come out equal, whatever lay there before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.books.account import AccountBook, OpenCommand, Position, Totals
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import FILLS, MEMORY_MAX
from engine.errors import InvariantBroken
from tests.engine.columns.column_books import IDS, assert_same, book_of, books, event_bytes


class ColumnsAgainstBooks(RuleBasedStateMachine):
    """Accounts open, change and go; after each step every one of them is what was last put."""

    def __init__(self) -> None:
        super().__init__()
        self.columns = AccountColumns()
        self.books: dict[str, AccountBook] = {}
        self.shards: dict[str, int] = {}

    @rule(book=books(), shard=st.integers(0, 2))
    def put(self, book: AccountBook, shard: int) -> None:
        if book.account not in self.books:
            number = self.columns.open(book.account, shard)
            assert_same(AccountBook(book.account), self.columns.book(number))
            self.shards[book.account] = shard
        self.columns.put(self.columns.number(book.account), book)
        self.books[book.account] = book

    @precondition(lambda self: self.books)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        account = data.draw(st.sampled_from(sorted(self.books)))
        book = data.draw(books(st.just(account)))
        self.columns.put(self.columns.number(account), book)
        self.books[account] = book

    @rule(shard=st.integers(0, 2))
    def drop(self, shard: int) -> None:
        self.columns.drop_shard(shard)
        for account in [account for account, of in self.shards.items() if of == shard]:
            del self.books[account], self.shards[account]
            assert self.columns.number(account) == -1

    @invariant()
    def same(self) -> None:
        assert len(self.columns) == len(self.books)
        found = [self.columns.book(number) for number in self.columns.numbers().tolist()]
        assert sorted(book.account for book in found) == sorted(self.books)
        for book in found:
            assert_same(self.books[book.account], book)
            assert self.columns.name(self.columns.number(book.account)) == book.account
        assert len(self.columns.cold) == sum(bool(b.open_commands or b.transfers_in) for b in self.books.values())
        for shard in range(3):
            accounts = {self.columns.name(number) for number in self.columns.of_shard(shard).tolist()}
            assert accounts == {account for account, of in self.shards.items() if of == shard}


TestColumnsAgainstBooks = ColumnsAgainstBooks.TestCase
TestColumnsAgainstBooks.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)


@settings(deadline=None, max_examples=50)
@given(books())
def test_entries_lie_in_the_order_of_their_ids(book: AccountBook) -> None:
    columns = AccountColumns()
    for id in reversed(sorted([*book.positions, "zz"])):
        columns.instruments.number(id)
    number = columns.open(book.account, 0)
    columns.put(number, book)
    held = columns.holdings()
    start, count = held.position_start_A[number], held.position_count_A[number]
    ids = [columns.instruments.id(instrument) for instrument in held.instrument_P[start : start + count].tolist()]
    assert ids == sorted(book.positions)
    assert held.quantity_e8_P[start : start + count].tolist() == [book.positions[id].quantity_e8 for id in ids]
    start, count = held.balance_start_A[number], held.balance_count_A[number]
    assets = [columns.assets.id(asset) for asset in held.asset_C[start : start + count].tolist()]
    assert assets == sorted(book.totals)
    assert held.amount_e8_C[start : start + count].tolist() == [book.balances.get(asset, 0) for asset in assets]


def test_a_full_ring_comes_out_in_order_of_arrival() -> None:
    columns = AccountColumns()
    number = columns.open("a", 0)
    columns.put(number, book_of("a", events=MEMORY_MAX))
    start = int(columns.memory.start_AT[number, FILLS])
    for event in range(MEMORY_MAX, MEMORY_MAX + 5):  # as a kernel remembers
        oldest = int(columns.memory.oldest_AT[number, FILLS])
        columns.memory.key_M[start + oldest] = int.from_bytes(event_bytes(event), "little")
        columns.memory.digest_M[start + oldest] = int.from_bytes(event_bytes(event + 100), "little")
        columns.memory.oldest_AT[number, FILLS] = (oldest + 1) % MEMORY_MAX
    found = columns.book(number)
    assert list(found.recent["fills"].items()) == [
        (event_bytes(event), event_bytes(event + 100)) for event in range(5, MEMORY_MAX + 5)
    ]
    columns.put(number, found)
    assert_same(found, columns.book(number))


def test_a_book_is_its_own_copy() -> None:
    columns = AccountColumns()
    number = columns.open("a", 0)
    book = replace(book_of("a"), open_commands={"c": OpenCommand("close", "BTC", 1, 2, 0, 5)}, transfers_in={"b": 3})
    columns.put(number, book)
    taken = columns.book(number)
    taken.open_commands["c"].filled_e8 = 1
    taken.transfers_in["b"] = 4
    taken.positions["BTC-00"].quantity_e8 = 99
    book.open_commands["c"].filled_e8 = 7
    book.transfers_in["c"] = 1
    again = columns.book(number)
    assert again.open_commands == {"c": OpenCommand("close", "BTC", 1, 2, 0, 5)}
    assert again.transfers_in == {"b": 3}
    assert again.positions["BTC-00"].quantity_e8 == 1


def test_growth_and_recycling_keep_every_account() -> None:
    columns = AccountColumns()
    made = {f"account-{n}": book_of(f"account-{n}", positions=n % 11, events=n % 33) for n in range(700)}
    for place, (account, book) in enumerate(made.items()):
        columns.put(columns.open(account, place % 2), book)
    size = columns.memory_bytes()
    columns.drop_shard(1)
    for account in list(made)[1::2]:
        columns.put(columns.open(account, 1), made[account])
    assert columns.memory_bytes() == size
    for account, book in made.items():
        assert_same(book, columns.book(columns.number(account)))


def test_reserved_space_is_used_before_anything_grows() -> None:
    columns = AccountColumns()
    columns.ensure(accounts=50, positions=50 * 8, balances=50 * 4, remembered=50 * 16)
    bundles = (columns.accounts, columns.positions, columns.balances, columns.memory)
    for number in range(50):
        columns.put(columns.open(str(number), 0), book_of(str(number), positions=8, events=9))
    assert all(
        before is after
        for before, after in zip(
            bundles, (columns.accounts, columns.positions, columns.balances, columns.memory), strict=True
        )
    )


def test_a_balance_without_totals_gets_totals_of_zero_and_a_zero_balance_goes() -> None:
    columns = AccountColumns()
    number = columns.open("a", 0)
    columns.put(number, AccountBook("a", balances={"USD": 5, "EUR": 0}))
    assert columns.book(number) == AccountBook("a", balances={"USD": 5}, totals={"USD": Totals()})


@pytest.mark.parametrize(
    "book",
    [
        AccountBook("b"),
        AccountBook("a", applied={"prices": 1}),
        AccountBook("a", recent={"prices": {event_bytes(1): event_bytes(2)}}),
        AccountBook("a", recent={"fills": {event_bytes(n): event_bytes(n) for n in range(MEMORY_MAX + 1)}}),
    ],
)
def test_a_book_that_no_account_can_have_is_refused(book: AccountBook) -> None:
    columns = AccountColumns()
    number = columns.open("a", 0)
    with pytest.raises(InvariantBroken):
        columns.put(number, book)


def test_an_amount_beyond_64_bits_is_refused() -> None:
    columns = AccountColumns()
    number = columns.open("a", 0)
    with pytest.raises(OverflowError):
        columns.put(number, AccountBook("a", positions={"BTC": Position(2**63, 0, 0)}))


@settings(deadline=None, max_examples=20)
@given(IDS)
def test_an_account_opens_once(account: str) -> None:
    columns = AccountColumns()
    number = columns.open(account, 0)
    with pytest.raises(InvariantBroken):
        columns.open(account, 1)
    assert columns.numbers().tolist() == [number]
    columns.drop(np.array([number], np.int32))
    assert len(columns) == 0
    with pytest.raises(KeyError):
        columns.book(number)


def test_an_account_belongs_to_a_shard() -> None:
    with pytest.raises(InvariantBroken):
        AccountColumns().open("a", -1)
