"""Scenario PnL on a venue's published scenario table, against figures computed independently of this code.

Source: tradeparadex/paradex-docs 9b82a75a, fern/pages/risk-system/portfolio-margin.mdx (BTC: moves to 16 %,
volatility +40 / -22 %; HYPE: moves to 28 %, +64 / -35.2 %; power 0.30 up to 30 days; tails below). The portfolios and
expected figures were computed from that table for two portfolios outside this project; forward = spot, no discount.
"""

from __future__ import annotations

import dataclasses

import pytest

from engine.events import VolatilityNode
from engine.market import Market
from engine.portfolio import Portfolio
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import InstrumentKind
from engine.reference.parameters import RiskParameters, TailScenario, UnderlyingParameters
from engine.risk.attribution import scenario_pnl
from engine.risk.scenarios import scenario_names
from tests.engine.risk.worlds import PARAMETERS, TIME_US, listed, mark, portfolio

USD = {"USD": CollateralAsset("USD", None, 0)}
TAIL_MOVES = (-660_000, -330_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000)


def published_parameters(underlying: str, terms: UnderlyingParameters, weights: tuple[int, ...]) -> RiskParameters:
    tails = tuple(TailScenario(move, weight) for move, weight in zip(TAIL_MOVES, weights, strict=True))
    return dataclasses.replace(PARAMETERS, underlyings={underlying: terms}, tails=tails)


def far_calls() -> tuple[Portfolio, Market, RiskParameters]:
    """Long 10 calls 120 000 of 30 days at 70 %, short 1 perpetual; BTC at 70 000."""
    call = listed("BTC-C", InstrumentKind.CALL, "BTC", days=30, strike=120_000)
    perpetual = listed("BTC-PERP", InstrumentKind.LINEAR_PERPETUAL, "BTC")
    marks = {"BTC": mark("BTC", 70_000.0, (VolatilityNode(30.0, 0.0, 0.7),))}
    terms = UnderlyingParameters(160_000, 400_000, 220_000, 300_000, 0, 0, 0)
    weights = (180_000, 360_000, 240_000, 120_000, 60_000, 40_000, 30_000, 24_000)
    market = Market({"BTC-C": call, "BTC-PERP": perpetual}, USD, marks, TIME_US)
    return portfolio({"BTC-C": 10.0, "BTC-PERP": -1.0}), market, published_parameters("BTC", terms, weights)


def one_day_puts() -> tuple[Portfolio, Market, RiskParameters]:
    """Short 400 puts 22 of 1 day at 110 %; HYPE at 25."""
    put = listed("HYPE-P", InstrumentKind.PUT, "HYPE", days=1, strike=22)
    marks = {"HYPE": mark("HYPE", 25.0, (VolatilityNode(1.0, 0.0, 1.1),))}
    terms = UnderlyingParameters(280_000, 640_000, 352_000, 300_000, 0, 0, 0)
    weights = (300_000, 500_000, 400_000, 200_000, 100_000, 70_000, 50_000, 40_000)
    market = Market({"HYPE-P": put}, USD, marks, TIME_US)
    return portfolio({"HYPE-P": -400.0}), market, published_parameters("HYPE", terms, weights)


@pytest.mark.parametrize(
    ("world", "underlying", "expected"),
    [
        (
            far_calls(),
            "BTC",
            {
                "price +16% vol up": -1083.722062287155,
                "price +12% vol down": -8452.695652465298,
                "price 0% vol up": 2488.9820129907307,
                "tail -66% x0.18": 8279.39380318211,
                "tail +100% x0.12": 23539.887323677638,
            },
        ),
        (
            one_day_puts(),
            "HYPE",
            {
                "price +28% vol up": -2.9382510209124804,
                "price 0% vol down": 2.4906657741179252,
                "price -21% vol down": -897.5093342258821,
                "price -28% vol up": -1660.9506218481176,
                "tail -66% x0.3": -1619.2528003234124,
            },
        ),
    ],
    ids=["far calls", "one-day puts"],
)
def test_scenario_pnl_on_published_table(
    world: tuple[Portfolio, Market, RiskParameters], underlying: str, expected: dict[str, float]
) -> None:
    holding, market, parameters = world
    pnl_S = scenario_pnl(holding, market, parameters)[underlying]
    found = dict(zip(scenario_names(parameters, underlying), pnl_S.tolist(), strict=True))
    for name, value in expected.items():
        assert value == pytest.approx(found[name], rel=1e-9, abs=1e-9), name
