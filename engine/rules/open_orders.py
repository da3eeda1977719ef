"""Margin of a position together with its resting orders, per market and without prices of the orders.

Owns the open size of both sides and option moneyness terms that venues margin by. Refuses to know accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from engine.errors import InvalidReference
from engine.rules.rounding import ZERO, Number, at_least_zero, exact


@dataclass(frozen=True, slots=True)
class OpenSizeMargin:
    """Largest position on either side if all its orders fill, and the requirement of the larger."""

    buy_open_size: Fraction
    sell_open_size: Fraction
    initial_margin: Fraction


@dataclass(frozen=True, slots=True)
class OptionRates:
    """Shares of the underlying's price: ``base`` less the distance out of the money, at least ``floor``.

    ``put_cap`` limits a put's charge to that share of its strike; None means no limit.
    """

    base: Fraction
    floor: Fraction
    put_cap: Fraction | None = None


def open_size_margin(
    position: Number, buy_orders: Number, sell_orders: Number, initial_fraction: Number, mark: Number
) -> OpenSizeMargin:
    """max(0, orders +- position) per side; the larger side * fraction * mark.

    Source: Paradex documentation, cross margin requirement.
    """
    held = exact(position, "position")
    buy = max(at_least_zero(buy_orders, "buy_orders") + held, ZERO)
    sell = max(at_least_zero(sell_orders, "sell_orders") - held, ZERO)
    rate = at_least_zero(initial_fraction, "initial_fraction") * at_least_zero(mark, "mark")
    return OpenSizeMargin(buy, sell, max(buy, sell) * rate)


def otm_amount(is_call: bool, underlying: Number, strike: Number) -> Fraction:
    """How far an option is out of the money: max(0, K - S) for a call, max(0, S - K) for a put."""
    gap = at_least_zero(strike, "strike") - at_least_zero(underlying, "underlying")
    return max(gap if is_call else -gap, ZERO)


def short_option_margin(
    is_call: bool, underlying: Number, strike: Number, mark: Number, rates: OptionRates, include_mark: bool = True
) -> Fraction:
    """Requirement of one short option: max(base * S - otm, floor * S), capped for puts, plus its mark price.

    Source: the rule-based option margins of Deribit, Gate and Paradex, which differ in the rates.
    """
    spot = at_least_zero(underlying, "underlying")
    charge = max(rates.base * spot - otm_amount(is_call, underlying, strike), rates.floor * spot)
    if not is_call and rates.put_cap is not None:
        charge = min(charge, rates.put_cap * at_least_zero(strike, "strike"))
    return charge + (at_least_zero(mark, "mark") if include_mark else ZERO)


def long_option_margin(underlying: Number, mark: Number, share_of_underlying: Number) -> Fraction:
    """Requirement of one long option where its value is no collateral: min(mark, share * S)."""
    part = exact(share_of_underlying, "share_of_underlying")
    if part < 0:
        raise InvalidReference("share_of_underlying", "is below zero")
    return min(at_least_zero(mark, "mark"), part * at_least_zero(underlying, "underlying"))
