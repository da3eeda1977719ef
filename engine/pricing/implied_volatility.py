"""Implied volatility: the volatility at which Black's formula gives a stated price.

Owns the inversion. Refuses to smooth, and to guess where a price admits no volatility: that is an error.

With the notation of ``black_kernel``, the time value as a share of the smaller price, b = n(z1) [Y(z1) - Y(z2)], grows
from 0 to 1 with the deviation s at the rate n(z1). Where the share is below a half, Newton's method runs on ln b, whose
derivative is 1 / [Y(z1) - Y(z2)]; above it on ln(1 - b), 1 - b = n(z1) [Y(-z1) + Y(z2)]. Neither underflows. A step
that leaves the interval known to hold the solution is replaced by its midpoint.

Accuracy: the relative error of the volatility is that of the time value times bracket / s, which is below 1 out of the
money, plus 1e-13. In the money the time value is a difference and has lost the digits of the intrinsic value.
"""

from __future__ import annotations

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Bools, Floats
from engine.pricing.black_kernel import ROOT_TWO_PI, mills, standard_moves, time_value
from engine.pricing.compensated import Pair, log_quotient

ITERATIONS_MAX = 80
TOLERANCE = 1e-11
"""Relative size of the last step: convergence is quadratic, so what is left after it is far below rounding."""

ROUNDING = 4.0 * 2.0**-52
"""A price below intrinsic by no more than this share of the larger of forward and strike is intrinsic, rounded."""


def implied_black76_volatility(
    price: Floats | float,
    forward: Floats | float,
    strike: Floats | float,
    years: Floats | float,
    sign: Floats | float,
    discount: Floats | float = 1.0,
) -> Floats:
    """Volatility per 1.00 of an option worth ``price``; all arguments broadcast together, ``sign`` +1 call, -1 put.

    Intrinsic value implies 0. Raises ``InvalidReference`` naming ``price`` where one is below the intrinsic value or
    not below what no option reaches (discounted forward for a call, strike for a put), and any argument out of range.
    """
    names = ("price", "forward", "strike", "years", "sign", "discount")
    arrays = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (price, forward, strike, years, sign, discount))
    )
    _check(dict(zip(names, arrays, strict=True)))
    value, forwards, strikes, tenors, signs, factor = arrays
    value = value / factor
    smaller = np.minimum(forwards, strikes)
    excess = value - np.maximum(signs * (forwards - strikes), 0.0)
    if np.any(excess < -ROUNDING * np.maximum(forwards, strikes)):
        raise InvalidReference("price", "below the intrinsic value")
    if np.any(value >= np.where(signs > 0.0, forwards, strikes)) or np.any(excess >= smaller):
        raise InvalidReference(
            "price", "not below the most an option can be worth: forward for a call, strike for a put"
        )
    solvable = excess > 0.0
    excess = np.where(solvable, excess, 0.25 * smaller)
    deviation = _solve(
        log_quotient(forwards, strikes), log_quotient(excess, smaller).high, (smaller - excess) / smaller
    )
    return np.where(solvable, deviation / np.sqrt(tenors), 0.0)


def _solve(log_moneyness: Pair, log_share: Floats, rest: Floats) -> Floats:
    """The deviation at which ln b is ``log_share``, which no share underflows, and 1 - b is ``rest``."""
    distance = np.abs(log_moneyness.high)
    by_share = rest > 0.5
    goal = np.where(by_share, log_share, np.log(rest))
    low = np.zeros_like(rest)
    high = 2.0 * (40.0 + np.sqrt(2.0 * distance))
    # Far from the strike b is about exp(-h^2/2), at the strike s / sqrt(2 pi).
    deviation = np.minimum(
        np.maximum(distance / np.sqrt(-2.0 * log_share), ROOT_TWO_PI * np.exp(log_share)), 0.5 * high
    )
    for _ in range(ITERATIONS_MAX):
        logarithm, slope = _logarithm(log_moneyness, deviation, by_share)
        # Both logarithms are made to grow with s, so the sign of the miss says which side the solution is on.
        miss = np.where(by_share, logarithm - goal, goal - logarithm)
        low, high = np.where(miss <= 0.0, deviation, low), np.where(miss >= 0.0, deviation, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            newton = deviation - miss / slope
        inside = (newton >= low) & (newton <= high)
        following = np.where(inside, newton, 0.5 * (low + high))
        settled = np.abs(following - deviation) <= TOLERANCE * deviation
        deviation = following
        if np.all(settled):
            break
    return deviation


def _logarithm(log_moneyness: Pair, deviation: Floats, by_share: Bools) -> tuple[Floats, Floats]:
    """ln b or ln(1 - b), and the magnitude of its derivative with respect to ``deviation``."""
    moves = standard_moves(log_moneyness, Pair(deviation, np.zeros_like(deviation)), np.ones(deviation.shape, np.bool_))
    share, bracket, _ = time_value(moves, np.ones_like(deviation))
    z1, z2 = 0.5 * deviation - moves.distance, -0.5 * deviation - moves.distance
    remaining = mills(np.minimum(-z1, 30.0)) + mills(z2)
    wide = z1 > 1.0
    log_density = -0.5 * z1 * z1 - np.log(ROOT_TWO_PI)
    with np.errstate(divide="ignore"):
        log_share = np.where(wide, np.log(share), log_density + np.log(bracket))
        slope_share = np.where(wide, np.exp(log_density - log_share), 1.0 / bracket)
    log_rest = np.where(z1 < -30.0, -share, log_density + np.log(remaining))
    slope_rest = np.exp(log_density - log_rest)
    return np.where(by_share, log_share, log_rest), np.where(by_share, slope_share, slope_rest)


def _check(arguments: dict[str, Floats]) -> None:
    for field, value in arguments.items():
        if not np.all(np.isfinite(value)):
            raise InvalidReference(field, "must be finite")
    for field in ("forward", "strike", "years", "discount"):
        if not np.all(arguments[field] > 0.0):
            raise InvalidReference(field, "must be positive")
    if not np.all(np.abs(arguments["sign"]) == 1.0):
        raise InvalidReference("sign", "must be 1 for a call or -1 for a put")
