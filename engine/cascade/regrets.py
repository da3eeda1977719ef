"""Who was liquidated wrongly: five minutes later the book as it was would have been above maintenance again.

Owns the memory of first touches and the judgement. Refuses other prices than those that came about, the impact of the
liquidations included.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from engine.cascade.books import CascadeBooks
from engine.cascade.health import health
from engine.pricing.axes import Floats, Ints

LATER_S = 300.0


class Regrets:
    """First touches, judged in order."""

    def __init__(self, books: CascadeBooks, tick_s: float) -> None:
        self._books = books
        self._wait = max(1, round(LATER_S / tick_s))
        self._waiting: deque[tuple[int, Ints, Floats, Floats, Floats]] = deque()
        self.touched_A = np.zeros(books.cash_A.size, np.bool_)
        self._counts = (0, 0)
        self._notionals = (0.0, 0.0)

    def note(self, t: int, rows: Ints) -> None:
        """Remember the books of those of ``rows`` that were not touched before, just before they are."""
        fresh = rows[~self.touched_A[rows]]
        if fresh.size:
            self.touched_A[fresh] = True
            books = self._books
            self._waiting.append((t, fresh, books.quantity_AK[fresh], books.collateral_AK[fresh], books.cash_A[fresh]))

    def judge(self, t: int, price_K: Floats) -> None:
        """Judge those whose five minutes are over, at ``price_K``."""
        while self._waiting and self._waiting[0][0] + self._wait <= t:
            _, rows, quantity_NK, collateral_NK, cash_N = self._waiting.popleft()
            population = self._books.population
            equity_N, requirement_N = np.empty_like(cash_N), np.empty_like(cash_N)
            health(
                quantity_NK, collateral_NK, cash_N, population.scale_A[rows], population.rate_K, population.offset,
                price_K, equity_N, requirement_N,
            )  # fmt: skip
            wrong_N = equity_N >= requirement_N
            gross_N = np.abs(quantity_NK).sum(axis=1)
            judged, wrong = self._counts
            self._counts = (judged + rows.size, wrong + int(wrong_N.sum()))
            of_all, of_wrong = self._notionals
            self._notionals = (of_all + float(gross_N.sum()), of_wrong + float(gross_N[wrong_N].sum()))

    def counts(self) -> tuple[int, int, float, float]:
        """Judged and wrong, by number and by notional at the prices of the start."""
        return (*self._counts, *self._notionals)
