"""What becomes of one leg: traded on the book, taken by the backstop, or closed against winners.

Owns the simulated venue's side of ``reduce``, ``close``, ``hedge``, ``transfer_to_backstop`` and ``adl``. Refuses the
protocol's checks, which have been passed, and publishing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from engine.market import Market
from engine.pricing.valuation import mark_of
from engine.reference.instruments import Instrument, InstrumentKind
from engine.risk.depth import Depth
from engine.units import E8, PPM
from engine.waterfall.backstop import Participant
from engine.waterfall.backstop import transfer as divide
from engine.waterfall.deleverage import Candidate, deleverage
from streams.executor.depth import BookFill, BookOrder, fill_within
from streams.executor.history import fair_price
from streams.executor.positions import PositionView
from streams.executor.records import Execution, Trade

UNLIMITED_E8 = 1 << 100
"""Limit of a backstop that takes whatever comes."""

_SOUND_E8 = 1 << 62
"""Equity of everybody: an executor knows none, so that only the stages of profit and of size are left."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg with its terms and the market as of the decision. ``quantity_e8`` is signed."""

    command_id: str
    account: str
    terms: Instrument
    quantity_e8: int
    limit_e8: int
    market: Market
    time_us: int

    def trade(self, number: int, counterparty: str, quantity_e8: int, price_e8: int) -> Trade:
        """Part ``number`` of it; ``quantity_e8`` is unsigned."""
        signed_e8 = quantity_e8 if self.quantity_e8 > 0 else -quantity_e8
        return Trade(str(number), counterparty, self.terms.instrument_id, signed_e8, price_e8, self.time_us)


def unit_notional(terms: Instrument, market: Market) -> float | None:
    """Numeraire notional of one contract (of an option: of its underlying); None without the marks."""
    asset = market.assets.get(terms.settlement_asset)
    settlement_price = mark_of(market, asset.mark_feed) if asset is not None else None
    price = mark_of(market, terms.mark_feed)
    if settlement_price is None or price is None:
        return None
    units = terms.multiplier_e8 / E8
    is_inverse = terms.kind is InstrumentKind.INVERSE_PERPETUAL
    return units / price * settlement_price if is_inverse else units * price * settlement_price


def trade_on_book(leg: Leg, depth: Depth, band_ppm: int, liquidity_provider: str) -> Execution:
    """Trade against the simulated book: what lies within the limit, at once or not at all."""
    terms, is_buy = leg.terms, leg.quantity_e8 > 0
    fair, notional, reference = (
        fair_price(terms, leg.market),
        unit_notional(terms, leg.market),
        mark_of(leg.market, terms.mark_feed),
    )
    if fair is None or notional is None or reference is None:
        return Execution("rejected", reason="no_mark")
    beyond_e8 = (leg.limit_e8 - round(fair * E8)) * (1 if is_buy else -1)
    if beyond_e8 * PPM > band_ppm * round(fair * E8) + terms.tick_e8 * PPM:
        return Execution("rejected", reason="price_band", detail=f"the limit is worse than the mark {fair:g} allows")
    order = BookOrder(
        abs(leg.quantity_e8), is_buy, leg.limit_e8, fair, reference, notional, terms.tick_e8, terms.lot_e8
    )
    found = fill_within(order, depth)
    if found is None:
        return Execution("rejected", reason="limit_price")
    return _filled(leg, found, liquidity_provider)


def _filled(leg: Leg, found: BookFill, liquidity_provider: str) -> Execution:
    trades = (leg.trade(0, liquidity_provider, found.quantity_e8, found.price_e8),)
    if found.quantity_e8 == abs(leg.quantity_e8):
        return Execution("filled", trades)
    return Execution("cancelled", trades, "limit_price", "the rest lies beyond the limit price")


def transfer(leg: Leg, backstops: Sequence[Participant], positions: PositionView) -> Execution:
    """Hand the leg to the backstops at exactly its price, divided by their shares; all of it, or nothing when their
    positions would come to more than their limits (numeraire notional) have room for.

    Shares and limits are ``engine.waterfall.backstop``'s. All legs of a book are divided alike as long as no limit is
    near, so that what hedges in the book hedges in each part.
    """
    added = unit_notional(leg.terms, leg.market)
    takers = [_with_use(each, leg, positions) for each in backstops if each.name != leg.account]
    if added is None or any(each is None for each in takers):
        return Execution("rejected", reason="no_mark")
    sign, lot_e8 = 1 if leg.quantity_e8 > 0 else -1, leg.terms.lot_e8
    lots, odd_e8 = divmod(abs(leg.quantity_e8), lot_e8)
    risk_e8 = max(ceil(abs(leg.quantity_e8) * added), 1)
    split = divide((sign * lots,), 0, risk_e8, [each for each in takers if each is not None])
    if split.left_lots[0] or not split.slices:
        refused = ", ".join(f"{name} {reason}" for name, reason in split.refused) or "no room for all of it"
        return Execution("rejected", reason="capacity", detail=refused)
    trades: list[Trade] = []
    for part in split.slices:
        # What is less than a lot goes with the first part: a takeover leaves nothing behind.
        quantity_e8 = abs(part.lots[0]) * lot_e8 + (odd_e8 if not trades else 0)
        if quantity_e8:
            trades.append(leg.trade(len(trades), part.participant, quantity_e8, leg.limit_e8))
    return Execution("filled", tuple(trades))


def _with_use(backstop: Participant, leg: Leg, positions: PositionView) -> Participant | None:
    """The participant with the notional it holds already; None if that cannot be told."""
    if backstop.risk_limit_e8 == UNLIMITED_E8:
        return backstop
    used = _gross_notional(leg, backstop.name, positions)
    return None if used is None else replace(backstop, risk_used_e8=ceil(used * E8))


def _gross_notional(leg: Leg, account: str, positions: PositionView) -> float | None:
    total = 0.0
    for name, quantity_e8 in positions.book(account).items():
        terms = leg.market.instruments.get(name)
        if terms is None or (terms.expiry_us is not None and terms.expiry_us <= leg.market.time_us):
            continue
        notional = unit_notional(terms, leg.market)
        if notional is None:
            return None
        total += abs(quantity_e8) / E8 * notional
    return total


def close_against_winners(leg: Leg, positions: PositionView) -> Execution:
    """Deleverage: close the leg against those who hold the other side, winners first, at exactly its price."""
    fair = fair_price(leg.terms, leg.market)
    if fair is None:
        return Execution("rejected", reason="no_mark")
    fair_e8, lot_e8, sign = round(fair * E8), leg.terms.lot_e8, 1 if leg.quantity_e8 > 0 else -1
    # Whoever is long sells to a leg that buys, and loses what its price lies below the mark.
    haircut_e8 = sign * (fair_e8 - leg.limit_e8) * lot_e8 * leg.terms.multiplier_e8 // (E8 * E8)
    candidates = []
    for account, holding in sorted(positions.holders(leg.terms.instrument_id).items()):
        lots = sign * holding.quantity_e8 // lot_e8
        if account == leg.account or lots <= 0:
            continue
        profit_e16 = holding.quantity_e8 * fair_e8 - holding.cost_e16
        profit_e8 = profit_e16 * leg.terms.multiplier_e8 // (E8 * E8)
        candidates.append(Candidate(account, lots, profit_e8, _SOUND_E8, 0, 0))
    if not candidates:
        return Execution("rejected", reason="capacity", detail="nobody holds the other side")
    split = deleverage(abs(leg.quantity_e8), lot_e8, haircut_e8, candidates)
    taken: dict[str, int] = {}
    for reduction in split.reductions:
        taken[reduction.account] = taken.get(reduction.account, 0) + reduction.lots * lot_e8
    left_e8 = abs(leg.quantity_e8)
    trades: list[Trade] = []
    for account, quantity_e8 in taken.items():
        part_e8 = min(quantity_e8, left_e8)
        left_e8 -= part_e8
        if part_e8:
            trades.append(leg.trade(len(trades), account, part_e8, leg.limit_e8))
    if left_e8:
        return Execution("cancelled", tuple(trades), "capacity", "nobody is left on the other side")
    return Execution("filled", tuple(trades))
