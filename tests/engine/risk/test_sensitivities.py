"""Greeks of a portfolio against finite differences of its equity."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given, settings

from engine.errors import PriceUnavailable
from engine.events import MarkPrice
from engine.market import Market
from engine.portfolio import Portfolio, PortfolioPosition
from engine.reference.collateral_assets import CollateralAsset
from engine.risk.margin import margin_figures
from engine.risk.sensitivities import greeks
from engine.units import DAY_US, E8
from tests.engine.risk.worlds import MARKET, MARKS, PARAMETERS, PORTFOLIOS, portfolio, without_mark

FLAT_SKEW = {
    feed: dataclasses.replace(
        item, volatility=tuple(dataclasses.replace(node, volatility=0.6) for node in item.volatility)
    )
    for feed, item in MARKS.items()
}
"""With one volatility everywhere a bumped forward finds the volatility it had: finite differences hold it fixed."""

HOLDING = portfolio(
    {
        "BTC-PERP": 2.0,
        "BTC-FUTURE": -1.5,
        "BTC-45D-50000-C": -3.0,
        "BTC-45D-60000-C": 5.0,
        "BTC-2H-49000-P": 4.0,
        "ETH-20D-2500-P": -7.0,
        "ETH-PERP": -2.0,
    },
    {"BTC": 1.5, "ETH": -2.0, "USD": 100.0},
)


def equity(holding: Portfolio, marks: dict[str, MarkPrice], time_us: int = MARKET.time_us) -> float:
    (figures,) = margin_figures((holding,), Market(MARKET.instruments, MARKET.assets, marks, time_us), PARAMETERS)
    assert figures is not None
    return figures.equity


def bumped(change: Callable[[MarkPrice], MarkPrice], prefix: str) -> dict[str, MarkPrice]:
    return {feed: change(item) if feed.startswith(prefix) else item for feed, item in FLAT_SKEW.items()}


def moved(step: float, prefix: str = "BTC") -> float:
    """Equity when every mark of an underlying moves by the same amount."""
    shift = round(step * 1e8)
    return equity(HOLDING, bumped(lambda item: dataclasses.replace(item, price_e8=item.price_e8 + shift), prefix))


MARKET_FLAT = dataclasses.replace(MARKET, marks=FLAT_SKEW)


@pytest.mark.parametrize(("underlying", "step"), [("BTC", 5.0), ("ETH", 0.5)])
def test_delta_and_gamma_are_derivatives_of_equity(underlying: str, step: float) -> None:
    up, mid, down = (moved(k * step, underlying) for k in (1, 0, -1))
    found = greeks(HOLDING, MARKET_FLAT)[underlying]
    assert found["delta"] == pytest.approx((up - down) / (2 * step), rel=1e-5)
    assert found["gamma"] == pytest.approx((up - 2 * mid + down) / step**2, rel=1e-4)


def test_vega_is_the_derivative_to_volatility() -> None:
    def shifted(step: float) -> float:
        def change(item: MarkPrice) -> MarkPrice:
            nodes = tuple(dataclasses.replace(n, volatility=n.volatility + step) for n in item.volatility)
            return dataclasses.replace(item, volatility=nodes)

        return equity(HOLDING, bumped(change, "BTC"))

    found = greeks(HOLDING, MARKET_FLAT)["BTC"]["vega"]
    assert found == pytest.approx((shifted(1e-4) - shifted(-1e-4)) / 2e-4, rel=1e-6)


def test_theta_is_the_change_of_equity_per_day() -> None:
    minutes = DAY_US // 1440
    later, sooner = (equity(HOLDING, FLAT_SKEW, MARKET.time_us + k * minutes) for k in (1, -1))
    both = greeks(HOLDING, MARKET_FLAT)
    found = both["BTC"]["theta"] + both["ETH"]["theta"]
    assert found == pytest.approx((later - sooner) / 2 * 1440, rel=1e-3)


def test_inverse_perpetual_in_its_coin_is_linear_in_dollars() -> None:
    # 200 contracts of 100 USD bought for 0.5 coins, no funding owed: worth (0.5 - 20 000/p) coins. In dollars that is
    # 0.5 coins' worth less a constant, so delta is the 0.5 coins, per dollar of the perpetual, and there is no gamma.
    bought = Portfolio("a", {}, {"BTC-INVERSE": PortfolioPosition(200 * E8, -E8 // 2, 3_000)})
    found = greeks(bought, MARKET)["BTC"]
    assert found["delta"] == pytest.approx(0.5 * 50_000 / 50_020.5, rel=1e-14)
    assert abs(found["gamma"]) <= 1e-20
    assert 0.0 == found["vega"] == found["theta"]


def test_inverse_perpetual_in_a_coin_that_stays_by_hand() -> None:
    # At 50 020.5: delta 20 000 / 50 020.5^2 coins per dollar, at 50 000 dollars per coin.
    still = {**MARKET.assets, "BTC": CollateralAsset("BTC", "BTC", 50_000)}
    found = greeks(portfolio({"BTC-INVERSE": 200.0}), dataclasses.replace(MARKET, assets=still))["BTC"]
    assert found["delta"] == pytest.approx(20_000 / 50_020.5**2 * 50_000, rel=1e-15)
    assert found["gamma"] == pytest.approx(-2 * found["delta"] / 50_020.5, rel=1e-15)


@pytest.mark.parametrize("name", ["BTC-INVERSE", "BTC-FUTURE-COIN", "BTC-45D-60000-C-COIN"])
def test_contract_in_its_coin_has_derivatives_of_equity_by_share(name: str) -> None:
    """All marks of the underlying move by one share, as they do in scenarios, the coin's included."""
    holding = Portfolio("a", {}, {name: PortfolioPosition(-300 * E8, 70 * E8, 12_345)})

    def at(share: float) -> float:
        return equity(
            holding,
            bumped(lambda item: dataclasses.replace(item, price_e8=round(item.price_e8 * (1 + share))), "BTC"),
        )

    step = 1e-4
    price = MARKS[MARKET.instruments[name].mark_feed].price_e8 / E8
    found = greeks(holding, MARKET_FLAT)["BTC"]
    assert found["delta"] * price == pytest.approx((at(step) - at(-step)) / (2 * step), rel=1e-6)
    curvature = (at(step) - 2 * at(0.0) + at(-step)) / step**2
    assert found["gamma"] * price**2 == pytest.approx(curvature, rel=1e-4, abs=1.0)


def test_collateral_counts_after_haircut_and_debt_in_full() -> None:
    found = greeks(portfolio({}, {"BTC": 2.0, "ETH": -3.0, "USD": 9.0}), MARKET)
    assert {"BTC": 1.9, "ETH": -3.0} == {name: item["delta"] for name, item in found.items()}


@given(holding=PORTFOLIOS)
@settings(deadline=None)
def test_order_changes_no_bit_and_expired_options_have_no_decay(holding: Portfolio) -> None:
    backwards = Portfolio("a", dict([*holding.balances.items()][::-1]), dict([*holding.positions.items()][::-1]))
    assert greeks(holding, MARKET) == greeks(backwards, MARKET)
    expired = {name: item for name, item in holding.positions.items() if name == "BTC-EXPIRED-C"}
    for found in greeks(Portfolio("a", {}, expired), MARKET).values():
        assert 0.0 == found["gamma"] == found["vega"] == found["theta"]


def test_missing_mark_is_named() -> None:
    with pytest.raises(PriceUnavailable, match="BTC-FUTURE"):
        greeks(portfolio({"BTC-45D-50000-C": 1.0}), without_mark("BTC-FUTURE"))
    with pytest.raises(PriceUnavailable, match="ETH"):
        greeks(portfolio({}, {"ETH": 1.0}), without_mark("ETH"))
