"""Health of every account at a mark: equity and requirement, and how much of a book has to go.

Owns the compiled pass over accounts that every tick makes. Refuses prices that differ between accounts. The formulas
are those of ``engine.cascade.population``.
"""

from __future__ import annotations

import numpy as np

from engine.compiled import compiled
from engine.pricing.axes import Floats


@compiled
def health(
    quantity_AK: Floats,
    collateral_AK: Floats,
    cash_A: Floats,
    scale_A: Floats,
    rate_K: Floats,
    offset: float,
    price_K: Floats,
    equity_A: Floats,
    requirement_A: Floats,
) -> None:
    """Write equity and requirement of every account at ``price_K`` into the last two arrays."""
    accounts, underlyings = quantity_AK.shape
    for a in range(accounts):
        equity, long, short = cash_A[a], 0.0, 0.0
        for k in range(underlyings):
            value = quantity_AK[a, k] * price_K[k]
            equity += value + collateral_AK[a, k] * price_K[k]
            if value > 0.0:
                long += rate_K[k] * value
            else:
                short -= rate_K[k] * value
        equity_A[a] = equity
        requirement_A[a] = scale_A[a] * (long + short - 2.0 * offset * min(long, short))


def share_to_close(equity_A: Floats, requirement_A: Floats, cost_A: Floats, target: float) -> Floats:
    """The share of a book whose close brings equity to ``target`` x requirement, [A], 0..1.

    Closing share f leaves equity - f cost and (1 - f) requirement, so f = (target R - E) / (target R - cost); 1 where
    even all of it does not help. ``cost_A`` is what closing everything is expected to cost; an infinite target closes
    everything.
    """
    if np.isinf(target):
        return np.ones_like(equity_A)
    aim_A = target * requirement_A
    freed_A = aim_A - cost_A
    share_A = np.divide(aim_A - equity_A, freed_A, out=np.ones_like(aim_A), where=freed_A > 0.0)
    return np.clip(share_A, 0.0, 1.0)
