"""Exact numbers: scaled integers and the only roundings the books may use.

Owns the scales and the integer division rules. Refuses floats and decimals: text becomes an integer in
``streams.translate``, and an integer becomes a float64 only inside risk valuation.

Every price, quantity and money amount is a Python ``int`` in units of 10^-8 (names end in ``_e8``), every
funding index in units of 10^-12 (``_e12``), every rate in parts per million (``_ppm``), every instant in
microseconds since the Unix epoch, UTC (``_us``). State is kept inside the signed 64-bit range so that rows
have a fixed-width form; ``fits_int64`` is the check.
"""

from __future__ import annotations

E8 = 10**8
E12 = 10**12
PPM = 10**6
INT64_MAX = 2**63 - 1

DAY_US = 86_400_000_000
YEAR_US = 365 * DAY_US
"""Actual/365 fixed, the day count of every listed crypto option venue."""


def fits_int64(value: int) -> bool:
    """Whether ``value`` has a fixed-width form in a row (symmetric range, so negation is safe)."""
    return -INT64_MAX <= value <= INT64_MAX


def div_down(numerator: int, denominator: int) -> int:
    """Quotient rounded toward minus infinity: for credits, so that the venue never pays a fraction too much."""
    assert denominator > 0
    return numerator // denominator


def div_up(numerator: int, denominator: int) -> int:
    """Quotient rounded toward plus infinity: for charges, so that the venue never receives a fraction too little."""
    assert denominator > 0
    return -((-numerator) // denominator)


def div_magnitude(numerator: int, denominator: int) -> int:
    """Quotient whose magnitude is rounded half up: one fill is worth the same, up to sign, to both its sides."""
    assert denominator > 0
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude
