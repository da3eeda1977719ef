"""Stress runs: a preset, a population and a seed in; runs and their comparisons out.

Owns the draw of the path and which policies are compared. Refuses to simulate (``engine.cascade``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import msgspec
import numpy as np

from engine.cascade.moments import Moment, moments
from engine.cascade.policy import AdlRule, VenuePolicy
from engine.cascade.population import Population
from engine.cascade.shock import outside_path
from engine.cascade.simulation import Cascade, Run
from streams.stress_population import draw_population
from streams.stress_preset import Preset

THROTTLE = 0.05
LAG_S = 5.0


@dataclass(frozen=True, slots=True)
class StressRun:
    """A run with what it was run on."""

    preset: Preset
    population: Population
    run: Run
    moments: tuple[Moment, ...]


def synthetic(preset: Preset, accounts: int, seed: int) -> Population:
    """The drawn population of a seed."""
    return draw_population(preset, accounts, np.random.default_rng([seed, 0]))


def simulate(preset: Preset, population: Population, seed: int, seconds: int) -> StressRun:
    """One run; the same seed gives the same outside path and noise whatever the policy."""
    rng = np.random.default_rng([seed, 1])
    tick_s, market = preset.run.tick_s, preset.market()
    ticks, count = max(2, round(seconds / tick_s)), len(population.underlyings)
    volatility_K = np.array([depth.daily_volatility for depth in market.depths])
    common_T, own_TK = rng.standard_normal(ticks), rng.standard_normal((ticks, count))
    outside_TK = outside_path(preset.shock, market.beta_K, volatility_K, common_T, own_TK, tick_s)
    noise_TK = rng.standard_normal((ticks, count))
    run = Cascade(population, market, preset.venue, tick_s).run(outside_TK, noise_TK)
    return StressRun(preset, population, run, moments(run))


def policies(venue: VenuePolicy) -> dict[str, VenuePolicy]:
    """What ``--compare`` runs: the venue as stated, and with one thing changed at a time."""
    other = AdlRule.PRO_RATA if venue.adl is AdlRule.QUEUE else AdlRule.QUEUE
    return {
        "as stated": venue,
        f"adl {other.value}": replace(venue, adl=other),
        f"throttled to {THROTTLE:.0%}": replace(venue, participation=THROTTLE),
        "not throttled": replace(venue, participation=inf, flow_per_s=inf),
        "netting off" if venue.netting else "netting on": replace(venue, netting=not venue.netting),
        f"oracle {LAG_S:g} s later": replace(venue, oracle_lag_s=venue.oracle_lag_s + LAG_S),
    }


def compare(preset: Preset, population: Population, seed: int, seconds: int) -> dict[str, StressRun]:
    """The same books and the same path under each of ``policies``."""
    return {
        name: simulate(msgspec.structs.replace(preset, venue=venue), population, seed, seconds)
        for name, venue in policies(preset.venue).items()
    }
