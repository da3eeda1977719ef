"""The queue: in which order accounts are served that are due at the same moment, and who waits for others to finish.

Owns the order and the list of those who wait. Refuses figures (they are given) and sums (``engine.fleet.ledger``).

The order is by equity over maintenance margin, lowest first: the most urgent account trades before the market has moved
against it by what others trade. Under diffusion that is also the order of time to bankruptcy. Equity E of an account
whose value has volatility s per unit of time reaches zero within time T with probability 2 N(-E / (s sqrt T)), by the
reflection principle: a function of E / s alone. Maintenance margin is a multiple of s, the same for everybody (a loss
quantile over a horizon), so E / s is equity over maintenance margin but for a constant; the lower it is, the sooner, in
the sense of first-order stochastic dominance.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

TRIES = 32
"""Accounts of a partition that are planned for in vain at one moment before the rest waits untried. Those behind them
want what they want, most likely; and a moment must not take the longer, the more accounts wait."""


def severity(equity: float, maintenance_margin: float) -> float:
    """Equity over maintenance margin; the lowest is served first. Without a requirement only a debt is urgent."""
    if maintenance_margin > 0.0:
        return equity / maintenance_margin
    return inf if equity >= 0.0 else -inf


class WaitingList:
    """Accounts, by number, that are due and wait until flow of their partition frees."""

    def __init__(self) -> None:
        self._shards: dict[int, int] = {}
        self._stirred: set[int] = set()
        self._tries: dict[int, int] = {}

    def begin(self) -> None:
        """A new moment: everybody may be tried again."""
        self._tries.clear()

    def put(self, number: int, shard: int, *, tried: bool = False) -> None:
        """The account has to wait; ``tried``: it was planned for in vain."""
        self._shards[number] = shard
        if tried:
            self._tries[shard] = self._tries.get(shard, 0) + 1

    def is_tried_enough(self, shard: int) -> bool:
        """Whether so many of a partition were planned for in vain that the rest waits, too."""
        return self._tries.get(shard, 0) >= TRIES

    def drop(self, numbers: Iterable[int]) -> None:
        """The accounts wait no more, or are gone; unknown ones are ignored."""
        for number in numbers:
            self._shards.pop(number, None)

    def stir(self, shard: int) -> None:
        """Flow of a partition has changed, or may be about to: whoever waits there has to be looked at."""
        if self._shards:
            self._stirred.add(shard)

    def take_stirred(self) -> set[int]:
        """Those who have to be looked at; each partition's once until it is stirred again."""
        found = {number for number, shard in self._shards.items() if shard in self._stirred} if self._stirred else set()
        self._stirred.clear()
        return found
