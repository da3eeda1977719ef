"""The fund's ledger: never below zero, the same for any order, deaf to repetition; and what a close-out pays in."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference, InvariantBroken
from engine.units import E8
from engine.waterfall.fund import (
    DRIFT_SURPLUS_SHARE_PPM,
    CloseOutMoney,
    EntryKind,
    FeeTerms,
    FundEntry,
    InsuranceFund,
    book,
    book_all,
    check,
    close_out_money,
    close_period,
    entries_of,
    entry_id,
)
from tests.reference import published_rules


def entry(number: int, kind: EntryKind, amount_e8: int, asset: str = "USDC") -> FundEntry:
    return FundEntry(entry_id(f"{number:08x}", kind, asset), asset, kind, amount_e8)


def test_a_shortfall_is_paid_as_far_as_the_balance_reaches() -> None:
    fund, (_, short, after) = book_all(
        InsuranceFund(),
        [entry(1, EntryKind.TOP_UP, 70), entry(2, EntryKind.SHORTFALL, 100), entry(3, EntryKind.SHORTFALL, 5)],
    )
    assert (short.moved_e8, short.uncovered_e8) == (-70, 30)
    assert (after.moved_e8, after.uncovered_e8) == (0, 5)
    assert fund.balance_e8("USDC") == 0
    check(fund)


def test_a_withdrawal_is_whole_or_nothing() -> None:
    fund, _ = book(InsuranceFund(), entry(1, EntryKind.TOP_UP, 70))
    fund, refused = book(fund, entry(2, EntryKind.WITHDRAWAL, 71))
    assert (refused.moved_e8, refused.uncovered_e8) == (0, 71)
    fund, paid = book(fund, entry(3, EntryKind.WITHDRAWAL, 70))
    assert (paid.moved_e8, paid.uncovered_e8, fund.balance_e8("USDC")) == (-70, 0, 0)


def test_an_id_with_other_contents_is_a_bug() -> None:
    fund, _ = book(InsuranceFund(), entry(1, EntryKind.TOP_UP, 70))
    with pytest.raises(InvariantBroken, match="other contents"):
        book(fund, entry(1, EntryKind.TOP_UP, 71))
    with pytest.raises(InvalidReference):
        entry(2, EntryKind.TOP_UP, 0)


def test_a_balance_without_its_entries_is_found() -> None:
    fund, _ = book(InsuranceFund(), entry(1, EntryKind.TOP_UP, 70))
    with pytest.raises(InvariantBroken):
        check(InsuranceFund(fund.balances_e8))
    closed = close_period(fund)
    check(closed)
    assert (closed.balance_e8("USDC"), len(closed.booked)) == (70, 0)


ENTRIES = st.lists(
    st.builds(
        entry,
        number=st.integers(0, 60),
        kind=st.sampled_from(EntryKind),
        amount_e8=st.integers(1, 10**12),
        asset=st.sampled_from(("USDC", "BTC")),
    ),
    max_size=12,
    unique_by=lambda each: each.entry_id,
)


@given(entries=ENTRIES)
def test_repetition_changes_nothing_and_nothing_goes_below_zero(entries: list[FundEntry]) -> None:
    fund, first = book_all(InsuranceFund(), entries)
    again, second = book_all(fund, entries)
    assert (again, second) == (fund, first)
    check(fund)
    for done in first:
        assert abs(done.moved_e8) + done.uncovered_e8 == done.entry.amount_e8


@given(entries=ENTRIES, data=st.data())
def test_the_order_of_entries_that_are_covered_does_not_matter(entries: list[FundEntry], data: st.DataObject) -> None:
    start, _ = book_all(InsuranceFund(), [entry(99, EntryKind.TOP_UP, 10**14, asset) for asset in ("USDC", "BTC")])
    one, _ = book_all(start, entries)
    other, _ = book_all(start, data.draw(st.permutations(entries)))
    assert one == other


@pytest.mark.parametrize(
    ("price", "fee_ppm", "wanted"),
    [  # dYdX v4-chain 84d4664b, liquidations_test.go: long 0.1 with a bankruptcy quote of 5,100
        (56_100, 1_000_000, 510),
        (51_000, 5_000, 0),
        (50_000, 5_000, -100),
        (56_100, 5_000, Fraction("28.05")),
    ],
)
def test_the_fund_gains_what_the_venue_publishes(price: int, fee_ppm: int, wanted: Fraction | int) -> None:
    money = close_out_money(price * E8 // 10, 5_100 * E8, FeeTerms(fee_ppm))
    assert Fraction(money.fee_e8 - money.shortfall_e8, E8) == wanted


def test_the_surplus_goes_where_the_terms_say() -> None:
    received, bankruptcy = 5_200 * E8, 5_100 * E8
    assert close_out_money(received, bankruptcy, FeeTerms(5_000)) == CloseOutMoney(26 * E8, 0, 0, 5_174 * E8)
    assert close_out_money(received, bankruptcy, FeeTerms(5_000, keeps_surplus=True)) == CloseOutMoney(
        26 * E8, 74 * E8, 0, 5_100 * E8
    )
    # 95 % of what is freed, and no more, when the rate alone would take it all
    all_of_it = FeeTerms(1_000_000, DRIFT_SURPLUS_SHARE_PPM)
    assert close_out_money(received, bankruptcy, all_of_it) == CloseOutMoney(95 * E8, 0, 0, 5_105 * E8)


def test_a_command_books_the_same_entries_again() -> None:
    money = close_out_money(5_200, 5_100, FeeTerms(5_000, keeps_surplus=True))
    entries = entries_of("abc", "USDC", money)
    assert [each.entry_id for each in entries] == ["abc/liquidation_fee/USDC", "abc/surplus/USDC"]
    fund, _ = book_all(InsuranceFund(), (*entries, *entries_of("abc", "USDC", money)))
    assert fund.balance_e8("USDC") == 100


@given(
    received=st.integers(-(10**14), 10**14),
    bankruptcy=st.integers(-(10**14), 10**14),
    fee=st.integers(0, 10**6),
    share=st.integers(0, 10**6),
    keeps=st.booleans(),
)
def test_the_fee_never_bankrupts(received: int, bankruptcy: int, fee: int, share: int, keeps: bool) -> None:
    money = close_out_money(received, bankruptcy, FeeTerms(fee, share, keeps))
    assert money.fee_e8 + money.surplus_e8 - money.shortfall_e8 + money.to_account_e8 == received
    assert money.to_account_e8 >= bankruptcy
    assert min(money.fee_e8, money.surplus_e8, money.shortfall_e8) >= 0
    wanted = published_rules.insurance_delta(Fraction(received), Fraction(bankruptcy), Fraction(fee, 10**6))
    if share == 10**6:
        assert abs(money.fee_e8 - money.shortfall_e8 - wanted) <= 1
