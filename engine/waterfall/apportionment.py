"""Exact shares of a whole number: in proportion, and in proportion up to a capacity.

Owns the two divisions that everything else here uses, in integers: largest remainder, and water-filling. Refuses to
know what is divided among whom. Ties go to the lower index, so a caller who wants the result not to depend on the order
of its items sorts them by name first.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import InvalidReference


def in_proportion(total: int, weights: Sequence[int]) -> list[int]:
    """``total`` (at least zero) split by ``weights`` (at least zero): sums to ``total``, each within one of its share.

    Largest remainder. Raises ``InvalidReference`` when there is something to split and no weight to split it by.
    """
    _checked(total, weights, "weights")
    whole = sum(weights)
    if total == 0:
        return [0] * len(weights)
    if whole == 0:
        raise InvalidReference("weights", f"nobody has a weight to carry {total}")
    parts = [total * weight // whole for weight in weights]
    missing = total - sum(parts)
    if missing:
        by_remainder = sorted(range(len(weights)), key=lambda at: (-(total * weights[at] % whole), at))
        for at in by_remainder[:missing]:
            parts[at] += 1
    return parts


def up_to_capacity(total: int, weights: Sequence[int], capacities: Sequence[int]) -> list[int]:
    """``total`` split by ``weights``, nobody beyond its capacity: the common level at which the parts sum to ``total``.

    Sums to ``total`` or to the capacities of those with a weight, whichever is less. What a full one cannot take goes
    to the others by their weights, which is the split with the least sum of part^2 / weight.
    """
    _checked(total, weights, "weights")
    _checked(0, capacities, "capacities")
    parts = [0] * len(weights)
    active = [at for at, weight in enumerate(weights) if weight > 0 and capacities[at] > 0]
    bits = 2 * max((weights[at].bit_length() for at in active), default=0) + 1
    # distinct fractions differ by at least 1 / weight^2: the shifted quotient orders them exactly
    active.sort(key=lambda at: ((capacities[at] << bits) // weights[at], at))
    rest, whole, full = total, sum(weights[at] for at in active), 0
    for at in active:
        if capacities[at] * whole > weights[at] * rest:
            break
        parts[at] = capacities[at]
        rest, whole, full = rest - capacities[at], whole - weights[at], full + 1
    open_ones = sorted(active[full:])
    if open_ones:
        for at, part in zip(open_ones, in_proportion(rest, [weights[at] for at in open_ones]), strict=True):
            parts[at] = part
    return parts


def _checked(total: int, values: Sequence[int], field: str) -> None:
    if total < 0:
        raise InvalidReference("total", f"{total} is below zero")
    if any(value < 0 for value in values):
        raise InvalidReference(field, "must not be negative")
