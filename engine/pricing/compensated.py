"""Compensated arithmetic: numbers carried as an unevaluated sum of two doubles.

Owns the error-free sum and product and the few quotients and roots that the option kernel needs. Refuses to know what
the numbers mean.

A tail probability exp(-d^2/2) magnifies the relative error of d by d^2, 700 at a price of 1e-154; carrying d to twice
the digits leaves only the rounding of one logarithm to be magnified.

Sources: D. Knuth, TAOCP vol. 2, 4.2.2 (sum); T. J. Dekker, "A floating-point technique for extending the available
precision", Numerische Mathematik 18 (1971) (product).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.pricing.axes import Floats

SPLITTER = 134217729.0
"""2^27 + 1 cuts a double into two halves of 26 bits; its product overflows above 1e300."""


class Pair(NamedTuple):
    """``high + low``, with ``low`` below half a unit in the last place of ``high`` (or a few of them)."""

    high: Floats
    low: Floats


def two_sum(a: Floats, b: Floats) -> Pair:
    """a + b without error."""
    total = a + b
    shadow = total - a
    return Pair(total, (a - (total - shadow)) + (b - shadow))


def two_product(a: Floats, b: Floats) -> Pair:
    """a b without error, for factors and product between 1e-290 and 1e290."""
    product = a * b
    a_high, b_high = _upper_half(a), _upper_half(b)
    a_low, b_low = a - a_high, b - b_high
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return Pair(product, error)


def _upper_half(a: Floats) -> Floats:
    scaled = SPLITTER * a
    return scaled - (scaled - a)


def add(a: Pair, b: Pair) -> Pair:
    """a + b, about 100 bits unless the two cancel."""
    high, error = two_sum(a.high, b.high)
    return two_sum(high, error + a.low + b.low)


def negative(a: Pair) -> Pair:
    """-a, exactly."""
    return Pair(-a.high, -a.low)


def half(a: Pair) -> Pair:
    """a / 2, exactly."""
    return Pair(0.5 * a.high, 0.5 * a.low)


def divide(a: Pair, b: Pair) -> Pair:
    """a / b for b not zero, about 100 bits."""
    quotient = a.high / b.high
    product, error = two_product(quotient, b.high)
    return Pair(quotient, (((a.high - product) - error) + a.low - quotient * b.low) / b.high)


def multiply_root(a: Floats, b: Floats) -> Pair:
    """a sqrt(b) for b above zero, about 100 bits."""
    root = np.sqrt(b)
    square, error = two_product(root, root)
    root_low = ((b - square) - error) / (2.0 * root)
    high, low = two_product(a, root)
    return Pair(high, low + a * root_low)


def log_quotient(a: Floats, b: Floats) -> Pair:
    """ln(a / b) for a and b above zero, without any error but that of one library logarithm (below 1 ulp of it).

    Within a factor of two ``a - b`` is exact (Sterbenz), so a quotient near 1 keeps its digits; powers of two are
    taken out first, so no quotient overflows.
    """
    a_part, a_power = np.frexp(a)
    b_part, b_power = np.frexp(b)
    power = (a_power - b_power).astype(np.float64)
    # Neighbors across a power of two: 0.51 x 2 over 0.99 is near 1 and must not become a sum of two logarithms.
    near = np.abs(power) <= 1.0
    a_part = np.where(near, np.ldexp(a_part, np.where(near, power, 0.0).astype(np.int32)), a_part)
    power = np.where(near, 0.0, power)
    zero = np.zeros_like(a_part)
    quotient = divide(Pair(a_part, zero), Pair(b_part, zero))
    excess = divide(Pair(a_part - b_part, zero), Pair(b_part, zero))
    close = (a_part >= 0.5 * b_part) & (a_part <= 2.0 * b_part)
    with np.errstate(invalid="ignore", divide="ignore"):
        direct = Pair(np.log(quotient.high), quotient.low / quotient.high)
        near_one = Pair(np.log1p(excess.high), excess.low / (1.0 + excess.high))
    logarithm = Pair(np.where(close, near_one.high, direct.high), np.where(close, near_one.low, direct.low))
    return add(logarithm, Pair(power * LN_2.high, power * LN_2.low))


LN_2 = Pair(np.float64(0.6931471805599453), np.float64(2.3190468138462996e-17))  # type: ignore[arg-type]
