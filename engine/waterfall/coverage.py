"""Is what stands behind liquidation enough: shortfalls per scenario against layers, alerts, and tails of event losses.

Owns the cover ratio, cover-k, the alert levels with their hysteresis and switches, and the peaks-over-threshold
formulas. Refuses to know how shortfalls were computed: they are arrays of max(0, loss - equity), float64 in units of
the settlement asset, accounts A by scenarios S.

What may be promised under a set of jumps is: the largest total shortfall is at most what stands before innocent
customers (``layers.Waterfall.guaranteed_e8``). Beyond the set the promise is deleveraging and loss allocation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import exp, inf, isfinite, log

import numpy as np
import numpy.typing as npt

from engine.errors import InvalidReference

Floats = npt.NDArray[np.float64]

_LEVEL_ROUNDING = 1e-12
"""One minus a level is not exact: the threshold's own level is in the tail."""
_EXPONENTIAL = 1e-12
"""Shapes closer to zero than this are zero: the general formula would divide rounding by them."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shortfalls per scenario against ``resources``.

    ``used``: worst total / resources (infinite without resources); ``cover_k_S``: sum of the k largest accounts.
    ``covers_k``: how many of the worst accounts of any scenario could fail at once and still be paid.
    """

    total_S: Floats
    cover_k_S: Floats
    worst_scenario: int
    resources: float
    used: float
    used_by_k: float
    covers_k: int

    @property
    def guaranteed(self) -> bool:
        return self.used <= 1.0


def coverage(shortfall_AS: Floats, resources: float, k: int = 2) -> Coverage:
    """Judge shortfalls (A x S, at least zero) against ``resources`` (at least zero), all accounts and the ``k`` worst.

    ``covers_k`` counts accounts with a shortfall; it is their number when all of them can be paid.
    """
    if shortfall_AS.ndim != 2 or shortfall_AS.shape[1] == 0 or not np.all(shortfall_AS >= 0.0):
        raise InvalidReference("shortfall", "needs accounts by scenarios, nothing below zero")
    if k < 1 or not resources >= 0.0:
        raise InvalidReference("resources", "must not be negative, and k at least one")
    shortfall_AS = shortfall_AS[shortfall_AS.any(axis=1)]
    accounts, scenarios = shortfall_AS.shape
    total_S = shortfall_AS.sum(axis=0)
    last = max(accounts - k, 0)
    cover_k_S = np.partition(shortfall_AS, last, axis=0)[last:].sum(axis=0) if accounts else np.zeros(scenarios)
    return Coverage(
        total_S,
        cover_k_S,
        int(np.argmax(total_S)),
        resources,
        _ratio(float(total_S.max()), resources),
        _ratio(float(cover_k_S.max()), resources),
        _covers(shortfall_AS, total_S, resources),
    )


def _covers(shortfall_AS: Floats, total_S: Floats, resources: float) -> int:
    """Worst accounts that can be paid in every scenario; all that fail in any when each scenario can be paid."""
    short = np.flatnonzero(total_S > resources)
    if short.size == 0:
        return int(np.count_nonzero(shortfall_AS, axis=0).max())
    counts = []
    for scenario in short.tolist():
        failing_A = shortfall_AS[shortfall_AS[:, scenario] > 0.0, scenario]
        counts.append(int(np.count_nonzero(np.cumsum(-np.sort(-failing_A)) <= resources)))
    return min(counts)


class AlertLevel(IntEnum):
    """How much of the resources the worst scenario would use."""

    CALM = 0
    NOTICE = 1
    WARNING = 2
    EXCEEDED = 3


class Switch(StrEnum):
    """What an alert may throw; each ends when the level is left."""

    PREPARE_HEDGES = "prepare_hedges"
    RAISE_INITIAL_MARGIN_FOR_NEW_RISK = "raise_initial_margin_for_new_risk"
    STOP_PROFIT_WITHDRAWALS = "stop_profit_withdrawals"


@dataclass(frozen=True, slots=True)
class AlertTerms:
    """Shares of resources at which notice, warning, excess begin; a level is left below ``leave`` times its share."""

    shares: tuple[float, float, float] = (0.5, 0.8, 1.0)
    leave: float = 0.9
    switches: tuple[frozenset[Switch], frozenset[Switch], frozenset[Switch]] = (
        frozenset(),
        frozenset({Switch.PREPARE_HEDGES}),
        frozenset(Switch),
    )

    def __post_init__(self) -> None:
        if not 0.0 < self.shares[0] < self.shares[1] < self.shares[2] or not 0.0 < self.leave <= 1.0:
            raise InvalidReference("alert", "shares rise from above zero, leave is a share of them")


def alert_level(used: float, before: AlertLevel, terms: AlertTerms) -> AlertLevel:
    """The level at ``used`` of resources: up at once, down only when ``used`` is clearly below the level's share."""
    level = AlertLevel(sum(used >= share for share in terms.shares))
    while level < before and used >= terms.leave * terms.shares[level]:
        level = AlertLevel(level + 1)
    return level


def switches(level: AlertLevel, terms: AlertTerms) -> frozenset[Switch]:
    """What ``level`` throws."""
    return terms.switches[level - 1] if level else frozenset()


@dataclass(frozen=True, slots=True)
class PeaksOverThreshold:
    """A generalized Pareto tail of event losses: ``exceedances`` of ``events`` were above ``threshold``."""

    threshold: float
    scale: float
    shape: float
    events: int
    exceedances: int

    def __post_init__(self) -> None:
        if not self.scale > 0.0 or not isfinite(self.shape) or not 0 < self.exceedances <= self.events:
            raise InvalidReference("tail", "needs a scale above zero, a finite shape and exceedances among events")


def tail_value_at_risk(tail: PeaksOverThreshold, level: float) -> float:
    """u + scale / shape * [((n / N_u) (1 - level))^-shape - 1]; shape 0: u - scale * log((n / N_u) (1 - level)).

    Raises ``InvalidReference`` below the level of the threshold, where the tail says nothing.
    """
    rest = tail.events / tail.exceedances * (1.0 - level)
    if not 0.0 < rest <= 1.0 + _LEVEL_ROUNDING:
        raise InvalidReference("level", f"{level} is not in the tail beyond the threshold")
    if abs(tail.shape) < _EXPONENTIAL:
        return tail.threshold - tail.scale * log(rest)
    return tail.threshold + tail.scale / tail.shape * (exp(-tail.shape * log(rest)) - 1.0)


def tail_expected_shortfall(tail: PeaksOverThreshold, level: float) -> float:
    """(VaR + scale - shape * u) / (1 - shape); infinite for a shape of one or more: no fund is large enough."""
    value_at_risk = tail_value_at_risk(tail, level)
    if tail.shape >= 1.0:
        return inf
    return (value_at_risk + tail.scale - tail.shape * tail.threshold) / (1.0 - tail.shape)


def _ratio(amount: float, resources: float) -> float:
    if resources > 0.0:
        return amount / resources
    return inf if amount > 0.0 else 0.0
