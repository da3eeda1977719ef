"""Was the margin enough as often as it said: exceedance tests of a requirement against what then happened.

Owns the counting and the tests. Refuses to know how the requirement was made. An exceedance is a loss strictly above
the requirement. Small p-values speak against the model; Kupiec's rejects too few exceedances as well as too many,
``too_many_p_value`` only the latter.

Sources: Kupiec, "Techniques for verifying the accuracy of risk measurement models", J. Derivatives 3 (1995);
Christoffersen, "Evaluating interval forecasts", Int. Economic Review 39 (1998); Basel Committee, "Supervisory
framework for the use of backtesting" (1996); Acerbi and Szekely, "Backtesting expected shortfall", Risk (2014).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import bdtr, bdtrc, chdtrc, xlogy

from engine.errors import InvalidReference
from engine.pricing.axes import Bools, Floats
from engine.statistics.tails import checked_sample, tail_probability

YELLOW_FROM, RED_FROM = 0.95, 0.9999
"""Cumulative probabilities at which the Basel zones begin."""


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """A test statistic and the probability of one at least as large if the model is right."""

    statistic: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Transitions:
    """How often a day with (1) or without (0) an exceedance followed one with or without."""

    n00: int
    n01: int
    n10: int
    n11: int


class Zone(StrEnum):
    """Basel traffic light."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """Everything said about one series of exceedances."""

    observations: int
    exceedances: int
    expected: float
    kupiec: LikelihoodRatio
    independence: LikelihoodRatio
    conditional: LikelihoodRatio
    too_many_p_value: float
    zone: Zone


def exceedances(pnl_T: Floats, requirement_T: Floats) -> Bools:
    """Where the loss was strictly above the requirement held for that period; both [T], gains and margin positive."""
    pnl, requirement = checked_sample("pnl", pnl_T), checked_sample("requirement", requirement_T)
    if pnl.shape != requirement.shape:
        raise InvalidReference("requirement", f"{requirement.size} requirements for {pnl.size} results")
    return -pnl > requirement


def rolling_requirement(pnl_T: Floats, window: int, level: float, measure: Callable[[Floats, float], float]) -> Floats:
    """``measure`` of the ``window`` results before each result from number window + 1 on, shape [T - window]."""
    pnl = checked_sample("pnl", pnl_T)
    if not 1 <= window < pnl.size:
        raise InvalidReference("window", f"{window} of {pnl.size} observations leave nothing to test")
    return np.array([measure(pnl[t - window : t], level) for t in range(window, pnl.size)])


def kupiec(count: int, observations: int, level: float) -> LikelihoodRatio:
    """Proportion of failures: is ``count`` exceedances in ``observations`` compatible with 1 - ``level``?

    LR = 2 ln[ (1-x/n)^(n-x) (x/n)^x / ((1-p)^(n-x) p^x) ], chi-squared with one degree of freedom.
    """
    tail = _checked_count(count, observations, level)
    rate = count / observations
    fitted = _log_likelihood(observations - count, count, rate)
    return _ratio(fitted - _log_likelihood(observations - count, count, tail), degrees=1)


def independence(hits_T: Bools) -> LikelihoodRatio:
    """Christoffersen's test against first-order clustering: is an exceedance likelier the day after one?

    Chi-squared with one degree of freedom; the first observation has no predecessor and only starts the chain.
    """
    seen = transitions(hits_T)
    before_0, before_1 = seen.n00 + seen.n01, seen.n10 + seen.n11
    after_1 = seen.n01 + seen.n11
    together = _log_likelihood(seen.n00 + seen.n10, after_1, after_1 / (before_0 + before_1))
    rate_0 = seen.n01 / before_0 if before_0 else 0.0
    rate_1 = seen.n11 / before_1 if before_1 else 0.0
    apart = _log_likelihood(seen.n00, seen.n01, rate_0) + _log_likelihood(seen.n10, seen.n11, rate_1)
    return _ratio(apart - together, degrees=1)


def conditional_coverage(hits_T: Bools, level: float) -> LikelihoodRatio:
    """Christoffersen's joint test: the sum of ``kupiec`` over all observations and ``independence``, two degrees."""
    hits = _checked_hits(hits_T)
    total = kupiec(int(hits.sum()), hits.size, level).statistic + independence(hits).statistic
    return LikelihoodRatio(total, float(chdtrc(2, total)))


def transitions(hits_T: Bools) -> Transitions:
    """Counts of consecutive pairs; raises ``InvalidReference`` for fewer than two observations."""
    hits = _checked_hits(hits_T)
    if hits.size < 2:
        raise InvalidReference("hits", "at least two observations are needed")
    counts = np.bincount(2 * hits[:-1] + hits[1:], minlength=4)
    return Transitions(*(int(count) for count in counts))


def too_many_p_value(count: int, observations: int, level: float) -> float:
    """Probability of ``count`` or more exceedances if each has probability 1 - ``level``."""
    tail = _checked_count(count, observations, level)
    return float(bdtrc(count - 1, observations, tail)) if count else 1.0


def traffic_light(count: int, observations: int, level: float) -> Zone:
    """Basel zone by the probability of at most ``count`` exceedances: yellow from 95 %, red from 99.99 %.

    250 observations at 99 %: green to 4, yellow 5 to 9, red from 10.
    """
    tail = _checked_count(count, observations, level)
    probability = float(bdtr(count, observations, tail))
    if probability >= RED_FROM:
        return Zone.RED
    return Zone.YELLOW if probability >= YELLOW_FROM else Zone.GREEN


def shortfall_z2(pnl_T: Floats, value_at_risk_T: Floats, expected_shortfall_T: Floats, level: float) -> float:
    """Acerbi and Szekely's second statistic, losses positive: mean of loss / ES over exceedances / (1 - level), less 1.

    0 if the expected shortfall is right, above 0 if too low; about 0.7 is rejected at 5 % for most distributions.
    """
    hits = exceedances(pnl_T, value_at_risk_T)
    shortfall = checked_sample("expected_shortfall", expected_shortfall_T)
    if shortfall.shape != hits.shape or (shortfall <= 0.0).any():
        raise InvalidReference("expected_shortfall", "one positive number per observation is needed")
    ratio = np.where(hits, -np.asarray(pnl_T, dtype=np.float64) / shortfall, 0.0)
    return float(ratio.mean()) / float(tail_probability(level)) - 1.0


def coverage_report(hits_T: Bools, level: float) -> CoverageReport:
    """All tests of one series of exceedances [T]."""
    hits = _checked_hits(hits_T)
    count, observations = int(hits.sum()), hits.size
    return CoverageReport(
        observations=observations,
        exceedances=count,
        expected=observations * float(tail_probability(level)),
        kupiec=kupiec(count, observations, level),
        independence=independence(hits),
        conditional=conditional_coverage(hits, level),
        too_many_p_value=too_many_p_value(count, observations, level),
        zone=traffic_light(count, observations, level),
    )


def rolling_coverage(
    pnl_T: Floats, window: int, level: float, measure: Callable[[Floats, float], float]
) -> CoverageReport:
    """The plain backtest: ``measure`` of the ``window`` results before each result, held against that result."""
    requirement = rolling_requirement(pnl_T, window, level, measure)
    return coverage_report(exceedances(np.asarray(pnl_T)[window:], requirement), level)


def _log_likelihood(misses: int, hits: int, rate: float) -> float:
    return float(xlogy(misses, 1.0 - rate) + xlogy(hits, rate))


def _ratio(gain: float, degrees: int) -> LikelihoodRatio:
    statistic = max(0.0, 2.0 * gain)  # the fitted model is never less likely; rounding may say so
    return LikelihoodRatio(statistic, float(chdtrc(degrees, statistic)))


def _checked_count(count: int, observations: int, level: float) -> float:
    if not 0 <= count <= observations or observations < 1:
        raise InvalidReference("exceedances", f"{count} of {observations} observations")
    return float(tail_probability(level))


def _checked_hits(hits_T: Bools) -> Bools:
    hits = np.asarray(hits_T)
    if hits.ndim != 1 or hits.size == 0 or hits.dtype != np.bool_:
        raise InvalidReference("hits", "a vector of booleans is needed")
    return hits
