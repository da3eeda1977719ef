"""Black-76 against 50-digit arithmetic, its identities and its exact limits."""

from __future__ import annotations

import warnings

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.pricing.black76 import black76
from tests.reference import margin as twin

FORWARDS = (0.5, 100.0, 60_000.0)
MONEYNESS = (0.2, 0.5, 0.8, 0.95, 1.0, 1.0001, 1.05, 1.3, 2.0, 5.0)
YEARS = (1.0 / (365 * 24), 1.0 / 365, 30.0 / 365, 1.0, 10.0)
VOLATILITIES = (0.05, 0.4, 0.8, 2.5, 25.0)


def price(forward: float, strike: float, years: float, volatility: float, sign: float) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arguments = (np.array([value]) for value in (forward, strike, years, volatility, sign))
        return float(black76(*arguments)[0])


def exact_price(forward: float, strike: float, years: float, volatility: float, sign: float) -> mpmath.mpf:
    with mpmath.workdps(50):
        f, k, t, v = (mpmath.mpf(value) for value in (forward, strike, years, volatility))
        deviation = v * mpmath.sqrt(t)
        d1 = mpmath.log(f / k) / deviation + deviation / 2
        d2 = d1 - deviation
        # ncdf is good to absolute precision only; erfc keeps the digits of a far tail.
        tail_1, tail_2 = (mpmath.erfc(-sign * d / mpmath.sqrt(2)) / 2 for d in (d1, d2))
        return sign * (f * tail_1 - k * tail_2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_price_agrees_with_50_digits_over_the_grid(sign: float) -> None:
    compared = 0
    for forward in FORWARDS:
        for moneyness in MONEYNESS:
            for years in YEARS:
                for volatility in VOLATILITIES:
                    case = (forward, forward * moneyness, years, volatility, sign)
                    exact = exact_price(*case)
                    error = abs(price(*case) - exact)
                    if exact > 1e-3 * forward:
                        assert error <= 1e-12 * exact, case
                        compared += 1
                    assert error <= 1e-15 * max(forward, forward * moneyness), case
    assert compared > 350


def test_far_out_of_the_money_price_keeps_nine_digits() -> None:
    for strike_ratio, volatility in ((1.5, 0.25), (2.0, 0.3), (4.0, 0.5)):
        case = (60_000.0, 60_000.0 * strike_ratio, 20.0 / 365, volatility, 1.0)
        exact = exact_price(*case)
        assert 0 < exact < 1e-3
        assert abs(price(*case) - exact) <= 1e-9 * exact


@pytest.mark.parametrize(
    ("forward", "strike", "years", "volatility", "call", "tolerance"),
    [
        # OpenGamma/Strata, BlackFormulaRepositoryTest.nonEdgeCaseTest: 104, 250, 4.5 y, 10 %.
        (104.0, 250.0, 4.5, 0.1, 0.0001328198130230618, 1e-10),
        # lballabio/QuantLib, europeanoption.cpp testValues row 4 (Haug 1998), undiscounted: 1.7011 / exp(-0.075).
        (19.0, 19.0, 0.75, 0.28, 1.7011 / 0.9277434863285529, 1.1e-4),
    ],
)
def test_published_prices(
    forward: float, strike: float, years: float, volatility: float, call: float, tolerance: float
) -> None:
    assert abs(price(forward, strike, years, volatility, 1.0) - call) <= tolerance


@given(
    forward=st.floats(0.01, 1e6),
    moneyness=st.floats(0.05, 20.0),
    years=st.floats(1e-6, 10.0),
    volatility=st.floats(0.01, 5.0),
)
def test_put_call_parity(forward: float, moneyness: float, years: float, volatility: float) -> None:
    strike = forward * moneyness
    call, put = (price(forward, strike, years, volatility, sign) for sign in (1.0, -1.0))
    assert abs((call - put) - (forward - strike)) <= 4e-15 * (forward + strike)


@given(
    forward=st.floats(1.0, 1e5),
    moneyness=st.floats(0.5, 2.0),
    years=st.floats(1e-3, 3.0),
    volatility=st.floats(0.1, 2.0),
    call=st.booleans(),
)
def test_price_agrees_with_scalar_twin(
    forward: float, moneyness: float, years: float, volatility: float, call: bool
) -> None:
    strike = forward * moneyness
    slow = twin.black76(forward, strike, years, volatility, call)
    assert abs(price(forward, strike, years, volatility, 1.0 if call else -1.0) - slow) <= 1e-14 * (forward + strike)


@pytest.mark.parametrize(
    ("forward", "strike", "years", "volatility", "call", "put"),
    [
        (110.0, 100.0, 0.0, 0.5, 10.0, 0.0),  # at expiry
        (110.0, 100.0, -3.0, 0.5, 10.0, 0.0),  # after it
        (90.0, 100.0, 1.0, 0.0, 0.0, 10.0),  # no volatility
        (100.0, 100.0, 1.0, 0.0, 0.0, 0.0),
        (100.0, 100.0, 1.0, 1e-300, 0.0, 0.0),  # a deviation that overflows the quotient
        (110.0, 100.0, 1.0, 5e-324, 10.0, 0.0),
        (1e6, 1e-8, 1.0, 0.5, 1e6 - 1e-8, 0.0),  # strike far below forward
        (1e-8, 1e9, 1.0, 0.5, 0.0, 1e9 - 1e-8),  # strike far above forward
        (0.0, 100.0, 1.0, 0.5, 0.0, 100.0),
        (100.0, 0.0, 1.0, 0.5, 100.0, 0.0),
        (100.0, 120.0, 1.0, 1e6, 100.0, 120.0),  # no bound on volatility: the call is the forward
    ],
)
def test_limits_are_exact(
    forward: float, strike: float, years: float, volatility: float, call: float, put: float
) -> None:
    assert call == price(forward, strike, years, volatility, 1.0)
    assert put == price(forward, strike, years, volatility, -1.0)


@given(
    forward=st.floats(0.0, 1e10),
    strike=st.floats(0.0, 1e10),
    years=st.floats(-1.0, 50.0),
    volatility=st.floats(0.0, 100.0),
)
def test_price_is_finite_and_between_intrinsic_and_bound(
    forward: float, strike: float, years: float, volatility: float
) -> None:
    call, put = (price(forward, strike, years, volatility, sign) for sign in (1.0, -1.0))
    assert max(forward - strike, 0.0) <= call <= forward * (1 + 1e-15)
    assert max(strike - forward, 0.0) <= put <= strike * (1 + 1e-15)


def test_value_of_a_lane_does_not_depend_on_the_other_lanes() -> None:
    forward = np.linspace(50.0, 150.0, 67)
    strike, years, volatility, sign = (np.full(67, value) for value in (100.0, 0.3, 0.6, 1.0))
    together = black76(forward, strike, years, volatility, sign)
    alone = [price(value, 100.0, 0.3, 0.6, 1.0) for value in forward.tolist()]
    assert alone == together.tolist()
