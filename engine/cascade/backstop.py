"""Whole books that go elsewhere: to the backstop, at auction, against other accounts, and who bears the loss.

Owns the order of the waterfall in a run. Refuses exact money (``engine.waterfall`` has that).

A book below ``takeover`` of its requirement goes to the backstop while the backstop's equity stays above
``backstop_rate`` of its gross. What it cannot take: a solvent book waits in the market; a bankrupt one goes to bidders,
as far as they have room and the fund can pay debt and discount; then against the other side, the fund paying what it
has above its floor, counterparties the rest in proportion to what they close; what meets no counterparty stays with
the backstop and its debt is spread over all positive equity.

When the backstop's equity falls below ``backstop_floor`` of what its gross needs, it is deleveraged itself. The queue
rule closes its whole book, as a venue does that hands a failed liquidator's book over; pro-rata closes only the share
after which equity meets the need. ``overshoot`` is what was closed beyond that share.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.cascade.adl import counterparties
from engine.cascade.books import CascadeBooks
from engine.cascade.policy import AdlRule, VenuePolicy
from engine.compiled import compiled
from engine.pricing.axes import Bools, Floats, Ints


@dataclass(slots=True)
class WaterfallTotals:
    """What the waterfall did so far, numeraire at mark; ``adl_A`` by account."""

    adl_A: Floats
    taken: float = 0.0
    bad_debt: float = 0.0
    auctioned: float = 0.0
    auction_discount: float = 0.0
    adl: float = 0.0
    adl_haircut: float = 0.0
    overshoot: float = 0.0
    loss_allocated: float = 0.0
    bankrupt_adl: float = field(default=0.0)


class Waterfall:
    """The backstop, its bidders and the rules between them."""

    def __init__(self, books: CascadeBooks, policy: VenuePolicy) -> None:
        self._books, self._policy = books, policy
        self._bids = 0.0
        self.totals = WaterfallTotals(np.zeros(books.cash_A.size))

    def resolve(self, mark_K: Floats, tick_volume: float, tick_s: float) -> Ints:
        """Find homes for the books that have to go at ``mark_K``; the accounts whose books went. Equity and
        requirement of ``books`` must be those at this mark."""
        policy, books = self._policy, self._books
        offered = policy.auction_share * tick_volume
        self._bids = min(self._bids + offered, offered * policy.auction_s / tick_s)
        due = books.equity_A < policy.takeover * books.requirement_A
        due |= books.equity_A < 0.0
        rows = np.flatnonzero(due)
        gone = self._find_homes(rows, mark_K) if rows.size else rows
        self._deleverage_backstop(mark_K)
        return gone

    def _find_homes(self, rows: Ints, mark_K: Floats) -> Ints:
        books, policy, totals = self._books, self._policy, self.totals
        severity = books.equity_A[rows] / np.maximum(books.requirement_A[rows], 1e-9)
        rows = rows[np.argsort(-severity, kind="stable")]
        gross_N = np.abs(books.quantity_AK[rows]) @ mark_K
        equity_N = books.equity_A[rows]
        backstop_gross = float(np.abs(books.backstop_K) @ mark_K)
        taken_N = _fits(equity_N, gross_N, books.backstop_equity(mark_K), backstop_gross, policy.backstop_rate)
        bankrupt_N = ~taken_N & (equity_N < 0.0)
        sold_N = self._bid_for(equity_N, gross_N, bankrupt_N, mark_K)
        dropped_N = bankrupt_N & ~sold_N
        totals.bad_debt -= float(np.minimum(equity_N, 0.0)[taken_N | bankrupt_N].sum())
        totals.taken += float(gross_N[taken_N].sum())
        totals.auctioned += float(gross_N[sold_N].sum())
        books.to_backstop(rows[taken_N])
        self._auction(rows[sold_N], mark_K)
        if dropped_N.any():
            self._drop(rows[dropped_N], mark_K)
        gone: Ints = rows[taken_N | bankrupt_N]
        return gone

    def _bid_for(self, equity_N: Floats, gross_N: Floats, bankrupt_N: Bools, mark_K: Floats) -> Bools:
        """Which bankrupt books bidders take, in order: they have room, and the fund pays debt and discount."""
        sold_N = np.zeros_like(bankrupt_N)
        free = self._free(mark_K)
        for n in np.flatnonzero(bankrupt_N).tolist():
            cost = self._policy.auction_discount * gross_N[n] - equity_N[n]
            if gross_N[n] <= self._bids and cost <= free:
                sold_N[n] = True
                self._bids -= gross_N[n]
                free -= cost
        return sold_N

    def _auction(self, rows: Ints, mark_K: Floats) -> None:
        books = self._books
        if rows.size == 0:
            return
        discount = self._policy.auction_discount * float((np.abs(books.quantity_AK[rows]) @ mark_K).sum())
        held_K, cash = books.empty(rows)
        paid = discount - (cash + float(held_K @ mark_K))
        books.outside_K += held_K
        books.outside_cash += cash + paid
        books.backstop_cash -= paid
        self.totals.auction_discount += discount

    def _drop(self, rows: Ints, mark_K: Floats) -> None:
        """Bankrupt books that nobody took: against the other side."""
        books = self._books
        free = self._free(mark_K)
        spared_A = np.zeros(books.cash_A.size, np.bool_)
        spared_A[rows] = True
        net_K = books.quantity_AK[rows].sum(axis=0)
        debt = -float(books.equity_A[rows].sum())
        before = self.totals.adl
        books.to_backstop(rows)
        self._close_against((np.maximum(net_K, 0.0), np.minimum(net_K, 0.0)), max(debt - free, 0.0), mark_K, spared_A)
        self.totals.bankrupt_adl += self.totals.adl - before

    def _deleverage_backstop(self, mark_K: Floats) -> None:
        books, policy = self._books, self._policy
        gross = float(np.abs(books.backstop_K) @ mark_K)
        equity, need = books.backstop_equity(mark_K), policy.backstop_rate * gross
        if gross <= 0.0 or equity >= policy.backstop_floor * need:
            return
        needed = min(1.0, 1.0 - max(equity, 0.0) / need)
        share = 1.0 if policy.adl is AdlRule.QUEUE else needed
        book_K = share * books.backstop_K
        before = self.totals.adl
        sides = (np.maximum(book_K, 0.0), np.minimum(book_K, 0.0))
        self._close_against(sides, max(-equity, 0.0), mark_K, np.zeros(books.cash_A.size, np.bool_))
        closed = self.totals.adl - before
        self.totals.overshoot += max(0.0, closed - needed * gross)

    def _close_against(self, sides: tuple[Floats, Floats], debt: float, mark_K: Floats, spared_A: Bools) -> None:
        """Close what the backstop now holds of ``sides`` at mark; counterparties pay ``debt`` between them."""
        books, totals = self._books, self.totals
        wanted = sum(float(np.abs(side_K) @ mark_K) for side_K in sides)
        closed_value = 0.0
        for side_K in sides:
            for k in np.flatnonzero(side_K).tolist():
                closed_A = counterparties(books, k, float(side_K[k]), float(mark_K[k]), spared_A, self._policy.adl)
                bought_A = closed_A * np.sign(side_K[k])
                value_A = closed_A * mark_K[k]
                haircut_A = value_A * (debt / wanted)
                books.quantity_AK[:, k] += bought_A
                books.cash_A -= bought_A * mark_K[k] + haircut_A
                books.backstop_K[k] -= bought_A.sum()
                books.backstop_cash += float((bought_A * mark_K[k] + haircut_A).sum())
                totals.adl_A += value_A
                closed_value += float(value_A.sum())
        totals.adl += closed_value
        met = closed_value / wanted if wanted > 0.0 else 0.0
        totals.adl_haircut += debt * met
        self._allocate(debt * max(0.0, 1.0 - met))

    def _allocate(self, loss: float) -> None:
        """Spread ``loss`` over all positive equity; rounding of a full close is none."""
        books = self._books
        positive_A = np.maximum(books.equity_A, 0.0)
        total = float(positive_A.sum())
        if loss <= 1e-6 or total <= 0.0:
            return
        loss = min(loss, total)
        books.cash_A -= positive_A * (loss / total)
        books.backstop_cash += loss
        self.totals.loss_allocated += loss

    def _free(self, mark_K: Floats) -> float:
        """What the backstop can pay before it is deleveraged itself."""
        policy = self._policy
        floor = policy.backstop_floor * policy.backstop_rate * float(np.abs(self._books.backstop_K) @ mark_K)
        return max(0.0, self._books.backstop_equity(mark_K) - floor)


@compiled
def _fits(equity_N: Floats, gross_N: Floats, equity: float, gross: float, rate: float) -> Bools:
    """Which books a backstop takes one after another while its equity stays above ``rate`` of its gross."""
    taken_N = np.zeros(equity_N.size, np.bool_)
    for n in range(equity_N.size):
        if equity + equity_N[n] >= rate * (gross + gross_N[n]):
            taken_N[n] = True
            equity += equity_N[n]
            gross += gross_N[n]
    return taken_N
