"""Exact arithmetic of compiled kernels: products and quotients of 64-bit integers that are right or say they are not.

Owns multiplication and division through 128 bits in two unsigned halves, and addition that notices overflow. Every
function returns ``ok`` last; with it the number is the one that ``engine.units`` computes on Python integers, and in
the symmetric range of ``fits_int64``. Without it the number means nothing. Refuses to know what the numbers are.

The product of halves is the schoolbook one; the quotient is algorithm D (Knuth, The Art of Computer Programming,
volume 2, 4.3.1) with two digits of 32 bits, in the form of Warren's ``divlu``.
"""

from __future__ import annotations

import numpy as np

from engine.compiled import compiled
from engine.units import INT64_MAX

LEAST = -INT64_MAX - 1
"""The one 64-bit integer outside the symmetric range."""

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_HALF = np.uint64(32)
_WORD = np.uint64(64)
_LOW = np.uint64(0xFFFFFFFF)
_BASE = np.uint64(1 << 32)
_TOP = np.uint64(1 << 63)
_MAX = np.uint64(INT64_MAX)


@compiled
def add(a: int, b: int) -> tuple[int, bool]:
    """a + b."""
    total = int(np.int64(a) + np.int64(b))  # wraps
    ok = (a < 0) != (b < 0) or (total < 0) == (a < 0)
    return total, ok and total != LEAST


@compiled
def multiply(a: int, b: int) -> tuple[int, bool]:
    """a b."""
    high, low = _product(_magnitude(a), _magnitude(b))
    ok = bool(high == _ZERO and low <= _MAX)
    product = int(np.int64(low))
    return (-product if (a < 0) != (b < 0) else product), ok


@compiled
def mul_div_floor(a: int, b: int, d: int) -> tuple[int, int, bool]:
    """Quotient of a b by d > 0, rounded toward minus infinity, and its remainder, 0 <= remainder < d."""
    quotient, remainder, ok = _mul_div(a, b, d)
    result, left = int(np.int64(quotient)), int(np.int64(remainder))
    if (a < 0) != (b < 0):
        result = -result
        if left > 0:
            result -= 1
            left = d - left
            ok = ok and result != LEAST
    return result, left, ok


@compiled
def mul_div_up(a: int, b: int, d: int) -> tuple[int, bool]:
    """a b / d, d > 0, rounded toward plus infinity: ``units.div_up(a * b, d)``."""
    quotient, remainder, ok = _mul_div(a, b, d)
    result = int(np.int64(quotient))
    if (a < 0) != (b < 0):
        return -result, ok
    if remainder > _ZERO:
        ok = ok and bool(quotient < _MAX)
        result += 1
    return result, ok


@compiled
def mul_div_magnitude(a: int, b: int, d: int) -> tuple[int, bool]:
    """a b / d, d > 0, with its magnitude rounded half up: ``units.div_magnitude(a * b, d)``."""
    quotient, remainder, ok = _mul_div(a, b, d)
    result = int(np.int64(quotient))
    if remainder > _ZERO and remainder >= np.uint64(d) - remainder:
        ok = ok and bool(quotient < _MAX)
        result += 1
    return (-result if (a < 0) != (b < 0) else result), ok


@compiled
def _magnitude(a: int) -> np.uint64:
    """|a|; 2^63 for the least integer, whose negation wraps to itself."""
    return np.uint64(-np.int64(a)) if a < 0 else np.uint64(a)


@compiled
def _mul_div(a: int, b: int, d: int) -> tuple[np.uint64, np.uint64, bool]:
    """Quotient and remainder of |a b| by d; not ok if d <= 0 or the quotient is beyond 63 bits."""
    if d <= 0:
        return _ZERO, _ZERO, False
    high, low = _product(_magnitude(a), _magnitude(b))
    divisor = np.uint64(d)
    if high == _ZERO:
        quotient = low // divisor
        return quotient, low - quotient * divisor, bool(quotient <= _MAX)
    if high >= divisor:
        return _ZERO, _ZERO, False
    quotient, remainder = _divide(high, low, divisor)
    return quotient, remainder, bool(quotient <= _MAX)


@compiled
def _product(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """High and low half of a b. No sum here wraps: (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1."""
    a_high, a_low = a >> _HALF, a & _LOW
    b_high, b_low = b >> _HALF, b & _LOW
    lowest = a_low * b_low
    cross = a_low * b_high
    middle = a_high * b_low + (lowest >> _HALF) + (cross & _LOW)
    high = a_high * b_high + (middle >> _HALF) + (cross >> _HALF)
    return high, (middle << _HALF) | (lowest & _LOW)


@compiled
def _divide(high: np.uint64, low: np.uint64, divisor: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Quotient and remainder of high 2^64 + low by divisor > high, so that the quotient has 64 bits."""
    shift = _ZERO
    while not divisor & _TOP:
        divisor <<= _ONE
        shift += _ONE
    if shift > _ZERO:
        high = (high << shift) | (low >> (_WORD - shift))
        low <<= shift
    first, high = _digit(high, low >> _HALF, divisor)
    second, high = _digit(high, low & _LOW, divisor)
    return (first << _HALF) + second, high >> shift


@compiled
def _digit(high: np.uint64, next_digit: np.uint64, divisor: np.uint64) -> tuple[np.uint64, np.uint64]:
    """One 32-bit digit of the quotient of high 2^32 + next_digit by a divisor with its top bit set, high < divisor,
    and what is left. The estimate from the divisor's upper half is at most two too large."""
    upper, lower = divisor >> _HALF, divisor & _LOW
    digit = high // upper
    left = high - digit * upper
    while digit >= _BASE or digit * lower > (left << _HALF) + next_digit:
        digit -= _ONE
        left += upper
        if left >= _BASE:
            break
    return digit, (high << _HALF) + next_digit - digit * divisor  # wraps, and the difference is below the divisor
