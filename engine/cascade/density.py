"""The liquidation map: how much the venue would close at which prices, and the branching ratio of it.

Owns planned closes as a function of prices. Refuses to carry anything out: books are read.
"""

from __future__ import annotations

import numpy as np

from engine.cascade.books import CascadeBooks
from engine.cascade.health import health, share_to_close
from engine.cascade.impact import ImpactState
from engine.cascade.policy import VenuePolicy
from engine.pricing.axes import Floats


def planned_close(books: CascadeBooks, price_K: Floats, policy: VenuePolicy, half_spread_K: Floats) -> Floats:
    """What accounts below maintenance at ``price_K`` would trade, bought less sold, [K], numeraire."""
    population = books.population
    equity_A, requirement_A = np.empty_like(books.cash_A), np.empty_like(books.cash_A)
    health(
        books.quantity_AK, books.collateral_AK, books.cash_A, population.scale_A, population.rate_K,
        population.offset, price_K, equity_A, requirement_A,
    )  # fmt: skip
    rows = np.flatnonzero(equity_A < requirement_A)
    value_NK = books.quantity_AK[rows] * price_K
    cost_N = np.abs(value_NK) @ (half_spread_K + policy.fee)
    share_N = share_to_close(equity_A[rows], requirement_A[rows], cost_N, policy.target)
    result: Floats = -(value_NK * share_N[:, None]).sum(axis=0)
    return result


def liquidation_map(
    books: CascadeBooks, price_K: Floats, moves_BK: Floats, policy: VenuePolicy, half_spread_K: Floats
) -> Floats:
    """Planned trades whose trigger lies in each bucket of a ladder of log ``moves_BK`` from ``price_K``, [B-1, K].

    Bucket b is what is planned at rung b + 1 beyond rung b; divide by the rungs' distance for rho, the forced notional
    per unit of log move.
    """
    rungs = [planned_close(books, price_K * np.exp(move_K), policy, half_spread_K) for move_K in moves_BK]
    planned_BK = np.array(rungs)
    result: Floats = np.diff(planned_BK, axis=0)
    return result


def branching_ratio(
    books: CascadeBooks, price_K: Floats, move_K: Floats, policy: VenuePolicy, impact: ImpactState
) -> tuple[float, Floats]:
    """R = lambda x rho for a next log move ``move_K``: all underlyings weighted by open positions, and each, [K].

    The impact of what that move would force, on top of the load there is, over the move itself: under linear impact
    exactly lambda x rho whatever the move, under a square root the slope of the secant. Throttles are not counted. A
    positive ratio goes on in the direction of the move; above 1 the next round is larger than this one.
    """
    now_K = planned_close(books, price_K, policy, impact.half_spread_K)
    then_K = planned_close(books, price_K * np.exp(move_K), policy, impact.half_spread_K)
    load_K = (then_K - now_K) / (impact.volume_K * impact.depth_left_K)
    caused_K = impact.transient(impact.load_K + load_K) - impact.transient(impact.load_K)
    ratio_K = np.divide(caused_K, move_K, out=np.zeros_like(caused_K), where=move_K != 0.0)
    weight_K = np.abs(books.quantity_AK).sum(axis=0) * price_K
    total = float(weight_K.sum())
    return (float(ratio_K @ weight_K) / total if total > 0.0 else 0.0), ratio_K
