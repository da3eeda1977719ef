"""Closing a leveraged account: at which price, how much at once, and who pays the difference.

Owns bankruptcy and fillable price, the payment between account and insurance fund, the limits per step and the
uniform share. Refuses to know books and orders: the caller fills and reports.

    bankruptcy quote = -(change of notional) - floor(net collateral * |change of maintenance| / maintenance)
    fillable price   = (notional - rating * spread * position maintenance) / size
    rating           = clamp(adjustment * (1 - net collateral / maintenance), 0, 1)

Closing at the bankruptcy quote leaves the account's ratio of net collateral to maintenance where it was. Source: dYdX
v4-chain at 84d4664b, protocol/x/clob/keeper/liquidations.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from engine.errors import InvalidReference
from engine.rules.leverage import LeverageMarket, Risk, net_notional, position_margin
from engine.rules.leverage_account import LeveragePosition, leverage_account, market_of, merged_positions
from engine.rules.refusals import RuleRefusal
from engine.rules.rounding import (
    MICRO,
    ONE,
    ZERO,
    Number,
    at_least_zero,
    exact,
    floor_to,
    share,
    truncate_to,
)

INVALID_SIZE = "invalid size delta"
NO_MAINTENANCE = "no maintenance margin"


@dataclass(frozen=True, slots=True)
class LeverageHoldings:
    """The account that is being closed: what ``leverage_account`` takes, and the money step of the venue."""

    cash: Fraction
    positions: Sequence[LeveragePosition]
    markets: Mapping[str, LeverageMarket]
    step: Fraction = MICRO

    def risk(self) -> Risk:
        """The account's three sums."""
        return leverage_account(self.cash, self.positions, self.markets, step=self.step).risk

    def size_of(self, market: str) -> Fraction:
        """Signed size in ``market``, zero when there is none."""
        held = merged_positions(self.positions).get(market)
        return ZERO if held is None else held.size


def is_liquidatable(holdings: LeverageHoldings) -> bool:
    """Whether the account may be closed at all; the price rules below do not ask."""
    return holdings.risk().liquidatable


def bankruptcy_quote(holdings: LeverageHoldings, market: str, delta: Number) -> Fraction:
    """Quote currency the account gets (negative: pays) for changing its size by ``delta`` at the bankruptcy price.

    Rounded up, so that closing at it never needs the insurance fund. Refuses with ``invalid size delta`` a change that
    does not reduce the position or turns it over, and with ``no maintenance margin`` when nothing is required.
    """
    change, size = _checked_delta(holdings, market, delta)
    risk = _risk_with_requirement(holdings)
    terms = market_of(market, holdings.markets)
    old, new = position_margin(size, terms, holdings.step), position_margin(size + change, terms, holdings.step)
    released = old.maintenance_margin - new.maintenance_margin
    return (old.notional - new.notional) - floor_to(
        risk.net_collateral * released / risk.maintenance_margin, holdings.step
    )


def bankruptcy_price(holdings: LeverageHoldings, market: str, delta: Number) -> Fraction:
    """``bankruptcy_quote`` per unit closed: positive on both sides of a solvent price."""
    return bankruptcy_quote(holdings, market, delta) / -exact(delta, "delta")


def fillable_price(
    holdings: LeverageHoldings,
    market: str,
    delta: Number,
    bankruptcy_adjustment: Number = 1,
    spread_to_maintenance: Number = Fraction(3, 2),
) -> Fraction:
    """Worst price at which a liquidation order may fill, exact and unrounded.

    Moves from the oracle price by up to ``spread_to_maintenance`` times the position's maintenance requirement as the
    account nears bankruptcy. Refusals as for ``bankruptcy_quote``; a price below zero refuses too.
    """
    _, size = _checked_delta(holdings, market, delta)
    risk = _risk_with_requirement(holdings)
    margin = position_margin(size, market_of(market, holdings.markets), holdings.step)
    distance = ONE - risk.net_collateral / risk.maintenance_margin
    rating = min(max(at_least_zero(bankruptcy_adjustment, "bankruptcy_adjustment") * distance, ZERO), ONE)
    spread = rating * at_least_zero(spread_to_maintenance, "spread_to_maintenance") * margin.maintenance_margin
    price = (margin.notional - spread) / size
    if price < 0:
        raise RuleRefusal("negative fillable price", f"{price} in {market}")
    return price


def insurance_fund_delta(
    holdings: LeverageHoldings,
    market: str,
    is_buy: bool,
    fill_size: Number,
    fill_price: Number,
    max_liquidation_fee: Number,
) -> Fraction:
    """What the insurance fund gains from a fill: the quote beyond bankruptcy, at most the fee; negative means it pays.

    ``is_buy`` closes a short. ``max_liquidation_fee`` is a share of the fill's absolute quote amount, rounded down.
    """
    size = at_least_zero(fill_size, "fill_size")
    if size == 0:
        raise RuleRefusal("invalid fill size", "a fill of zero moves nothing")
    quote = truncate_to(size * at_least_zero(fill_price, "fill_price"), holdings.step)
    received, change = (-quote, size) if is_buy else (quote, -size)
    surplus = received - bankruptcy_quote(holdings, market, change)
    if surplus <= 0:
        return surplus
    fee = at_least_zero(max_liquidation_fee, "max_liquidation_fee")
    return min(surplus, floor_to(fee * quote, holdings.step))


def block_limits(
    size: Number, price: Number, min_notional: Number, max_portion: Number, step: Number = MICRO
) -> tuple[Fraction, Fraction]:
    """Least and most notional of one position that may be closed in one step.

    The least is ``min_notional`` or the whole position; the most is its ``max_portion``, never below the least.
    """
    money = exact(step, "step")
    notional = abs(net_notional(size, price, money))
    least = min(at_least_zero(min_notional, "min_notional"), notional)
    return least, max(least, floor_to(notional * share(max_portion, "max_portion"), money))


def remaining_limit(limit: Number, used: Number, field: str = "used") -> Fraction:
    """What is left of a per-account limit of a step: notional closed, or insurance lost."""
    left = at_least_zero(limit, "limit") - at_least_zero(used, field)
    if left < 0:
        raise InvalidReference(field, f"{used} is above its limit {limit}")
    return left


def closable_delta(size: Number, price: Number, max_notional: Number, size_step: Number) -> Fraction:
    """Signed size change that closes at most ``max_notional``: all of a position that fits or is at most one step.

    Otherwise whole steps, rounded down, at least one.
    """
    held, lot = exact(size, "size"), at_least_zero(size_step, "size_step")
    most, mark = at_least_zero(max_notional, "max_notional"), at_least_zero(price, "price")
    if abs(net_notional(held, mark)) <= most or abs(held) <= lot:
        return -held
    part = min(max(floor_to(most / mark, lot), lot), abs(held))
    return -part if held > 0 else part


def uniform_share(
    account_value: Number, maintenance: Number, fee: Number, step: Number = Fraction(1, 5), target: Number = "0.9"
) -> tuple[Fraction, Fraction]:
    """Smallest multiple of ``step`` of all positions to close, and its penalty, so that the ratio falls below target.

    ratio = remaining maintenance / (account value - penalty), penalty = share * fee * maintenance. Closes all when no
    smaller share does; zero when the ratio is below the target already. Source: Paradex documentation, liquidations.
    """
    value, required = exact(account_value, "account_value"), at_least_zero(maintenance, "maintenance")
    part, goal = at_least_zero(step, "step"), at_least_zero(target, "target")
    if part == 0:
        raise InvalidReference("step", "must be above zero")
    charge = at_least_zero(fee, "fee") * required
    closed = ZERO
    while closed < ONE and not required * (ONE - closed) < goal * (value - closed * charge):
        closed = min(closed + part, ONE)
    return closed, closed * charge


def _checked_delta(holdings: LeverageHoldings, market: str, delta: Number) -> tuple[Fraction, Fraction]:
    change, size = exact(delta, "delta"), holdings.size_of(market)
    if change * size >= 0 or abs(change) > abs(size):
        raise RuleRefusal(INVALID_SIZE, f"{delta} on a position of {size} in {market}")
    return change, size


def _risk_with_requirement(holdings: LeverageHoldings) -> Risk:
    risk = holdings.risk()
    if risk.maintenance_margin == 0:
        raise RuleRefusal(NO_MAINTENANCE, "shares of a requirement of zero have no value")
    return risk
