"""Hedges: which instruments an account in liquidation may trade to take risk off instead of closing positions.

Owns who qualifies and up to which size. The policy names instruments; of those, linear perpetuals in an underlying of
the account's positions which it does not hold, which can be traded and priced, and which nobody has stopped. Up to the
quantity that takes the account's delta in the underlying to zero. Refuses to say whether a hedge is worth it.

A hedge is stated as closing a position that is not there: a phantom of the opposite sign, which the book's other half
offsets. So everything that is known of closing holds of it: sides, limits, costs, throttles.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.books.account import AccountBook
from engine.commands import CommandKind
from engine.market import Market
from engine.reference.instruments import Instrument, InstrumentKind
from engine.reference.parameters import RiskParameters
from engine.risk.sensitivities import greeks
from engine.units import E8


def phantoms(book: AccountBook, market: Market, parameters: RiskParameters) -> Mapping[str, int]:
    """Signed quantity (10^-8) of the phantom position by hedge, in whole lots; the account must be priced."""
    named = parameters.policy.hedges
    if not named:
        return {}
    held = {market.instruments[name].underlying for name in book.positions}
    terms = [each for name in sorted(named) if (each := market.instruments.get(name)) is not None]
    found = [each for each in terms if each.underlying in held and _qualifies(each, book, market)]
    if not found:
        return {}
    by_underlying, made = greeks(book, market), dict[str, int]()
    for each in found:
        delta = by_underlying.get(each.underlying, {}).get("delta", 0.0)
        lots = int(abs(delta) / (each.multiplier_e8 / E8) * E8) // each.lot_e8
        if lots:
            # Selling takes a positive delta off: like closing a long.
            made[each.instrument_id] = lots * each.lot_e8 if delta > 0 else -lots * each.lot_e8
    return made


def _qualifies(terms: Instrument, book: AccountBook, market: Market) -> bool:
    name = terms.instrument_id
    asset = market.assets.get(terms.settlement_asset)
    feeds = {terms.mark_feed, *({asset.mark_feed} if asset is not None and asset.mark_feed is not None else ())}
    return (
        terms.kind is InstrumentKind.LINEAR_PERPETUAL
        and name not in book.positions
        and asset is not None
        and feeds <= market.marks.keys()
        and market.controls.permits(CommandKind.HEDGE, book.account, name)
    )
