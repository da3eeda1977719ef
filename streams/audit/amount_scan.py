"""Pools of text, and amounts in them as 128-bit integers, compiled.

Owns the exact reading of decimal text into Decimal(38, 18). Refuses every other spelling than plain digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled

_INTEGER_DIGITS_MAX: Final = 19
_SCALE: Final = 18
_DOT, _MINUS, _ZERO, _NINE = (ord(sign) for sign in ".-09")


class Pool(NamedTuple):
    """Byte strings one after another: string ``r`` is ``bytes_B[start_R[r]:start_R[r + 1]]``."""

    bytes_B: NDArray[np.uint8]
    start_R: NDArray[np.int64]


def pool_of(texts: Sequence[bytes]) -> Pool:
    """One pool of many byte strings."""
    start_R = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)), out=start_R[1:])
    return Pool(np.frombuffer(b"".join(texts), dtype=np.uint8), start_R)


def amounts_of(texts: Pool) -> NDArray[np.uint64] | None:
    """Each text times 10**18 as 128-bit two's complement ``[R, 2]``, low half first; none when a text is not plainly
    spelled or too wide."""
    scaled_RL = np.empty((len(texts.start_R) - 1, 2), dtype=np.uint64)
    return scaled_RL if _scan(texts, scaled_RL) else None


@compiled
def _scan(texts: Pool, scaled_RL: NDArray[np.uint64]) -> bool:
    for row in range(len(scaled_RL)):
        if not scaled_amount(texts.bytes_B, texts.start_R[row], texts.start_R[row + 1], scaled_RL[row]):
            return False
    return True


@compiled
def scaled_amount(text: NDArray[np.uint8], at: int, end: int, scaled_L: NDArray[np.uint64]) -> bool:
    """Decimal text times 10**18 in 128 bits; false unless it is spelled as contracts ask."""
    is_negative = at < end and text[at] == _MINUS
    if is_negative:
        at += 1
    whole = at
    low, high = np.uint64(0), np.uint64(0)
    while at < end and _ZERO <= text[at] <= _NINE:
        low, high = _ten_times_plus(low, high, np.uint64(text[at] - _ZERO))
        at += 1
        if at - whole > _INTEGER_DIGITS_MAX:
            return False
    if at == whole or (at - whole > 1 and text[whole] == _ZERO):
        return False
    decimals = 0
    if at < end:
        if text[at] != _DOT or not 1 <= end - at - 1 <= _SCALE:
            return False
        for digit in range(at + 1, end):
            if not _ZERO <= text[digit] <= _NINE:
                return False
            low, high = _ten_times_plus(low, high, np.uint64(text[digit] - _ZERO))
        decimals = end - at - 1
    for _ in range(_SCALE - decimals):
        low, high = _ten_times_plus(low, high, np.uint64(0))
    if is_negative:
        low, high = ~low + np.uint64(1), ~high + np.uint64(low == 0)
    scaled_L[0], scaled_L[1] = low, high
    return True


@compiled
def _ten_times_plus(low: np.uint64, high: np.uint64, digit: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Ten times a 128-bit number plus a digit."""
    half = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    ten = np.uint64(10)
    lower = (low & half) * ten + digit
    upper = (low >> shift) * ten + (lower >> shift)
    return (upper << shift) | (lower & half), high * ten + (upper >> shift)
