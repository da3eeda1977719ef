"""Auto-deleveraging as a queue: rank by a score and close from the top. What most venues do, for comparison.

Owns the two published scores and the greedy walk. Refuses to know hedges and requirements, as those venues' rules do.
Scores are exact, so that ranking two accounts never depends on rounding.

    BitMEX       profit % * effective leverage when in profit, profit % / effective leverage otherwise
                 effective leverage = |mark value| / (mark value - bankrupt value)
                 profit % = (mark value - entry value) / |entry value|
    Hyperliquid  (mark / entry) * (notional / account value)

Sources: support.bitmex.com 18589621443357 (values are signed: a short's are negative); hyperliquid.gitbook.io,
auto-deleveraging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from engine.errors import InvalidReference
from engine.rules.rounding import Number, exact

INDICATOR_LIGHTS = 5


@dataclass(frozen=True, slots=True)
class Queued:
    """A position in the queue: ``lots`` it holds and its score."""

    account: str
    lots: int
    score: Fraction


def bitmex_score(mark_value: Number, entry_value: Number, bankrupt_value: Number) -> Fraction:
    """Score of a position from its signed values at mark, entry and bankruptcy price.

    Raises ``InvalidReference`` for a position entered at no value or at its bankruptcy price, which has no leverage.
    """
    mark, entry, bankrupt = exact(mark_value, "mark_value"), exact(entry_value, "entry_value"), exact(bankrupt_value)
    if entry == 0 or mark == bankrupt:
        raise InvalidReference("entry_value", "a position without value has no place in the queue")
    leverage = abs(mark) / (mark - bankrupt)
    profit = (mark - entry) / abs(entry)
    return profit * leverage if profit > 0 or leverage == 0 else profit / leverage


def hyperliquid_score(mark: Number, entry: Number, notional: Number, account_value: Number, side: int = 1) -> Fraction:
    """Score from prices, unsigned notional and account value; for a short (``side`` -1) the price ratio is inverted.

    The published form has the ratio of a long; a short gains as mark falls below entry.
    """
    price, paid, value = exact(mark, "mark"), exact(entry, "entry"), exact(account_value, "account_value")
    if price <= 0 or paid <= 0 or value <= 0:
        raise InvalidReference("account_value", "prices and account value must be above zero")
    ratio = price / paid if side > 0 else paid / price
    return ratio * exact(notional, "notional") / value


def ranked(queue: Sequence[Queued]) -> list[Queued]:
    """Highest score first; equal scores by account."""
    return sorted(queue, key=lambda each: (-each.score, each.account))


def close_from_the_top(lots: int, queue: Sequence[Queued]) -> tuple[tuple[tuple[str, int], ...], int]:
    """(account, lots closed) from the highest score down, the last one in part; and the lots that nobody holds."""
    if lots < 0:
        raise InvalidReference("lots", f"{lots} is below zero")
    closed, rest = [], lots
    for each in ranked(queue):
        if rest == 0:
            break
        part = min(each.lots, rest)
        closed.append((each.account, part))
        rest -= part
    return tuple(closed), rest


def indicator(queue: Sequence[Queued]) -> dict[str, int]:
    """Lights of each account, 5 (first to go) to 1: the fifth of all lots that its position ends in, from the top."""
    total = sum(each.lots for each in queue)
    lights, passed = {}, 0
    for each in ranked(queue):
        passed += each.lots
        fifth = -(-passed * INDICATOR_LIGHTS // total)
        lights[each.account] = INDICATOR_LIGHTS + 1 - fifth
    return lights
