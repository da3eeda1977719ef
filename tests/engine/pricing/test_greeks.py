"""Analytic Greeks of one option against finite differences and by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from engine.pricing.axes import Floats
from engine.pricing.black76 import black76
from engine.pricing.greeks import black76_greeks

CASES = [
    (forward, strike, years, volatility, sign)
    for forward in (90.0, 100.0, 130.0)
    for strike in (80.0, 100.0, 120.0)
    for years in (0.02, 0.25, 2.0)
    for volatility in (0.2, 0.7)
    for sign in (1.0, -1.0)
]


def columns(cases: Sequence[tuple[float, ...]]) -> list[Floats]:
    return [np.array(column) for column in zip(*cases, strict=True)]


def test_greeks_are_the_derivatives_of_the_price() -> None:
    forward, strike, years, volatility, sign = columns(CASES)
    greeks = black76_greeks(forward, strike, years, volatility, sign)
    step = 1e-4 * forward
    up, mid, down = (black76(forward + k * step, strike, years, volatility, sign) for k in (1, 0, -1))
    assert np.allclose(greeks.delta, (up - down) / (2 * step), atol=1e-6)
    assert np.allclose(greeks.gamma, (up - 2 * mid + down) / step**2, atol=2e-6)
    bumped = [black76(forward, strike, years, volatility + k, sign) for k in (1e-5, -1e-5)]
    assert np.allclose(greeks.vega, (bumped[0] - bumped[1]) / 2e-5, atol=1e-5)
    day = 1e-3 / 365
    later = black76(forward, strike, years - day, volatility, sign)
    sooner = black76(forward, strike, years + day, volatility, sign)
    assert np.allclose(greeks.theta, (later - sooner) / (2 * day) / 365, atol=1e-6)


@pytest.mark.parametrize(
    ("forward", "years", "volatility", "call_delta"),
    [
        (110.0, 0.0, 0.5, 1.0),
        (90.0, 0.0, 0.5, 0.0),
        (100.0, 0.0, 0.5, 0.5),
        (110.0, 1.0, 0.0, 1.0),
        (0.0, 1.0, 0.5, 0.0),
    ],
)
def test_greeks_at_the_limits(forward: float, years: float, volatility: float, call_delta: float) -> None:
    forwards, strikes, times, volatilities = (np.full(2, value) for value in (forward, 100.0, years, volatility))
    greeks = black76_greeks(forwards, strikes, times, volatilities, np.array([1.0, -1.0]))
    assert [call_delta, call_delta - 1.0] == greeks.delta.tolist()
    for zero in (greeks.gamma, greeks.vega, greeks.theta):
        assert [0.0, 0.0] == np.abs(zero).tolist()


def test_tiny_deviation_gives_finite_greeks() -> None:
    greeks = black76_greeks(*(np.array([value]) for value in (110.0, 100.0, 1.0, 1e-300, 1.0)))
    assert [1.0, 0.0, 0.0] == [float(greeks.delta[0]), float(greeks.vega[0]), abs(float(greeks.theta[0]))]
    assert np.isfinite(greeks.gamma[0])
