"""Everybody's books during a run: accounts, the backstop and the market outside, none of it created or lost.

Owns quantities and cash and the three ways they move. Refuses to decide. The sums over accounts, backstop and outside
of quantity (by underlying) and of cash stay what they were.
"""

from __future__ import annotations

import numpy as np

from engine.cascade.health import health
from engine.cascade.population import Population
from engine.pricing.axes import Floats, Ints


class CascadeBooks:
    """Quantities are numeraire at the prices of the start, so that value = quantity x price with prices near 1."""

    def __init__(self, population: Population, fund: float) -> None:
        self.population = population
        self.quantity_AK = population.exposure_AK.copy()
        self.collateral_AK = population.collateral_AK.copy()
        self.cash_A = population.equity_A - (population.exposure_AK + population.collateral_AK).sum(axis=1)
        self.equity_A = np.empty_like(self.cash_A)
        self.requirement_A = np.empty_like(self.cash_A)
        self.backstop_K = np.zeros(len(population.underlyings))
        self.backstop_cash = fund
        self.outside_K = np.zeros(len(population.underlyings))
        self.outside_cash = 0.0

    def look(self, mark_K: Floats) -> None:
        """Bring ``equity_A`` and ``requirement_A`` up to ``mark_K``."""
        population = self.population
        health(
            self.quantity_AK, self.collateral_AK, self.cash_A, population.scale_A, population.rate_K,
            population.offset, mark_K, self.equity_A, self.requirement_A,
        )  # fmt: skip

    def trade(self, rows: Ints, traded_NK: Floats, paid_N: Floats) -> None:
        """Accounts ``rows`` buy ``traded_NK`` (signed) for ``paid_N`` from the outside."""
        self.quantity_AK[rows] += traded_NK
        self.cash_A[rows] -= paid_N
        self.outside_K -= traded_NK.sum(axis=0)
        self.outside_cash += float(paid_N.sum())

    def backstop_trade(self, traded_K: Floats, paid: float) -> None:
        """The same for the backstop."""
        self.backstop_K = self.backstop_K + traded_K
        self.backstop_cash -= paid
        self.outside_K -= traded_K
        self.outside_cash += paid

    def empty(self, rows: Ints) -> tuple[Floats, float]:
        """Take the whole books of ``rows``: what they held, collateral included, and their cash. The caller gives
        both to somebody."""
        held_K = self.quantity_AK[rows].sum(axis=0) + self.collateral_AK[rows].sum(axis=0)
        cash = float(self.cash_A[rows].sum())
        self.quantity_AK[rows] = 0.0
        self.collateral_AK[rows] = 0.0
        self.cash_A[rows] = 0.0
        self.equity_A[rows] = 0.0
        self.requirement_A[rows] = 0.0
        return held_K, cash

    def to_backstop(self, rows: Ints) -> None:
        """The backstop takes the books of ``rows`` over as they are, with what equity or debt is in them."""
        held_K, cash = self.empty(rows)
        self.backstop_K = self.backstop_K + held_K
        self.backstop_cash += cash

    def backstop_equity(self, mark_K: Floats) -> float:
        """What the backstop is worth, the fund included."""
        return self.backstop_cash + float(self.backstop_K @ mark_K)
