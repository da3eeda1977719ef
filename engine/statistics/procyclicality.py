"""How hard a margin model pushes in a crisis, and the published means against it.

Owns the measures of a margin series and the tools that change one. Refuses to know how the margin was made.
``margin_T`` is a requirement by period, oldest first, positive.

Measures: Murphy, Vasios and Vause, "An investigation into the procyclicality of risk-based initial margin models",
Bank of England Financial Stability Paper 29 (2014). Tools: Regulation (EU) 153/2013 article 28(1): (a) a buffer of at
least 25 % that may be exhausted, (b) at least 25 % weight on stressed observations, (c) a floor at the volatility of a
ten-year lookback.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats
from engine.statistics.tails import checked_sample


@dataclass(frozen=True, slots=True)
class Procyclicality:
    """Measures of one margin series; the largest increases are relative to the lowest margin of the window before."""

    peak_to_trough: float
    increase_max_1: float
    increase_max_5: float
    increase_max_30: float
    log_change_deviation: float


def procyclicality_measures(margin_T: Floats) -> Procyclicality:
    """All measures of a positive series of at least three periods."""
    margin = _checked_margin(margin_T)
    return Procyclicality(
        peak_to_trough(margin),
        largest_increase(margin, 1),
        largest_increase(margin, 5),
        largest_increase(margin, 30),
        log_change_deviation(margin),
    )


def peak_to_trough(margin_T: Floats) -> float:
    """Largest margin over the smallest."""
    margin = _checked_margin(margin_T)
    return float(margin.max() / margin.min())


def largest_increase(margin_T: Floats, periods: int) -> float:
    """Largest rise within at most ``periods`` periods as a share of where it started, 0 if it never rises."""
    margin = _checked_margin(margin_T)
    if periods < 1:
        raise InvalidReference("periods", f"{periods} is not a positive number")
    rises = [margin[lag:] / margin[:-lag] for lag in range(1, min(periods, margin.size - 1) + 1)]
    return max(0.0, float(np.concatenate(rises).max()) - 1.0) if rises else 0.0


def log_change_deviation(margin_T: Floats) -> float:
    """Standard deviation (divisor n - 1) of the period's log changes."""
    margin = _checked_margin(margin_T)
    if margin.size < 3:
        raise InvalidReference("margin", "a deviation of changes needs at least three periods")
    return float(np.diff(np.log(margin)).std(ddof=1))


def with_floor(margin_T: Floats, floor_T: Floats) -> Floats:
    """Article 28(1)(c): never below ``floor_T``, the same requirement at a long lookback's volatility, per period."""
    return np.maximum(_checked_margin(margin_T), checked_sample("floor", floor_T))


def lookback_floor(margin_T: Floats, lookback: int, share: float) -> Floats:
    """Never below ``share`` of the largest own margin of the last ``lookback`` periods, this one included."""
    margin = _checked_margin(margin_T)
    _check_share("share", share)
    if lookback < 1:
        raise InvalidReference("lookback", f"{lookback} is not a positive number")
    padded = np.concatenate([np.zeros(lookback - 1), margin])
    peak = np.lib.stride_tricks.sliding_window_view(padded, lookback).max(axis=1)
    held: Floats = np.maximum(margin, share * peak)
    return held


def with_stressed_weight(margin_T: Floats, stressed_T: Floats, weight: float = 0.25) -> Floats:
    """Article 28(1)(b): (1 - weight) margin + weight stressed margin."""
    _check_share("weight", weight)
    return (1.0 - weight) * _checked_margin(margin_T) + weight * checked_sample("stressed", stressed_T)


def with_buffer(margin_T: Floats, buffer: float = 0.25) -> Floats:
    """Article 28(1)(a): charge (1 + buffer) margin in calm, use the buffer up before calling when margin rises.

    Rule: what is charged stays where it was as long as it lies between margin and (1 + buffer) margin; otherwise it
    moves to the nearer of the two. It starts with the full buffer.
    """
    margin = _checked_margin(margin_T)
    if not buffer >= 0.0:
        raise InvalidReference("buffer", f"{buffer} is negative")
    charged = (1.0 + buffer) * margin
    for t in range(1, margin.size):
        charged[t] = min(max(charged[t - 1], margin[t]), charged[t])
    return charged


def with_slow_decrease(margin_T: Floats, decrease_max: float) -> Floats:
    """Rises pass at once; falls are limited to ``decrease_max`` of the previous charge per period."""
    charged = _checked_margin(margin_T).copy()
    _check_share("decrease_max", decrease_max)
    for t in range(1, charged.size):
        charged[t] = max(charged[t], (1.0 - decrease_max) * charged[t - 1])
    return charged


def with_lag(margin_T: Floats, periods: int) -> Floats:
    """Margin is lowered only once it has been lower for ``periods`` periods: the largest of this and those before."""
    if periods < 0:
        raise InvalidReference("periods", f"{periods} is negative")
    return lookback_floor(margin_T, periods + 1, 1.0)


def _checked_margin(margin_T: Floats) -> Floats:
    margin = checked_sample("margin", margin_T)
    if (margin <= 0.0).any():
        raise InvalidReference("margin", f"period {int(np.argmax(margin <= 0.0)) + 1} has none: ratios need positive")
    return margin


def _check_share(name: str, share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise InvalidReference(name, f"{share} is not within 0 and 1")
