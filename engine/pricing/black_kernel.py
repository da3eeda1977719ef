"""Black's formula without cancellation: tail probabilities, densities and time value to full relative accuracy.

Owns the numerics of one undiscounted European option. Refuses discounting, rates and what the Greeks are called
(``option_greeks``).

With m = min(F, K), M = max(F, K), s = volatility sqrt(T), h = ln(F/K) / s, t = s / 2, an option's value is its
intrinsic value plus the value of the out-of-the-money option at the same strike,

    time value = m N(z1) - M N(z2) = m n(z1) [Y(z1) - Y(z2)],  z1 = t - |h|,  z2 = -t - |h|,  Y(z) = N(z) / n(z)

because m n(z1) = M n(z2). The bracket is evaluated so that no digit cancels:

    z1 > 1              m N(z1) - m n(z1) Y(z2): the second term is at most a fifth of the first
    t < 0.03 max(1,|h|) the odd Taylor series 2 sum I_k(-|h|) t^k / k!, k = 1, 3, .. 11, all terms positive, where
                        I_k(z) is the k-th derivative of Y, the integral of u^k exp(-u^2/2 + z u) over u > 0
    otherwise           the difference as it stands; its terms exceed it at most 40 times

Error budget: relative errors of density, tail probabilities and time value stay below (100 + 2 |z| max(|z|, |h|)) u for
results above 1e-290, z their standardized distance and u = 2^-53: 1e-14 near the strike, 1.6e-13 at 1e-290. The second
term is the rounding of the logarithm, which alone is not carried to twice the digits: z magnifies it in the exponent.

Sources: P. Jaeckel, "Let's be rational", Wilmott (2015), for the split by regime; I_k: NIST DLMF 12.5 (parabolic
cylinder functions), its recurrence 12.8.1, the backward one as a continued fraction where the forward one cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erfcx, ndtr

from engine.pricing.axes import Bools, Floats
from engine.pricing.compensated import Pair, add, divide, half, negative, two_product

ROOT_HALF = 0.7071067811865476
ROOT_HALF_PI = 1.2533141373155003
ROOT_TWO_PI = 2.5066282746310002

MOVE_BOUND = 1e100
"""A standardized distance beyond this has exhausted every double; held there, its square stays finite."""

DENSITY_BOUND = 40.0
"""n(z) is zero in double precision beyond 39 deviations."""

SERIES_SHARE = 0.03
TAYLOR_ORDER = 11
FRACTION_FROM = 3.0
FRACTION_DEPTH = 48


@dataclass(frozen=True, slots=True)
class StandardMoves:
    """Standardized distances of an option; meaningful where ``live``, harmless zeros elsewhere."""

    live: Bools
    d1: Pair
    d2: Pair
    distance: Floats
    """|h|, the distance of forward from strike in deviations."""

    deviation: Floats
    """s, volatility times the square root of time."""


def standard_moves(log_moneyness: Pair, deviation: Pair, live: Bools) -> StandardMoves:
    """d1 = x/s + s/2 and d2 = x/s - s/2 of ``log_moneyness`` x = ln(F/K) and ``deviation`` s, to twice the digits.

    Lanes that are not ``live`` must hold finite numbers and a deviation above zero.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        quotient = divide(log_moneyness, deviation)
    far = ~(np.abs(quotient.high) < MOVE_BOUND)
    bound = np.copysign(MOVE_BOUND, log_moneyness.high)
    distance = Pair(np.where(far, bound, quotient.high), np.where(far, 0.0, quotient.low))
    spread = half(deviation)
    return StandardMoves(
        live=live,
        d1=add(distance, spread),
        d2=add(distance, negative(spread)),
        distance=np.abs(distance.high),
        deviation=deviation.high,
    )


def density(z: Pair) -> Floats:
    """n(z) of a number carried to twice the digits; relative error as stated above, zero beyond 39 deviations."""
    inside = np.abs(z.high) < DENSITY_BOUND
    high, low = np.where(inside, z.high, DENSITY_BOUND), np.where(inside, z.low, 0.0)
    square, error = two_product(high, high)
    result: Floats = np.exp(-0.5 * square) * (1.0 - (0.5 * error + high * low)) / ROOT_TWO_PI
    return np.where(inside, result, 0.0)


def mills(z: Floats) -> Floats:
    """Y(z) = N(z) / n(z); infinite for z above 37."""
    result: Floats = ROOT_HALF_PI * erfcx(-ROOT_HALF * z)
    return result


def tail_probability(z: Pair, density_z: Floats) -> Floats:
    """N(z), a small one from its density, so that it keeps its digits."""
    return np.where(z.high < 0.0, density_z * mills(np.minimum(z.high, 0.0)), ndtr(np.maximum(z.high, 0.0)))


def time_value(moves: StandardMoves, smaller: Floats) -> tuple[Floats, Floats, Floats]:
    """Undiscounted value above intrinsic, the bracket and m n(z1), ``smaller`` being m; lanes not live are zero.

    The bracket does not vanish with the density, so quotients of values can be taken where the values underflow; it is
    the difference it stands for only up to z1 = 30, far above which no value is small. m n(z1) is F n(d1) = K n(d2).
    """
    distance, spread = moves.distance, 0.5 * moves.deviation
    in_the_money = moves.d1.high + moves.d2.high > 0.0
    low_d2 = negative(moves.d2)
    z1 = Pair(np.where(in_the_money, low_d2.high, moves.d1.high), np.where(in_the_money, low_d2.low, moves.d1.low))
    z2 = -distance - spread
    nearest = smaller * density(z1)
    series = spread < SERIES_SHARE * np.maximum(1.0, distance)
    bracket = np.where(
        series,
        taylor_difference(np.where(series, distance, 1.0), np.where(series, spread, 0.0)),
        mills(np.minimum(z1.high, 30.0)) - mills(z2),
    )
    wide = z1.high > 1.0
    direct = smaller * ndtr(np.where(wide, z1.high, 0.0)) - nearest * mills(z2)
    value = np.where(wide, direct, nearest * bracket)
    return np.where(moves.live, value, 0.0), np.where(moves.live, bracket, 0.0), np.where(moves.live, nearest, 0.0)


def taylor_difference(distance: Floats, spread: Floats) -> Floats:
    """Y(t - a) - Y(-t - a) for ``distance`` a and ``spread`` t below 0.03 max(1, a), arrays of one shape."""
    total = np.zeros_like(spread)
    factor = 2.0 * spread
    square = spread * spread
    for order, derivative in enumerate(mills_derivatives(distance), start=1):
        if order % 2:
            total = total + factor * derivative
            factor = factor * square / ((order + 1) * (order + 2))
    return total


def mills_derivatives(distance: Floats) -> list[Floats]:
    """I_1 .. I_11 at minus ``distance``.

    I_(k+1) = k I_(k-1) - a I_k loses a^2 of the digits of I_1, so from a = 3 on the ratios I_k / I_(k-1) come from the
    recurrence run backward, k / (a + next ratio), whose terms are all positive.
    """
    near = distance < FRACTION_FROM
    a = np.where(near, distance, 0.0)
    forward = [mills(-a)]
    forward.append(1.0 - a * forward[0])
    for order in range(1, TAYLOR_ORDER):
        forward.append(order * forward[order - 1] - a * forward[order])
    a = np.where(near, FRACTION_FROM, distance)
    ratio = 0.5 * (np.sqrt(a * a + 4.0 * FRACTION_DEPTH) - a)
    ratios = []
    for order in range(FRACTION_DEPTH - 1, 0, -1):
        ratio = order / (a + ratio)
        if order <= TAYLOR_ORDER:
            ratios.append(ratio)
    derivatives, product = [], mills(-a)
    for order, step in enumerate(reversed(ratios), start=1):
        product = product * step
        derivatives.append(np.where(near, forward[order], product))
    return derivatives
