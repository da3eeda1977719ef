"""Option values and Greeks against 60-digit arithmetic at the stated error budget; their limits and identities."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.pricing.option_greeks import OptionGreeks, black76_option, black_scholes_merton
from tests.engine.pricing import exact

STRIKES = (1e-6, 0.01, 0.2, 0.5, 0.8, 0.9, 0.99, 0.9999, 1.0, 1.0000001, 1.0001, 1.01, 1.1, 1.3, 2.0, 5.0, 100.0, 1e6)
YEARS = (1 / 31_536_000, 1 / 525_600, 1 / 8760, 1 / 365, 30 / 365, 1.0, 10.0)
VOLATILITIES = (0.05, 0.2, 0.6, 1.5, 3.0, 25.0)
BUDGET = 1e-12
SMALLEST = 1e-290

positive = st.floats(min_value=1e-3, max_value=1e6)
moneyness = st.floats(min_value=0.05, max_value=20.0)
years = st.floats(min_value=1e-7, max_value=30.0)
volatility = st.floats(min_value=0.01, max_value=25.0)
rates = st.floats(min_value=-0.05, max_value=0.3)
signs = st.sampled_from([1.0, -1.0])


def numbers(greeks: OptionGreeks) -> dict[str, np.ndarray]:
    return asdict(greeks)


def largest_excess(results: dict[str, np.ndarray], references: list[dict[str, mpmath.mpf]], allowed: np.ndarray) -> int:
    """Assert the budget of every result above 1e-290 and return how many were compared."""
    compared = 0
    for row, reference in enumerate(references):
        for key, values in results.items():
            true = reference[key]
            if abs(true) < SMALLEST:
                assert abs(values[row]) < 2 * SMALLEST, (row, key, values[row])
                continue
            scale = reference.get(f"{key}_scale", abs(true))
            error = abs(mpmath.mpf(float(values[row])) - true)
            assert error <= allowed[row] * scale, (row, key, float(error / scale), float(true))
            compared += 1
    return compared


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("rate", [0.0, 0.05])
def test_on_a_forward_every_key_is_within_1e_12_of_the_truth(sign: int, rate: float) -> None:
    cases = np.array(list(product(STRIKES, YEARS, VOLATILITIES)))
    strike, tenor, vol = 60_000.0 * cases[:, 0], cases[:, 1], cases[:, 2]
    results = numbers(black76_option(60_000.0, strike, tenor, vol, sign, rate=rate))
    references = [
        exact.forward_greeks(60_000.0, k, t, v, sign, rate) for k, t, v in zip(strike, tenor, vol, strict=True)
    ]
    assert largest_excess(results, references, np.full(len(cases), BUDGET)) > 7_000


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("rate", "dividend_yield"), [(0.05, 0.0), (0.03, 0.1), (-0.02, 0.01)])
def test_on_spot_every_key_is_within_the_stated_budget(sign: int, rate: float, dividend_yield: float) -> None:
    cases = np.array(list(product(STRIKES[2:-2:2], YEARS, VOLATILITIES[::2])))
    strike, tenor, vol = 60_000.0 * cases[:, 0], cases[:, 1], cases[:, 2]
    results = numbers(
        black_scholes_merton(60_000.0, strike, tenor, vol, sign, rate=rate, dividend_yield=dividend_yield)
    )
    references = [
        exact.spot_greeks(60_000.0, k, t, v, sign, rate, dividend_yield)
        for k, t, v in zip(strike, tenor, vol, strict=True)
    ]
    deviation = vol * np.sqrt(tenor)
    start = np.abs(np.log(60_000.0 / strike))
    distance = np.minimum(np.abs(start + (rate - dividend_yield) * tenor) / deviation + deviation, 40.0)
    assert largest_excess(results, references, BUDGET + 2.0**-51 * (1.0 + distance) * start / deviation) > 2_000


def test_a_price_of_1e_154_keeps_12_digits() -> None:
    strike, vol, tenor = 1000.0, 0.1, 0.25
    # Black's tail is about exp(-d^2 / 2): 26.6 deviations are 1e-154.
    forward = strike * np.exp(-26.53 * vol * np.sqrt(tenor))
    price = float(black76_option(forward, strike, tenor, vol, 1.0).price)
    true = exact.forward_greeks(forward, strike, tenor, vol, 1, 0.0)["price"]
    assert 1e-156 < price < 1e-153
    assert abs(price - true) <= 1e-12 * true


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "case",
    [
        (100.0, 105.0, 0.5, 0.3, 0.05, 0.02),
        (100.0, 100.0, 1 / 365, 1.2, 0.12, 0.0),
        (60_000.0, 30_000.0, 7 / 365, 0.5, 0.05, 0.1),
        (60_000.0, 66_000.0, 1 / 8760, 0.6, 0.05, 0.05),
        (60_000.0, 90_000.0, 10.0, 0.9, -0.02, 0.03),
        (0.5, 5.0, 2.0, 25.0, 0.0, 0.0),
    ],
)
def test_greeks_are_the_differences_of_the_price(case: tuple[float, ...], sign: int) -> None:
    spot, strike, tenor, vol, rate, dividend_yield = case
    results = numbers(black_scholes_merton(spot, strike, tenor, vol, sign, rate=rate, dividend_yield=dividend_yield))
    closed = exact.spot_greeks(spot, strike, tenor, vol, sign, rate, dividend_yield)
    for key, true in exact.derivatives(spot, strike, tenor, vol, sign, rate, dividend_yield).items():
        scale = closed.get(f"{key}_scale", abs(true))
        assert abs(float(results[key]) - true) <= 1e-12 * scale, (key, float(results[key]), float(true))


def test_on_spot_and_on_its_forward_agree() -> None:
    spot, strike, tenor, vol, rate, dividend_yield = 98.0, 105.0, 0.75, 0.4, 0.06, 0.02
    forward = spot * np.exp((rate - dividend_yield) * tenor)
    on_spot = numbers(black_scholes_merton(spot, strike, tenor, vol, -1.0, rate=rate, dividend_yield=dividend_yield))
    stated = numbers(black76_option(forward, strike, tenor, vol, -1.0, discount=np.exp(-rate * tenor), spot=spot))
    for key, value in on_spot.items():
        assert stated[key] == pytest.approx(value, rel=1e-12), key


def test_without_spot_the_forward_carries_nothing() -> None:
    greeks = black76_option(100.0, 95.0, 0.5, 0.3, 1.0, rate=0.04)
    assert greeks.delta_spot == greeks.delta_fwd
    assert greeks.gamma_spot == greeks.gamma_fwd
    assert greeks.theta == greeks.theta_fwd
    assert greeks.rho_fwd == -0.5 * greeks.price


def test_discount_and_rate_follow_from_each_other() -> None:
    by_rate = numbers(black76_option(100.0, 95.0, 0.5, 0.3, -1.0, rate=0.04))
    by_discount = numbers(black76_option(100.0, 95.0, 0.5, 0.3, -1.0, discount=np.exp(-0.02)))
    for key, value in by_rate.items():
        assert by_discount[key] == pytest.approx(value, rel=1e-13), key


@pytest.mark.parametrize(("tenor", "vol"), [(1.0, 0.0), (0.0, 0.8), (-1.0, 0.8), (0.0, 0.0), (1e-300, 1e-300)])
@pytest.mark.parametrize(
    ("strike", "sign", "payoff", "delta"),
    [
        (90.0, 1.0, 10.0, 1.0), (100.0, 1.0, 0.0, 0.5), (110.0, 1.0, 0.0, 0.0),
        (90.0, -1.0, 0.0, 0.0), (100.0, -1.0, 0.0, -0.5), (110.0, -1.0, 10.0, -1.0),
    ],
)  # fmt: skip
def test_without_deviation_an_option_is_its_intrinsic_value(
    tenor: float, vol: float, strike: float, sign: float, payoff: float, delta: float
) -> None:
    greeks = black76_option(100.0, strike, tenor, vol, sign, discount=0.99)
    assert greeks.price == 0.99 * payoff
    assert greeks.delta_fwd == 0.99 * delta
    assert greeks.itm_prob_asset == greeks.itm_prob_cash == (delta if sign > 0 else 1.0 + delta)
    assert [float(x) for x in (greeks.gamma_fwd, greeks.vega, greeks.volga, greeks.vanna)] == [0.0] * 4


@pytest.mark.parametrize("vol", [0.0, 1e-300, 0.5, 4.0])
def test_zero_strike_and_zero_forward(vol: float) -> None:
    call = black76_option(1000.0, 0.0, 1.0, vol, 1.0, discount=0.99)
    assert (call.price, call.delta_fwd, call.gamma_fwd, call.vega, call.elasticity) == (990.0, 0.99, 0.0, 0.0, 1.0)
    put = black76_option(0.0, 1000.0, 1.0, vol, -1.0, discount=0.99)
    assert (put.price, put.delta_fwd, put.gamma_fwd, put.vega) == (990.0, -0.99, 0.0, 0.0)
    for forward, strike, sign in ((1000.0, 0.0, -1.0), (0.0, 1000.0, 1.0)):
        nothing = black76_option(forward, strike, 1.0, vol, sign, discount=0.99, spot=7.0)
        assert [float(x) for x in (nothing.price, nothing.delta_fwd, nothing.elasticity, nothing.vega)] == [0.0] * 4
    assert black_scholes_merton(0.0, 50.0, 1.0, vol, -1.0, rate=0.1).price == 50.0 * np.exp(-0.1)


def test_volatility_without_bound_makes_a_call_worth_its_forward() -> None:
    call = black76_option(100.0, 150.0, 10.0, 1e6, 1.0)
    put = black76_option(100.0, 150.0, 10.0, 1e6, -1.0)
    assert (call.price, call.delta_fwd, call.vega) == (100.0, 1.0, 0.0)
    assert (put.price, put.delta_fwd, put.itm_prob_cash) == (150.0, 0.0, 0.0)


def test_elasticity_survives_the_underflow_of_price_and_delta() -> None:
    # 100 forwards away within a minute, price 1e-3782001: no double holds it, but the ratio is 2.1e6.
    for strike, sign in ((6_000_000.0, 1), (600.0, -1)):
        greeks = black76_option(60_000.0, strike, 1 / 525_600, 0.8, sign)
        true = exact.forward_greeks(60_000.0, strike, 1 / 525_600, 0.8, sign, 0.0)["elasticity"]
        assert greeks.price == 0.0
        assert abs(float(greeks.elasticity) - true) <= 1e-12 * abs(true)


def test_arguments_broadcast_and_lanes_do_not_touch_each_other() -> None:
    forward, strike = np.array([[90.0], [100.0]]), np.array([0.0, 80.0, 100.0, 1e6])
    together = numbers(black76_option(forward, strike, 0.5, np.array([0.0, 0.3, 0.3, 0.3]), 1.0, rate=0.02, spot=95.0))
    for row, column in np.ndindex(2, 4):
        vol = 0.0 if column == 0 else 0.3
        alone = numbers(black76_option(forward[row, 0], strike[column], 0.5, vol, 1.0, rate=0.02, spot=95.0))
        for key, value in together.items():
            assert value.shape == (2, 4)
            assert value[row, column] == alone[key], key


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("forward", (-1.0, 1.0, 1.0, 0.2, 1.0)),
        ("forward", (np.nan, 1.0, 1.0, 0.2, 1.0)),
        ("strike", (1.0, -1.0, 1.0, 0.2, 1.0)),
        ("years", (1.0, 1.0, np.inf, 0.2, 1.0)),
        ("volatility", (1.0, 1.0, 1.0, -0.2, 1.0)),
        ("volatility", (1.0, 1.0, 1.0, np.array([0.2, np.nan]), 1.0)),
        ("sign", (1.0, 1.0, 1.0, 0.2, 0.0)),
    ],
)
def test_an_argument_out_of_range_is_named(field: str, arguments: tuple[float, ...]) -> None:
    with pytest.raises(InvalidReference) as error:
        black76_option(*arguments)
    assert error.value.field == field


@pytest.mark.parametrize("stated", [{"discount": 0.0}, {"discount": -1.0}, {"rate": np.nan}, {"spot": 0.0}])
def test_a_keyword_out_of_range_is_named(stated: dict[str, float]) -> None:
    with pytest.raises(InvalidReference) as error:
        black76_option(100.0, 100.0, 1.0, 0.2, 1.0, **stated)
    assert error.value.field in (*stated, "discount")


@settings(max_examples=1000, deadline=None)
@given(forward=positive, ratio=moneyness, years=years, volatility=volatility, rate=rates)
def test_call_and_put_are_at_parity(forward: float, ratio: float, years: float, volatility: float, rate: float) -> None:
    strike = forward * ratio
    both = black76_option(forward, strike, years, volatility, np.array([1.0, -1.0]), rate=rate)
    discount = np.exp(-rate * years)
    rounding = 8 * 2.0**-52 * discount * max(forward, strike)
    assert abs((both.price[0] - both.price[1]) - discount * (forward - strike)) <= rounding
    assert abs((both.delta_fwd[0] - both.delta_fwd[1]) - discount) <= 1e-15 * discount
    assert both.itm_prob_cash[0] == both.itm_prob_cash[1]
    assert both.itm_prob_asset[0] == both.itm_prob_asset[1]
    for same in (both.gamma_fwd, both.vega, both.volga, both.vanna):
        assert same[0] == same[1]


@settings(max_examples=1000, deadline=None)
@given(forward=positive, ratio=moneyness, years=years, volatility=volatility, sign=signs)
def test_prices_stay_within_their_bounds_and_grow_with_volatility(
    forward: float, ratio: float, years: float, volatility: float, sign: float
) -> None:
    strike = forward * ratio
    price, dearer = black76_option(forward, strike, years, np.array([1.0, 1.01]) * volatility, sign).price
    assert max(sign * (forward - strike), 0.0) <= price <= (forward if sign > 0 else strike) * (1 + 1e-15)
    assert dearer >= price * (1 - 1e-15)


@settings(max_examples=1000, deadline=None)
@given(ratio=moneyness, years=years, volatility=volatility, sign=signs, power=st.integers(-30, 30))
def test_price_is_homogeneous(ratio: float, years: float, volatility: float, sign: float, power: int) -> None:
    scale = 2.0**power
    forward = np.array([1.0, scale])
    greeks = black76_option(forward, forward * ratio, years, volatility, sign)
    # A power of two only moves exponents, so unless something underflows the digits are the same.
    if greeks.price[0] > 1e-280 and greeks.gamma_fwd[0] > 1e-280:
        assert greeks.price[1] == scale * greeks.price[0]
        assert greeks.delta_fwd[1] == greeks.delta_fwd[0]
        assert greeks.gamma_fwd[1] == greeks.gamma_fwd[0] / scale


@settings(max_examples=1000, deadline=None)
@given(forward=positive, ratio=moneyness, years=years, volatility=volatility)
def test_call_and_put_trade_places_with_forward_and_strike(
    forward: float, ratio: float, years: float, volatility: float
) -> None:
    prices = np.array([forward, forward * ratio])
    both = black76_option(prices, prices[::-1], years, volatility, np.array([1.0, -1.0]))
    assert both.price[0] == pytest.approx(both.price[1], rel=1e-12, abs=1e-290)
    assert both.itm_prob_asset[0] + both.itm_prob_cash[1] == pytest.approx(1.0, rel=1e-15)
