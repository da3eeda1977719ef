"""What an account depends on, and what happens when some of it is missing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineError, InvalidReference, InvariantBroken, PriceUnavailable
from engine.market import Market
from engine.portfolio import Portfolio
from engine.reference.instruments import Instrument, InstrumentKind
from engine.risk.exposures import feeds_of, why_unpriced
from engine.risk.margin import account_risk, margin_figures
from engine.units import E8
from tests.engine.risk.worlds import (
    ASSETS,
    INSTRUMENTS,
    MARKET,
    MARKS,
    PARAMETERS,
    PORTFOLIOS,
    mark,
    portfolio,
    with_mark,
    without_mark,
)


def feeds(holding: Portfolio) -> frozenset[str]:
    return feeds_of(holding, INSTRUMENTS, ASSETS)


@pytest.mark.parametrize(
    ("positions", "balances", "expected"),
    [
        ({}, {"USD": 1.0}, set()),
        ({}, {"USDC": 1.0, "ETH": -1.0}, {"USDC", "ETH"}),
        ({"BTC-PERP": 1.0}, {}, {"BTC-PERP"}),
        ({"BTC-PERP-USDC": 1.0}, {}, {"BTC-PERP", "USDC"}),
        ({"BTC-INVERSE": 1.0}, {}, {"BTC-PERP", "BTC"}),
        ({"BTC-45D-50000-C": 1.0}, {}, {"BTC-FUTURE", "BTC"}),
        ({"BTC-PERP": 0.0}, {"ETH": 0.0}, set()),
        ({"NOT-LISTED": 1.0}, {"NOT-LISTED": 1.0}, set()),
    ],
)
def test_feeds_by_holding(positions: dict[str, float], balances: dict[str, float], expected: set[str]) -> None:
    assert expected == feeds(portfolio(positions, balances))


@given(holding=PORTFOLIOS)
@settings(deadline=None)
def test_exactly_the_listed_feeds_are_needed(holding: Portfolio) -> None:
    for feed in MARKS:
        (figures,) = margin_figures((holding,), without_mark(feed), PARAMETERS)
        assert (figures is None) == (feed in feeds(holding)), feed


@given(batch=st.lists(PORTFOLIOS, min_size=2, max_size=12), feed=st.sampled_from(sorted(MARKS)))
@settings(max_examples=40, deadline=None)
def test_unpriced_accounts_do_not_touch_their_neighbors(batch: list[Portfolio], feed: str) -> None:
    market = without_mark(feed)
    risk = account_risk(batch, market, PARAMETERS)
    figures = margin_figures(batch, market, PARAMETERS)
    for a, holding in enumerate(batch):
        priced = feed not in feeds(holding)
        assert priced == bool(risk.priced_A[a])
        assert priced == (figures[a] is not None)
        if priced:
            assert margin_figures((holding,), MARKET, PARAMETERS) == (figures[a],)
        else:
            columns = (risk.equity_A, risk.initial_margin_A, risk.maintenance_margin_A)
            assert all(np.isnan(column[a]) for column in columns)


WITHOUT_SURFACE = with_mark(mark("BTC", 50_000.0))
ZERO_PRICE = with_mark(mark("ETH", 0.0))
NO_ETH = dataclasses.replace(PARAMETERS, underlyings={"BTC": PARAMETERS.underlyings["BTC"]})


@pytest.mark.parametrize(
    ("holding", "market", "parameters", "error", "named"),
    [
        (portfolio({"BTC-45D-50000-C": 1.0}), WITHOUT_SURFACE, PARAMETERS, PriceUnavailable, "BTC"),
        (portfolio({}, {"ETH": 1.0}), ZERO_PRICE, PARAMETERS, PriceUnavailable, "ETH"),
        (portfolio({"BTC-PERP": 1.0}), without_mark("BTC-PERP"), PARAMETERS, PriceUnavailable, "BTC-PERP"),
        (portfolio({}, {"DOGE": 1.0}), MARKET, PARAMETERS, InvalidReference, "DOGE"),
        (portfolio({"DOGE-PERP": 1.0}), MARKET, PARAMETERS, InvalidReference, "DOGE-PERP"),
        (portfolio({"ETH-PERP": 1.0}), MARKET, NO_ETH, InvalidReference, "ETH"),
        (portfolio({}, {"ETH": 1.0}), MARKET, NO_ETH, InvalidReference, "ETH"),
        (
            portfolio({"BTC-INVERSE": 1.0}),
            dataclasses.replace(MARKET, assets={"USD": ASSETS["USD"]}),
            PARAMETERS,
            InvalidReference,
            "BTC",
        ),
    ],
)
def test_what_is_missing_is_named(
    holding: Portfolio, market: Market, parameters: object, error: type[EngineError], named: str
) -> None:
    assert isinstance(parameters, type(PARAMETERS))
    assert (None,) == margin_figures((holding,), market, parameters)
    reason = why_unpriced(holding, market, parameters)
    assert isinstance(reason, error)
    assert f" {named}" in f" {reason}"


def test_perpetual_needs_no_surface() -> None:
    assert (None,) != margin_figures((portfolio({"BTC-PERP": 1.0}),), WITHOUT_SURFACE, PARAMETERS)


def test_spot_position_is_a_broken_invariant() -> None:
    spot = Instrument("ETH-USD", InstrumentKind.SPOT, "ETH", "USD", "ETH", E8, E8, E8, base_asset="ETH")
    market = dataclasses.replace(MARKET, instruments={**INSTRUMENTS, "ETH-USD": spot})
    with pytest.raises(InvariantBroken, match="ETH-USD"):
        account_risk((portfolio({"ETH-USD": 1.0}),), market, PARAMETERS)
