"""The margin figure: by hand, against its slow twin, and under the transformations that must not change it."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import AccountFigures
from engine.events import VolatilityNode
from engine.market import Market
from engine.portfolio import Portfolio, PortfolioPosition
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import InstrumentKind
from engine.reference.parameters import UnderlyingParameters
from engine.risk.margin import AccountRisk, account_risk, margin_figures
from engine.risk.revaluation import RiskFrame
from engine.units import E8
from tests.engine.risk.worlds import (
    ASSETS,
    INSTRUMENTS,
    MARKET,
    PARAMETERS,
    PORTFOLIOS,
    QUANTITIES,
    TIME_US,
    listed,
    mark,
    portfolio,
    reordered,
    scaled,
    without_mark,
)
from tests.reference import margin as twin


def figures_of(holding: Portfolio, market: Market = MARKET) -> AccountFigures:
    (figures,) = margin_figures((holding,), market, PARAMETERS)
    assert figures is not None
    return figures


def floats(figures: AccountFigures) -> dict[str, float]:
    named = {field.name: getattr(figures, field.name) for field in dataclasses.fields(figures)}
    return {name: value for name, value in named.items() if isinstance(value, float)} | dict(figures.add_ons)


def gross(holding: Portfolio) -> float:
    """Sum of absolute values: what rounding errors are relative to."""
    held = 0.0
    for name, item in holding.positions.items():
        terms, contracts = MARKET.instruments[name], item.quantity_e8 / E8
        funding = twin.accrued_funding(terms, contracts, item.funding_index_e12, MARKET)
        value = contracts * twin.contract_value(terms, MARKET)
        coins = abs(value) + abs(item.cost_e8 / E8) + abs(funding)
        held += coins * twin.settlement_price(terms, MARKET)
    owned = sum(
        abs(amount / E8) * twin.price(MARKET, MARKET.assets[name].mark_feed)
        for name, amount in holding.balances.items()
    )
    return 1.0 + owned + held


# By hand -------------------------------------------------------------------------------------------------------------


def hand_market() -> Market:
    """One coin at 100: perpetual marked 100, at-the-money 365-day option at volatility 20 %; USD collateral."""
    instruments = {
        "X-PERP": listed("X-PERP", InstrumentKind.LINEAR_PERPETUAL, "X"),
        "X-CALL": listed("X-CALL", InstrumentKind.CALL, "X", days=365, strike=100),
        "X-INVERSE": listed("X-INVERSE", InstrumentKind.INVERSE_PERPETUAL, "X", "X", multiplier=10.0),
    }
    assets = {"USD": CollateralAsset("USD", None, 0), "X": CollateralAsset("X", "X", 100_000, "X")}
    surface = (VolatilityNode(30.0, 0.0, 0.2),)
    marks = {"X": mark("X", 100.0, surface, linear_e12=2 * 10**12, inverse_e12=10**9)}
    return Market(instruments, assets, marks, TIME_US)


HAND_PARAMETERS = dataclasses.replace(
    PARAMETERS,
    underlyings={"X": UnderlyingParameters(200_000, 500_000, 250_000, 0, 10_000, 6_000, 500)},
    price_steps_ppm=(-1_000_000, 0, 1_000_000),
    tails=PARAMETERS.tails[:2],
)


def hand_figures(holding: Portfolio) -> AccountFigures:
    (figures,) = margin_figures((holding,), hand_market(), HAND_PARAMETERS)
    assert figures is not None
    return figures


def test_portfolio_computed_by_hand() -> None:
    holding = Portfolio(
        "a",
        {"USD": 1_000 * E8, "X": 2 * E8},
        {
            # Long 3 at 95, funding paid up to index 1.5: value 300, cost 285, owes 3 x 1 x (2.0 - 1.5) = 1.5.
            "X-PERP": PortfolioPosition(3 * E8, 285 * E8, 1_500_000_000_000),
            # Short 1 at-the-money call for a year: s = 0.2, value 100 (2 N(0.1) - 1).
            "X-CALL": PortfolioPosition(-E8, -8 * E8, 0),
        },
    )
    figures = hand_figures(holding)
    call = 7.965567455405804  # 100 (2 N(0.1) - 1), N(0.1) = 0.5398278372770290
    assert 1_000 + 2 * 100 * 0.9 == figures.collateral_value
    assert 300 - 285 - 1.5 == figures.unrealized_pnl
    assert abs(figures.option_value + call) <= 1e-12
    assert abs(figures.equity - (1180 + 13.5 - call)) <= 1e-12
    # Scenarios: spot collateral 1.8 coins and 3 perpetuals move 4.8 x 20 = 96. Down 20 %: -96 plus what the short call
    # gains; with volatility down to 15 % the call is worth least... but volatility up binds when down: compare all.
    n = twin.cumulative_normal

    def short_call(price: float, volatility: float) -> float:
        d1 = np.log(price / 100) / volatility + volatility / 2
        return call - (price * n(d1) - 100 * n(d1 - volatility))

    outcomes = {
        "price -20% vol up": -96 + short_call(80, 0.3),
        "price -20% vol unchanged": -96 + short_call(80, 0.2),
        "price -20% vol down": -96 + short_call(80, 0.15),
        "price 0% vol up": short_call(100, 0.3),
        "price +20% vol up": 96 + short_call(120, 0.3),
        "tail -66% x0.21": 0.21 * (4.8 * -66 + short_call(34, 0.3)),
        "tail -33% x0.42": 0.42 * (4.8 * -33 + short_call(67, 0.3)),
    }
    worst = min(outcomes, key=lambda name: outcomes[name])
    assert {"X": worst} == figures.worst_scenarios
    assert "price -20% vol up" == worst
    loss = -outcomes[worst]
    assert abs(figures.initial_margin - (loss + 1 * 100 * 0.01)) <= 1e-10
    assert abs(figures.maintenance_margin - (0.8 * loss + 1 * 100 * 0.006)) <= 1e-10
    assert {"short_option_minimum_initial": 1.0, "short_option_minimum_maintenance": 0.6} == figures.add_ons
    # Alone: perpetual 3 x 20, collateral 1.8 x 20, call at +20 % and volatility up.
    alone = max(60.0, 0.21 * 3 * 66, 0.42 * 3 * 33) + max(36.0, 0.21 * 1.8 * 66, 0.42 * 1.8 * 33)
    assert abs(figures.isolated_initial_margin - (alone - short_call(120, 0.3) + 1.0)) <= 1e-10


def test_inverse_perpetual_by_hand() -> None:
    # Long 50 contracts of 10 USD at 80: cost -50 x 10 / 80 = -6.25 coins; now -500/100 = -5 coins.
    # Funding: 50 x 10 x 1e9 x 1e-12 = 0.5 coins owed. PnL (-5 + 6.25 - 0.5) x 100 = 75 USD.
    holding = Portfolio("a", {}, {"X-INVERSE": PortfolioPosition(50 * E8, -625_000_000, 0)})
    figures = hand_figures(holding)
    assert abs(figures.unrealized_pnl - 75.0) <= 1e-12
    # Worth 0.75 coins. -20 %: -500/80 + 6.25 - 0.5 = -0.5 coins at 80 = -40 USD, a loss of 115. -66 %: -500/34 + 5.75 =
    # -8.9559 coins at 34 = -304.5 USD, a loss of 379.5 x 0.21 = 79.695. -33 %: the coin at 67, 189.75 x 0.42 = 79.695.
    assert abs(figures.initial_margin - 115.0) <= 1e-10
    assert {"X": "price -20% vol up"} == figures.worst_scenarios


def test_coin_collateral_hedges_a_short_up_to_its_haircut() -> None:
    holding = portfolio({"X-PERP": -1.8}, {"X": 2.0})
    figures = hand_figures(holding)
    assert 0.0 == figures.initial_margin
    assert abs(figures.isolated_initial_margin - 2 * 1.8 * 20) <= 1e-10


def test_negative_balance_counts_in_full() -> None:
    figures = hand_figures(portfolio({}, {"X": -2.0}))
    assert -200.0 == figures.equity
    assert 40.0 == pytest.approx(figures.initial_margin, abs=1e-12)
    assert {"X": "price +20% vol up"} == figures.worst_scenarios


def test_short_options_net_within_their_terms_only() -> None:
    cases = {
        # A short call is covered by a long of the same terms in another contract size: 1 - 10 x 0.1.
        (("BTC-45D-50000-C", -1.0), ("BTC-45D-50000-C-SMALL", 10.0)): 0.0,
        (("BTC-45D-50000-C", -1.0), ("BTC-45D-50000-C-SMALL", 4.0)): 0.6,
        # A long put of the strike and a long call of another strike cover nothing.
        (("BTC-45D-50000-C", -1.0), ("BTC-45D-50000-P", 5.0), ("BTC-45D-60000-C", 5.0)): 1.0,
        # A short straddle is charged on both sides.
        (("BTC-45D-50000-C", -1.0), ("BTC-45D-50000-P", -2.0)): 3.0,
    }
    for positions, units in cases.items():
        add_ons = figures_of(portfolio(dict(positions))).add_ons
        assert units * 50_000 * 0.005 == pytest.approx(add_ons["short_option_minimum_initial"], abs=1e-9)
        assert units * 50_000 * 0.003 == pytest.approx(add_ons["short_option_minimum_maintenance"], abs=1e-9)


def test_empty_account_requires_nothing() -> None:
    figures = figures_of(portfolio())
    assert {0.0} == set(floats(figures).values())
    assert {} == figures.worst_scenarios


def test_zero_holdings_need_no_mark() -> None:
    holding = portfolio({"BTC-PERP": 0.0}, {"ETH": 0.0, "USD": 5.0})
    assert 5.0 == figures_of(holding, without_mark("BTC-PERP")).equity


# Against the twin ----------------------------------------------------------------------------------------------------


@given(holding=PORTFOLIOS)
@settings(max_examples=1000, deadline=None)
def test_figures_agree_with_slow_twin(holding: Portfolio) -> None:
    slow, fast = twin.margin(holding, MARKET, PARAMETERS), floats(figures_of(holding))
    assert slow.keys() == fast.keys()
    noise = 1e-15 * gross(holding)
    for name, value in slow.items():
        assert abs(fast[name] - value) <= 1e-9 * abs(value) + noise, name


# Properties ----------------------------------------------------------------------------------------------------------


@given(holding=PORTFOLIOS)
@settings(deadline=None)
def test_netting_never_raises_the_requirement(holding: Portfolio) -> None:
    figures = figures_of(holding)
    slack = 1 + 1e-12
    assert figures.initial_margin <= figures.isolated_initial_margin * slack
    assert figures.maintenance_margin <= figures.isolated_maintenance_margin * slack
    assert 0.0 <= figures.maintenance_margin <= figures.initial_margin * slack


@given(holding=PORTFOLIOS, factor=st.integers(2, 9))
@settings(deadline=None)
def test_requirement_scales_with_holdings(holding: Portfolio, factor: int) -> None:
    one, many = floats(figures_of(holding)), floats(figures_of(scaled(holding, factor)))
    noise = 1e-14 * factor * gross(holding)
    for name, value in one.items():
        assert abs(many[name] - factor * value) <= 1e-12 * abs(value) + noise, name


@given(holding=PORTFOLIOS, name=st.sampled_from(sorted(INSTRUMENTS)), quantity=QUANTITIES)
@settings(deadline=None)
def test_adding_a_position_adds_at_most_its_isolated_requirement(holding: Portfolio, name: str, quantity: int) -> None:
    before = holding.positions.get(name, PortfolioPosition(0))
    added = {**holding.positions, name: dataclasses.replace(before, quantity_e8=before.quantity_e8 + quantity)}
    alone = Portfolio("a", {}, {name: PortfolioPosition(quantity, 0, before.funding_index_e12)})
    after = figures_of(dataclasses.replace(holding, positions=added)).initial_margin
    limit = figures_of(holding).initial_margin + figures_of(alone).initial_margin
    assert after <= limit + 1e-12 * limit + 1e-15 * gross(holding)


@given(holding=PORTFOLIOS, quantity=QUANTITIES, hedged_milli=st.integers(0, 1000))
@settings(deadline=None)
def test_perfect_hedge_never_raises_the_requirement(holding: Portfolio, quantity: int, hedged_milli: int) -> None:
    """A contract of the same payoff (in lots of a thousandth) against all or part of the only BTC position."""
    market = dataclasses.replace(MARKET, marks={**MARKET.marks, "USDC": mark("USDC", 1.0)})
    elsewhere = {name: item for name, item in holding.positions.items() if name.startswith("ETH")}
    balances = {name: amount for name, amount in holding.balances.items() if name != "BTC"}
    naked = Portfolio("a", balances, {**elsewhere, "BTC-PERP": PortfolioPosition(quantity)})
    hedge = PortfolioPosition(-quantity * hedged_milli)
    hedged = Portfolio("a", balances, {**naked.positions, "BTC-PERP-USDC": hedge})
    before, after = figures_of(naked, market), figures_of(hedged, market)
    # Both legs round when they are multiplied; at 50 contracts that is 1e-9 of one unit of account.
    assert after.initial_margin <= before.initial_margin * (1 + 1e-12) + 1e-8
    elsewhere_alone = figures_of(Portfolio("a", balances, elsewhere), market).initial_margin
    if hedged_milli == 1000:
        assert abs(after.initial_margin - elsewhere_alone) <= 1e-12 * elsewhere_alone + 1e-8


# Bits ----------------------------------------------------------------------------------------------------------------


def rows(risk: AccountRisk) -> list[tuple[bytes, ...]]:
    columns = (risk.equity_A, risk.initial_margin_A, risk.maintenance_margin_A)
    return [tuple(column[a].tobytes() for column in columns) for a in range(risk.equity_A.size)]


@given(holding=PORTFOLIOS, seed=st.integers(0, 1_000))
@settings(deadline=None)
def test_order_of_positions_and_balances_changes_no_bit(holding: Portfolio, seed: int) -> None:
    shuffle = random.Random(seed).sample
    other = reordered(
        holding,
        shuffle(sorted(holding.positions), len(holding.positions)),
        shuffle(sorted(holding.balances), len(holding.balances)),
    )
    assert figures_of(holding) == figures_of(other)


@given(batch=st.lists(PORTFOLIOS, min_size=1, max_size=50))
@settings(max_examples=1000, deadline=None)
def test_figures_alone_and_in_a_batch_are_the_same_bits(batch: list[Portfolio]) -> None:
    together = margin_figures(batch, MARKET, PARAMETERS)
    alone = tuple(figures_of(holding) for holding in batch)
    assert alone == together
    backwards = margin_figures(batch[::-1], MARKET, PARAMETERS)
    assert together == backwards[::-1]


@given(batch=st.lists(PORTFOLIOS, min_size=1, max_size=50))
@settings(max_examples=1000, deadline=None)
def test_account_risk_is_the_same_bits_as_the_figures(batch: list[Portfolio]) -> None:
    risk = account_risk(batch, MARKET, PARAMETERS)
    figures = margin_figures(batch, MARKET, PARAMETERS)
    assert bool(risk.priced_A.all())
    for a, item in enumerate(figures):
        assert item is not None
        assert item.equity == risk.equity_A[a]
        assert item.initial_margin == risk.initial_margin_A[a]
        assert item.maintenance_margin == risk.maintenance_margin_A[a]


@given(first=st.lists(PORTFOLIOS, min_size=1, max_size=6), second=st.lists(PORTFOLIOS, min_size=1, max_size=6))
@settings(max_examples=1000, deadline=None)
def test_shared_frame_changes_no_bit(first: list[Portfolio], second: list[Portfolio]) -> None:
    frame = RiskFrame(MARKET, PARAMETERS)
    margin_figures(first, MARKET, PARAMETERS, frame)
    assert margin_figures(second, MARKET, PARAMETERS) == margin_figures(second, MARKET, PARAMETERS, frame)


def test_large_batch_spanning_blocks_is_the_same_bits() -> None:
    draw = random.Random(5)
    names = sorted(INSTRUMENTS)
    batch = [
        portfolio(
            {name: draw.uniform(-9, 9) for name in draw.sample(names, draw.randint(0, len(names)))},
            {name: draw.uniform(-9, 9) for name in draw.sample(sorted(ASSETS), draw.randint(0, 4))},
        )
        for _ in range(700)
    ]
    together = rows(account_risk(batch, MARKET, PARAMETERS))
    frame = RiskFrame(MARKET, PARAMETERS)
    assert together == [rows(account_risk((holding,), MARKET, PARAMETERS, frame))[0] for holding in batch]


def test_frame_of_another_market_is_refused() -> None:
    with pytest.raises(AssertionError, match="one market"):
        account_risk((), without_mark("ETH"), PARAMETERS, RiskFrame(MARKET, PARAMETERS))
