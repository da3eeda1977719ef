"""How much of an order the simulated book fills, and at what price.

Owns the fill simulation: the half-spread, then the square-root law of ``engine.risk.depth`` up to the limit price. The
same order against the same prices gives the same fill. Refuses to remember: every order meets a fresh book.

An order walks the book until the marginal price reaches its limit, and pays the average. At cost n (s + k sqrt(n)) the
average lies s + k sqrt(n) beyond fair, the marginal price s + 1.5 k sqrt(n). Without ``daily_volume`` the book is
bottomless: somebody takes everything at the half-spread, or at the limit where that lies inside the half-spread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from engine.risk.depth import Depth, cost_to_close
from engine.units import E8

DEFAULT_DEPTH = Depth(half_spread=0.0005)
_MARGINAL = 1.5
"""Marginal over average impact of a square-root law."""


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An order with a limit against a book around ``fair``, a price in the instrument's quote.

    ``unit_notional``: numeraire notional of one contract. ``reference``: the price of which impact is a share, in the
    same quote: the fair price, or for an option the underlying's.
    """

    quantity_e8: int
    is_buy: bool
    limit_e8: int
    fair: float
    reference: float
    unit_notional: float
    tick_e8: int
    lot_e8: int


@dataclass(frozen=True, slots=True)
class BookFill:
    """Price (10^-8, on the tick, within the limit) and quantity (10^-8, at most the order's)."""

    price_e8: int
    quantity_e8: int


def fill_within(order: BookOrder, depth: Depth) -> BookFill | None:
    """What the book gives; None when it gives nothing, because the limit is beyond the fair price (on the wrong side)
    or inside the spread of a book that is not bottomless."""
    tick_e8 = order.tick_e8
    fair_e8 = max(round(order.fair * E8), tick_e8)
    limit_e8 = order.limit_e8 // tick_e8 * tick_e8 if order.is_buy else _ceiling(order.limit_e8, tick_e8)
    # One tick is the least a price can be: a worthless option is still taken off the account's hands for it.
    limit_e8 = max(limit_e8, tick_e8) if not order.is_buy else limit_e8
    room_e8 = limit_e8 - fair_e8 if order.is_buy else fair_e8 - limit_e8
    if room_e8 < 0:
        return None
    spread_e8 = int(round(order.fair * E8) * depth.half_spread)
    quantity_e8, impact_e8 = _walk(order, depth, room_e8 - spread_e8)
    if quantity_e8 <= 0:
        return None
    if order.is_buy:
        price_e8 = min(_ceiling(fair_e8 + spread_e8 + impact_e8, tick_e8), limit_e8)
    else:
        price_e8 = max(tick_e8, (fair_e8 - spread_e8 - impact_e8) // tick_e8 * tick_e8, limit_e8)
    return BookFill(price_e8, quantity_e8)


def _walk(order: BookOrder, depth: Depth, spare_e8: int) -> tuple[int, int]:
    """Quantity up to where the marginal price has used ``spare_e8`` beyond the spread, and its average impact."""
    strength_e8 = order.reference * E8 * depth.impact * depth.daily_volatility
    if depth.daily_volume is None or strength_e8 <= 0.0:
        return order.quantity_e8, 0
    if spare_e8 <= 0:
        return 0, 0
    notional_left = depth.daily_volume * depth.depth_left
    quantity_e8 = order.quantity_e8
    # Square roots are compared, lest the square of a spread that is huge beside the impact be out of range.
    if spare_e8 / (_MARGINAL * strength_e8) < math.sqrt(quantity_e8 / E8 * order.unit_notional / notional_left):
        share = (spare_e8 / (_MARGINAL * strength_e8)) ** 2
        fillable_e8 = share * notional_left / order.unit_notional * E8
        quantity_e8 = min(int(fillable_e8), quantity_e8) // order.lot_e8 * order.lot_e8
    notional = quantity_e8 / E8 * order.unit_notional
    if notional <= 0.0:
        return 0, 0
    cost = float(cost_to_close(np.array([notional]), replace(depth, half_spread=0.0))[0])
    return quantity_e8, int(order.reference * E8 * cost / notional)


def _ceiling(price_e8: int, tick_e8: int) -> int:
    return -(-price_e8 // tick_e8) * tick_e8
