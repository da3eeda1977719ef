"""The loop: outside path, mark, health, takeovers, closes, impact, next tick.

Owns the order of a tick and the record of a run. Refuses chance and calendars: the outside path and the noise of marks
come as arrays, and a tick is ``tick_s`` seconds. A tick at which the venue is out moves prices and liquidates nobody.

``Run.forced_T`` counts a notional when it leaves the account that fell short, whoever takes it; that the backstop then
sells it, or that it is deleveraged, is not counted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.cascade.backstop import Waterfall, WaterfallTotals
from engine.cascade.books import CascadeBooks
from engine.cascade.closing import route
from engine.cascade.density import branching_ratio
from engine.cascade.health import share_to_close
from engine.cascade.impact import ImpactLaw, ImpactState
from engine.cascade.policy import VenuePolicy
from engine.cascade.population import Population
from engine.cascade.regrets import Regrets
from engine.errors import InvalidReference
from engine.pricing.axes import Bools, Floats, Ints
from engine.risk.depth import Depth

AHEAD = 0.01
"""Log move of the factor over which the branching ratio is taken."""


@dataclass(frozen=True, slots=True)
class Market:
    """Depth of each underlying, the law of impact, and how far each moves when the factor moves by 1."""

    depths: tuple[Depth, ...]
    law: ImpactLaw
    beta_K: Floats


@dataclass(frozen=True, slots=True)
class Run:
    """What happened. Series by tick, numeraire; prices against the start; ``branching_T`` is NaN where not sampled.

    ``fund_T`` is the backstop's equity at mark. ``wrong``: accounts first touched at least five minutes before the end
    whose book as it was would have been above maintenance five minutes later; ``judged`` how many there are of those,
    both also by notional.
    """

    tick_s: float
    weight_K: Floats
    price_TK: Floats
    forced_TK: Floats
    adl_T: Floats
    fund_T: Floats
    short_T: Ints
    branching_T: Floats
    totals: WaterfallTotals
    books: CascadeBooks
    touched_A: Bools
    judged: int
    wrong: int
    judged_notional: float
    wrong_notional: float
    netted: float

    @property
    def forced_T(self) -> Floats:
        """Forced volume of all underlyings."""
        result: Floats = self.forced_TK.sum(axis=1)
        return result


class Cascade:
    """One run over one population."""

    def __init__(self, population: Population, market: Market, policy: VenuePolicy, tick_s: float = 1.0) -> None:
        if len(market.depths) != len(population.underlyings) or market.beta_K.shape != population.rate_K.shape:
            raise InvalidReference("depths", "one depth and one beta for each underlying")
        if not tick_s > 0.0:
            raise InvalidReference("tick_s", "must be above zero")
        self._market, self._policy, self._tick_s = market, policy, tick_s
        self._books = CascadeBooks(population, policy.fund)
        self._impact = ImpactState(market.law, market.depths, tick_s)
        self._waterfall = Waterfall(self._books, policy)
        self._closing_A = np.zeros(population.equity_A.size, np.bool_)
        self._regrets = Regrets(self._books, tick_s)
        self._netted = 0.0

    def run(self, outside_TK: Floats, mark_noise_TK: Floats, sample_every: int = 10) -> Run:
        """Follow ``outside_TK`` (log prices without forced flow). ``mark_noise_TK`` are standard normals, scaled by
        the policy; ``sample_every`` ticks the branching ratio is taken, 0 never."""
        ticks, books, policy = outside_TK.shape[0], self._books, self._policy
        if outside_TK.shape != mark_noise_TK.shape or outside_TK.shape[1:] != self._market.beta_K.shape:
            raise InvalidReference("outside_TK", "path and noise must be ticks by underlyings")
        lag = round(policy.oracle_lag_s / self._tick_s)
        out_from = round(policy.outage_at_s / self._tick_s)
        out_to = out_from + round(policy.outage_s / self._tick_s)
        log_TK, forced_TK = np.empty_like(outside_TK), np.zeros_like(outside_TK)
        adl_T, fund_T, branching_T = np.zeros(ticks), np.zeros(ticks), np.full(ticks, np.nan)
        short_T = np.zeros(ticks, np.int64)
        weight_K = self._books.population.gross_K / max(float(self._books.population.gross_K.sum()), 1e-300)
        for t in range(ticks):
            log_TK[t] = outside_TK[t] + self._impact.shift()
            if t:
                self._impact.see(log_TK[t] - log_TK[t - 1])
            price_K = np.exp(log_TK[t])
            mark_K = np.exp(log_TK[max(0, t - lag)] + policy.mark_noise * mark_noise_TK[t])
            books.look(mark_K)
            adl_before = self._waterfall.totals.adl
            if not out_from <= t < out_to:
                forced_TK[t] = self._act(t, price_K, mark_K)
            else:
                self._impact.take(np.zeros_like(price_K))
            self._regrets.judge(t, price_K)
            adl_T[t] = self._waterfall.totals.adl - adl_before
            fund_T[t] = books.backstop_equity(price_K)
            short_T[t] = int(np.count_nonzero(self._closing_A))
            if sample_every and t % sample_every == 0:
                branching_T[t] = self._branching(price_K)
        return Run(
            self._tick_s, weight_K, np.exp(log_TK), forced_TK, adl_T, fund_T, short_T, branching_T,
            self._waterfall.totals, books, self._regrets.touched_A, *self._regrets.counts(), self._netted,
        )  # fmt: skip

    def _branching(self, price_K: Floats) -> float:
        """Of the next percent of the factor, down or up: the larger."""
        ahead_K = AHEAD * self._market.beta_K
        ratios = (branching_ratio(self._books, price_K, sign * ahead_K, self._policy, self._impact) for sign in (-1, 1))
        return max(ratio for ratio, _ in ratios)

    def _act(self, t: int, price_K: Floats, mark_K: Floats) -> Floats:
        """Takeovers, then closes; forced notional by underlying."""
        books, policy = self._books, self._policy
        short_A = books.equity_A < books.requirement_A
        self._closing_A &= books.equity_A < policy.released * books.requirement_A
        self._closing_A |= short_A
        before_K = np.zeros_like(price_K)
        below_A = books.equity_A < policy.takeover * books.requirement_A
        due = np.flatnonzero(short_A & (below_A | (books.equity_A < 0.0)))
        if due.size or books.backstop_K.any():
            held_NK = books.quantity_AK[due].copy()
            self._regrets.note(t, due)
            gone = self._waterfall.resolve(mark_K, float(self._impact.tick_volume_K.sum()), self._tick_s)
            self._closing_A[gone] = False
            before_K = (np.abs(held_NK) * np.isin(due, gone)[:, None]).sum(axis=0) * mark_K
        return before_K + self._close(t, price_K, mark_K)

    def _close(self, t: int, price_K: Floats, mark_K: Floats) -> Floats:
        books, policy, impact = self._books, self._policy, self._impact
        rows = np.flatnonzero(self._closing_A)
        held_NK = books.quantity_AK[rows]
        gross_NK = np.abs(held_NK) * mark_K
        cost_N = gross_NK @ (impact.half_spread_K + policy.fee)
        share_N = share_to_close(books.equity_A[rows], books.requirement_A[rows], cost_N, policy.target)
        wish_NK = -held_NK * share_N[:, None]
        unwind_K = -books.backstop_K * min(1.0, self._tick_s / policy.backstop_unwind_s)
        buys_K = np.maximum(wish_NK, 0.0).sum(axis=0) + np.maximum(unwind_K, 0.0)
        sells_K = np.maximum(-wish_NK, 0.0).sum(axis=0) + np.maximum(-unwind_K, 0.0)
        routing = route(buys_K * price_K, sells_K * price_K, impact.tick_volume_K, policy, self._tick_s)
        shift_K = impact.shift()
        impact.take(routing.flow_K)
        outside_K = price_K * np.exp(0.5 * (impact.shift() - shift_K))
        buy_price_K, sell_price_K = routing.fill_prices(price_K, outside_K, impact.half_spread_K)
        buy_share_K, sell_share_K = routing.filled()
        self._netted += float(routing.crossed_K.sum())
        unwound_K = np.where(unwind_K > 0.0, unwind_K * buy_share_K, unwind_K * sell_share_K)
        paid_K = unwound_K * np.where(unwound_K > 0.0, buy_price_K, sell_price_K)
        books.backstop_trade(unwound_K, float(paid_K.sum()))
        if rows.size == 0:
            return np.zeros_like(price_K)
        traded_NK = np.where(wish_NK > 0.0, wish_NK * buy_share_K, wish_NK * sell_share_K)
        self._regrets.note(t, rows[np.abs(traded_NK).sum(axis=1) > 0.0])
        paid_NK = traded_NK * np.where(traded_NK > 0.0, buy_price_K, sell_price_K)
        books.trade(rows, traded_NK, paid_NK.sum(axis=1))
        fee_N = policy.fee * np.abs(paid_NK).sum(axis=1)
        books.cash_A[rows] -= fee_N
        books.backstop_cash += float(fee_N.sum())
        forced: Floats = (np.abs(traded_NK) * price_K).sum(axis=0)
        return forced
