"""Funding: what a position owes since its last settlement, and how far a rate may go.

Owns the settlement of an index difference and the clamp. Refuses to know how the index came about.
Source: dYdX v4-chain at 84d4664b, protocol/x/perpetuals/lib and types/liquidity_tier.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from engine.rules.leverage import maintenance_fraction
from engine.rules.rounding import MICRO, ZERO, Number, at_least_zero, exact, floor_to


def funding_settlement(size: Number, index_now: Number, index_last: Number) -> Fraction:
    """What the holder of ``size`` units receives: -size * (index now - index last), not rounded. Longs pay a rise."""
    return -exact(size, "size") * (exact(index_now, "index_now") - exact(index_last, "index_last"))


def settled_funding(settlements: Iterable[Fraction], step: Number = MICRO) -> Fraction:
    """Cash of an account's settlements: their sum rounded down once, so positions cannot each gain a fraction."""
    return floor_to(sum(settlements, ZERO), exact(step, "step"))


def funding_clamp(
    clamp_factor: Number, im_fraction: Number, maintenance_of_im: Number, step: Number = MICRO
) -> Fraction:
    """Largest absolute funding rate: floor(factor * (initial fraction - maintenance fraction))."""
    spread = exact(im_fraction, "im_fraction") - maintenance_fraction(im_fraction, maintenance_of_im, step)
    return floor_to(at_least_zero(clamp_factor, "clamp_factor") * spread, exact(step, "step"))


def clamp_rate(rate: Number, limit: Number) -> Fraction:
    """``rate`` held between -limit and +limit."""
    bound = at_least_zero(limit, "limit")
    return max(-bound, min(bound, exact(rate, "rate")))
