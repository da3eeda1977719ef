"""Settlement: turning an expired position into cash.

Owns the value of a contract at its final price. Refuses to decide when an instrument is settled (``market_book``).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.books.account import AccountBook, Position
from engine.books.ledger import Flows, fits, flow_of, post
from engine.errors import InvariantBroken
from engine.reference.instruments import Instrument, InstrumentKind
from engine.units import E8, div_down


@dataclass(frozen=True, slots=True)
class SettledPosition:
    """What an expired position was, and the cash it became in the settlement asset."""

    quantity_e8: int
    cash_e8: int


def final_value(instrument: Instrument, quantity_e8: int, price_e8: int) -> int:
    """Value of a position at the final price, in 10^-8 of the settlement asset, rounded down for the account.

    Future: quantity x price x multiplier. Option: quantity x intrinsic value x multiplier, where the final price is
    that of the underlying.
    """
    assert instrument.kind.expires
    unit_e8 = price_e8
    if instrument.strike_e8 is not None:
        call = instrument.kind is InstrumentKind.CALL
        unit_e8 = max(price_e8 - instrument.strike_e8 if call else instrument.strike_e8 - price_e8, 0)
    return div_down(quantity_e8 * unit_e8 * instrument.multiplier_e8, E8 * E8)


def add_settlement(flows: Flows, instrument: Instrument, position: Position, price_e8: int) -> SettledPosition:
    """Add to ``flows`` what settling ``position`` moves. A future pays value less cost; the cost of an option was
    paid as premium when it was bought."""
    value_e8 = final_value(instrument, position.quantity_e8, price_e8)
    cash_e8 = value_e8 if instrument.kind.is_option else value_e8 - position.cost_e8
    flow = flow_of(flows, instrument.settlement_asset)
    flow.balance_e8 += cash_e8
    flow.totals.traded_value_e8 -= value_e8
    flow.totals.realized_pnl_e8 += value_e8 - position.cost_e8
    return SettledPosition(position.quantity_e8, cash_e8)


def can_settle(book: AccountBook, instrument: Instrument, price_e8: int) -> bool:
    """Whether the book has room for the cash that its position in ``instrument`` would become."""
    flows: Flows = {}
    add_settlement(flows, instrument, book.positions[instrument.instrument_id], price_e8)
    return fits(book, flows)


def settle_position(book: AccountBook, instrument: Instrument, price_e8: int) -> SettledPosition:
    """Replace the book's position in ``instrument`` by cash; it must fit (``can_settle``)."""
    flows: Flows = {}
    settled = add_settlement(flows, instrument, book.positions[instrument.instrument_id], price_e8)
    if not post(book, flows):
        raise InvariantBroken(f"account {book.account} has no room to settle {instrument.instrument_id}")
    del book.positions[instrument.instrument_id]
    return settled
