"""Leverage margin: a fraction of each position's notional, raised by open interest, without netting.

Owns the margin fractions, one position's requirement, the verdicts on an account (collateralized, liquidatable), the
comparison of two accounts and the rule that lets an under-margined account trade only toward safety. Refuses to know
how an account is put together (``leverage_account``) and how it is closed (``close_out``).

    fraction = base + floor((1 - base) (open interest - lower) / (upper - lower))   between the caps
    initial  = ceil(notional * fraction),  maintenance = ceil(ceil(notional * base) * maintenance share)

Every amount is in quote currency, every fraction per 1. Source of the rules and roundings: dYdX v4-chain,
protocol/x/perpetuals and protocol/lib/margin at 84d4664b; the steps are parameters, so the same rules unrounded are
any venue that margins by leverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from engine.errors import InvalidReference
from engine.rules.rounding import (
    MICRO,
    ONE,
    ZERO,
    Number,
    at_least_zero,
    ceil_to,
    exact,
    floor_to,
    share,
    truncate_to,
)
from engine.rules.tiers import NotionalTier, bracket_of


@dataclass(frozen=True, slots=True)
class LeverageMarket:
    """How one market is margined.

    ``price`` is quote currency per unit. ``open_interest`` is in units, its caps in quote currency; caps of zero turn
    the scaling off. ``funding_index`` is the cumulative funding per unit. ``configured_fraction`` is a stricter initial
    fraction chosen by the account holder. ``tiers``, if any, take the place of both fractions: initial and maintenance
    rate come from the bracket of the position's notional, less the bracket's deduction.
    """

    price: Fraction
    initial_fraction: Fraction = ZERO
    maintenance_share: Fraction = ZERO
    open_interest: Fraction = ZERO
    lower_cap: Fraction = ZERO
    upper_cap: Fraction = ZERO
    funding_index: Fraction = ZERO
    configured_fraction: Fraction = ZERO
    tiers: tuple[NotionalTier, ...] = ()


@dataclass(frozen=True, slots=True)
class PositionMargin:
    """One position: ``notional`` is signed (negative for a short), the requirements are not."""

    notional: Fraction
    initial_margin: Fraction
    maintenance_margin: Fraction


@dataclass(frozen=True, slots=True)
class Risk:
    """What verdicts look at. Requirements are at least zero, net collateral has any sign."""

    net_collateral: Fraction
    initial_margin: Fraction = ZERO
    maintenance_margin: Fraction = ZERO

    @property
    def initially_collateralized(self) -> bool:
        """Enough for the initial requirement: may open and withdraw."""
        return self.net_collateral >= self.initial_margin

    @property
    def maintenance_collateralized(self) -> bool:
        """Enough for the maintenance requirement."""
        return self.net_collateral >= self.maintenance_margin

    @property
    def liquidatable(self) -> bool:
        """Has something to close and too little to keep it: a debt without positions is not liquidatable."""
        return self.maintenance_margin > 0 and self.net_collateral < self.maintenance_margin


@dataclass(frozen=True, slots=True)
class Transition:
    """Verdict on a change; ``reason``: ``allowed``, ``newly_undercollateralized`` or ``still_undercollateralized``."""

    allowed: bool
    reason: str


def maintenance_fraction(im_fraction: Number, maintenance_of_im: Number, step: Number = MICRO) -> Fraction:
    """Maintenance fraction = floor(initial fraction * maintenance share). Raises for a share outside 0 to 1."""
    return floor_to(
        at_least_zero(im_fraction, "im_fraction") * share(maintenance_of_im, "maintenance_of_im"),
        exact(step, "step"),
    )


def effective_initial_fraction(
    im_fraction: Number,
    open_interest_notional: Number = 0,
    oi_lower_cap: Number = 0,
    oi_upper_cap: Number = 0,
    step: Number = MICRO,
) -> Fraction:
    """Initial fraction at the given open interest, all three amounts in quote currency.

    The base below or at the lower cap and when the upper cap is zero, 1 at or above the upper cap, and in between the
    base plus the linear share of the rest, rounded down to ``step``. With equal caps the base wins at the cap itself.
    """
    base = share(im_fraction, "im_fraction")
    interest = exact(open_interest_notional, "open_interest_notional")
    lower, upper = at_least_zero(oi_lower_cap, "oi_lower_cap"), at_least_zero(oi_upper_cap, "oi_upper_cap")
    if upper == 0:
        return base
    if lower > upper:
        raise InvalidReference("oi_lower_cap", "is above the upper cap")
    if interest <= lower:
        return base
    if interest >= upper:
        return ONE
    return base + floor_to((ONE - base) * (interest - lower) / (upper - lower), exact(step, "step"))


def initial_margin(
    notional: Number,
    im_fraction: Number,
    open_interest_notional: Number = 0,
    oi_lower_cap: Number = 0,
    oi_upper_cap: Number = 0,
    configured_fraction: Number = 0,
    step: Number = MICRO,
) -> Fraction:
    """Initial requirement of an unsigned ``notional``, rounded up; a larger ``configured_fraction`` wins."""
    fraction = effective_initial_fraction(im_fraction, open_interest_notional, oi_lower_cap, oi_upper_cap)
    chosen = max(fraction, share(configured_fraction, "configured_fraction"))
    return ceil_to(at_least_zero(notional, "notional") * chosen, exact(step, "step"))


def net_notional(size: Number, price: Number, step: Number = MICRO) -> Fraction:
    """Signed value of ``size`` units at ``price``, rounded toward zero."""
    return truncate_to(exact(size, "size") * exact(price, "price"), exact(step, "step"))


def position_margin(size: Number, market: LeverageMarket, step: Number = MICRO) -> PositionMargin:
    """Notional and both requirements of ``size`` units. Open interest scales the initial requirement only."""
    money = exact(step, "step")
    signed = net_notional(size, at_least_zero(market.price, "price"), money)
    notional = abs(signed)
    if market.tiers:
        return _tiered(signed, market, money)
    base = ceil_to(notional * share(market.initial_fraction, "im_fraction"), money)
    return PositionMargin(
        notional=signed,
        initial_margin=initial_margin(
            notional,
            market.initial_fraction,
            net_notional(at_least_zero(market.open_interest, "open_interest"), market.price, money),
            market.lower_cap,
            market.upper_cap,
            market.configured_fraction,
            money,
        ),
        maintenance_margin=ceil_to(base * share(market.maintenance_share, "maintenance_of_im"), money),
    )


def _tiered(signed: Fraction, market: LeverageMarket, step: Fraction) -> PositionMargin:
    notional = abs(signed)
    tier = bracket_of(notional, market.tiers)
    initial = max(notional * tier.initial_rate - tier.initial_deduction, notional * market.configured_fraction)
    return PositionMargin(
        notional=signed,
        initial_margin=ceil_to(max(initial, ZERO), step),
        maintenance_margin=ceil_to(max(notional * tier.maintenance_rate - tier.maintenance_deduction, ZERO), step),
    )


def risk_flags(net_collateral: Number, initial_margin: Number = 0, maintenance_margin: Number = 0) -> dict[str, bool]:
    """The three verdicts by name: initially_collateralized, maintenance_collateralized, liquidatable."""
    risk = Risk(
        exact(net_collateral, "net_collateral"),
        at_least_zero(initial_margin, "initial_margin"),
        at_least_zero(maintenance_margin, "maintenance_margin"),
    )
    return {
        "initially_collateralized": risk.initially_collateralized,
        "maintenance_collateralized": risk.maintenance_collateralized,
        "liquidatable": risk.liquidatable,
    }


def compare_risk(first: Risk, second: Risk) -> int:
    """-1 when ``first`` is less risky, 0 when equally, 1 when more.

    The ratios of net collateral to maintenance are compared crosswise as products, so nothing divides by a requirement
    of zero. Between two accounts in debt the one with the larger requirement counts as less risky: as the source has
    it, and as the ratios say.
    """
    mine, theirs = first.net_collateral * second.maintenance_margin, second.net_collateral * first.maintenance_margin
    return (theirs > mine) - (theirs < mine)


def transition(before: Risk, after: Risk) -> Transition:
    """Whether an account that misses its initial requirement after a change may make that change.

    The maintenance requirement must not grow. If it is zero on either side, it must be zero on both and net collateral
    must rise; otherwise the account must not become riskier by ``compare_risk``.
    """
    newly = before.initially_collateralized
    refused = Transition(False, "newly_undercollateralized" if newly else "still_undercollateralized")
    if after.maintenance_margin > before.maintenance_margin:
        return refused
    if after.maintenance_margin == 0 or before.maintenance_margin == 0:
        flat = after.maintenance_margin == before.maintenance_margin
        improves = after.net_collateral > before.net_collateral
        return Transition(True, "allowed") if flat and improves else refused
    return refused if compare_risk(after, before) > 0 else Transition(True, "allowed")
