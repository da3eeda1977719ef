"""Exact numbers and the directions in which venues round them.

Owns the way from text to a rational number and the rounding steps: down, up, toward zero, integer square root. Refuses
to know which rule rounds which way; that is written at each rule. A step of zero means "do not round", so that one
rule serves a venue that rounds and a model that does not.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import isfinite, isqrt

from engine.errors import InvalidReference

Number = int | str | float | Decimal | Fraction
"""What a rule takes: converted by ``exact``, so a float means the decimal it prints as, never its binary value."""

ZERO = Fraction(0)
ONE = Fraction(1)
MICRO = Fraction(1, 10**6)


def exact(value: Number, field: str = "value") -> Fraction:
    """``value`` as a rational number. A float is read by its shortest decimal form: ``0.1`` is one tenth.

    Raises ``InvalidReference`` naming ``field`` for text that is no number, for infinities and for truth values.
    """
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool):
        raise InvalidReference(field, "a truth value is not a number")
    if isinstance(value, float):
        if not isfinite(value):
            raise InvalidReference(field, f"{value} is not a finite number")
        return Fraction(repr(float(value)))  # a number out of an array prints with its type's name
    try:
        return Fraction(value)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise InvalidReference(field, f"{value!r} is not a number") from error


def at_least_zero(value: Number, field: str) -> Fraction:
    """``exact(value)``, refused by name when negative."""
    number = exact(value, field)
    if number < 0:
        raise InvalidReference(field, f"{value} is below zero")
    return number


def share(value: Number, field: str) -> Fraction:
    """``exact(value)``, refused by name outside 0 to 1."""
    number = at_least_zero(value, field)
    if number > 1:
        raise InvalidReference(field, f"{value} is above one")
    return number


def floor_to(value: Fraction, step: Fraction) -> Fraction:
    """Largest multiple of ``step`` not above ``value``; ``value`` itself when the step is zero."""
    return value if step == 0 else (value / step).__floor__() * step


def ceil_to(value: Fraction, step: Fraction) -> Fraction:
    """Smallest multiple of ``step`` not below ``value``; ``value`` itself when the step is zero."""
    return value if step == 0 else (value / step).__ceil__() * step


def truncate_to(value: Fraction, step: Fraction) -> Fraction:
    """``value`` rounded toward zero, as integer division does in most machine languages."""
    return floor_to(value, step) if value >= 0 else ceil_to(value, step)


def units(value: Fraction, per_one: int) -> int:
    """Whole units of ``1/per_one`` in ``value``, toward zero: how a venue stores it."""
    return int(value * per_one)


def integer_root(value: int) -> int:
    """Largest integer whose square is not above ``value``."""
    return isqrt(value)
