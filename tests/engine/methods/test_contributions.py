"""Contributions add up whatever the method, are Euler's where they can be, and do not depend on the order."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.methods.contributions import contributions, marginal_margin, scaled
from engine.methods.method import MarginMethod
from engine.methods.requirement import pool_margin
from engine.methods.statement import StatedCollateral, StatedPortfolio
from streams.margin_methods import load_methods, read_method
from tests.engine.methods.portfolios import INSTRUMENTS, LINEAR, example, option, perpetual, portfolio, portfolios

METHODS = load_methods()
SCAN = """
name = "scan"
version = "1"
source = "a test"
description = "three moves"
coherent = true
coherence = "the largest of linear losses"
[parameters]
discount_options = false
[components.mark_value]
kind = "mark_value"
[components.scan]
kind = "scan_loss"
[requirement]
initial = "scan"
maintenance = "0.5 * scan"
[[scenarios]]
spot = 0.1
[[scenarios]]
spot = -0.1
[[scenarios]]
spot = 0
"""
SIZED = SCAN.replace('"0.5 * scan"', '"0.5 * scan * scan / 1000"').replace('"scan"\nmaint', '"scan + 250"\nmaint')
SMALL = read_method(SCAN)
EVERY_HOLDING = ("derive-pmrm2", "derive-pmrm", "paradex-pm", "crossmargin", "deribit-pm", "okx-pm", "isolated")
EXAMPLES = (
    "iron-condor", "straddle", "calendar", "delta-neutral-market-maker", "basis-trade", "covered-call",
    "stable-collateral-carry",
)  # fmt: skip


def assert_adds_up(held: StatedPortfolio, method: MarginMethod) -> None:
    parts, margin = contributions(held, method), pool_margin(held, method)
    assert margin.initial_margin == parts.initial_margin
    assert abs(math.fsum(row.initial for row in parts.rows) - margin.initial_margin) < 1e-9
    assert abs(math.fsum(row.maintenance for row in parts.rows) - margin.maintenance_margin) < 1e-9


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("method", [*EVERY_HOLDING, "span", "tims"])
def test_contributions_of_real_portfolios_add_up(name: str, method: str) -> None:
    assert_adds_up(example(name, method), METHODS[method])


@settings(max_examples=1000, deadline=None)
@given(held=portfolios(most=2))
def test_contributions_add_up(held: StatedPortfolio) -> None:
    assert_adds_up(held, SMALL)


@settings(max_examples=100, deadline=None)
@given(held=portfolios(most=3), method=st.sampled_from(EVERY_HOLDING))
def test_contributions_under_venue_methods_add_up(held: StatedPortfolio, method: str) -> None:
    assert_adds_up(held, METHODS[method])


def test_a_position_contributes_its_loss_in_the_binding_scenario() -> None:
    # Net long 1 BTC-PERP and short 20 ETH: down binds BTC, up binds ETH.
    parts = contributions(portfolio(perpetual("BTC", 1), perpetual("ETH", -20)), read_method(SCAN))
    btc, eth = parts.rows
    assert ("BTC-PERP", "ETH-PERP") == (btc.holding, eth.holding)
    assert (6003.0, 3001.5) == pytest.approx((btc.initial, btc.maintenance))
    assert (6002.0, 3001.0) == pytest.approx((eth.initial, eth.maintenance))
    assert parts.homogeneous


def test_a_hedge_relieves_by_its_gain_in_the_binding_scenario() -> None:
    held = portfolio(perpetual("BTC", 2), replace(perpetual("BTC", -1), instrument="other"))
    first, second = contributions(held, read_method(SCAN)).rows
    assert 12_006.0 == pytest.approx(first.initial)
    assert -6_003.0 == pytest.approx(second.initial)


def test_a_tie_goes_to_the_lowest_numbered_scenario() -> None:
    # -10 % at weight 1 and -20 % at weight 0.5 lose the same.
    tied = read_method(SCAN + "[[scenarios]]\nspot = -0.2\nweight = 0.5\n")
    held = portfolio(perpetual("BTC", 1))
    worst = pool_margin(held, tied).charges["scan"].worst_U
    assert worst is not None
    assert 1 == worst[0]
    (row,) = contributions(held, tied).rows
    assert 6_003.0 == pytest.approx(row.initial, rel=1e-9)


def test_a_near_tie_keeps_the_binding_scenario() -> None:
    # Up loses 6,003.00, down 6,002.97: a step of the difference quotient must not slide from one to the other.
    held = portfolio(perpetual("BTC", -1), replace(perpetual("BTC", Decimal("0.00001")), instrument="other"))
    method = read_method(SCAN.replace("spot = -0.1", "spot = -0.3"))
    short, long = contributions(held, method).rows
    assert 6_003.0 == pytest.approx(short.initial, rel=1e-7)
    assert -0.06003 == pytest.approx(long.initial, rel=1e-3)


def test_a_method_that_is_not_homogeneous_is_averaged_along_the_path() -> None:
    # maintenance = scan^2 / 2000: Aumann and Shapley give each part its share of the scan loss.
    method = read_method(SIZED)
    parts = contributions(portfolio(perpetual("BTC", 1), perpetual("ETH", 20)), method)
    assert not parts.homogeneous
    btc, eth, account = parts.rows
    assert 6_003.0**2 / 2_000 == pytest.approx(btc.maintenance, rel=1e-6)
    assert 6_002.0**2 / 2_000 == pytest.approx(eth.maintenance, rel=1e-6)
    assert ("one", "account") == (account.holding, account.kind)
    assert 500.0 == pytest.approx(account.initial)
    assert abs(parts.residual_maintenance) < 0.01


def test_collateral_has_its_own_row() -> None:
    coins = StatedCollateral("USDT", Decimal(1000), Decimal(1), maintenance_haircut=Decimal("0.1"))
    held = replace(portfolio(perpetual("BTC", 1)), collateral=(coins,))
    rows = {row.holding: row for row in contributions(held, METHODS["derive-pmrm2"]).rows}
    assert "collateral" == rows["USDT"].kind
    assert 100.0 == pytest.approx(rows["USDT"].maintenance, rel=1e-6)


@settings(max_examples=1000, deadline=None)
@given(held=portfolios(), method=st.sampled_from((*["scan"] * 4, "derive-pmrm2", "crossmargin", "isolated")))
def test_margin_does_not_depend_on_the_order(held: StatedPortfolio, method: str) -> None:
    used = METHODS.get(method, SMALL)
    there, back = pool_margin(held, used), pool_margin(turned(held), used)
    assert there.initial_margin == pytest.approx(back.initial_margin, rel=1e-12, abs=1e-9)
    assert there.maintenance_margin == pytest.approx(back.maintenance_margin, rel=1e-12, abs=1e-9)


def turned(held: StatedPortfolio) -> StatedPortfolio:
    """Positions and markets in the opposite order."""
    markets = dict(reversed(list(held.markets.items())))
    return replace(held, positions=held.positions[::-1], markets=markets)


@settings(max_examples=60, deadline=None)
@given(held=portfolios(most=3), method=st.sampled_from(("derive-pmrm2", "paradex-pm", "crossmargin")))
def test_contributions_do_not_depend_on_the_order(held: StatedPortfolio, method: str) -> None:
    there, back = (
        {row.holding: row.initial for row in contributions(p, METHODS[method]).rows} for p in (held, turned(held))
    )
    assert there.keys() == back.keys()
    for name, part in there.items():
        assert part == pytest.approx(back[name], rel=1e-6, abs=1e-3)


@settings(max_examples=1000, deadline=None)
@given(
    held=portfolios(),
    method=st.sampled_from((*["scan"] * 5, "derive-pmrm", "derive-pmrm2", "paradex-pm", "isolated")),
    factor=st.integers(1, 1000).map(lambda hundredths: Decimal(hundredths) / 100),
)
def test_margin_of_homogeneous_methods_scales(held: StatedPortfolio, method: str, factor: Decimal) -> None:
    used = METHODS.get(method, SMALL)
    one, more = pool_margin(held, used), pool_margin(scaled(held, [factor] * len(held.positions)), used)
    assert more.initial_margin == pytest.approx(float(factor) * one.initial_margin, rel=1e-9, abs=1e-6)
    assert more.maintenance_margin == pytest.approx(float(factor) * one.maintenance_margin, rel=1e-9, abs=1e-6)


def coherent_methods() -> list[str]:
    """Methods that claim netting never raises margin, and margin perpetuals without further statements."""
    return [name for name, method in METHODS.items() if method.coherent and _margins(method)]


def _margins(method: MarginMethod) -> bool:
    try:
        pool_margin(portfolio(*LINEAR), method)
    except InvalidReference:
        return False
    return True


def instruments_of(method: MarginMethod) -> tuple[str, ...]:
    found = []
    for position in INSTRUMENTS:
        try:
            pool_margin(portfolio(position), method)
        except InvalidReference:
            continue
        found.append(position.instrument)
    return tuple(found)


COHERENT = {name: instruments_of(METHODS[name]) for name in coherent_methods()}


def test_there_are_methods_that_claim_coherence() -> None:
    assert {"isolated", "paradex-pm"} <= set(COHERENT)


@settings(max_examples=1000, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(COHERENT)))
def test_netting_never_needs_more_than_the_parts(data: st.DataObject, name: str) -> None:
    allowed = tuple(p for p in INSTRUMENTS if p.instrument in COHERENT[name])
    held = data.draw(portfolios(allowed, most=3))
    parts = [pool_margin(portfolio(p), METHODS[name]) for p in held.positions]
    whole = pool_margin(held, METHODS[name])
    # Venues that round up may add a unit of their smallest step for each position.
    assert whole.initial_margin <= sum(p.initial_margin for p in parts) + 1e-5
    assert whole.maintenance_margin <= sum(p.maintenance_margin for p in parts) + 1e-5


@settings(max_examples=1000, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(COHERENT)), share=st.integers(1, 100))
def test_a_perfect_hedge_never_raises_margin(data: st.DataObject, name: str, share: int) -> None:
    allowed = tuple(p for p in INSTRUMENTS if p.instrument in COHERENT[name])
    (position,) = data.draw(portfolios(allowed, most=1)).positions[:1]
    part = replace(position, quantity=position.quantity * (100 - share) / 100)
    full, hedged = (pool_margin(portfolio(p), METHODS[name]) for p in (position, part))
    assert hedged.initial_margin <= full.initial_margin + 1e-5
    assert hedged.maintenance_margin <= full.maintenance_margin + 1e-5


def test_one_more_contract_is_the_difference_that_it_makes() -> None:
    held = portfolio(perpetual("BTC", 2), option("BTC", 60_000, -3, call=True))
    method = METHODS["paradex-pm"]
    first, _ = marginal_margin(held, method)
    more = portfolio(perpetual("BTC", 3), option("BTC", 60_000, -3, call=True))
    less = portfolio(perpetual("BTC", 1), option("BTC", 60_000, -3, call=True))
    now = pool_margin(held, method)
    assert "BTC-PERP" == first.instrument
    assert pool_margin(more, method).initial_margin - now.initial_margin == first.buy_initial
    assert pool_margin(less, method).maintenance_margin - now.maintenance_margin == first.sell_maintenance


def test_marginal_margin_of_a_coherent_method_is_convex() -> None:
    method = METHODS["paradex-pm"]
    for quantity, after in pairwise(range(-4, 5)):
        (low,) = marginal_margin(portfolio(perpetual("BTC", quantity)), method)
        (high,) = marginal_margin(portfolio(perpetual("BTC", after)), method)
        assert low.buy_initial <= high.buy_initial + 1e-9
        assert -low.sell_initial <= low.buy_initial + 1e-9
