"""Corners of the boxes: exact figures there, against an engine whose marks are there."""

from __future__ import annotations

import pytest

from engine import MarginEngine
from engine.books.market_book import MarketBook
from engine.events import CollateralAssetListed, Event, InstrumentListed, MarkPrice, ParametersSet
from engine.portfolio import Portfolio, PortfolioPosition
from engine.reference.liquidation_policy import LiquidationPolicy
from engine.risk.margin import account_risk
from engine.trust.doubt import Doubts
from engine.units import PPM
from tests.builders import PRICES, START_US, Amount, e8, engine, mark, marks, parameters, reference

TERMS = parameters(policy=LiquidationPolicy())


def book_of(*events: Event) -> MarketBook:
    market = MarketBook()
    for event in events:
        match event:
            case CollateralAssetListed():
                market.list_asset(event)
            case InstrumentListed():
                market.list_instrument(event)
            case ParametersSet():
                market.set_parameters(event)
            case MarkPrice():
                market.set_mark(event)
    return market


def uncertain(**confidence: Amount) -> Doubts:
    """A market with all marks, some of them uncertain; keywords with _ for -."""
    widths = {name.replace("_", "-"): width for name, width in confidence.items()}
    named = [
        mark(feed, price, 100 + number, confidence=widths.get(feed, 0))
        for number, (feed, price) in enumerate(sorted(PRICES.items()))
    ]
    return Doubts(book_of(*reference(TERMS), *named))


def surplus(portfolio: Portfolio, weight_ppm: int = PPM, **prices: Amount) -> float:
    """Equity less maintenance margin at other marks, by an engine of its own."""
    made: MarginEngine = engine(TERMS)
    made.step(marks(200, START_US, **prices))
    risk = account_risk((portfolio,), made.market(), TERMS)
    return float(risk.equity_A[0]) * PPM - weight_ppm * float(risk.maintenance_margin_A[0])


def holding(balances: dict[str, Amount], **positions: Amount) -> Portfolio:
    held = {name.replace("_", "-"): PortfolioPosition(e8(quantity), 0, 0) for name, quantity in positions.items()}
    return Portfolio("", {name: e8(amount) for name, amount in balances.items()}, held)


LONG = holding({"USD": -35_000}, BTC_PERP=2)
MIXED = holding({"USD": -50_000, "USDC": 5_000, "BTC": "0.5"}, BTC_PERP=2, ETH_PERP=10, BTC_CALL=-1)


def test_without_an_open_box_there_is_nothing_to_doubt() -> None:
    assert uncertain().best(LONG, TERMS) is None
    assert uncertain(ETH_PERP=100).best(LONG, TERMS) is None, "a feed it does not depend on"


def test_a_long_account_is_best_at_the_high_edge_and_worst_at_the_low_one() -> None:
    doubts = uncertain(BTC_PERP=500)
    assert surplus(LONG, BTC_PERP=20_500) == doubts.best(LONG, TERMS)
    low = doubts.worst(LONG, TERMS)
    assert low is not None and low < surplus(LONG, BTC_PERP=19_500), "initial margin is more than maintenance"


def test_a_short_account_is_best_at_the_low_edge() -> None:
    short = holding({"USD": 50_000}, BTC_PERP=-2)
    assert surplus(short, BTC_PERP=19_500) == uncertain(BTC_PERP=500).best(short, TERMS)


def test_what_is_priced_in_one_underlying_moves_together_and_the_rest_by_itself() -> None:
    doubts = uncertain(BTC=100, BTC_PERP=200, BTC_FUTURE=300, ETH_PERP=50)
    corners = [
        surplus(
            MIXED, BTC=20_000 + s * 100, BTC_PERP=20_000 + s * 200, BTC_FUTURE=20_100 + s * 300, ETH_PERP=1_500 + t * 50
        )
        for s in (-1, 0, 1)
        for t in (-1, 0, 1)
    ]
    assert max(corners) == doubts.best(MIXED, TERMS)


@pytest.mark.parametrize("weight_ppm", [0, 500_000])
def test_the_weight_of_the_requirement_is_the_callers(weight_ppm: int) -> None:
    assert surplus(LONG, weight_ppm, BTC_PERP=20_500) == uncertain(BTC_PERP=500).best(LONG, TERMS, weight_ppm)


def test_only_jumps_when_only_jumps_are_asked_for() -> None:
    doubts = uncertain(BTC_PERP=500)
    assert doubts.best(LONG, TERMS, jumps_only=True) is None


def test_a_new_mark_is_a_new_box() -> None:
    market = book_of(*reference(TERMS), *marks())
    doubts = Doubts(market)
    assert doubts.best(LONG, TERMS) is None
    market.set_mark(mark("BTC-PERP", 19_000, 900, confidence=10))
    assert surplus(LONG, BTC_PERP=19_010) == doubts.best(LONG, TERMS)


def test_under_other_parameters() -> None:
    market = book_of(*reference(TERMS), *marks())
    milder = parameters(maintenance_factor_ppm=500_000)
    risk = account_risk((LONG,), market.view(), milder)
    expected = (float(risk.equity_A[0]) - float(risk.maintenance_margin_A[0])) * PPM
    assert expected == pytest.approx(Doubts(market).under(LONG, TERMS, milder))


def test_who_is_not_priced_is_not_doubted() -> None:
    unknown = holding({"DOGE": 1}, BTC_PERP=1)
    assert uncertain(BTC_PERP=500).best(unknown, TERMS) is None
