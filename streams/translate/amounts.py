"""Decimal text to scaled integer and back, exactly or not at all.

Owns the two conversions of every amount. Text is taken to have the form that ``schemas.fields`` prescribes (the codec
has checked it); more decimals than the scale holds are refused rather than rounded, unless they are zeros.
"""

from __future__ import annotations

from decimal import Decimal

from engine.units import E8, E12, INT64_MAX, PPM
from schemas.errors import Reason, SchemaError

_POWERS: tuple[int, ...] = tuple(10**exponent for exponent in range(13))


def to_e8(text: str, field: str) -> int:
    """``text`` in units of 10^-8; raises ``SchemaError`` naming ``field``."""
    whole, _, fraction = text.partition(".")
    if len(fraction) > 8:
        fraction = _cut(fraction, 8, field)
    value = int(whole + fraction) * _POWERS[8 - len(fraction)]
    if -INT64_MAX <= value <= INT64_MAX:
        return value
    raise SchemaError(Reason.AMOUNT_OUT_OF_RANGE, field, f"{text} x 10^8 does not fit 64 bits")


def to_e12(text: str, field: str) -> int:
    """``text`` in units of 10^-12; raises ``SchemaError`` naming ``field``."""
    return _scaled(text, 12, field)


def to_ppm(text: str, field: str) -> int:
    """``text``, a fraction, in parts per million; raises ``SchemaError`` naming ``field``."""
    return _scaled(text, 6, field)


def e8_text(value_e8: int) -> str:
    """The shortest decimal text of ``value_e8`` x 10^-8."""
    return _text(value_e8, E8, 8)


def e12_text(value_e12: int) -> str:
    """The shortest decimal text of ``value_e12`` x 10^-12."""
    return _text(value_e12, E12, 12)


def ppm_text(value_ppm: int) -> str:
    """The shortest decimal text of ``value_ppm`` parts per million."""
    return _text(value_ppm, PPM, 6)


def float_text(value: float) -> str:
    """The shortest decimal text without exponent that reads back as ``value``."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scaled(text: str, decimals: int, field: str) -> int:
    whole, _, fraction = text.partition(".")
    if len(fraction) > decimals:
        fraction = _cut(fraction, decimals, field)
    value = int(whole + fraction) * _POWERS[decimals - len(fraction)]
    if -INT64_MAX <= value <= INT64_MAX:
        return value
    raise SchemaError(Reason.AMOUNT_OUT_OF_RANGE, field, f"{text} x 10^{decimals} does not fit 64 bits")


def _cut(fraction: str, decimals: int, field: str) -> str:
    if fraction[decimals:].strip("0"):
        raise SchemaError(Reason.TOO_MANY_DECIMALS, field, f"at most {decimals} decimals")
    return fraction[:decimals]


def _text(value: int, unit: int, decimals: int) -> str:
    whole, fraction = divmod(abs(value), unit)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{fraction:0{decimals}d}".rstrip("0") if fraction else f"{sign}{whole}"
