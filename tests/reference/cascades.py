"""Cascades that can be solved on paper: a uniform density of forced notional under one law of impact.

Owns two fixed points. Refuses throttles, decay and waterfalls; the simulator without them must reproduce these.

With forced notional rho per unit of log move, outside move s and impact I, the whole move solves D = s + I(rho D).
"""

from __future__ import annotations

from math import inf, sqrt

from engine.errors import InvalidReference


def branching_ratio(impact_per_notional: float, density: float) -> float:
    """R = lambda x rho: log move that the liquidations of one unit of log move cause."""
    return impact_per_notional * density


def linear_move(outside: float, ratio: float) -> float:
    """D = s / (1 - R), the geometric series of rounds; infinite from R = 1 on."""
    _not_negative(outside, ratio)
    if outside == 0.0:
        return 0.0
    return outside / (1.0 - ratio) if ratio < 1.0 else inf


def square_root_move(outside: float, root: float) -> float:
    """D = ((k + sqrt(k^2 + 4 s)) / 2)^2, the larger root of D = s + k sqrt(D), k = Y sigma sqrt(rho / V).

    It never explodes, and however small the outside move it does not fall below ``ignition_floor``: amplification is
    largest for small moves into crowded leverage.
    """
    _not_negative(outside, root)
    return ((root + sqrt(root * root + 4.0 * outside)) / 2.0) ** 2


def ignition_floor(root: float) -> float:
    """k^2: the move that follows once anything has begun."""
    return root * root


def _not_negative(outside: float, other: float) -> None:
    if outside < 0.0 or other < 0.0:
        raise InvalidReference("outside", "moves and ratios are sizes, not signed")
