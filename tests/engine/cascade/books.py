"""Small worlds for the tests of cascades: one underlying, policies without friction, uniform densities."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np

from engine.cascade.impact import ImpactLaw
from engine.cascade.policy import AdlRule, VenuePolicy
from engine.cascade.population import Population
from engine.cascade.simulation import Cascade, Market, Run
from engine.pricing.axes import Floats
from engine.risk.depth import Depth

FREE = VenuePolicy(
    target=inf,
    takeover=0.0,
    participation=inf,
    flow_per_s=inf,
    netting=True,
    fee=0.0,
    fund=1e12,
    backstop_rate=1e-9,
    backstop_floor=0.0,
    backstop_unwind_s=1.0,
    auction_share=0.0,
    auction_s=0.0,
    auction_discount=0.0,
    adl=AdlRule.PRO_RATA,
)
"""Closes everything at once, as much as there is, and whatever it costs is paid."""

DEEP = Market((Depth(0.0, 0.0, 1.0),), ImpactLaw(decay_s=1e18), np.ones(1))
"""Forced flow moves nothing."""


def uniform(accounts: int, density: float, width: float, rate: float = 0.005) -> Population:
    """Longs whose triggers lie evenly in log price from 0 down to ``-width``, ``density`` of notional per unit."""
    depth_A = (np.arange(accounts) + 0.5) / accounts * width
    quantity_A = density * width / accounts * np.exp(depth_A)
    cash_A = -quantity_A * np.exp(-depth_A) * (1.0 - rate)
    return population(cash_A + quantity_A, quantity_A, rate)


def population(equity_A: Floats, quantity_A: Floats, rate: float = 0.05) -> Population:
    """Accounts in one underlying, no collateral but cash."""
    count = len(equity_A)
    exposure_AK = np.asarray(quantity_A, dtype=np.float64)[:, None]
    none_AK = np.zeros((count, 1))
    return Population(
        ("X",), np.asarray(equity_A, dtype=np.float64), exposure_AK, none_AK, np.ones(count), np.array([rate]), 0.0
    )


def falls(moves: Floats | list[float]) -> Floats:
    """One underlying's outside path of log prices."""
    return np.asarray(moves, dtype=np.float64)[:, None]


def slope(total: float, ticks: int, rest: int) -> Floats:
    """Down by ``total`` in ``ticks``, then level for ``rest``."""
    return falls(-np.minimum(np.arange(ticks + rest) / ticks, 1.0) * total)


def run(who: Population, market: Market, policy: VenuePolicy, path_TK: Floats, **changes: object) -> Run:
    """One run with exact marks."""
    policy = replace(policy, **changes)  # type: ignore[arg-type]
    return Cascade(who, market, policy).run(path_TK, np.zeros_like(path_TK))
