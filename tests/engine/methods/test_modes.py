"""Margin modes: the account's margin is its cross pool plus its isolated positions; a change says what it frees."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.errors import InvalidReference
from engine.methods.modes import account_margin, compare_modes, switch_mode
from engine.methods.requirement import pool_margin
from engine.methods.statement import MarginMode, StatedOrder
from streams.margin_methods import load_methods
from tests.engine.methods.portfolios import example, future, perpetual, portfolio

PARADEX = load_methods()["paradex-pm"]
HEDGED = portfolio(perpetual("BTC", 1), future("BTC", -1), cash=50_000)
MIXED = replace(
    HEDGED,
    positions=(
        HEDGED.positions[0],
        replace(HEDGED.positions[1], mode=MarginMode.ISOLATED, isolated_collateral=Decimal(12_000)),
    ),
)


def test_without_isolated_positions_the_account_is_the_pool() -> None:
    total, pool = account_margin(HEDGED, PARADEX).total, pool_margin(HEDGED, PARADEX)
    assert (pool.equity, pool.initial_margin) == (total.equity, total.initial_margin)
    assert pool.maintenance_margin == total.maintenance_margin


def test_an_isolated_position_is_margined_on_its_own_collateral() -> None:
    account = account_margin(MIXED, PARADEX)
    # 16 % of 60,030 for the perpetual, 16 % of 60,200 for the future: nothing nets.
    assert 0.16 * 60_030 == pytest.approx(account.cross.initial_margin)
    assert 0.16 * 60_200 == pytest.approx(account.isolated["BTC-near"].initial_margin)
    assert 12_000.0 == account.isolated["BTC-near"].equity
    assert 50_000.0 == account.cross.equity
    assert 62_000.0 == account.total.equity
    assert 12_000.0 - 0.08 * 60_200 == pytest.approx(account.maintenance_left)
    assert 12_000.0 - 0.16 * 60_200 == pytest.approx(account.initial_left)


def test_modes_stand_side_by_side() -> None:
    modes = compare_modes(MIXED, PARADEX)
    together = replace(HEDGED, cash=Decimal(62_000))
    assert pool_margin(together, PARADEX).initial_margin == modes.cross.initial_margin
    assert 0.16 * (60_030 + 60_200) == pytest.approx(modes.alone.initial_margin)
    assert modes.alone.initial_margin == pytest.approx(modes.stated.initial_margin)
    assert modes.freed_initial == modes.alone.initial_margin - modes.cross.initial_margin
    assert modes.freed_maintenance == pytest.approx(modes.freed_initial / 2)
    assert {62_000.0} == {modes.cross.equity, modes.alone.equity, modes.stated.equity}
    assert 0.16 * 60_200 == pytest.approx(modes.by_position["BTC-near"][0])


def test_haircuts_of_collateral_count_once_in_either_mode() -> None:
    held = example("stable-collateral-carry")
    modes = compare_modes(held, load_methods()["derive-pmrm2"])
    haircut = 250_000 * 0.9994 * 0.05
    assert haircut + sum(initial for initial, _ in modes.by_position.values()) == pytest.approx(
        modes.alone.initial_margin
    )


def test_into_the_pool_and_out_again_is_where_it_was() -> None:
    into = switch_mode(MIXED, PARADEX, "BTC-near", MarginMode.CROSS)
    assert Decimal(62_000) == into.portfolio.cash
    assert into.freed_initial == pytest.approx(compare_modes(MIXED, PARADEX).freed_initial)
    out = switch_mode(into.portfolio, PARADEX, "BTC-near", MarginMode.ISOLATED, Decimal(12_000))
    assert MIXED == out.portfolio
    assert -into.freed_maintenance == pytest.approx(out.freed_maintenance)


def test_by_default_a_position_takes_what_it_needs_initially() -> None:
    out = switch_mode(HEDGED, PARADEX, "BTC-near", MarginMode.ISOLATED)
    assert out.after.isolated["BTC-near"].margin_excess_initial == pytest.approx(0.0, abs=1e-9)


def test_orders_stay_with_their_position() -> None:
    orders = (StatedOrder("BTC-near", Decimal(1)), StatedOrder("BTC-PERP", Decimal(2)))
    account = account_margin(replace(MIXED, orders=orders), PARADEX)
    assert ("BTC-PERP",) == tuple(o.instrument for o in account.cross.context.portfolio.orders)
    assert ("BTC-near",) == tuple(o.instrument for o in account.isolated["BTC-near"].context.portfolio.orders)


@pytest.mark.parametrize(
    ("instrument", "mode", "collateral", "field"),
    [
        ("nothing", MarginMode.CROSS, None, "instrument"),
        ("BTC-PERP", MarginMode.CROSS, None, "mode"),
        ("BTC-PERP", MarginMode.ISOLATED, Decimal(-1), "collateral"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    instrument: str, mode: MarginMode, collateral: Decimal | None, field: str
) -> None:
    with pytest.raises(InvalidReference) as refused:
        switch_mode(MIXED, PARADEX, instrument, mode, collateral)
    assert field == refused.value.field


def test_parameters_may_be_meant_for_a_position_that_a_pool_lacks() -> None:
    # Only a component that margins a perpetual asks for its own parameters.
    terms = {"im_fraction": Decimal("0.1"), "mm_fraction": Decimal("0.05")}
    market = replace(HEDGED.markets["BTC"], parameters=terms)
    apart = perpetual("BTC", 1, mode=MarginMode.ISOLATED, isolated_collateral=Decimal(10_000))
    held = replace(HEDGED, positions=(apart,), markets={"BTC": market})
    isolated = load_methods()["isolated"]
    assert 0.1 * 60_030 == pytest.approx(account_margin(held, isolated).total.initial_margin)
    assert 0.1 * 60_030 == pytest.approx(compare_modes(held, isolated).alone.initial_margin)


@pytest.mark.parametrize("mode", list(MarginMode))
def test_a_parameter_that_nobody_asks_for_is_refused_in_any_mode(mode: MarginMode) -> None:
    market = replace(HEDGED.markets["BTC"], parameters={"im_fractoin": Decimal("0.1")})
    held = replace(HEDGED, positions=(perpetual("BTC", 1, mode=mode),), markets={"BTC": market})
    with pytest.raises(InvalidReference) as refused:
        account_margin(held, PARADEX)
    assert "markets.BTC.parameters.im_fractoin" == refused.value.field


def test_amounts_stated_for_the_account_count_once() -> None:
    deribit = load_methods()["deribit-pm"]
    bare, charged = (
        compare_modes(replace(HEDGED, parameters=parameters), deribit)
        for parameters in ({}, {"open_orders_margin": Decimal(500)})
    )
    assert 500.0 == pytest.approx(charged.alone.initial_margin - bare.alone.initial_margin)
    assert 500.0 == pytest.approx(charged.cross.initial_margin - bare.cross.initial_margin)
    assert bare.freed_initial == pytest.approx(charged.freed_initial)
