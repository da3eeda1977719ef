"""Crossing: forced flows of opposite sides meet before either reaches the market.

Owns who trades with whom, how much and at which price. Legs of one instrument that are live at the same moment and both
accept the mark are crossed at it, without spread or impact; only what is left over goes to the book. The venue stands
between the two, as it does for every trade: each leg trades with the liquidity provider, whose two sides cancel. So a
crash between their fills leaves nobody without a counterparty. Refuses the protocol's checks, which have been passed.

The order is that of command ids, which says nothing about prices or accounts; quantities are exact, in whole lots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.units import E8, div_down
from streams.executor.history import fair_price
from streams.executor.legs import Leg, is_beyond_band
from streams.executor.records import Trade


@dataclass(frozen=True, slots=True)
class Live:
    """A leg that may trade now, with the version of the marks it was decided on."""

    leg: Leg
    mark_version: int


def crossed(lives: Sequence[Live], band_ppm: int, liquidity_provider: str) -> Mapping[str, tuple[Trade, ...]]:
    """The trades that cross, by command id; legs that meet nobody have none."""
    ordered = sorted(lives, key=lambda live: live.leg.command_id)
    left_e8 = {live.leg.command_id: abs(live.leg.quantity_e8) for live in ordered}
    trades: dict[str, tuple[Trade, ...]] = {}
    for seller in (live for live in ordered if live.leg.quantity_e8 < 0):
        for buyer in (live for live in ordered if live.leg.quantity_e8 > 0):
            quantity_e8 = min(left_e8[seller.leg.command_id], left_e8[buyer.leg.command_id])
            price_e8 = _price_e8(seller, buyer, band_ppm) if quantity_e8 else None
            if price_e8 is None:
                continue
            time_us = max(seller.leg.time_us, buyer.leg.time_us)
            for leg in (seller.leg, buyer.leg):
                done = trades.get(leg.command_id, ())
                made = leg.trade(len(done), liquidity_provider, quantity_e8, price_e8)
                trades[leg.command_id] = (*done, replace(made, time_us=time_us))
                left_e8[leg.command_id] -= quantity_e8
    return trades


def _price_e8(seller: Live, buyer: Live, band_ppm: int) -> int | None:
    """The newer one's mark, on the nearest tick, if both accept it; None if they do not meet."""
    terms = seller.leg.terms
    if terms.instrument_id != buyer.leg.terms.instrument_id or seller.leg.account == buyer.leg.account:
        return None
    newer = max((seller, buyer), key=lambda live: (live.mark_version, live.leg.time_us))
    fair = fair_price(terms, newer.leg.market)
    if fair is None or any(is_beyond_band(live.leg, fair, band_ppm) for live in (seller, buyer)):
        return None
    price_e8 = max(div_down(2 * round(fair * E8) + terms.tick_e8, 2 * terms.tick_e8), 1) * terms.tick_e8
    return price_e8 if seller.leg.limit_e8 <= price_e8 <= buyer.leg.limit_e8 else None
