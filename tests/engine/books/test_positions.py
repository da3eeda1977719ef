"""Average-cost accounting by kind of contract, as tables: fills in, position and money out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.books.account import AccountBook, Position
from engine.books.positions import apply_fill, fill_fault, trade, trade_value
from engine.events import Fill
from engine.outcomes import APPLIED, Rejection
from engine.reference.instruments import Instrument
from engine.units import INT64_MAX
from tests.builders import CALL, EXPIRY_US, FUTURE, INVERSE, PERP, SPOT, e8, fill

USD_BTC = {"USD", "BTC"}


def after_fills(instrument: Instrument, *trades: tuple[str, str, str]) -> AccountBook:
    """The book after (quantity, price, fee) trades of one instrument."""
    book = AccountBook("a")
    for offset, (quantity, price, fee) in enumerate(trades):
        event = fill("a", instrument.instrument_id, quantity, price, offset, fee)
        assert APPLIED == apply_fill(book, event, instrument, 0, None).outcome
    return book


@pytest.mark.parametrize(
    ("trades", "quantity", "cost", "balance", "realized"),
    [
        #  trades: quantity, price, fee                              position    cost      balance    realized
        ([("2", "100", "0")], "2", "200", "0", "0"),
        ([("2", "100", "1.5")], "2", "200", "-1.5", "0"),
        ([("2", "100", "0"), ("2", "200", "0")], "4", "600", "0", "0"),
        ([("4", "150", "0"), ("-1", "190", "0")], "3", "450", "40", "40"),
        ([("4", "150", "0"), ("-4", "140", "0")], None, None, "-40", "-40"),
        ([("2", "100", "0"), ("-5", "110", "0")], "-3", "-330", "20", "20"),
        ([("-2", "100", "0")], "-2", "-200", "0", "0"),
        ([("-2", "100", "0"), ("1", "90", "0")], "-1", "-100", "10", "10"),
        ([("-2", "100", "0"), ("3", "130", "-0.5")], "1", "130", "-59.5", "-60"),
    ],
)
def test_linear_position(
    trades: list[tuple[str, str, str]], quantity: str | None, cost: str | None, balance: str, realized: str
) -> None:
    book = after_fills(PERP, *trades)
    expected = {} if quantity is None or cost is None else {"BTC-PERP": Position(e8(quantity), e8(cost), 0)}
    assert expected == book.positions
    assert e8(balance) == book.balances.get("USD", 0)
    assert e8(realized) == book.totals["USD"].realized_pnl_e8


def test_inverse_position_earns_coin_and_conserves_the_rounded_value() -> None:
    # 3 contracts of 100 USD at 20,000 are worth -0.015 BTC; at 25,000 -0.012: the long gains 0.003 BTC.
    book = after_fills(INVERSE, ("3", "20000", "0"), ("-3", "25000", "0"))
    assert {} == book.positions
    assert {"BTC": e8("0.003")} == book.balances


def test_inverse_flip_splits_the_rounded_value_without_loss() -> None:
    book = after_fills(INVERSE, ("1", "30000", "0"), ("-3", "30000.5", "0"))
    total = trade_value(INVERSE, e8(1), e8(30000)) + trade_value(INVERSE, e8(-3), e8("30000.5"))
    position = book.positions["BTC-INVERSE"]
    assert e8(-2) == position.quantity_e8
    assert total == book.totals["BTC"].traded_value_e8
    assert book.balances.get("BTC", 0) - position.cost_e8 == -total


def test_option_premium_moves_in_cash_and_realizes_at_average_entry() -> None:
    book = after_fills(CALL, ("4", "100", "2"), ("-1", "130", "0"))
    assert Position(e8(3), e8(300), 0) == book.positions["BTC-CALL"]
    assert {"USD": e8(-400 - 2 + 130)} == book.balances
    assert e8(30) == book.totals["USD"].realized_pnl_e8


def test_spot_moves_base_against_quote_and_leaves_no_position() -> None:
    book = after_fills(SPOT, ("0.5", "20000", "3"))
    assert {} == book.positions
    assert {"BTC": e8("0.5"), "USD": e8(-10_003)} == book.balances
    assert e8("-0.5") == book.totals["BTC"].traded_value_e8


def test_balance_that_returns_to_zero_leaves_no_entry() -> None:
    assert {} == after_fills(SPOT, ("0.5", "20000", "0"), ("-0.5", "20000", "0")).balances


def test_released_cost_rounds_against_the_account_and_the_rest_stays_open() -> None:
    held = Position(e8(3), 100, 0)
    made = trade(FUTURE, held, e8(-1), e8(10), 0)
    assert made.position == Position(e8(2), 66, 0)
    assert made.realized_pnl_e8 == e8(10) - 34


@given(
    held_lots=st.integers(-1000, 1000).filter(bool),
    cost_e8=st.integers(-(10**15), 10**15),
    traded_lots=st.integers(-2000, 2000).filter(bool),
    ticks=st.integers(1, 10**6),
    instrument=st.sampled_from([PERP, INVERSE, FUTURE, CALL]),
)
def test_value_of_a_trade_is_its_change_of_cost_less_what_it_realized(
    held_lots: int, cost_e8: int, traded_lots: int, ticks: int, instrument: Instrument
) -> None:
    held = Position(held_lots * instrument.lot_e8, cost_e8, 0)
    made = trade(instrument, held, traded_lots * instrument.lot_e8, ticks * instrument.tick_e8, 0)
    cost_after = 0 if made.position is None else made.position.cost_e8
    assert made.value_e8 == (cost_after - cost_e8) - made.realized_pnl_e8
    quantity_after = 0 if made.position is None else made.position.quantity_e8
    assert quantity_after == held.quantity_e8 + traded_lots * instrument.lot_e8


@pytest.mark.parametrize(
    ("event", "instrument", "assets", "rejection", "field"),
    [
        # Rows in the order of the enum; each row also has every fault below it.
        (fill("a", "X", "0.001", "0.3", 0, time_us=EXPIRY_US), None, set(), Rejection.UNKNOWN_INSTRUMENT, "instrument"),
        (fill("a", "X", "0.001", "0.3", 0, time_us=EXPIRY_US), FUTURE, set(), Rejection.UNKNOWN_ASSET, "instrument"),
        (fill("a", "X", "0.001", "0.3", 0, time_us=EXPIRY_US), SPOT, {"USD"}, Rejection.UNKNOWN_ASSET, "instrument"),
        (
            fill("a", "X", "0.001", "0.3", 0, time_us=EXPIRY_US),
            FUTURE,
            USD_BTC,
            Rejection.INSTRUMENT_EXPIRED,
            "trade_time_us",
        ),
        (fill("a", "X", "0.001", "0.3", 0), FUTURE, USD_BTC, Rejection.QUANTITY_OFF_LOT, "quantity"),
        (fill("a", "X", "0", "0.3", 0), FUTURE, USD_BTC, Rejection.QUANTITY_OFF_LOT, "quantity"),
        (fill("a", "X", 10**12, "0.3", 0), FUTURE, USD_BTC, Rejection.PRICE_OFF_TICK, "price"),
        (fill("a", "X", 10**12, "0", 0), FUTURE, USD_BTC, Rejection.PRICE_OFF_TICK, "price"),
        (fill("a", "X", 10**12, "0.5", 0), FUTURE, USD_BTC, Rejection.AMOUNT_OUT_OF_RANGE, "quantity"),
        (fill("a", "X", 1, 10**12, 0), FUTURE, USD_BTC, Rejection.AMOUNT_OUT_OF_RANGE, "price"),
        (fill("a", "X", 1, 1, 0, fee=10**12), FUTURE, USD_BTC, Rejection.AMOUNT_OUT_OF_RANGE, "fee"),
    ],
)
def test_faulty_fill(
    event: Fill, instrument: Instrument | None, assets: set[str], rejection: Rejection, field: str
) -> None:
    fault = fill_fault(event, instrument, assets)
    assert fault is not None
    assert (rejection, field) == (fault.rejection, fault.field)


def test_sound_fill_has_no_fault() -> None:
    before_expiry = fill("a", "X", "0.01", "0.5", 0, time_us=EXPIRY_US - 1)
    assert fill_fault(before_expiry, FUTURE, USD_BTC) is None


@pytest.mark.parametrize("full", ["balance", "position", "fees"])
def test_fill_that_would_overflow_changes_nothing(full: str) -> None:
    book = after_fills(PERP, ("1", "20000", "-1"))
    if full == "balance":
        book.balances["USD"] = INT64_MAX
    elif full == "position":
        book.positions["BTC-PERP"].quantity_e8 = INT64_MAX
    else:
        book.totals["USD"].fees_paid_e8 = -INT64_MAX
    before = repr(book)
    result = apply_fill(book, fill("a", "BTC-PERP", "1", "20000", 9, "-1"), PERP, 0, None)
    assert Rejection.AMOUNT_OUT_OF_RANGE is result.outcome.rejection
    assert before == repr(book)
