"""Positions: what a fill does to an account.

Owns the checks of a fill, the value of a trade, average-cost accounting and realized PnL. Refuses prices other than
the fill's own, and what the result is worth (``engine.pricing``).

A trade of q contracts at price p has the value V = q p m for linear contracts, futures, options and spot, and
V = -q m / p for inverse ones (m: contract multiplier). A position's cost is the V it was bought for. Reducing it
releases cost pro rata; realized PnL = -V(reducing part) - released cost moves to the balance at once. Option premium
and spot money move in full at the fill.

Trail: before it ``engine.margin_engine`` (the step), after it ``engine.books.ledger`` (the posting).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from engine.books.account import AccountBook, Position
from engine.books.funding import funding_payment
from engine.books.ledger import Flow, Flows, flow_of, post
from engine.books.settlement import SettledPosition, add_settlement
from engine.events import Fill
from engine.outcomes import APPLIED, Outcome, Rejection, rejected
from engine.reference.instruments import Instrument, InstrumentKind
from engine.units import E8, div_magnitude, div_up, fits_int64


@dataclass(frozen=True, slots=True)
class Trade:
    """A position after a trade (None: flat), the value V of the trade and the PnL it realized."""

    position: Position | None
    value_e8: int
    realized_pnl_e8: int


@dataclass(frozen=True, slots=True)
class FillResult:
    """The fate of a fill, and the position that settled at once because its instrument already had."""

    outcome: Outcome
    settled: SettledPosition | None = None


def trade_value(instrument: Instrument, quantity_e8: int, price_e8: int) -> int:
    """Signed value of a trade in 10^-8 of the settlement asset; magnitude rounded half up (exact on lot and tick)."""
    if instrument.kind is InstrumentKind.INVERSE_PERPETUAL:
        return -div_magnitude(quantity_e8 * instrument.multiplier_e8, price_e8)
    return div_magnitude(quantity_e8 * price_e8 * instrument.multiplier_e8, E8 * E8)


def trade(instrument: Instrument, held: Position | None, quantity_e8: int, price_e8: int, index_e12: int) -> Trade:
    """What trading ``quantity_e8`` at ``price_e8`` makes of ``held``, whose funding is paid up to ``index_e12``.

    Released cost is rounded up, so realized PnL down; the fraction stays in the open cost and is realized with the
    last contract.
    """
    value = trade_value(instrument, quantity_e8, price_e8)
    if held is None:
        return Trade(Position(quantity_e8, value, index_e12), value, 0)
    if (held.quantity_e8 > 0) == (quantity_e8 > 0):
        return Trade(Position(held.quantity_e8 + quantity_e8, held.cost_e8 + value, index_e12), value, 0)
    if abs(quantity_e8) < abs(held.quantity_e8):
        released = div_up(held.cost_e8 * abs(quantity_e8), abs(held.quantity_e8))
        left = Position(held.quantity_e8 + quantity_e8, held.cost_e8 - released, index_e12)
        return Trade(left, value, -value - released)
    # The whole position closes; what the trade has left over opens the other side at the rest of the trade's value.
    closing_value = trade_value(instrument, -held.quantity_e8, price_e8)
    realized = -closing_value - held.cost_e8
    turned = held.quantity_e8 + quantity_e8
    opened = Position(turned, value - closing_value, index_e12) if turned else None
    return Trade(opened, value, realized)


def fill_fault(fill: Fill, instrument: Instrument | None, assets: Container[str]) -> Outcome | None:
    """Why the fill cannot be applied to any book, in order of precedence, or None."""
    if instrument is None:
        return rejected(Rejection.UNKNOWN_INSTRUMENT, "instrument", fill.instrument)
    for asset in (instrument.settlement_asset, instrument.base_asset):
        if asset is not None and asset not in assets:
            return rejected(Rejection.UNKNOWN_ASSET, "instrument", asset)
    if instrument.expiry_us is not None and fill.trade_time_us >= instrument.expiry_us:
        return rejected(Rejection.INSTRUMENT_EXPIRED, "trade_time_us", f"expired at {instrument.expiry_us}")
    if fill.quantity_e8 == 0 or fill.quantity_e8 % instrument.lot_e8:
        return rejected(Rejection.QUANTITY_OFF_LOT, "quantity", f"lot is {instrument.lot_e8} x 10^-8")
    if fill.price_e8 <= 0 or fill.price_e8 % instrument.tick_e8:
        return rejected(Rejection.PRICE_OFF_TICK, "price", f"tick is {instrument.tick_e8} x 10^-8")
    for field, amount in (("quantity", fill.quantity_e8), ("price", fill.price_e8), ("fee", fill.fee_e8)):
        if not fits_int64(amount):
            return rejected(Rejection.AMOUNT_OUT_OF_RANGE, field)
    return None


def apply_fill(
    book: AccountBook, fill: Fill, instrument: Instrument, index_e12: int, final_price_e8: int | None
) -> FillResult:
    """Apply a fill without fault (``fill_fault``) wholly, or reject it because an amount would leave its range.

    ``index_e12`` is the newest funding index. With ``final_price_e8`` the instrument is settled already: a late fill
    of it becomes cash at once.
    """
    flows: Flows = {}
    if instrument.kind is InstrumentKind.SPOT:
        _add_spot(flows, fill, instrument)
        position, settled = None, None
    else:
        position = _add_contract(flows, book, fill, instrument, index_e12)
        settled = None
        if position is not None and final_price_e8 is not None:
            settled = add_settlement(flows, instrument, position, final_price_e8)
            position = None
    fee = flow_of(flows, instrument.settlement_asset)
    fee.balance_e8 -= fill.fee_e8
    fee.totals.fees_paid_e8 += fill.fee_e8
    if (position is not None and not _position_fits(position)) or not post(book, flows):
        return FillResult(rejected(Rejection.AMOUNT_OUT_OF_RANGE, "quantity", "the book would overflow"))
    if position is not None:
        book.positions[instrument.instrument_id] = position
    else:
        book.positions.pop(instrument.instrument_id, None)
    return FillResult(APPLIED, settled)


def add_trade(flow: Flow, instrument: Instrument, held: Position | None, made: Trade, index_e12: int) -> None:
    """Add to the flow of the settlement asset what the trade ``made`` moves, and the funding it settles."""
    cash = -made.value_e8 if instrument.kind.is_option else made.realized_pnl_e8
    funding = 0
    if held is not None:
        funding = funding_payment(instrument, held.quantity_e8, held.funding_index_e12, index_e12)
    flow.balance_e8 += cash - funding
    flow.totals.traded_value_e8 += made.value_e8
    flow.totals.realized_pnl_e8 += made.realized_pnl_e8
    flow.totals.funding_paid_e8 += funding


def _add_contract(
    flows: Flows, book: AccountBook, fill: Fill, instrument: Instrument, index_e12: int
) -> Position | None:
    held = book.positions.get(instrument.instrument_id)
    made = trade(instrument, held, fill.quantity_e8, fill.price_e8, index_e12)
    add_trade(flow_of(flows, instrument.settlement_asset), instrument, held, made, index_e12)
    return made.position


def _add_spot(flows: Flows, fill: Fill, instrument: Instrument) -> None:
    """Spot leaves no position: the base asset moves against the quote asset."""
    assert instrument.base_asset is not None
    value = trade_value(instrument, fill.quantity_e8, fill.price_e8)
    base = flow_of(flows, instrument.base_asset)
    base.balance_e8 += fill.quantity_e8
    base.totals.traded_value_e8 -= fill.quantity_e8
    quote = flow_of(flows, instrument.settlement_asset)
    quote.balance_e8 -= value
    quote.totals.traded_value_e8 += value


def _position_fits(position: Position) -> bool:
    return fits_int64(position.quantity_e8) and fits_int64(position.cost_e8) and fits_int64(position.funding_index_e12)
