"""The liquidation surface against prices that can be solved for by hand, and the trade that restores health."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.errors import InvalidReference
from engine.methods.modes import account_margin
from engine.methods.statement import StatedPortfolio
from engine.methods.surface import Distance, cheapest_restoring_trade, liquidation_surface
from engine.methods.what_if import Change, Fill, what_if
from streams.margin_methods import load_methods
from tests.engine.methods.portfolios import example, future, option, perpetual, portfolio

METHODS = load_methods()
PARADEX = METHODS["paradex-pm"]


def surface(held: StatedPortfolio, method: str = "paradex-pm") -> dict[str, Distance]:
    return {distance.factor: distance for distance in liquidation_surface(held, METHODS[method])}


def test_a_long_perpetual_breaches_where_equity_meets_maintenance() -> None:
    # 20,000 + 60,030 x = 0.08 x 60,030 (1 + x): x = (0.08 x 60,030 - 20,000) / (0.92 x 60,030).
    found = surface(portfolio(perpetual("BTC", 1), cash=20_000))
    expected = (0.08 * 60_030 - 20_000) / (0.92 * 60_030)
    assert expected == pytest.approx(found["BTC price down"].move, abs=2e-6)
    assert 60_000 * (1 + expected) == pytest.approx(found["BTC price down"].prices["BTC"], abs=0.2)
    assert found["BTC price up"].move is None
    assert {} == dict(found["BTC price up"].prices)


def test_a_factor_without_options_has_no_volatility() -> None:
    assert ["BTC price up", "BTC price down", "joint"] == list(surface(portfolio(perpetual("BTC", 1))))


def test_the_joint_direction_breaches_no_later_than_any_price() -> None:
    held = portfolio(perpetual("BTC", 1), perpetual("ETH", 20), cash=30_000)
    found = surface(held)
    joint = found["joint"]
    assert joint.move is not None
    # Equal notionals: the gradient points the same way in both, so each has to fall half as far.
    assert joint.spot["BTC"] == pytest.approx(joint.spot["ETH"], rel=1e-3)
    alone = found["BTC price down"].move
    assert alone is not None
    assert joint.move == pytest.approx(-alone / 2, rel=0.02)


@pytest.mark.parametrize("method", ["derive-pmrm2", "crossmargin", "paradex-pm"])
def test_at_the_distance_the_account_is_just_short(method: str) -> None:
    held = replace(example("straddle"), cash=Decimal(170_000))
    breached = 0
    for distance in liquidation_surface(held, METHODS[method]):
        if not distance.move:
            continue
        breached += 1
        for share, short in ((1.0, True), (1.0 - 1e-4, False)):
            change = Change(
                spot=tuple((unit, Decimal(repr(move * share))) for unit, move in distance.spot.items()),
                vol=tuple((unit, Decimal(repr(move * share))) for unit, move in distance.vol.items()),
            )
            left = what_if(held, METHODS[method], change).margin.maintenance_left
            assert short == (left < 0.0), (distance.factor, share, left)
    assert breached


def test_what_is_breached_already_has_distance_0() -> None:
    found = surface(portfolio(perpetual("BTC", 1), cash=1_000))
    assert {0.0} == {distance.move for distance in found.values()}


def test_nothing_moves_a_hedged_account() -> None:
    held = portfolio(perpetual("BTC", 1), replace(perpetual("BTC", -1), instrument="other"), cash=100_000)
    assert {None} == {distance.move for distance in liquidation_surface(held, PARADEX)}


def test_the_cheapest_cure_of_a_perpetual_closes_what_it_must() -> None:
    # After selling q: 4,000 - 0.001 q 60,030 = 0.08 x 60,030 (1 - q).
    held = portfolio(perpetual("BTC", 1), cash=4_000)
    trade = cheapest_restoring_trade(held, PARADEX, Decimal("0.001"))
    assert trade is not None
    expected = (0.08 * 60_030 - 4_000) / (0.079 * 60_030)
    assert -expected == pytest.approx(float(trade.quantity), rel=1e-5)
    assert ("BTC-PERP", True) == (trade.instrument, trade.closes)
    assert 0.001 * expected * 60_030 == pytest.approx(trade.cost, rel=1e-5)
    assert 0.0 <= trade.margin.maintenance_left < 0.1


def test_a_hedge_may_be_cheaper_than_closing() -> None:
    # Short 3 calls; futures of the same underlying are at hand and cure with less notional than the calls.
    held = portfolio(option("BTC", 60_000, -3, call=True), future("BTC", 0), perpetual("ETH", 0), cash=21_500)
    trade = cheapest_restoring_trade(held, METHODS["paradex-pm"], Decimal("0.0005"))
    assert trade is not None
    assert ("BTC-near", False) == (trade.instrument, trade.closes)
    assert trade.quantity > 0


@pytest.mark.parametrize("cash", [15_000, 20_000, 24_000])
def test_a_cure_cures_and_costs_what_it_says(cash: int) -> None:
    held = portfolio(option("BTC", 60_000, -3, call=True), option("BTC", 55_000, -3, call=False), cash=cash)
    before = account_margin(held, PARADEX)
    trade = cheapest_restoring_trade(held, PARADEX, Decimal("0.0005"), initial=True)
    assert before.initial_left < 0.0
    if trade is not None:
        assert trade.margin.initial_left >= 0.0
        fill = Fill(trade.instrument, trade.quantity, None, Decimal(repr(trade.cost)))
        again = what_if(held, PARADEX, Change(fills=(fill,))).margin
        assert trade.margin.initial_left == pytest.approx(again.initial_left, abs=1e-6)


def test_the_initial_requirement_takes_a_larger_trade() -> None:
    held = portfolio(perpetual("BTC", 1), cash=4_000)
    first = cheapest_restoring_trade(held, PARADEX, Decimal("0.001"))
    second = cheapest_restoring_trade(held, PARADEX, Decimal("0.001"), initial=True)
    assert first is not None
    assert second is not None
    assert abs(second.quantity) > abs(first.quantity)


def test_no_trade_is_named_for_an_account_in_order_or_beyond_help() -> None:
    assert cheapest_restoring_trade(portfolio(perpetual("BTC", 1)), PARADEX, Decimal(0)) is None
    assert cheapest_restoring_trade(portfolio(perpetual("BTC", 1), cash=-1), PARADEX, Decimal("0.001")) is None


def test_a_negative_spread_is_refused() -> None:
    with pytest.raises(InvalidReference) as refused:
        cheapest_restoring_trade(portfolio(perpetual("BTC", 1)), PARADEX, Decimal(-1))
    assert "spread" == refused.value.field
