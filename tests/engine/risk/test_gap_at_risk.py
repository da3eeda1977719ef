"""Shortfalls after jumps: by hand, and the same as valuing every account in the market that the jump leaves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.portfolio import Portfolio, PortfolioPosition
from engine.reference.gap_policy import STANDARD_JUMPS, GapLayer, GapPolicy, Jump
from engine.risk.gap_at_risk import after_jump, jump_rows, shortfalls
from engine.risk.holdings import gather
from engine.risk.margin import margin_figures
from engine.risk.revaluation import RiskFrame
from engine.units import E8
from tests.engine.risk.worlds import MARKET, PARAMETERS, PORTFOLIOS, without_mark

JUMPS = (
    *STANDARD_JUMPS,
    Jump("BTC alone", 0, 400_000, (("BTC", -400_000),)),
    Jump("depeg", 0, 0, (("USDC", -300_000),)),
)


def shortfalls_of(portfolios: list[Portfolio], market=MARKET, jumps=JUMPS) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def,type-arg]
    frame = RiskFrame(market, PARAMETERS)
    columns = gather(portfolios, frame)
    rows = jump_rows(market, PARAMETERS, jumps, tuple(frame.instrument_rows), tuple(frame.asset_rows))
    return shortfalls(np.arange(len(portfolios), dtype=np.int32), columns, rows)


@settings(deadline=None)
@given(st.lists(PORTFOLIOS, min_size=1, max_size=6))
def test_a_shortfall_is_what_equity_lacks_in_the_market_after_the_jump(portfolios: list[Portfolio]) -> None:
    shortfall_NJ, priced_N = shortfalls_of(portfolios)

    for j, jump in enumerate(JUMPS):
        figures = margin_figures(portfolios, after_jump(MARKET, jump), PARAMETERS)
        for n, figured in enumerate(figures):
            assert figured is not None and priced_N[n]
            assert shortfall_NJ[n, j] == pytest.approx(max(-figured.equity, 0.0), rel=1e-9, abs=1e-4)


def test_a_long_perpetual_on_dollars_by_hand() -> None:
    """One bitcoin from 50,020.5 on 10,000 dollars: a fall of 30 % costs 15,006.15 and leaves 5,006.15 unpaid."""
    long = Portfolio(
        "a", {"USD": 10_000 * E8}, {"BTC-PERP": PortfolioPosition(E8, 5_002_050_000_000, 7_000_000_000_000)}
    )
    shortfall_NJ, _ = shortfalls_of([long])

    found = dict(zip([jump.name for jump in JUMPS], shortfall_NJ[0].tolist(), strict=True))
    assert found["all -30%"] == pytest.approx(5_006.15)
    assert found["BTC alone"] == pytest.approx(0.4 * 50_020.5 - 10_000)
    assert {0.0} == {found[name] for name in ("all -10%", "all +50%", "depeg")}


def test_a_jump_moves_every_feed_of_an_underlying_and_no_stable_coin_unless_it_is_named() -> None:
    moved = after_jump(MARKET, Jump("x", -100_000, 500_000, (("ETH", 200_000), ("BTC-PERP", -500_000))))

    prices = {feed: moved.marks[feed].price_e8 / mark.price_e8 for feed, mark in MARKET.marks.items()}
    assert prices["BTC"] == prices["BTC-FUTURE"] == pytest.approx(0.9)
    assert prices["ETH"] == prices["ETH-PERP"] == pytest.approx(1.2)
    assert prices["BTC-PERP"] == pytest.approx(0.5)
    assert 1.0 == prices["USDC"]
    before, after = MARKET.marks["BTC"].volatility, moved.marks["BTC"].volatility
    assert [1.5 * node.volatility for node in before] == [node.volatility for node in after]
    assert MARKET.time_us == moved.time_us


def test_who_lacks_a_mark_is_not_priced_and_adds_nothing() -> None:
    long = Portfolio("a", {}, {"ETH-PERP": PortfolioPosition(E8, 10**15, 0)})
    shortfall_NJ, priced_N = shortfalls_of([long], without_mark("ETH-PERP"))

    assert not priced_N[0] and not shortfall_NJ.any()


@pytest.mark.parametrize(
    "broken, field",
    [
        (lambda: Jump("", 0), "gap.jumps.name"),
        (lambda: Jump("x", -1_000_000), "gap.jumps.others"),
        (lambda: Jump("x", 0, 0, (("BTC", -2_000_000),)), "gap.jumps.BTC"),
        (lambda: GapLayer("fund", -1), "gap.layers.capacity"),
        (lambda: GapPolicy(jumps=(Jump("x", 0), Jump("x", 1))), "gap.jumps.name"),
        (lambda: GapPolicy(layers=(GapLayer("f", 1), GapLayer("f", 2))), "gap.layers.name"),
        (lambda: dataclasses.replace(GapPolicy(), cover=0), "gap.cover"),
    ],
)
def test_what_is_wrong_with_a_policy_is_named(broken, field: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidReference, match=field):
        broken()
