"""Our own method: historical shortfall, tail grid, bounded offsets, liquidity from the depth model, moving haircuts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.methods.requirement import MarginResult, pool_margin
from engine.risk.depth import Depth, cost_to_close
from engine.statistics.quantile_risk import weighted_expected_shortfall
from schemas.stated_portfolio import decode_stated_portfolio
from streams.margin_methods import load_methods, read_statement

DAYS = 30 * 86_400


def margin(document: Mapping[str, Any]) -> MarginResult:
    value = json.dumps({"v": 2, **document}).encode()
    return pool_margin(read_statement(decode_stated_portfolio(value)), load_methods()["crossmargin"])


def perpetual(underlying: str, quantity: float, price: float) -> dict[str, Any]:
    return {"kind": "perpetual", "underlying": underlying, "quantity": quantity, "entry_price": price}


def markets(**parameters: Any) -> dict[str, Any]:
    return {
        "BTC": {"spot": 60_000, "perpetual_price": 60_000, "parameters": parameters},
        "ETH": {"spot": 3_000, "perpetual_price": 3_000},
    }


def history(seed: int, days: int = 700) -> dict[str, list[float]]:
    """Two correlated fat-tailed return series."""
    draws = np.random.default_rng(seed).standard_t(4, size=(days, 2)) * 0.02
    return {"BTC": draws[:, 0].tolist(), "ETH": (0.8 * draws[:, 0] + 0.6 * draws[:, 1]).tolist()}


def test_shortfall_of_one_perpetual_is_that_of_its_filtered_moves() -> None:
    returns = history(1)
    result = margin({
        "markets": markets(), "positions": [perpetual("BTC", 2, 60_000)], "cash": 100_000,
        "parameters": {"history": returns, "horizon_days": 1, "volatility_decay": 0.94},
    })  # fmt: skip
    r = np.array(returns["BTC"])
    variance = np.empty(r.size + 1)
    variance[0] = r[0] ** 2
    for t in range(r.size):
        variance[t + 1] = 0.94 * variance[t] + 0.06 * r[t] ** 2
    scaled = (r * np.sqrt(variance[-1]) / np.sqrt(variance[:-1]))[-500:]
    pnl = 2 * 60_000 * np.expm1(scaled)
    assert pytest.approx(weighted_expected_shortfall(pnl, 0.99), rel=0.02) == float(result.charges["shortfall"].initial)


def test_requirement_is_the_worst_of_history_and_grid() -> None:
    calm = {name: [value / 50 for value in values] for name, values in history(2).items()}
    base = {"markets": markets(), "positions": [perpetual("BTC", 1, 60_000)]}
    alone = margin(base)
    with_calm = margin({**base, "parameters": {"history": calm}})
    with_wild = margin({**base, "parameters": {"history": {n: [v * 3 for v in c] for n, c in history(2).items()}}})
    assert alone.initial_margin == with_calm.initial_margin
    assert with_wild.initial_margin > alone.initial_margin


def test_history_that_lacks_an_underlying_is_refused() -> None:
    with pytest.raises(InvalidReference, match=r"parameters\.history\.ETH: is missing"):
        margin({"markets": markets(), "parameters": {"history": {"BTC": [0.01] * 700}}})


def test_stressed_period_is_a_floor() -> None:
    returns = history(3)
    returns["BTC"][650] = -0.5
    document = {"markets": markets(), "positions": [perpetual("BTC", 1, 60_000)]}
    calm = margin({**document, "parameters": {"history": returns, "stressed_share": 0, "stressed_window": [640, 660]}})
    stressed = margin({**document, "parameters": {
        "history": returns, "stressed_share": 1, "stressed_window": [640, 660]}})  # fmt: skip
    assert float(stressed.charges["shortfall"].initial) > float(calm.charges["shortfall"].initial)


@pytest.mark.parametrize("stress", [0, 0.25, 0.5, 0.75, 1])
def test_correlation_credit_shrinks_with_stress_and_never_exceeds_the_smaller_book(stress: float) -> None:
    positions = [perpetual("BTC", 1, 60_000), perpetual("ETH", -10, 3_000)]
    document = {"markets": markets(), "positions": positions, "correlations": {"BTC": {"ETH": 0.9}}}
    result = margin({**document, "parameters": {"stress": stress}})
    smaller = float(result.charges["scan"].initial.min())
    assert pytest.approx(min(0.6, 0.6 * 0.9) * (1 - stress) * smaller) == float(result.charges["credit"].initial)


def test_books_in_the_same_direction_of_a_positive_correlation_earn_nothing() -> None:
    positions = [perpetual("BTC", 1, 60_000), perpetual("ETH", 10, 3_000)]
    result = margin({"markets": markets(), "positions": positions, "correlations": {"BTC": {"ETH": 0.9}}})
    assert 0.0 == float(result.charges["credit"].initial)


@pytest.mark.parametrize(
    ("correlations", "field"),
    [
        ({"BTC": {"ETH": 1.5}}, r"correlations\.BTC\.ETH"),
        ({"BTC": {"ETH": 0.5}, "ETH": {"BTC": 0.6}}, r"correlations"),
        ({"BTC": {"ETH": 0.9, "SOL": 0.9}, "ETH": {"SOL": -0.9}}, "positive semidefinite"),
    ],
)
def test_correlations_that_cannot_be_are_refused(correlations: Any, field: str) -> None:
    sol = {"SOL": {"spot": 100, "perpetual_price": 100}}
    with pytest.raises(InvalidReference, match=field):
        margin({"markets": {**markets(), **sol}, "correlations": correlations})


def test_liquidity_charge_is_spread_and_square_root_impact() -> None:
    stated = {"daily_volume": 1e9, "half_spread": 0.001, "daily_volatility": 0.04, "impact": 1, "depth_left": 0.5}
    result = margin({"markets": markets(**stated), "positions": [perpetual("BTC", 100, 60_000)]})
    notional = 6e6
    expected = notional * (0.001 + 0.04 * np.sqrt(notional / 5e8))
    assert pytest.approx(expected) == float(result.charges["liquidity"].initial[0])


@settings(max_examples=1000, deadline=None)
@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_cost_to_close_is_convex_and_superadditive(one: float, other: float) -> None:
    depth = Depth(half_spread=0.0005, daily_volatility=0.05, daily_volume=1e8)
    parts = cost_to_close(np.array([one, other, one + other]), depth)
    assert parts[2] >= (parts[0] + parts[1]) * (1 - 1e-12) - 1e-300


def test_haircut_grows_with_volatility_size_and_a_lost_peg() -> None:
    def haircut(**entry: Any) -> float:
        parameters = entry.pop("parameters", {})
        collateral = [{"asset": "X", "amount": 1e6, "price": 1, "maintenance_haircut": 0.02, **entry, "parameters": {
            "half_spread": 0, **parameters}}]  # fmt: skip
        return float(margin({"collateral": collateral}).charges["haircut"].maintenance) / (
            1e6 * float(entry.get("price", 1))
        )

    assert pytest.approx(0.02) == haircut()
    assert pytest.approx(0.02 + 2 * 0.05) == haircut(parameters={"haircut_volatilities": 2, "daily_volatility": 0.05})
    sold = {"daily_volume": 1e7, "daily_volatility": 0.05, "depth_left": 1}
    assert pytest.approx(0.02 + 0.05 * np.sqrt(0.1)) == haircut(parameters=sold)
    assert pytest.approx(0.02 + 4 * 0.05) == haircut(price=0.95, parameters={"peg": 1})


def test_maintenance_above_initial_is_refused() -> None:
    with pytest.raises(InvalidReference, match=r"parameters\.maintenance_level: must not be above level"):
        margin({"parameters": {"maintenance_level": 0.999}})


def option(**changed: Any) -> dict[str, Any]:
    terms = {"kind": "option", "underlying": "BTC", "expiry": "M", "strike": 60_000, "is_call": True, "quantity": -1}
    return {**terms, "volatility": 0.6, **changed}


@pytest.mark.parametrize(
    ("position", "field"),
    [
        (option(volatility=0), r"positions\[0\]\.volatility"),
        (option(volatility=10.5), r"positions\[0\]\.volatility"),
        (option(volatility=None), r"positions\[0\]\.volatility"),
        (option(strike=None), r"positions\[0\]\.strike"),
        (option(expiry="gone"), r"positions\[0\]\.expiry"),
        (option(expiry="over"), r"positions\[0\]\.expiry"),
        (option(underlying="XYZ"), r"positions\[0\]\.underlying"),
        ({"kind": "perpetual", "underlying": "NOMARK", "quantity": 1}, r"positions\[0\]\.mark_price"),
    ],
)
def test_position_that_cannot_be_valued_is_refused_by_field(position: dict[str, Any], field: str) -> None:
    expiries = {
        "M": {"seconds_to_expiry": DAYS, "forward": 60_300},
        "over": {"seconds_to_expiry": 0, "forward": 60_000},
    }
    markets_ = {"BTC": {"spot": 60_000, "expiries": expiries}, "NOMARK": {"spot": 5}}
    with pytest.raises(InvalidReference, match=field):
        margin({"markets": markets_, "positions": [position]})


def test_haircut_outside_zero_to_one_is_refused_by_field() -> None:
    with pytest.raises(InvalidReference, match=r"collateral\[0\]\.maintenance_haircut"):
        margin({"collateral": [{"asset": "X", "amount": 1, "price": 1, "maintenance_haircut": 1.2}]})


def test_time_passes_in_historical_scenarios() -> None:
    """A short straddle earns theta over the horizon: its best historical scenario beats standing still today."""
    expiries = {"M": {"seconds_to_expiry": 3 * 86_400, "forward": 60_000}}
    market = {"BTC": {"spot": 60_000, "perpetual_price": 60_000, "expiries": expiries}}
    tiny = {"BTC": (np.array(history(5)["BTC"]) * 1e-6).tolist()}
    positions = [option(), option(is_call=False)]
    two_days = {"history": tiny, "horizon_days": 2}
    pnl = margin({"markets": market, "positions": positions, "parameters": two_days}).charges["shortfall"]
    assert pnl.scenario_pnl_US is not None
    assert pnl.scenario_pnl_US.min() > 0.0
