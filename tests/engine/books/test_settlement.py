from __future__ import annotations

import pytest

from engine.books.account import AccountBook, Position
from engine.books.settlement import can_settle, final_value, settle_position
from engine.reference.instruments import Instrument
from engine.units import INT64_MAX
from tests.builders import CALL, FUTURE, PUT, e8


@pytest.mark.parametrize(
    ("instrument", "quantity", "price", "value"),
    [
        (FUTURE, "2", 20_000, 40_000),
        (FUTURE, "-2", 20_000, -40_000),
        (CALL, "2", 23_000, 2_000),  # strike 22,000
        (CALL, "-2", 23_000, -2_000),
        (CALL, "2", 22_000, 0),
        (PUT, "2", 17_500, 1_000),  # strike 18,000
        (PUT, "2", 18_500, 0),
        (PUT, "1", 0, 18_000),
    ],
)
def test_final_value(instrument: Instrument, quantity: str, price: int, value: int) -> None:
    assert e8(value) == final_value(instrument, e8(quantity), e8(price))


def test_value_between_ticks_rounds_down_for_long_and_short() -> None:
    assert (0, -1) == (final_value(FUTURE, e8("0.01"), 1), final_value(FUTURE, e8("-0.01"), 1))


def test_future_becomes_value_less_cost_and_option_becomes_value() -> None:
    book = AccountBook("a", positions={"BTC-FUTURE": Position(e8(2), e8(39_000), 0), "BTC-CALL": Position(e8(1), 5, 0)})
    assert e8(1_000) == settle_position(book, FUTURE, e8(20_000)).cash_e8
    assert e8(500) == settle_position(book, CALL, e8(22_500)).cash_e8
    assert ({}, {"USD": e8(1_500)}) == (book.positions, book.balances)
    assert e8(1_500) - 5 == book.totals["USD"].realized_pnl_e8


def test_position_whose_cash_would_overflow_cannot_settle() -> None:
    book = AccountBook("a", balances={"USD": INT64_MAX}, positions={"BTC-FUTURE": Position(e8(1), 0, 0)})
    assert not can_settle(book, FUTURE, e8(1))
    assert can_settle(book, FUTURE, 0)
