"""The mark price at which one position reaches its maintenance requirement, everything else standing still.

Owns the closed formulas for linear and inverse contracts, isolated and cross, and the rounding to ticks. Refuses to
know what else the account holds: its spare margin is an input. A formula that gives no positive price returns None:
the position cannot be liquidated by its own price alone.

A linear contract gains size * (price - entry) in quote currency; an inverse one, sized in quote currency, gains
size * (1 / entry - 1 / price) in base currency. Fees are shares of the value closed.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from engine.errors import InvalidReference
from engine.rules.rounding import ONE, ZERO, Number, at_least_zero, ceil_to, exact, floor_to

Side = Literal["long", "short"]


def isolated_linear(
    side: Side,
    size: Number,
    entry: Number,
    leverage: Number,
    mmr: Number,
    extra_margin: Number = 0,
    deduction: Number = 0,
) -> Fraction | None:
    """entry -+ (initial - maintenance + extra) / size, both margins of the entry value.

    ``deduction`` is the cumulative deduction of the maintenance tier. Source: Bybit, liquidation price in isolated
    mode.
    """
    sign, amount, price = _sign(side), _positive(size, "size"), _positive(entry, "entry")
    value = amount * price
    maintenance = value * at_least_zero(mmr, "mmr") - at_least_zero(deduction, "deduction")
    spare = value / _positive(leverage, "leverage") - maintenance + exact(extra_margin, "extra_margin")
    return _price(price - sign * spare / amount)


def isolated_inverse(
    side: Side,
    size: Number,
    entry: Number,
    leverage: Number,
    mmr: Number,
    extra_margin: Number = 0,
    deduction: Number = 0,
) -> Fraction | None:
    """size / (value +- (initial - maintenance + extra)), value = size / entry in base currency.

    Source: Bybit, liquidation price in isolated mode, inverse contracts.
    """
    sign, amount = _sign(side), _positive(size, "size")
    value = amount / _positive(entry, "entry")
    maintenance = value * at_least_zero(mmr, "mmr") - at_least_zero(deduction, "deduction")
    spare = value / _positive(leverage, "leverage") - maintenance + exact(extra_margin, "extra_margin")
    denominator = value + sign * spare
    return _price(amount / denominator) if denominator > 0 else None


def cross_linear(
    side: Side,
    size: Number,
    entry: Number,
    margin_balance: Number,
    mmr: Number,
    other_maintenance: Number = 0,
    deduction: Number = 0,
    fee: Number = 0,
) -> Fraction | None:
    """Price at which balance plus profit equals maintenance, both at that price.

    (size * entry - side * (balance + deduction - other maintenance)) / (size * (1 - side * (mmr + fee))), with
    ``margin_balance`` cash plus the profits of all other positions. Source: Binance, liquidation price of USD-margined
    contracts, one position.
    """
    sign, amount, price = _sign(side), _positive(size, "size"), _positive(entry, "entry")
    spare = exact(margin_balance, "margin_balance") - at_least_zero(other_maintenance, "other_maintenance")
    spare += at_least_zero(deduction, "deduction")
    slope = ONE - sign * (at_least_zero(mmr, "mmr") + at_least_zero(fee, "fee"))
    return _price((price - sign * spare / amount) / slope) if slope > 0 else None


def cross_inverse(
    side: Side,
    size: Number,
    entry: Number,
    balance: Number,
    mmr: Number,
    order_margin: Number = 0,
    fee: Number = 0,
    tick: Number = 0,
) -> Fraction | None:
    """Inverse contract on the whole balance, in base currency, with the fee of closing at the bankruptcy price.

    size * (1/entry - 1/price) * side = -(balance - order margin - value * mmr - size * fee / bankruptcy price).
    Rounded to ``tick`` away from the position: up for a long. Source: Bybit, liquidation price of inverse contracts.
    """
    sign, amount = _sign(side), _positive(size, "size")
    value = amount / _positive(entry, "entry")
    free = exact(balance, "balance") - at_least_zero(order_margin, "order_margin")
    broke = bankruptcy_price_inverse(side, size, entry, free, fee)
    closing = ZERO if broke is None else amount * at_least_zero(fee, "fee") / broke
    per_price = value + sign * (free - value * at_least_zero(mmr, "mmr") - closing)
    if per_price <= 0:
        return None
    return to_tick(amount / per_price, tick, side)


def bankruptcy_price_inverse(side: Side, size: Number, entry: Number, free: Number, fee: Number = 0) -> Fraction | None:
    """Price at which closing an inverse contract, fee included, leaves nothing of the ``free`` balance.

    size * (1 + side * fee) / (value + side * free).
    """
    sign, amount = _sign(side), _positive(size, "size")
    per_price = amount / _positive(entry, "entry") + sign * exact(free, "free")
    return _price(amount * (ONE + sign * at_least_zero(fee, "fee")) / per_price) if per_price > 0 else None


def from_margin_available(
    side: Side, price: Number, size: Number, margin_available: Number, maintenance_rate: Number
) -> Fraction | None:
    """price - side * margin available / size / (1 - rate * side).

    ``margin_available`` is account value less maintenance (cross) or isolated margin less maintenance, at ``price``.
    Source: Hyperliquid documentation, liquidations.
    """
    sign, amount, mark = _sign(side), _positive(size, "size"), _positive(price, "price")
    slope = ONE - at_least_zero(maintenance_rate, "maintenance_rate") * sign
    if slope <= 0:
        return None
    return _price(mark - sign * exact(margin_available, "margin_available") / amount / slope)


def to_tick(price: Fraction, tick: Number, side: Side) -> Fraction:
    """``price`` on the venue's grid, never later than exact: up for a long, down for a short."""
    step = at_least_zero(tick, "tick")
    return ceil_to(price, step) if _sign(side) > 0 else floor_to(price, step)


def _sign(side: Side) -> int:
    if side not in ("long", "short"):
        raise InvalidReference("side", f"{side!r} is neither long nor short")
    return 1 if side == "long" else -1


def _positive(value: Number, field: str) -> Fraction:
    number = exact(value, field)
    if number <= 0:
        raise InvalidReference(field, f"{value} is not above zero")
    return number


def _price(value: Fraction) -> Fraction | None:
    return value if value > 0 else None
