"""Venues small enough to solve on paper, for the tests of cascades."""

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

FOREVER = 1e18

PLAIN = VenuePolicy(
    target=inf, takeover=0.0, participation=inf, flow_per_s=inf, netting=True, fee=0.0, fund=1e12,
    backstop_rate=1e-9, backstop_floor=0.0, backstop_unwind_s=1.0, auction_share=0.0, auction_s=0.0,
    auction_discount=0.0, adl=AdlRule.PRO_RATA,
)  # fmt: skip
"""Whole closes into the market at once, and a fund that nothing exhausts."""

WATERFALL = replace(
    PLAIN, target=1.2, takeover=2 / 3, participation=0.3, fund=30.0, backstop_rate=0.1, backstop_floor=0.5,
    backstop_unwind_s=60.0, fee=0.001,
)  # fmt: skip


def uniform(accounts: int, density: float, width: float, rate: float = 0.005) -> Population:
    """Longs of one underlying whose triggers are spread evenly over ``width`` of log fall, ``density`` of notional at
    the trigger per unit of it: equity = requirement where cash + q exp(-d) (1 - rate) = 0."""
    fall_A = (np.arange(accounts) + 0.5) / accounts * width
    quantity_A = density * width / accounts * np.exp(fall_A)
    cash_A = -quantity_A * np.exp(-fall_A) * (1.0 - rate)
    return Population(
        ("X",), cash_A + quantity_A, quantity_A[:, None], np.zeros((accounts, 1)), np.ones(accounts),
        np.array([rate]), 0.0,
    )  # fmt: skip


def market(law: ImpactLaw, volatility: float = 0.05, volume: float = 1.0, underlyings: int = 1) -> Market:
    return Market((Depth(0.0, volatility, volume),) * underlyings, law, np.ones(underlyings))


def ramp(size: float, ticks: int, underlyings: int = 1) -> Floats:
    """A fall by ``size`` over the first half, then nothing."""
    fallen_T = np.minimum(np.arange(ticks) / (ticks / 2), 1.0)
    result: Floats = np.repeat(-size * fallen_T[:, None], underlyings, axis=1)
    return result


def crowd(seed: int = 1, accounts: int = 300, underlyings: int = 3, offset: float = 0.5) -> Population:
    """Longs at many leverages, and shorts on the other side of them."""
    rng = np.random.default_rng(seed)
    exposure_AK = (
        rng.pareto(1.2, (accounts, underlyings)).clip(0.0, 20.0) * rng.choice([1.0, 1.0, -0.7], accounts)[:, None]
    )
    exposure_AK[-5:] = -exposure_AK[:-5].sum(axis=0) / 5
    gross_A = np.abs(exposure_AK).sum(axis=1)
    equity_A = gross_A / rng.uniform(2.0, 15.0, accounts)
    equity_A[-5:] = gross_A[-5:]
    collateral_AK = np.where(rng.random((accounts, underlyings)) < 0.1, 0.1 * equity_A[:, None], 0.0)
    rate_K = np.linspace(0.01, 0.04, underlyings)
    names = tuple(f"U{k}" for k in range(underlyings))
    return Population(names, equity_A, exposure_AK, collateral_AK, np.ones(accounts), rate_K, offset)


STRESSED = ImpactLaw(decay_s=600.0, eta=0.2, thinning=0.5, depth_floor=0.1, volume_rise_max=5.0)


def crash(policy: VenuePolicy = WATERFALL, size: float = 0.25, seed: int = 1, ticks: int = 900) -> Run:
    """A crowd that falls by ``size``."""
    population = crowd(seed)
    volume = float(population.gross_K.mean()) * 2.0
    world = market(STRESSED, 0.05, volume, 3)
    outside_TK = ramp(size, ticks, 3)
    noise_TK = np.random.default_rng(seed).standard_normal((ticks, 3))
    return Cascade(population, world, policy).run(outside_TK + 1e-4 * noise_TK.cumsum(axis=0), noise_TK)
