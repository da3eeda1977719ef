"""From what clients want to matched fills: every trade has a buyer and a seller, so the venue's book balances.

Owns counterparties, hedges, prices, fees and event ids. Refuses to decide what anybody wants (``population``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from schemas.events.fills import FillV1
from streams.demo.fair import FairPrices
from streams.demo.population import HOUSE, Group, Order, Population
from streams.demo.prices import FUTURE, INDEX, INVERSE, PERPETUAL, Minute, to_tick
from streams.demo.venue import INVERSE_MULTIPLIER, LOTS, OPTIONS

TAKER_SPREAD_PPM = 200
HEDGE_SPREAD_PPM = 50
TAKER_FEE = Decimal("0.0003")
OPTION_FEE_CAP = Decimal("0.125")
"""An option's fee is a share of the index, but at most an eighth of its premium."""

_UNIT = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Deal:
    """A client's trade with a maker and the maker's hedge: they happen together or, if the client is barred, not."""

    minute: int
    client: str
    fills: tuple[FillV1, ...]


def make_deals(population: Population, minutes: Sequence[Minute]) -> list[Deal]:
    """One deal per order of ``population``, in time order. Makers take turns."""
    makers = [account.name for account in population.accounts if account.group is Group.MAKER]
    fair = FairPrices()
    deals = []
    for serial, order in enumerate(population.orders):
        minute = minutes[order.minute]
        if order.instrument in OPTIONS and OPTIONS[order.instrument].expiry_us <= minute.time_us + 60_000_000:
            continue
        deals.append(_deal(serial, order, makers[serial % len(makers)], minute, fair))
    return deals


def _deal(serial: int, order: Order, maker: str, minute: Minute, fair: FairPrices) -> Deal:
    is_buy = order.quantity > 0
    time_us = minute.time_us + (5 + serial % 50) * 1_000_000
    price = fair.trade_price(order.instrument, minute, is_buy, TAKER_SPREAD_PPM)
    fee = _fee(order.instrument, abs(order.quantity), price, minute)
    trade = _Trade(f"{serial:06d}-client", order.instrument, abs(order.quantity), price, time_us)
    fills = list(trade.matched(order.account, maker, is_buy, fee))
    hedge_name, hedge_quantity = _hedge(order, minute, fair)
    if hedge_quantity:
        # The maker sold what the client bought and buys the hedge, or the other way round.
        maker_buys = hedge_quantity > 0
        hedge_price = fair.trade_price(hedge_name, minute, maker_buys, HEDGE_SPREAD_PPM)
        hedge = _Trade(f"{serial:06d}-hedge", hedge_name, abs(hedge_quantity), hedge_price, time_us)
        fills += hedge.matched(maker, HOUSE, maker_buys, Decimal(0))
    return Deal(order.minute, order.account, tuple(fills))


def _hedge(order: Order, minute: Minute, fair: FairPrices) -> tuple[str, Decimal]:
    """The contract and signed quantity with which a maker offsets the delta of an order it has filled."""
    name = FUTURE if order.instrument == PERPETUAL else PERPETUAL
    delta = fair.delta(order.instrument, minute)
    return name, to_tick(order.quantity * Decimal(repr(delta)), LOTS[name])


def _fee(instrument: str, quantity: Decimal, price: Decimal, minute: Minute) -> Decimal:
    """The taker's fee in the settlement asset, rounded up."""
    if instrument == INVERSE:
        fee = quantity * INVERSE_MULTIPLIER / price * TAKER_FEE
    elif instrument in OPTIONS:
        fee = quantity * min(minute.price[INDEX] * TAKER_FEE, price * OPTION_FEE_CAP)
    else:
        fee = quantity * price * TAKER_FEE
    return fee.quantize(_UNIT, rounding=ROUND_UP)


@dataclass(frozen=True, slots=True)
class _Trade:
    """One trade before it is told to its two sides."""

    event_id: str
    instrument: str
    quantity: Decimal
    price: Decimal
    time_us: int

    def matched(self, taker: str, maker: str, taker_buys: bool, taker_fee: Decimal) -> tuple[FillV1, FillV1]:
        """The fills of both sides."""
        return self._fill(taker, taker_buys, taker_fee), self._fill(maker, not taker_buys, Decimal(0))

    def _fill(self, account: str, is_buy: bool, fee: Decimal) -> FillV1:
        return FillV1(
            v=1,
            event_id=f"{self.event_id}-{'buy' if is_buy else 'sell'}",
            account=account,
            instrument=self.instrument,
            side="buy" if is_buy else "sell",
            quantity=f"{self.quantity:f}",
            price=f"{self.price:f}",
            fee=f"{fee:f}",
            trade_time_us=self.time_us,
        )
