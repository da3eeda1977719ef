"""The order of legs: none of them, once traded, should leave the account worse off than before, whatever comes next.

Owns the search for the order that stays lowest. Refuses to value anything: what is missing after each subset
of the legs is given. Some plans have no order without a bad step (a short option and its hedge must go together): then
the rise is as small as it can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

EXHAUSTIVE_MAX = 6
"""Legs whose orders are all compared, by subsets; more are too many to value."""


def worst_step(path: Sequence[float]) -> float:
    """The largest rise from one entry of ``path`` to the next, 0 if it never rises."""
    return max([0.0, *(after - before for before, after in pairwise(path))])


def gentlest_order(shortfall_M: Sequence[float]) -> list[int]:
    """The order in which to trade the legs so that what is missing rises least above where it began, and among such
    orders by the smallest step; further ties go by the number of the leg. ``shortfall_M`` has an entry per subset, leg
    i being bit i of the index."""
    legs, start = len(shortfall_M).bit_length() - 1, shortfall_M[0]
    worst_M, last_M = [(0.0, 0.0)] * len(shortfall_M), [-1] * len(shortfall_M)
    for subset in range(1, len(shortfall_M)):
        ways = []
        for leg in range(legs):
            if subset >> leg & 1:
                before = subset & ~(1 << leg)
                above, step = worst_M[before]
                above = max(above, shortfall_M[subset] - start)
                ways.append(((above, max(step, shortfall_M[subset] - shortfall_M[before])), leg))
        worst_M[subset], last_M[subset] = min(ways)
    order, subset = [], len(shortfall_M) - 1
    while subset:
        order.append(last_M[subset])
        subset &= ~(1 << last_M[subset])
    return order[::-1]
