"""Tables in tiers: margin by notional, credit for collateral by value or by quantity.

Owns the two readings of a tier table. *Marginal*: each slice at its own rate, the way income tax works, equal to the
bracket's rate times the whole less a cumulative deduction. *Whole*: the rate of the bracket that the total falls into.
Refuses to know prices and positions. An upper bound belongs to its own tier; a last tier without a bound has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from engine.errors import InvalidReference
from engine.rules.rounding import ONE, ZERO, Number, at_least_zero, exact, share

Convention = Literal["marginal", "whole"]
Tiers = Sequence[tuple[Number | None, Number]]
"""Rows of (upper bound or None, rate), bounds rising."""


@dataclass(frozen=True, slots=True)
class NotionalTier:
    """One bracket of a margin table up to ``upper`` (None: no bound); deductions keep the requirement continuous."""

    upper: Fraction | None
    initial_rate: Fraction
    maintenance_rate: Fraction
    initial_deduction: Fraction = ZERO
    maintenance_deduction: Fraction = ZERO


@dataclass(frozen=True, slots=True)
class CollateralAsset:
    """A quantity valued at ``price`` with one haircut for all of it; a negative quantity is a debt."""

    amount: Fraction
    price: Fraction
    haircut: Fraction


def tiered_margin(notional: Number, tiers: Tiers, convention: Convention = "marginal") -> Fraction:
    """Requirement of an unsigned notional under a table of (upper, rate).

    Marginal as on Binance, OKX and Bybit (rate * notional - cumulative deduction), whole as with margin tables that
    give one leverage per bracket. Raises ``InvalidReference`` when the table ends below the notional.
    """
    amount = at_least_zero(notional, "notional")
    rows = _rows(tiers)
    if rows and rows[-1][0] is not None and amount > rows[-1][0]:
        raise InvalidReference("tiers", f"the table ends at {rows[-1][0]}, below {amount}")
    if convention == "marginal":
        return sum((size * rate for size, rate in _slices(amount, rows)), ZERO)
    if convention != "whole":
        raise InvalidReference("convention", f"{convention!r} is neither marginal nor whole")
    return amount * next(rate for upper, rate in rows if upper is None or amount <= upper)


def bracket_of(notional: Fraction, tiers: Sequence[NotionalTier]) -> NotionalTier:
    """The bracket that ``notional`` falls into."""
    for tier in tiers:
        if tier.upper is None or notional <= tier.upper:
            return tier
    raise InvalidReference("tiers", f"the table ends below a notional of {notional}")


def with_deductions(tiers: Sequence[NotionalTier]) -> tuple[NotionalTier, ...]:
    """The same table with the cumulative deductions that make its marginal reading continuous.

    deduction(k) = deduction(k-1) + upper(k-1) * (rate(k) - rate(k-1)), separately for both rates.
    """
    result: list[NotionalTier] = []
    for tier in tiers:
        if not result:
            result.append(NotionalTier(tier.upper, tier.initial_rate, tier.maintenance_rate))
            continue
        last = result[-1]
        if last.upper is None:
            raise InvalidReference("tiers", "a tier follows one without a bound")
        result.append(
            NotionalTier(
                tier.upper,
                tier.initial_rate,
                tier.maintenance_rate,
                last.initial_deduction + last.upper * (tier.initial_rate - last.initial_rate),
                last.maintenance_deduction + last.upper * (tier.maintenance_rate - last.maintenance_rate),
            )
        )
    return tuple(result)


def collateral_value_by_tiers(
    amount: Number, price: Number, tiers: Tiers, tiers_in: Literal["value", "amount"] = "value"
) -> Fraction:
    """Credit for ``amount`` units at ``price``: each slice at its own rate, bounds in value or in units.

    What lies beyond the last bound earns nothing. A debt (negative amount) counts in full.
    """
    quantity, mark = exact(amount, "amount"), at_least_zero(price, "price")
    rows = _rows(tiers)
    if quantity <= 0:
        return quantity * mark
    if tiers_in == "value":
        return sum((size * rate for size, rate in _slices(quantity * mark, rows)), ZERO)
    if tiers_in != "amount":
        raise InvalidReference("tiers_in", f"{tiers_in!r} is neither value nor amount")
    return sum((size * rate for size, rate in _slices(quantity, rows)), ZERO) * mark


def collateral_value(assets: Iterable[CollateralAsset]) -> Fraction:
    """Sum of amount * price * (1 - haircut); a debt counts in full, without a haircut in its favor."""
    total = ZERO
    for asset in assets:
        value = asset.amount * at_least_zero(asset.price, "price")
        total += min(value, value * (ONE - share(asset.haircut, "haircut")))
    return total


def value_to_repay(debt: Number, rate: Number) -> Fraction:
    """Value of collateral that must be sold to repay ``debt`` when it is taken at ``rate`` of its value."""
    factor = share(rate, "rate")
    if factor == 0:
        raise InvalidReference("rate", "collateral taken at nothing repays nothing")
    return at_least_zero(debt, "debt") / factor


def _rows(tiers: Tiers) -> list[tuple[Fraction | None, Fraction]]:
    rows: list[tuple[Fraction | None, Fraction]] = []
    last = ZERO
    for upper, rate in tiers:
        if rows and rows[-1][0] is None:
            raise InvalidReference("tiers", "a tier follows one without a bound")
        bound = None if upper is None else exact(upper, "tiers")
        if bound is not None and bound <= last:
            raise InvalidReference("tiers", f"bound {upper} does not rise")
        rows.append((bound, exact(rate, "tiers")))
        last = last if bound is None else bound
    if not rows:
        raise InvalidReference("tiers", "the table is empty")
    return rows


def _slices(amount: Fraction, rows: Iterable[tuple[Fraction | None, Fraction]]) -> Iterable[tuple[Fraction, Fraction]]:
    start = ZERO
    for upper, rate in rows:
        end = amount if upper is None else min(amount, upper)
        if end <= start:
            return
        yield end - start, rate
        start = end
