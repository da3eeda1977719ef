"""Weights that depend on size: less credit for a large deposit, a higher requirement for a large debt.

Owns the size premium and discount, the scaling of an asset's weight by what the venue holds of it, the weight of an
unrealized profit and the margin ratio of a perpetual with its high leverage mode. Refuses to know accounts and prices
beyond the one it is given.

    asset weight     = min(w, 1.1 / (1 + factor * sqrt(size)))
    liability weight = max(w, 0.8 w + factor * sqrt(size)),   the same for margin ratios

Everything is stored as whole units, as the source does: weights 1e-4, factors 1e-6, sizes 1e-9, and the root is the
integer root of 10 * size + 1 in 1e-9 units, which makes it 1e-5 of a unit root. Each step rounds down. Source: Drift
protocol-v2 at 0ae3e3b1, programs/drift/src/math/margin.rs and state/{spot,perp}_market.rs.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from engine.errors import InvalidReference
from engine.rules.rounding import ZERO, Number, at_least_zero, exact, floor_to, integer_root, units

MarginType = Literal["initial", "maintenance", "fill"]

WEIGHT_UNITS = 10**4
FACTOR_UNITS = 10**6
SIZE_UNITS = 10**9
MONEY_UNITS = 10**6
MONEY_STEP = Fraction(1, MONEY_UNITS)
WEIGHT_STEP = Fraction(1, WEIGHT_UNITS)
ROOT_UNITS = 10**5
PREMIUM_CUT = 5
"""The size premium starts from the weight less one fifth of it."""
DISCOUNT_TOP = Fraction(11, 10)


@dataclass(frozen=True, slots=True)
class HighLeverage:
    """Margin ratios of the mode in which a holder accepts more leverage; both must be above zero to be in force."""

    initial: Fraction
    maintenance: Fraction


def by_type(margin_type: MarginType, initial: Fraction, maintenance: Fraction) -> Fraction:
    """The weight or ratio of a margin type; ``fill`` is the mean of the two, rounded down to 1e-4."""
    if margin_type == "initial":
        return floor_to(initial, WEIGHT_STEP)
    if margin_type == "maintenance":
        return floor_to(maintenance, WEIGHT_STEP)
    if margin_type == "fill":
        whole = units(initial, WEIGHT_UNITS) + units(maintenance, WEIGHT_UNITS)
        return Fraction(whole // 2, WEIGHT_UNITS)
    raise InvalidReference("type", f"{margin_type!r} is none of initial, maintenance, fill")


def size_discount(weight: Number, size: Number, imf: Number) -> Fraction:
    """Asset weight after the discount for ``size`` units; unchanged when the factor is zero."""
    base, factor = _weight(weight, "weight"), _factor(imf)
    if factor == 0:
        return Fraction(base, WEIGHT_UNITS)
    top = DISCOUNT_TOP * FACTOR_UNITS * WEIGHT_UNITS
    discounted = int(top // (FACTOR_UNITS + _root(size) * factor // ROOT_UNITS))
    return Fraction(min(base, discounted), WEIGHT_UNITS)


def size_premium(weight: Number, size: Number, imf: Number, bounded: bool = True) -> Fraction:
    """Liability weight or margin ratio after the premium for ``size`` units; unchanged when the factor is zero.

    Unbounded, it may be below ``weight`` for a small size: what the high leverage mode starts from.
    """
    base, factor = _weight(weight, "weight"), _factor(imf)
    if factor == 0:
        return Fraction(base, WEIGHT_UNITS)
    per_weight = ROOT_UNITS * FACTOR_UNITS // WEIGHT_UNITS
    raised = base - base // PREMIUM_CUT + _root(size) * factor // per_weight
    return Fraction(max(base, raised) if bounded else raised, WEIGHT_UNITS)


def scaled_asset_weight(initial_weight: Number, deposits: Number, price: Number, scale_start: Number) -> Fraction:
    """Initial asset weight once the venue's ``deposits`` of it are worth more than ``scale_start``.

    weight * start / value above the start, unchanged below and when the start is zero.
    """
    base, start = _weight(initial_weight, "initial_weight"), units(at_least_zero(scale_start, "scale_start"), 10**6)
    if start == 0:
        return Fraction(base, WEIGHT_UNITS)
    worth = units(at_least_zero(deposits, "deposits") * at_least_zero(price, "price"), MONEY_UNITS)
    return Fraction(base if worth < start else base * start // worth, WEIGHT_UNITS)


def asset_weight(
    margin_type: MarginType,
    size: Number,
    imf: Number,
    initial_weight: Number,
    maintenance_weight: Number,
    scale_start: Number = 0,
    deposits: Number = 0,
    price: Number = 0,
) -> Fraction:
    """Weight of a deposit of ``size`` units: scaled initial, maintenance or their mean, then the size discount."""
    initial = scaled_asset_weight(initial_weight, deposits, price, scale_start)
    weight = by_type(margin_type, initial, at_least_zero(maintenance_weight, "maintenance_weight"))
    return size_discount(weight, size, imf)


def liability_weight(
    margin_type: MarginType, size: Number, imf: Number, initial_weight: Number, maintenance_weight: Number
) -> Fraction:
    """Weight of a debt of ``size`` units: by type, then the size premium."""
    weight = by_type(
        margin_type,
        at_least_zero(initial_weight, "initial_weight"),
        at_least_zero(maintenance_weight, "maintenance_weight"),
    )
    return size_premium(weight, size, imf)


def margin_ratio(
    margin_type: MarginType,
    size: Number,
    imf: Number,
    initial_ratio: Number,
    maintenance_ratio: Number,
    high_leverage: HighLeverage | None = None,
    settlement: bool = False,
) -> Fraction:
    """Margin ratio of a perpetual position of ``size`` units; zero for a market in settlement.

    In high leverage mode the maintenance ratio carries the premium as usual. Initial and fill ratio start from the
    mode's own and rise toward the ordinary one as the ordinary premium uses up its first fifth; from there they are
    the ordinary ratio with premium.
    """
    if settlement:
        return ZERO
    ordinary = (at_least_zero(initial_ratio, "initial_ratio"), at_least_zero(maintenance_ratio, "maintenance_ratio"))
    in_force = high_leverage is not None and high_leverage.initial > 0 and high_leverage.maintenance > 0
    if high_leverage is None or not in_force:
        return size_premium(by_type(margin_type, *ordinary), size, imf)
    base = by_type(margin_type, high_leverage.initial, high_leverage.maintenance)
    if margin_type == "maintenance":
        return size_premium(base, size, imf)
    return _high_leverage_ratio(by_type(margin_type, *ordinary), base, size, imf)


def unrealized_pnl_weight(
    pnl: Number,
    imf: Number,
    initial_weight: Number,
    maintenance_weight: Number = 1,
    margin_type: MarginType = "initial",
    max_imbalance: Number = 0,
    net_unsettled_pnl: Number = 0,
) -> Fraction:
    """Weight of an unrealized profit; a loss counts in full.

    Initial and fill: the weight shrinks by ``max_imbalance / net_unsettled_pnl`` once the market's users are owed more
    than that in total, then by the size discount with the profit itself as the size. Maintenance: its own weight.
    """
    profit = exact(pnl, "pnl")
    if profit <= 0:
        return Fraction(1)
    if margin_type == "maintenance":
        return floor_to(at_least_zero(maintenance_weight, "maintenance_weight"), WEIGHT_STEP)
    by_type(margin_type, ZERO, ZERO)
    base = _weight(initial_weight, "initial_weight")
    most = units(at_least_zero(max_imbalance, "max_imbalance"), MONEY_UNITS)
    owed = units(exact(net_unsettled_pnl, "net_unsettled_pnl"), MONEY_UNITS)
    if base > 0 and most > 0 and owed > most:
        base = base * most // owed
    return size_discount(Fraction(base, WEIGHT_UNITS), profit, imf) if base > 0 else ZERO


def _high_leverage_ratio(ordinary: Fraction, mode: Fraction, size: Number, imf: Number) -> Fraction:
    before, own = units(ordinary, WEIGHT_UNITS), units(mode, WEIGHT_UNITS)
    raised = units(size_premium(ordinary, size, imf, bounded=False), WEIGHT_UNITS)
    if raised > before:
        return Fraction(raised, WEIGHT_UNITS)
    if raised == before:
        return Fraction(own, WEIGHT_UNITS)
    left = max(FACTOR_UNITS - (before - raised) * FACTOR_UNITS // (before // PREMIUM_CUT), 0)
    return Fraction(own + max(before - own, 1) * left // FACTOR_UNITS, WEIGHT_UNITS)


def _weight(value: Number, field: str) -> int:
    return units(at_least_zero(value, field), WEIGHT_UNITS)


def _factor(value: Number) -> int:
    return units(at_least_zero(value, "imf"), FACTOR_UNITS)


def _root(size: Number) -> int:
    return integer_root(10 * units(abs(exact(size, "size")), SIZE_UNITS) + 1)
