"""Scenario margin against its slow twin, far beyond the published portfolios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from engine.methods.requirement import pool_margin
from schemas.stated_portfolio import decode_stated_portfolio
from streams.margin_methods import load_methods, read_statement
from tests.engine.methods.published import encoded, pmrm_document
from tests.reference.scenario_margin import DAY, net_margin, scenario_pnl

METHOD = load_methods()["derive-pmrm2"]
DEFAULTS = {name: float(str(METHOD.parameters[name])) for name in METHOD.parameters if name not in (
    "discount_options", "expired_at_intrinsic", "price_range")}  # fmt: skip
SECONDS = (-50, 0, 600, 1_799, 1_800, 1_801, DAY // 2, 3 * DAY, 30 * DAY, 30 * DAY + 1, 200 * DAY)


def scenarios(rng: np.random.Generator) -> list[dict[str, Any]]:
    core = [
        {
            "spot_multiplier": float(rng.uniform(0.3, 2)),
            "vol": str(rng.choice(["up", "none", "down"])),
            "dampening": 1.0,
        }
        for _ in range(12)
    ]
    tails = [{"spot_multiplier": m, "vol": "up", "dampening": float(rng.uniform(0.01, 0.5))} for m in (0.34, 1, 3, 6)]
    skews = [{"spot_multiplier": 1, "vol": f"skew_{kind}", "dampening": 1.0} for kind in ("linear", "abs")]
    return core + tails + skews


def confidence(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.1, 1)) if rng.random() < 0.3 else 1.0


def expiry(rng: np.random.Generator, spot: float) -> dict[str, Any]:
    strikes = spot * np.exp(rng.uniform(-1, 1, size=3)).round(3)
    options = [
        {"strike": float(rng.choice(strikes)), "is_call": bool(rng.random() < 0.5), "amount": float(rng.uniform(-5, 5)),
         "vol": float(rng.uniform(0.2, 2.5))}
        for _ in range(rng.integers(1, 6))
    ]  # fmt: skip
    return {
        "seconds_to_expiry": int(rng.choice(SECONDS)), "forward": spot * float(rng.uniform(0.9, 1.1)),
        "forward_confidence": confidence(rng), "rate": float(rng.uniform(-0.1, 0.3)),
        "rate_confidence": confidence(rng), "vol_confidence": confidence(rng), "options": options,
    }  # fmt: skip


def portfolio(rng: np.random.Generator) -> dict[str, Any]:
    spot = float(10 ** rng.uniform(0, 5))
    return {
        "cash": float(rng.uniform(-1e5, 1e5)), "stable_price": float(rng.choice([1, 0.97, 0.4, 1.01])), "spot": spot,
        "spot_confidence": confidence(rng),
        "perp": {
            "position": float(rng.choice([0, rng.uniform(-3, 3)])), "price": spot * float(rng.uniform(0.98, 1.02)),
            "confidence": confidence(rng),
        },
        "collateral": [
            {"asset": f"C{c}", "amount": float(rng.uniform(0, 50)), "price": float(rng.uniform(0.5, spot)),
             "confidence": confidence(rng), "hedges_spot": bool(rng.random() < 0.5),
             "im_haircut": float(rng.uniform(0, 0.3)), "mm_haircut": float(rng.uniform(0, 0.3))}
            for c in range(rng.integers(0, 3))
        ],
        "expiries": [expiry(rng, spot) for _ in range(rng.integers(0, 5))],
    }  # fmt: skip


def parameters(rng: np.random.Generator) -> Mapping[str, float]:
    """The method's own, a fifth of them bent."""
    return {
        name: value * float(rng.uniform(0.5, 1.5)) if rng.random() < 0.2 else value for name, value in DEFAULTS.items()
    }


@pytest.mark.parametrize("seed", range(300))
def test_margin_and_scenarios_are_the_twins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stated, given, moves = portfolio(rng), parameters(rng), scenarios(rng)
    carried = [float(value) for value in rng.uniform(-100, 100, size=2)]
    document = pmrm_document(stated, given, moves)
    for position in document["positions"]:
        if position["kind"] == "perpetual":
            position |= {"unrealized_pnl": carried[0], "unrealized_funding": carried[1]}
    result = pool_margin(read_statement(decode_stated_portfolio(encoded(document))), METHOD)
    initial, maintenance = net_margin(stated, given, moves, sum(carried))
    scale = 1e-9 * max(1.0, abs(result.equity))
    assert pytest.approx(initial, rel=1e-9, abs=scale) == result.margin_excess_initial
    assert pytest.approx(maintenance, rel=1e-9, abs=scale) == result.margin_excess_maintenance
    pnl = result.charges["loss"].scenario_pnl_US
    assert pnl is not None
    assert pytest.approx(scenario_pnl(stated, given, moves), rel=1e-9, abs=scale) == pnl[0, :-1].tolist()
