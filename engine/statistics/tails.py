"""Which scenarios are the tail, and with what share: the one rule behind every fractional measure here.

Owns the reading of a confidence level, the tail's exact size, and the split of ties. Refuses to know what the losses
mean. Losses are positive numbers here; the functions that take profit and loss turn the sign themselves.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats

_DENOMINATOR_MAX = 10**9
_MASS_ROUNDING = 1e-12


def tail_probability(level: float) -> Fraction:
    """1 - ``level`` without binary rounding: 0.99 is read as 99/100, so that 5 % of 1000 are 50 and not 51.

    Raises ``InvalidReference`` unless 0 < ``level`` < 1.
    """
    if not math.isfinite(level) or not 0.0 < level < 1.0:
        raise InvalidReference("level", f"{level} is not between 0 and 1")
    tail = 1 - Fraction(float(level)).limit_denominator(_DENOMINATOR_MAX)
    # So close to 0 or 1 the nearest short fraction is that end itself, and a tail of nothing has no loss.
    return tail if 0 < tail < 1 else 1 - Fraction(repr(float(level)))


def checked_sample(name: str, values: Floats) -> Floats:
    """``values`` as a finite vector of at least one number; raises ``InvalidReference`` naming ``name``."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise InvalidReference(name, f"a vector of at least one number is needed, not shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise InvalidReference(name, f"number {int(np.argmin(np.isfinite(sample))) + 1} is not finite")
    return sample


def checked_weights(weights: Floats | None, count: int) -> Floats:
    """Scenario weights scaled to sum 1, equal ones for ``None``; raises ``InvalidReference``."""
    if weights is None:
        return np.full(count, 1.0 / count)
    given = checked_sample("weights", weights)
    if given.size != count:
        raise InvalidReference("weights", f"{given.size} weights for {count} scenarios")
    total = float(given.sum())
    if (given < 0.0).any() or total <= 0.0:
        raise InvalidReference("weights", "weights must not be negative, and one must be positive")
    return given / total


def tail_shares(loss_S: Floats, level: float, weights_S: Floats | None = None) -> Floats:
    """Share of every scenario in the worst (1 - ``level``) of probability; non-negative, sums to 1.

    Worst scenarios enter with their full weight, the scenario on the boundary with what is left. Scenarios tied on the
    boundary split that rest in proportion to their weights: no order of equal losses can move a result, and of the
    subgradients of expected shortfall at a kink it is the symmetric one.
    Source: Acerbi and Tasche, "On the coherence of expected shortfall", J. Banking & Finance 26 (2002), definition 2.6.
    """
    losses = checked_sample("pnl", loss_S)
    weights = checked_weights(weights_S, losses.size)
    tail = float(tail_probability(level))
    boundary = _boundary_loss(losses, weights, tail)
    share = np.where(losses > boundary, weights, 0.0)
    tied = np.where(losses == boundary, weights, 0.0)
    share = share + tied * ((tail - share.sum()) / tied.sum())
    shares: Floats = share / share.sum()
    return shares


def quantile_shares(loss_S: Floats, level: float, weights_S: Floats | None = None) -> Floats:
    """Share of every scenario in the loss at the quantile: its weight among scenarios with exactly that loss, else 0.

    The quantile is the first loss, worst first, at which the cumulative weight reaches 1 - ``level``.
    """
    losses = checked_sample("pnl", loss_S)
    weights = checked_weights(weights_S, losses.size)
    tied = np.where(losses == _boundary_loss(losses, weights, float(tail_probability(level))), weights, 0.0)
    shares: Floats = tied / tied.sum()
    return shares


def _boundary_loss(losses: Floats, weights: Floats, tail: float) -> float:
    worst_first = np.argsort(-losses, kind="stable")
    weighing = worst_first[weights[worst_first] > 0.0]
    reached = np.cumsum(weights[weighing]) >= tail - _MASS_ROUNDING
    return float(losses[weighing[int(np.argmax(reached))]])
