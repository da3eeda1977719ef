"""Raw SVI: published values, its clamps and its errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.pricing.svi import svi_volatility


def test_published_volatility() -> None:
    # derivexyz/lyra-utils, test/math/SVI.t.sol, "vols per strike", expiry set 3, strike 2400.
    ours = svi_volatility(
        2400.0, 1830.0, 0.2465753424657534, 0.17753424657534247, 0.17753424657534247, 0.05917808219178082,
        0.02958904109589041, 0.0216986301369863,
    )  # fmt: skip
    assert abs(ours - 0.9512721744218694) <= 1e-8


def test_moneyness_is_held_within_four_deviations() -> None:
    parameters = (0.01, 0.05, -0.3, 0.0, 0.1)
    bound = 4.0 * math.sqrt(0.01 + 0.05 * 0.1)
    at_bound = svi_volatility(100.0 * math.exp(bound), 100.0, 0.5, *parameters)
    beyond = svi_volatility(np.array([100.0 * math.exp(2.0 * bound), 1e300]), 100.0, 0.5, *parameters)
    assert np.allclose(beyond, at_bound, rtol=1e-14, atol=0.0)
    at_lower = svi_volatility(100.0 * math.exp(-bound), 100.0, 0.5, *parameters)
    assert svi_volatility(0.0, 100.0, 0.5, *parameters) == pytest.approx(float(at_lower), rel=1e-14)
    assert at_lower > at_bound  # the skew points down


def test_total_variance_is_held_at_144() -> None:
    assert svi_volatility(100.0, 100.0, 4.0, 1000.0, 0.0, 0.0, 0.0, 0.1) == 6.0


@settings(max_examples=1000, deadline=None)
@given(
    log_moneyness=st.floats(-2.0, 2.0), tau=st.floats(1e-4, 5.0), a=st.floats(0.0, 1.0), b=st.floats(0.0, 1.0),
    rho=st.floats(-1.0, 1.0), m=st.floats(-0.5, 0.5), sigma=st.floats(0.0, 1.0),
)  # fmt: skip
def test_agrees_with_the_formula_read_aloud(
    log_moneyness: float, tau: float, a: float, b: float, rho: float, m: float, sigma: float
) -> None:
    strike = 100.0 * math.exp(log_moneyness)
    bound = 4.0 * math.sqrt(a + b * sigma)
    k = min(max(math.log(strike / 100.0), -bound), bound)
    variance = min(a + b * (rho * (k - m) + math.sqrt((k - m) ** 2 + sigma**2)), 144.0)
    expected = math.sqrt(max(variance, 0.0) / tau)
    assert svi_volatility(strike, 100.0, tau, a, b, rho, m, sigma) == pytest.approx(expected, rel=1e-9, abs=1e-7)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("strike", {"strike": -1.0}), ("forward", {"forward": 0.0}), ("tau", {"tau": 0.0}), ("b", {"b": -0.1}),
        ("rho", {"rho": 1.01}), ("sigma", {"sigma": -1.0}), ("m", {"m": math.nan}), ("a", {"a": -0.5}),
        ("a", {"a": -0.004, "m": 0.4, "rho": 0.9}),
    ],
)  # fmt: skip
def test_an_argument_out_of_range_is_named(field: str, change: dict[str, float]) -> None:
    valid = {"strike": 90.0, "forward": 100.0, "tau": 0.5, "a": 0.01, "b": 0.05, "rho": -0.3, "m": 0.0, "sigma": 0.1}
    with pytest.raises(InvalidReference) as error:
        svi_volatility(**{**valid, **change})
    assert error.value.field == field
