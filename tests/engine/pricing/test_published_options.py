"""Published option values: a handful restated with their source, and the complete vectors from their folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.pricing.option_greeks import OptionGreeks, black76_option, black_scholes_merton
from engine.pricing.svi import svi_volatility

FOLDER = Path(os.environ.get("CROSSMARGIN_VECTORS", Path(__file__).resolve().parents[4] / "shared" / "vectors"))
OPTION_FILES = ("02a_black76_bsm_published.json", "02b_black76_mpmath_extremes.json")
SVI_FILE = "02c_svi_vol.json"
REASON = f"no published vectors in {FOLDER}: CROSSMARGIN_VECTORS=<folder> pytest tests/engine/pricing -k published"


def vectors(*files: str) -> list[dict[str, Any]]:
    paths = [FOLDER / name for name in files]
    return [vector for path in paths if path.exists() for vector in json.loads(path.read_text())["vectors"]]


def readings(vector: dict[str, Any]) -> list[OptionGreeks]:
    """The option on its forward and, where the vector states a spot price, from spot and rates too."""
    sign = 1.0 if vector["option_type"] == "call" else -1.0
    terms = (vector["strike"], vector["t_years"], vector["vol"], sign)
    stated = {name: vector.get(name) for name in ("discount", "rate", "spot")}
    greeks = [black76_option(vector["forward"], *terms, **stated)]
    if "spot" in vector:
        rates = {name: vector[name] for name in ("rate", "dividend_yield")}
        greeks.append(black_scholes_merton(vector["spot"], *terms, **rates))
    return greeks


def allowed(vector: dict[str, Any], key: str, expected: float) -> float:
    """An extreme's tolerance is text, 1e-9 relative plus 1e-12 of the scale; there we hold ourselves to 1e-12 of it."""
    if "tolerance" in vector:
        return 1e-12 * abs(expected)
    absolute = vector["tolerance_abs"]
    stated = absolute[key] if isinstance(absolute, dict) else absolute
    return max(float(stated), vector.get("tolerance_rel", 0.0) * abs(expected))


@pytest.mark.skipif(not vectors(*OPTION_FILES), reason=REASON)
@pytest.mark.parametrize("vector", vectors(*OPTION_FILES), ids=lambda vector: str(vector["id"]))
def test_every_published_option(vector: dict[str, Any]) -> None:
    for greeks in readings(vector):
        ours = {key: float(getattr(greeks, key)) for key in vector["expected"]}
        wrong = {
            key: (expected, ours[key])
            for key, expected in vector["expected"].items()
            if not abs(ours[key] - expected) <= allowed(vector, key, expected)
        }
        assert {} == wrong


@pytest.mark.skipif(not vectors(SVI_FILE), reason=REASON)
@pytest.mark.parametrize("vector", vectors(SVI_FILE), ids=lambda vector: str(vector["id"]))
def test_every_published_svi_volatility(vector: dict[str, Any]) -> None:
    names = ("strike", "forward", "tau", "a", "b", "rho", "m", "sigma")
    ours = float(svi_volatility(*(vector[name] for name in names)))
    assert abs(ours - vector["expected"]["vol"]) <= vector["tolerance_abs"]


def test_quantlib_black_calculator() -> None:
    # lballabio/QuantLib, test-suite/blackcalculator.cpp, testBlackCalculatorGreeks: deviation 0.2 over one year.
    greeks = black76_option(100.0, 105.0, 1.0, 0.2, 1.0, discount=0.95, spot=98.0)
    expected = {
        "delta_spot": 0.42921547913932068, "delta_fwd": 0.42063116955653351,
        "gamma_spot": 0.019527733248736884, "gamma_fwd": 0.018754435012086908,
        "theta": -4.31290436588883, "vega": 37.508870024173795, "rho": 36.452803157675653,
        "div_rho": -42.063116955653371, "elasticity": 7.4974624362037323,
        "itm_prob_cash": 0.36544163566592136, "itm_prob_asset": 0.44276965216477238,
    }  # fmt: skip
    for key, value in expected.items():
        assert getattr(greeks, key) == pytest.approx(value, rel=1e-12), key


def test_haug_table_of_black_scholes_merton() -> None:
    # lballabio/QuantLib, test-suite/europeanoption.cpp, testValues and testGreekValues (Haug 1998).
    put = black_scholes_merton(100.0, 100.0, 0.5, 0.15, -1.0, rate=0.1, dividend_yield=0.1)
    assert abs(put.price - 4.0232) <= 1e-4
    put = black_scholes_merton(105.0, 100.0, 0.5, 0.36, -1.0, rate=0.1, dividend_yield=0.1)
    assert abs(put.delta_spot - -0.3566) <= 1e-4


def test_lets_be_rational_prices() -> None:
    # vollib/py_lets_be_rational, tests/TestValues.json, entries 3, 236 and 604.
    forward, strike = np.array([513.0, 22.0, 851.0]), np.array([13.0, 528.0, 75.0])
    volatility = np.array([0.5712538694979028, 0.8957749825968664, 0.5640442359652209])
    price = black76_option(forward, strike, np.array([0.65, 0.44, 0.22]), volatility, np.array([-1.0, 1.0, -1.0])).price
    published = np.array([3.2591181096422957e-15, 4.785612265943288e-07, 1.5070090349071325e-19])
    assert np.all(np.abs(price - published) <= 1e-12 * published)
