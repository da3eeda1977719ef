from __future__ import annotations

import pytest

from engine.books.account import AccountBook
from engine.books.collateral import apply_deposit, apply_withdrawal, can_withdraw, collateral_fault
from engine.events import CollateralEvent
from engine.outcomes import APPLIED, DUPLICATE, Rejection
from engine.units import INT64_MAX
from tests.builders import deposit, e8, transfer, transfer_credit, withdrawal


@pytest.mark.parametrize(
    ("event", "rejection", "field"),
    [
        (deposit("a", "DOGE", 10**12, 0), Rejection.UNKNOWN_ASSET, "asset"),
        (deposit("a", "USD", 10**12, 0), Rejection.AMOUNT_OUT_OF_RANGE, "amount"),
        (withdrawal("a", "USD", 0, 0), Rejection.AMOUNT_OUT_OF_RANGE, "amount"),
    ],
)
def test_faulty_event(event: CollateralEvent, rejection: Rejection, field: str) -> None:
    fault = collateral_fault(event, {"USD"})
    assert fault is not None
    assert (rejection, field) == (fault.rejection, fault.field)


def test_deposit_that_would_overflow_changes_nothing() -> None:
    book = AccountBook("a", balances={"USD": INT64_MAX})
    assert Rejection.AMOUNT_OUT_OF_RANGE is apply_deposit(book, deposit("a", "USD", 1, 0)).rejection
    assert AccountBook("a", balances={"USD": INT64_MAX}) == book


def test_total_withdrawn_must_have_room() -> None:
    book = AccountBook("a")
    apply_deposit(book, deposit("a", "USD", 1, 0))
    book.totals["USD"].withdrawn_e8 = INT64_MAX
    assert not can_withdraw(book, withdrawal("a", "USD", 1, 1))


def test_transfer_numbers_rise_and_withdrawals_take_none() -> None:
    book = AccountBook("a")
    apply_deposit(book, deposit("a", "USD", 10, 0))
    apply_withdrawal(book, withdrawal("a", "USD", 1, 1))
    apply_withdrawal(book, transfer("a", "b", "USD", 2, 2))
    assert (1, e8(7), e8(3)) == (book.transfer_sequence, book.balances["USD"], book.totals["USD"].withdrawn_e8)


def test_credit_applies_once_per_number_of_its_payer() -> None:
    book = AccountBook("b")
    sequence = [("a", 1), ("a", 1), ("c", 1), ("a", 3), ("a", 2)]
    outcomes = [
        apply_deposit(book, transfer_credit("b", payer, "USD", 1, offset, number))
        for offset, (payer, number) in enumerate(sequence)
    ]
    assert [APPLIED, DUPLICATE, APPLIED, APPLIED, DUPLICATE] == outcomes
    assert ({"a": 3, "c": 1}, e8(3)) == (book.transfers_in, book.balances["USD"])
