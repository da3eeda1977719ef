"""What-if: a fill at mark changes no equity, a move is a revaluation, and the check before a trade says why."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.methods.modes import account_margin
from engine.methods.pre_trade import pre_trade, worst_orders
from engine.methods.requirement import pool_margin
from engine.methods.statement import MarginMode, StatedCollateral, StatedOrder, StatedPortfolio
from engine.methods.what_if import Change, Fill, Transfer, what_if, what_ifs
from streams.margin_methods import load_methods
from tests.engine.methods.portfolios import (
    INSTRUMENTS,
    MARKETS,
    QUANTITIES,
    future,
    option,
    perpetual,
    portfolio,
    portfolios,
)

METHODS = load_methods()
PARADEX = METHODS["paradex-pm"]
LONG = portfolio(perpetual("BTC", 2, entry_price=Decimal(58_000)), cash=40_000)


def fill(held: StatedPortfolio, quantity: str, price: str | None = None, name: str = "BTC-PERP") -> StatedPortfolio:
    trade = Fill(name, Decimal(quantity), None if price is None else Decimal(price))
    return what_if(held, PARADEX, Change(fills=(trade,))).portfolio


@pytest.mark.parametrize(
    ("quantity", "price", "entry", "cash"),
    [
        ("2", "60000", "59000", "40000"),  # adds: average entry
        ("-1", "61000", "58000", "43000"),  # reduces: 3,000 realized
        ("-2", "57000", "58000", "38000"),  # closes: -2,000 realized
        ("-3", "61000", "61000", "46000"),  # turns: 6,000 realized, the rest entered at the price
    ],
)
def test_a_fill_averages_or_realizes(quantity: str, price: str, entry: str, cash: str) -> None:
    after = fill(LONG, quantity, price)
    assert Decimal(entry) == after.positions[0].entry_price
    assert Decimal(cash) == after.cash
    assert 2 + Decimal(quantity) == after.positions[0].quantity


@settings(max_examples=200, deadline=None)
@given(held=portfolios(), quantity=QUANTITIES, entry=st.sampled_from([None, Decimal(59_000)]))
def test_a_fill_at_mark_keeps_equity(held: StatedPortfolio, quantity: Decimal, entry: Decimal | None) -> None:
    first = replace(held.positions[0], entry_price=entry)
    held = replace(held, positions=(first, *held.positions[1:]))
    before = pool_margin(held, PARADEX).equity
    after = what_if(held, PARADEX, Change(fills=(Fill(first.instrument, quantity),)))
    assert before == pytest.approx(after.margin.total.equity, abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(held=portfolios(), quantity=QUANTITIES, price=st.integers(1, 90_000).map(Decimal))
def test_a_fill_off_mark_costs_the_difference(held: StatedPortfolio, quantity: Decimal, price: Decimal) -> None:
    name = held.positions[0].instrument
    result = what_if(held, PARADEX, Change(fills=(Fill(name, quantity, price, fee=Decimal(7)),)))
    mark = result.margin.cross.context.table.price_P[0]
    gain = result.margin.total.equity - pool_margin(held, PARADEX).equity
    assert float(quantity) * (mark - float(price)) - 7.0 == pytest.approx(gain, abs=1e-5)


@settings(max_examples=200, deadline=None)
@given(held=portfolios(), move=st.integers(-50, 50).map(lambda percent: Decimal(percent) / 100))
def test_a_move_changes_equity_by_the_scenario_of_the_same_move(held: StatedPortfolio, move: Decimal) -> None:
    unit = held.positions[0].underlying
    stated = replace(held, scenarios=({"moves": {unit: move}, "vol_moves": {unit: Decimal("0.2")}},))
    charge = pool_margin(stated, METHODS["crossmargin"]).charges["scan"]
    assert charge.scenario_pnl_US is not None
    expected = charge.scenario_pnl_US[:, 0].sum()
    moves = Change(spot=((unit, move),), vol=((unit, Decimal("0.2")),))
    after = what_if(held, METHODS["crossmargin"], moves).margin.total.equity
    assert expected == pytest.approx(after - pool_margin(held, METHODS["crossmargin"]).equity, rel=1e-9, abs=1e-6)


def test_stated_marks_move_with_the_market() -> None:
    call = replace(option("BTC", 60_000, 1, call=True), mark_price=Decimal(4_000))
    free = option("BTC", 60_000, 1, call=True)
    change = Change(spot=(("BTC", Decimal("0.1")),))
    one, other = (what_if(portfolio(p), PARADEX, change).margin.total.equity for p in (call, free))
    model = float(pool_margin(portfolio(free), PARADEX).context.table.price_P[0])
    assert other - model == pytest.approx(one - 4_000.0)


def test_inverse_contracts_gain_one_over_price() -> None:
    held = portfolio(perpetual("BTC", 100_000, inverse=True, entry_price=Decimal(50_000)), cash=0)
    after = what_if(held, PARADEX, Change(fills=(Fill("BTC-PERP", Decimal(-100_000), Decimal(40_000)),)))
    assert 100_000 / 50_000 - 100_000 / 40_000 == pytest.approx(float(after.portfolio.cash))
    more = what_if(held, PARADEX, Change(fills=(Fill("BTC-PERP", Decimal(100_000), Decimal(40_000)),)))
    assert Decimal(200_000) / Decimal("4.5") == more.portfolio.positions[0].entry_price


def test_an_isolated_position_pays_out_of_its_own_collateral() -> None:
    apart = replace(LONG.positions[0], mode=MarginMode.ISOLATED, isolated_collateral=Decimal(9_000))
    after = fill(replace(LONG, positions=(apart,)), "-1", "61000")
    assert (Decimal(40_000), Decimal(12_000)) == (after.cash, after.positions[0].isolated_collateral)


def test_methods_that_pay_positions_from_cash_are_asked_the_same_way() -> None:
    held = portfolio(perpetual("BTC", 1), cash=-50_000)
    held = replace(held, positions=(replace(held.positions[0], entry_price=None),))
    before = pool_margin(held, METHODS["dydx"]).equity
    after = what_if(held, METHODS["dydx"], Change(fills=(Fill("BTC-PERP", Decimal(1), Decimal(60_000)),)))
    assert 30.0 == pytest.approx(after.margin.total.equity - before)


def test_transfers_move_cash_and_collateral() -> None:
    held = replace(LONG, collateral=(StatedCollateral("USDT", Decimal(100), Decimal(1)),))
    moves = (Transfer("cash", Decimal(-5)), Transfer("USDT", Decimal(50)))
    after = what_if(held, PARADEX, Change(transfers=moves)).portfolio
    assert (Decimal(39_995), Decimal(150)) == (after.cash, after.collateral[0].amount)


def test_a_settlement_window_moves_only_what_is_not_fixed() -> None:
    near = MARKETS["BTC"].expiries["near"]
    market = replace(
        MARKETS["BTC"], expiries={"near": replace(near, seconds_to_expiry=Decimal(900), forward=Decimal(60_000))}
    )
    held = replace(portfolio(option("BTC", 60_000, 1, call=True)), markets={"BTC": market})
    after = what_if(held, PARADEX, Change(spot=(("BTC", Decimal("0.1")),))).portfolio.markets["BTC"].expiries["near"]
    assert (Decimal(30_000), Decimal(63_000)) == (after.forward_fixed, after.forward)


def test_equal_changes_are_one_computation() -> None:
    shock = Change(spot=(("BTC", Decimal("0.1")),))
    first, other, again = what_ifs(LONG, PARADEX, (shock, Change(), shock))
    assert first is again
    assert pool_margin(LONG, PARADEX).initial_margin == other.margin.total.initial_margin


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (Change(fills=(Fill("nothing", Decimal(1)),)), "fills[0].instrument"),
        (Change(fills=(Fill("BTC-PERP", Decimal(0)),)), "fills[0].quantity"),
        (Change(fills=(Fill("BTC-PERP", Decimal(1), Decimal(-1)),)), "fills[0].price"),
        (Change(transfers=(Transfer("USDT", Decimal(1)),)), "transfers[0].asset"),
        (Change(spot=(("SOL", Decimal(0)),)), "spot.SOL"),
        (Change(vol=(("BTC", Decimal(-1)),)), "vol.BTC"),
        (Change(spot=(("BTC", Decimal(0)), ("BTC", Decimal(1)))), "spot"),
    ],
)
def test_a_change_that_cannot_be_is_refused(change: Change, field: str) -> None:
    with pytest.raises(InvalidReference) as refused:
        what_if(LONG, PARADEX, change)
    assert field == refused.value.field
    with pytest.raises(InvalidReference) as bulk:
        what_ifs(LONG, PARADEX, (Change(), change))
    assert f"changes[1].{field}" == bulk.value.field


def orders(*pairs: tuple[str, str], reduce_only: bool = False) -> tuple[StatedOrder, ...]:
    return tuple(StatedOrder(name, Decimal(quantity), None, reduce_only) for name, quantity in pairs)


def test_the_worst_side_of_the_orders_is_filled_in_every_underlying() -> None:
    held = portfolio(perpetual("BTC", 1), perpetual("ETH", -10), future("BTC", 0))
    held = replace(held, orders=orders(("BTC-PERP", "1"), ("BTC-near", "0.5"), ("BTC-PERP", "-3"), ("ETH-PERP", "4")))
    worst = worst_orders(held, PARADEX)
    # BTC: 1 held, 2.5 after the buys, -2 after the sells. ETH: its buys only close, so none is worst.
    assert {"BTC": "buys", "ETH": "none"} == dict(worst.sides)
    assert {"none", "buys", "sells"} == set(worst.initial_by_side["BTC"])
    filled = fill(fill(replace(held, orders=()), "1"), "0.5", name="BTC-near")
    assert account_margin(filled, PARADEX).total.initial_margin == worst.margin.total.initial_margin


@settings(max_examples=100, deadline=None)
@given(held=portfolios(), quantities=st.lists(QUANTITIES, min_size=1, max_size=3))
def test_the_worst_of_the_orders_is_no_less_than_none(held: StatedPortfolio, quantities: list[Decimal]) -> None:
    placed = tuple(StatedOrder(held.positions[0].instrument, quantity) for quantity in quantities)
    worst = worst_orders(replace(held, orders=placed), PARADEX)
    assert worst.margin.total.initial_margin >= pool_margin(held, PARADEX).initial_margin


def test_orders_that_only_reduce_fill_as_far_as_they_can() -> None:
    held = replace(LONG, orders=orders(("BTC-PERP", "-5"), ("BTC-PERP", "1"), reduce_only=True))
    worst = worst_orders(held, PARADEX)
    assert {"none": pytest.approx(0.16 * 2 * 60_030), "buys": pytest.approx(0.16 * 2 * 60_030), "sells": 0.0} == dict(
        worst.initial_by_side["BTC"]
    )
    assert {"BTC": "none"} == dict(worst.sides)


@pytest.mark.parametrize(
    ("cash", "quantity", "accepted", "words"),
    [
        (40_000, "1", True, "covers initial margin"),
        (10_000, "1", False, "initial margin rises"),
        (8_000, "-1", True, "no riskier"),
        (10_000, "-3.5", False, "excess over maintenance margin falls"),
        (-90_000, "-2", True, "no riskier"),
    ],
)
def test_a_trade_is_accepted_if_covered_or_no_riskier(cash: int, quantity: str, accepted: bool, words: str) -> None:
    # 2 BTC need 19,210 initially; the third case is short before and after, the fourth pays for what it turns.
    held = portfolio(perpetual("BTC", 2), cash=cash)
    price = Decimal(58_000) if quantity == "-3.5" else None
    decision = pre_trade(held, PARADEX, (Fill("BTC-PERP", Decimal(quantity), price),))
    assert (accepted, True) == (decision.accepted, words in decision.reason), decision.reason


@settings(max_examples=200, deadline=None)
@given(held=portfolios(), quantity=QUANTITIES, cash=st.integers(-50_000, 50_000))
def test_an_accepted_trade_never_takes_a_covered_account_below_initial_margin(
    held: StatedPortfolio, quantity: Decimal, cash: int
) -> None:
    held = replace(held, cash=Decimal(cash))
    decision = pre_trade(held, PARADEX, (Fill(held.positions[0].instrument, quantity),))
    covered = decision.after.initial_left >= 0.0
    assert decision.accepted or not covered
    if decision.accepted and not covered:
        assert decision.after.total.initial_margin <= decision.before.total.initial_margin


def test_every_instrument_of_the_tests_can_be_traded() -> None:
    held = portfolio(*(replace(p, quantity=Decimal(0)) for p in INSTRUMENTS))
    for position in INSTRUMENTS:
        after = what_if(held, PARADEX, Change(fills=(Fill(position.instrument, Decimal(1)),)))
        assert after.margin.total.initial_margin > 0.0
