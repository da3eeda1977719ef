"""Every published case of historical value at risk and expected shortfall, each through a named public function."""

from __future__ import annotations

import hashlib
import json
import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from engine.pricing.axes import Floats
from engine.statistics import coverage, filtered, quantile_risk
from tests.engine.statistics.series import VECTORS, returns

FILE = VECTORS / "06_hvar_es.json"
REASON = f"no published vectors at {FILE}: CROSSMARGIN_VECTORS=<folder> pytest tests/engine/statistics -k published"
RELATIVE = {"quantlib": 1e-9, "filtered": 1e-9}


@cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return loaded


def sample(inputs: dict[str, Any]) -> Floats:
    whole = returns(inputs["series"])
    return whole if inputs["window"] == "all" else whole[-inputs["window"] :]


def historical(inputs: dict[str, Any]) -> dict[str, float]:
    pnl, level = sample(inputs), inputs["level"]
    values = {f"var_{name}": measure(pnl, level) for name, measure in quantile_risk.VALUE_AT_RISK.items()}
    return values | {f"es_{name}": measure(pnl, level) for name, measure in quantile_risk.EXPECTED_SHORTFALL.items()}


def quantlib(inputs: dict[str, Any]) -> dict[str, float]:
    pnl, level = sample(inputs), inputs["level"]
    mean, deviation = quantile_risk.sample_moments(pnl)
    return {
        "var": quantile_risk.var_unguarded(pnl, level),
        "expected_shortfall": quantile_risk.es_unguarded(pnl, level),
        "mean": mean,
        "standard_deviation": deviation,
    }


def filtered_kind(inputs: dict[str, Any]) -> dict[str, float]:
    pnl, decay = sample(inputs), inputs["lambda_"]
    moves = filtered.filtered_moves(pnl, decay=decay, burn_in=inputs["burn_in"])
    return historical_of(moves, inputs["level"]) | {
        "current_volatility": float(filtered.ewma_volatility(pnl, decay)[-1])
    }


def historical_of(pnl: Floats, level: float) -> dict[str, float]:
    return {
        "var_linear": quantile_risk.var_linear(pnl, level),
        "es_below_quantile": quantile_risk.es_below_quantile(pnl, level),
    }


def age_weighted(inputs: dict[str, Any]) -> dict[str, float]:
    pnl = sample(inputs)
    return {"var": quantile_risk.age_weighted_var(pnl, inputs["level"], inputs["lambda_"])}


def quantile(inputs: dict[str, Any]) -> dict[str, float]:
    return {"quantile_linear": quantile_risk.quantile_linear(np.array(inputs["values"], dtype=float), inputs["p"])}


def kupiec(inputs: dict[str, Any]) -> dict[str, float]:
    test = coverage.kupiec(inputs["exceedances"], inputs["observations"], inputs["level"])
    return {"statistic": test.statistic, "p_value": test.p_value}


KINDS = {
    "historical": historical,
    "quantlib": quantlib,
    "filtered": filtered_kind,
    "age_weighted": age_weighted,
    "quantile": quantile,
    "kupiec": kupiec,
}


@pytest.mark.skipif(not FILE.exists(), reason=REASON)
@pytest.mark.parametrize("vector", document().get("vectors", []), ids=lambda vector: str(vector["id"]))
def test_every_published_case(vector: dict[str, Any]) -> None:
    ours = KINDS[vector["kind"]](vector["inputs"])
    assert vector["expected"].keys() <= ours.keys()
    relative = RELATIVE.get(vector["kind"], 1e-10)
    wrong = {
        name: (expected, ours[name])
        for name, expected in vector["expected"].items()
        if not math.isclose(expected, ours[name], rel_tol=relative, abs_tol=relative if abs(expected) < 1 else 0.0)
    }
    assert {} == wrong


@pytest.mark.skipif(not FILE.exists(), reason=REASON)
@pytest.mark.parametrize("name", document().get("series", {}))
def test_our_reading_of_the_series_is_the_published_one(name: str) -> None:
    published = document()["series"][name]
    ours = returns(name)
    digest = hashlib.sha256(np.round(ours, 12).astype("<f8").tobytes()).hexdigest()
    assert published["n"] == ours.size
    assert published["sha256_of_little_endian_float64_rounded_12"] == digest
