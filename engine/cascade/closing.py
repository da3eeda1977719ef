"""Planned closes of a tick: wished for by account, netted against each other, throttled, and sent to the market.

Owns the way from books below maintenance to signed flow. Refuses impact: it is told what the outside pays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.cascade.policy import VenuePolicy
from engine.pricing.axes import Floats


@dataclass(frozen=True, slots=True)
class Routing:
    """Of the wishes to buy and to sell by underlying, at mark: what crosses inside, what reaches the market."""

    wanted_buy_K: Floats
    wanted_sell_K: Floats
    crossed_K: Floats
    buy_K: Floats
    sell_K: Floats

    @property
    def flow_K(self) -> Floats:
        """Bought less sold in the market."""
        return self.buy_K - self.sell_K

    def filled(self) -> tuple[Floats, Floats]:
        """The shares of wishes to buy and to sell that are filled; 0 where there is no wish."""
        return (
            _share(self.crossed_K + self.buy_K, self.wanted_buy_K),
            _share(self.crossed_K + self.sell_K, self.wanted_sell_K),
        )

    def fill_prices(self, mark_K: Floats, outside_K: Floats, half_spread_K: Floats) -> tuple[Floats, Floats]:
        """Average prices of buying and of selling: mark where orders cross, ``outside_K`` and half a spread beyond."""
        return (
            _average(self.crossed_K, mark_K, self.buy_K, outside_K * (1.0 + half_spread_K)),
            _average(self.crossed_K, mark_K, self.sell_K, outside_K * (1.0 - half_spread_K)),
        )


def route(wanted_buy_K: Floats, wanted_sell_K: Floats, tick_volume_K: Floats, policy: VenuePolicy, tick_s: float) -> (
    Routing
):  # fmt: skip
    """Cross opposite wishes first, then let the rest out as far as the throttles allow."""
    crossed_K = np.minimum(wanted_buy_K, wanted_sell_K) if policy.netting else np.zeros_like(wanted_buy_K)
    room_K = policy.participation * tick_volume_K if np.isfinite(policy.participation) else np.full_like(
        tick_volume_K, np.inf
    )  # fmt: skip
    buy_K = np.minimum(wanted_buy_K - crossed_K, room_K)
    sell_K = np.minimum(wanted_sell_K - crossed_K, room_K)
    total, most = float(buy_K.sum() + sell_K.sum()), policy.flow_per_s * tick_s
    if total > most:
        buy_K, sell_K = buy_K * (most / total), sell_K * (most / total)
    return Routing(wanted_buy_K, wanted_sell_K, crossed_K, buy_K, sell_K)


def _share(part_K: Floats, whole_K: Floats) -> Floats:
    result: Floats = np.divide(part_K, whole_K, out=np.zeros_like(whole_K), where=whole_K > 0.0)
    return np.minimum(result, 1.0)


def _average(one_K: Floats, price_K: Floats, other_K: Floats, other_price_K: Floats) -> Floats:
    total_K = one_K + other_K
    paid_K = one_K * price_K + other_K * other_price_K
    result: Floats = np.divide(paid_K, total_K, out=price_K.copy(), where=total_K > 0.0)
    return result
