"""Trades in compiled arithmetic: what a fill makes of a position, and what it moves.

Owns the value of a trade, average-cost accounting and funding as ``engine.books`` defines them, in 64-bit integers.
Every function returns last whether its numbers are certain; without that they mean nothing. Refuses accounts.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.columns.exact import add, mul_div_magnitude, mul_div_up, multiply
from engine.columns.instruments import INVERSE, InstrumentArrays
from engine.compiled import allocation_free


class Change(NamedTuple):
    """What a fill adds to the entry of one asset: the balance and four totals."""

    balance_e8: int
    realized_pnl_e8: int
    traded_value_e8: int
    fees_paid_e8: int
    funding_paid_e8: int


class Trade(NamedTuple):
    """A position after a trade (quantity 0: flat), the value of the trade and the PnL it realized."""

    quantity_e8: int
    cost_e8: int
    value_e8: int
    realized_pnl_e8: int


@allocation_free
def trade_value(instruments: InstrumentArrays, instrument: int, quantity_e8: int, price_e8: int) -> tuple[int, bool]:
    """``positions.trade_value`` of whole lots at whole ticks."""
    if instruments.kind_I[instrument] == INVERSE:
        value, ok = mul_div_magnitude(quantity_e8, int(instruments.multiplier_e8_I[instrument]), price_e8)
        return -value, ok
    lot, tick = int(instruments.lot_e8_I[instrument]), int(instruments.tick_e8_I[instrument])
    lots, ticks = quantity_e8 // lot, price_e8 // tick
    units, counted = multiply(lots, ticks)
    value, ok = multiply(units, int(instruments.unit_e8_I[instrument]))
    return value, ok and counted and lots * lot == quantity_e8 and ticks * tick == price_e8


@allocation_free
def trade(
    instruments: InstrumentArrays, instrument: int, held_e8: int, cost_e8: int, quantity_e8: int, price_e8: int
) -> tuple[Trade, bool]:
    """``positions.trade`` of ``quantity_e8`` contracts into a position of ``held_e8`` (0: none) that cost
    ``cost_e8``."""
    value, valued = trade_value(instruments, instrument, quantity_e8, price_e8)
    left, ok = add(held_e8, quantity_e8)
    ok = ok and valued
    if held_e8 == 0 or (held_e8 > 0) == (quantity_e8 > 0):
        cost, fits = add(cost_e8, value)
        return Trade(left, cost, value, 0), ok and fits
    if abs(quantity_e8) < abs(held_e8):
        released, divided = mul_div_up(cost_e8, abs(quantity_e8), abs(held_e8))
        realized, fits = add(-value, -released)
        return Trade(left, cost_e8 - released, value, realized), ok and divided and fits
    closing, closed = trade_value(instruments, instrument, -held_e8, price_e8)
    realized, fits = add(-closing, -cost_e8)
    rest, rested = add(value, -closing)
    return Trade(left, rest, value, realized), ok and closed and fits and rested


@allocation_free
def funding_payment(instruments: InstrumentArrays, instrument: int, held_e8: int, paid_e12: int) -> tuple[int, bool]:
    """``funding.funding_payment`` of ``held_e8`` contracts paid up to ``paid_e12``, to the newest index."""
    divisor = int(instruments.funding_divisor_I[instrument])
    if divisor == 0 or held_e8 == 0:
        return 0, True
    move, ok = add(int(instruments.funding_index_e12_I[instrument]), -paid_e12)
    if ok and move == 0:
        return 0, True
    lot = int(instruments.lot_e8_I[instrument])
    lots = held_e8 // lot
    weight, weighed = multiply(lots, int(instruments.funding_factor_I[instrument]))
    payment, divided = mul_div_up(weight, move, divisor)
    return payment, ok and weighed and divided and lots * lot == held_e8


@allocation_free
def contract_change(made: Trade, funding_e8: int, fee_e8: int, is_option: bool) -> tuple[Change, bool]:
    """What a trade of contracts moves in the settlement asset; premium in full."""
    cash = -made.value_e8 if is_option else made.realized_pnl_e8
    kept, fits = add(cash, -funding_e8)
    balance, ok = add(kept, -fee_e8)
    return Change(balance, made.realized_pnl_e8, made.value_e8, fee_e8, funding_e8), ok and fits
