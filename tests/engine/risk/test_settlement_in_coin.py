"""Contracts settled in a coin: its mark moves with contracts on itself, and stays where it is for all others.

By hand: a coin X at 100, a core range of 16 %. One inverse contract is 10 USD, so 100 contracts are a notional of
1000 USD or 10 coins.
"""

from __future__ import annotations

import dataclasses

import pytest

from engine.commands import AccountFigures
from engine.events import VolatilityNode
from engine.market import Market
from engine.portfolio import Portfolio, PortfolioPosition
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import InstrumentKind
from engine.risk.attribution import contributions, scenario_pnl
from engine.risk.margin import margin_figures
from engine.risk.scenarios import scenario_names
from engine.units import E8
from tests.engine.risk.worlds import PARAMETERS, TIME_US, listed, mark
from tests.reference import margin as twin

TERMS = dataclasses.replace(
    PARAMETERS.underlyings["BTC"],
    price_range_ppm=160_000,
    short_option_minimum_initial_ppm=0,
    short_option_minimum_maintenance_ppm=0,
)
SETTINGS = dataclasses.replace(
    PARAMETERS, underlyings={"X": TERMS, "Y": TERMS}, price_steps_ppm=(-1_000_000, 0, 1_000_000)
)
ASSETS = {
    "X": CollateralAsset("X", "X", 0, "X"),
    "X-CUT": CollateralAsset("X-CUT", "X", 100_000, "X"),
    "X-STILL": CollateralAsset("X-STILL", "X", 0),
}
INSTRUMENTS = {
    item.instrument_id: item
    for item in (
        listed("X-INVERSE", InstrumentKind.INVERSE_PERPETUAL, "X-PERP", "X", multiplier=10.0),
        listed("X-INVERSE-CUT", InstrumentKind.INVERSE_PERPETUAL, "X-PERP", "X-CUT", multiplier=10.0),
        listed("X-INVERSE-STILL", InstrumentKind.INVERSE_PERPETUAL, "X-PERP", "X-STILL", multiplier=10.0),
        listed("X-FUTURE", InstrumentKind.FUTURE, "X-PERP", "X", days=30, multiplier=0.01),
        listed("X-CALL", InstrumentKind.CALL, "X-PERP", "X", days=-1, strike=80, multiplier=0.01),
        listed("Y-PERP", InstrumentKind.LINEAR_PERPETUAL, "Y", "X", multiplier=0.001),
    )
}


def market(price: float = 100.0) -> Market:
    """Coin and contracts marked at ``price``; Y at 50. The funding index of inverse contracts stands at 0.002."""
    marks = {
        "X": mark("X", price, (VolatilityNode(30.0, 0.0, 0.5),)),
        "X-PERP": mark("X-PERP", price, inverse_e12=2 * 10**9),
        "Y": mark("Y", 50.0),
    }
    return Market(INSTRUMENTS, ASSETS, marks, TIME_US)


def holding(name: str, contracts: float, cost: float, **balances: float) -> Portfolio:
    """One position with its cost in coins, funding paid up to now."""
    paid = 2 * 10**9 if INSTRUMENTS[name].kind is InstrumentKind.INVERSE_PERPETUAL else 0
    position = PortfolioPosition(round(contracts * E8), round(cost * E8), paid)
    return Portfolio("a", {asset: round(amount * E8) for asset, amount in balances.items()}, {name: position})


def figures_of(portfolio: Portfolio, price: float = 100.0) -> AccountFigures:
    """The figures, which the slow twin must find too."""
    (figures,) = margin_figures((portfolio,), market(price), SETTINGS)
    assert figures is not None
    slow = twin.margin(portfolio, market(price), SETTINGS)
    assert figures.equity == pytest.approx(slow["equity"], abs=1e-9)
    assert figures.initial_margin == pytest.approx(slow["initial_margin"], abs=1e-9)
    return figures


def pnl_of(portfolio: Portfolio, scenario: str, underlying: str = "X") -> float:
    names = scenario_names(SETTINGS, underlying)
    return float(scenario_pnl(portfolio, market(), SETTINGS)[underlying][names.index(scenario)])


UP, DOWN = "price +16% vol unchanged", "price -16% vol unchanged"


def test_short_inverse_loses_its_notional_times_the_rise() -> None:
    short = holding("X-INVERSE", -100.0, 10.0)
    # +16 %: 1000/116 - 10 = -1.3793 coins at 116 = -160. -16 %: 1000/84 - 10 = 1.9048 coins at 84 = +160.
    assert -160.0 == pytest.approx(pnl_of(short, UP), abs=1e-10)
    assert 160.0 == pytest.approx(pnl_of(short, DOWN), abs=1e-10)
    # The tails are milder: +50 % at 0.2772 costs 138.6, and so do the others.
    assert 160.0 == pytest.approx(figures_of(short).initial_margin, abs=1e-10)
    assert {"X": "price +16% vol up"} == figures_of(short).worst_scenarios


def test_long_inverse_loses_its_notional_times_the_fall() -> None:
    long = holding("X-INVERSE", 100.0, -10.0)
    assert -160.0 == pytest.approx(pnl_of(long, DOWN), abs=1e-10)
    assert 160.0 == pytest.approx(pnl_of(long, UP), abs=1e-10)
    assert 160.0 == pytest.approx(figures_of(long).initial_margin, abs=1e-10)
    assert {"X": "price -16% vol up"} == figures_of(long).worst_scenarios


def test_coins_already_lost_or_won_move_without_a_haircut() -> None:
    # Sold 1000 USD at 80: 12.5 coins owed against 10, down 2.5 coins or 250 USD. A rise of 16 % costs 16 % of the 12.5
    # coins' worth: 1250 x 0.16 = 200, and so it does in an asset with a haircut: equity counts the loss in full.
    for name in ("X-INVERSE", "X-INVERSE-CUT"):
        lost = figures_of(holding(name, -100.0, 12.5))
        assert -250.0 == pytest.approx(lost.equity, abs=1e-10)
        assert 200.0 == pytest.approx(lost.initial_margin, abs=1e-10)
        # Sold at 125: 8 coins owed, up 2 coins or 200 USD, counted and moved in full. 800 x 0.16 = 128.
        won = figures_of(holding(name, -100.0, 8.0))
        assert 200.0 == pytest.approx(won.equity, abs=1e-10)
        assert 128.0 == pytest.approx(won.initial_margin, abs=1e-10)


def test_funding_owed_in_the_coin_moves_too() -> None:
    # A long of 1000 USD owes 1000 x 0.002 = 2 coins: bought for 10 coins, it is -2 coins and 2 coins lighter than 10.
    owing = Portfolio("a", {}, {"X-INVERSE": PortfolioPosition(100 * E8, -10 * E8, 0)})
    assert -200.0 == pytest.approx(figures_of(owing).equity, abs=1e-10)
    assert 128.0 == pytest.approx(figures_of(owing).initial_margin, abs=1e-10)


@pytest.mark.parametrize("price", [25.0, 84.0, 100.0, 116.0, 600.0])
def test_coins_hedge_a_short_inverse_at_every_price(price: float) -> None:
    """10 coins and a short of 1000 USD opened at 100 are 1000 USD, whatever the coin has done since."""
    hedged = figures_of(holding("X-INVERSE", -100.0, 10.0, X=10.0), price)
    assert 1000.0 == pytest.approx(hedged.equity, abs=1e-9)
    assert 0.0 <= hedged.initial_margin <= 1e-9
    alone = 10.0 * price * 0.16
    assert hedged.isolated_initial_margin >= 2 * alone * (1 - 1e-12)


def test_haircut_leaves_its_share_of_the_hedge_open() -> None:
    # 10 coins count as 9: a rise wins 144 and loses 160.
    hedged = figures_of(holding("X-INVERSE-CUT", -100.0, 10.0, **{"X-CUT": 10.0}))
    assert 900.0 == pytest.approx(hedged.equity, abs=1e-10)
    assert 16.0 == pytest.approx(hedged.initial_margin, abs=1e-10)


def test_contributions_of_a_hedge_in_the_coin_cancel() -> None:
    position, coins = contributions(holding("X-INVERSE", -100.0, 10.0, X=10.0), market(), SETTINGS)
    assert ("X-INVERSE", "X") == (position.holding, coins.holding)
    assert position.pnl == pytest.approx(-coins.pnl, abs=1e-10)
    assert 160.0 == pytest.approx(position.isolated_initial_margin, abs=1e-10)


def test_future_and_option_in_their_coin_move_with_it() -> None:
    # 10 futures of 0.01 are worth 10 coins, owed in full. +16 %: (11.6 - 10) x 116 = 185.6. -16 %: -1.6 x 84 = -134.4.
    future = holding("X-FUTURE", 10.0, 10.0)
    assert 185.6 == pytest.approx(pnl_of(future, UP), abs=1e-10)
    assert -134.4 == pytest.approx(pnl_of(future, DOWN), abs=1e-10)
    # 10 expired calls 80 of 0.01: 2 coins now, 3.6 at 116 and 0.4 at 84. Their cost left the balance at the fill.
    call = holding("X-CALL", 10.0, 1.5)
    assert 3.6 * 116 - 200 == pytest.approx(pnl_of(call, UP), abs=1e-10)
    assert 0.4 * 84 - 200 == pytest.approx(pnl_of(call, DOWN), abs=1e-10)


def test_asset_without_an_underlying_stays_where_it_is() -> None:
    # The same short in an asset at the coin's price that names no underlying: 1.3793 coins at 100.
    short = holding("X-INVERSE-STILL", -100.0, 10.0)
    assert -100 * (10 - 1000 / 116) == pytest.approx(pnl_of(short, UP), abs=1e-10)
    assert 100 * (1000 / 84 - 10) == pytest.approx(pnl_of(short, DOWN), abs=1e-10)


def test_coin_of_another_underlying_stays_where_it_is() -> None:
    # 40 contracts of 0.001 on Y at 50 are 2 coins X, bought for 1.5: 16 % of 2 coins at 100, and X risks nothing here.
    other = holding("Y-PERP", 40.0, 1.5)
    assert 32.0 == pytest.approx(pnl_of(other, UP, "Y"), abs=1e-10)
    assert {"Y"} == figures_of(other).worst_scenarios.keys()
