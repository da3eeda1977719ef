"""Covering a margin shortage, the fees of doing so, and spreading what nobody can pay.

Owns how much base, debt or collateral changes hands in a partial liquidation, the insurance and liquidator fees, the
pace at which a liquidation may proceed, and the shares in which a loss is socialized. Refuses to know accounts: the
shortage is an input. Sizes are whole 1e-9 units, money, prices and fees 1e-6, weights 1e-4; every step rounds down
unless it says otherwise. Source: Drift protocol-v2 at 0ae3e3b1, programs/drift/src/math/liquidation.rs;
``socialized_loss``: Paradex documentation, socialized losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from engine.errors import InvalidReference
from engine.rules.refusals import RuleRefusal
from engine.rules.rounding import ZERO, Number, at_least_zero, exact, units

MONEY = 10**6
FEE = 10**6
WEIGHT = 10**4
SIZE = 10**9
INTEREST = 10**10
FINE = 10
"""Weights get one more digit while two of them are compared."""
UNBOUNDED = "unbounded"
INSURANCE_SHARE = Fraction(19, 20)
"""The insurance fund takes at most 95 % of what closing frees, or the fee itself could cause the bankruptcy."""


@dataclass(frozen=True, slots=True)
class SocializedLoss:
    """``shortfall`` beyond the fund, ``factor`` charged to withdrawals, and what one withdrawal pays and receives."""

    shortfall: Fraction
    factor: Fraction
    charge: Fraction
    received: Fraction


def base_to_cover(
    shortage: Number,
    margin_ratio: Number,
    liquidation_fee: Number,
    price: Number,
    insurance_fee: Number = 0,
    quote_price: Number = 1,
) -> Fraction:
    """Units of a perpetual to close so that the requirement they free, less both fees, covers ``shortage``.

    Refuses with ``unbounded`` when closing frees nothing: a price of zero, or fees as large as the ratio.
    """
    ratio, fee = units(at_least_zero(margin_ratio, "margin_ratio"), WEIGHT) * (FEE // WEIGHT), _fee(liquidation_fee)
    mark = _money(price, "price")
    if mark == 0 or ratio <= fee:
        raise RuleRefusal(UNBOUNDED, "no finite size covers the shortage")
    freed = mark * _money(quote_price, "quote_price") // MONEY * (ratio - fee) // FEE
    freed -= mark * _fee(insurance_fee, "insurance_fee") // FEE
    if freed <= 0:
        raise RuleRefusal(UNBOUNDED, "the fees take all that closing frees")
    return Fraction(_money(shortage, "shortage") * SIZE // freed, SIZE)


def liability_to_cover(
    shortage: Number,
    asset_weight: Number,
    liability_weight: Number,
    asset_multiplier: Number,
    liability_multiplier: Number,
    price: Number,
    insurance_fee: Number = 0,
    decimals: int = 9,
) -> Fraction:
    """Units of a debt at ``price`` to repay out of the debtor's collateral so that the shortage is covered.

    The multipliers are one plus or minus the liquidator's fee on each side. Refuses with ``unbounded`` when repaying
    frees nothing, that is when asset weight * asset multiplier / liability multiplier reaches the liability weight.
    """
    asset, debt = _weight(asset_weight, "asset_weight"), _weight(liability_weight, "liability_weight")
    theirs, ours = _fee(asset_multiplier, "asset_multiplier"), _positive_fee(liability_multiplier)
    given_up = asset * FINE * theirs // ours
    if asset >= debt or given_up >= debt * FINE:
        raise RuleRefusal(UNBOUNDED, "no finite transfer covers the shortage")
    mark = _money(price, "price")
    freed = mark * (debt * FINE - given_up) - mark * _fee(insurance_fee, "insurance_fee") // FEE * debt * FINE
    if freed <= 0:
        raise RuleRefusal(UNBOUNDED, "the fees take all that repaying frees")
    # freed is price (1e-6) times weight (1e-5) per unit of the debt, the shortage is 1e-6
    amount = Fraction(_money(shortage, "shortage") * MONEY * WEIGHT * FINE, MONEY * freed)
    return Fraction(units(amount, 10**decimals), 10**decimals)


def liability_for_asset(
    asset_amount: Number,
    asset_multiplier: Number,
    asset_price: Number,
    liability_multiplier: Number,
    liability_price: Number,
    decimals: int = 9,
) -> Fraction:
    """Units of debt that ``asset_amount`` of collateral repays, rounded up to whole units of the debt."""
    worth = at_least_zero(asset_amount, "asset_amount") * at_least_zero(asset_price, "asset_price")
    paid = at_least_zero(liability_price, "liability_price") * at_least_zero(asset_multiplier, "asset_multiplier")
    if paid == 0:
        raise RuleRefusal(UNBOUNDED, "debt without a price")
    exactly = worth * at_least_zero(liability_multiplier, "liability_multiplier") / paid
    return Fraction((exactly * 10**decimals).__ceil__(), 10**decimals)


def asset_for_liability(
    asset_amount: Number,
    asset_multiplier: Number,
    asset_price: Number,
    liability_amount: Number,
    liability_multiplier: Number,
    liability_price: Number,
    decimals: int = 9,
    dust: Number = 1,
) -> Fraction:
    """Units of collateral that repaying ``liability_amount`` takes; all of it when less than ``dust`` would stay."""
    held = at_least_zero(asset_amount, "asset_amount")
    mark = at_least_zero(asset_price, "asset_price")
    per_asset = mark * at_least_zero(liability_multiplier, "liability_multiplier")
    if per_asset == 0:
        raise RuleRefusal(UNBOUNDED, "collateral without a price")
    debt = at_least_zero(liability_amount, "liability_amount") * at_least_zero(liability_price, "liability_price")
    taken = debt * at_least_zero(asset_multiplier, "asset_multiplier") / per_asset
    taken = Fraction(units(taken, 10**decimals), 10**decimals)
    return held if abs(taken - held) * mark < at_least_zero(dust, "dust") else taken


def perp_insurance_fee(
    shortage: Number,
    size: Number,
    margin_ratio: Number,
    liquidator_fee: Number,
    price: Number,
    max_fee: Number,
    quote_price: Number = 1,
) -> Fraction:
    """Insurance fee of closing a perpetual: what the liquidator leaves of the ratio after the shortage.

    min(max fee, 95 % of (ratio - liquidator fee - shortage / notional)), never below zero.
    """
    ratio, fee = units(at_least_zero(margin_ratio, "margin_ratio"), WEIGHT) * (FEE // WEIGHT), _fee(liquidator_fee)
    amount = units(abs(exact(size, "size")), SIZE)
    mark = _money(price, "price") * _money(quote_price, "quote_price") // MONEY
    if mark == 0 or amount == 0 or ratio <= fee:
        return ZERO
    needed = _money(shortage, "shortage") * SIZE // amount * MONEY // mark
    implied = int(max(ratio - fee - needed, 0) * INSURANCE_SHARE)
    return Fraction(min(_fee(max_fee, "max_fee"), implied), FEE)


def spot_insurance_fee(
    shortage: Number,
    amount: Number,
    asset_weight: Number,
    asset_multiplier: Number,
    liability_weight: Number,
    liability_multiplier: Number,
    price: Number,
    max_fee: Number,
    decimals: int = 9,
) -> Fraction:
    """Insurance fee of repaying a debt of ``amount`` units at ``price``, never below zero.

    min(max fee, (liability weight - asset weight * multipliers - shortage / value) / liability weight).
    """
    asset, debt = _weight(asset_weight, "asset_weight"), _weight(liability_weight, "liability_weight")
    mark, held = _money(price, "price"), units(abs(exact(amount, "amount")), 10**decimals)
    if asset >= debt or mark == 0 or held == 0:
        return ZERO
    fine = FEE // WEIGHT
    given_up = asset * fine * _fee(asset_multiplier, "asset_multiplier") // _positive_fee(liability_multiplier)
    needed = _money(shortage, "shortage") * FEE * 10**decimals // held // mark
    implied = max(max(debt * fine - given_up, 0) - needed, 0) * FEE // (debt * fine)
    return Fraction(min(_fee(max_fee, "max_fee"), implied), FEE)


def escalating_fee(
    base_fee: Number, max_fee: Number, slots: Number, grace_slots: Number = 1500, per_slot: Number = "0.000001"
) -> Fraction:
    """Liquidator's fee after ``slots`` in liquidation: the base, and once the grace is over plus ``per_slot`` each.

    The growth counts from the start, so the fee steps up when the grace ends. At most ``max_fee`` from then on.
    """
    base, waited = at_least_zero(base_fee, "base_fee"), at_least_zero(slots, "slots")
    if waited < at_least_zero(grace_slots, "grace_slots"):
        return base
    return min(base + waited * at_least_zero(per_slot, "per_slot"), at_least_zero(max_fee, "max_fee"))


def max_liquidator_fee(base_fee: Number, maintenance_ratio: Number, multiple: Number = 3) -> Fraction:
    """How far ``escalating_fee`` may grow: ``multiple`` times the base, at most the maintenance ratio."""
    return min(
        at_least_zero(base_fee, "base_fee") * at_least_zero(multiple, "multiple"),
        at_least_zero(maintenance_ratio, "maintenance_ratio"),
    )


def closable_share(
    shortage: Number, slots: Number, duration_slots: Number, initial_share: Number, freed: Number = 0
) -> Fraction:
    """Share of the shortage that may be covered now: grows with time, all of it below 50 units of quote.

    ``freed`` is what earlier parts of the same liquidation covered. Shares are stored as 1e-4.
    """
    missing, done = _money(shortage, "shortage"), _money(freed, "freed")
    if missing < 50 * MONEY:
        return Fraction(1)
    span, waited = at_least_zero(duration_slots, "duration_slots"), at_least_zero(slots, "slots")
    grown = WEIGHT if span == 0 else int(waited * WEIGHT / span)
    part = min(grown + _weight(initial_share, "initial_share"), WEIGHT)
    freeable = max((missing + done) * part // WEIGHT - done, 0)
    return Fraction(freeable * WEIGHT // missing, WEIGHT)


def liquidation_limit_price(price: Number, fee: Number, closes_long: bool) -> Fraction:
    """Worst price of the order that closes a position: oracle less the fee for a long, plus the fee for a short."""
    mark = _money(price, "price")
    distance = mark * _fee(fee) // FEE
    return Fraction(mark - distance if closes_long else mark + distance, MONEY)


def socialized_funding(loss: Number, long: Number, short: Number) -> Fraction:
    """Loss per unit of base charged to both sides through the funding index, rounded up to 1e-6."""
    base = units(abs(exact(long, "long")), SIZE) + units(abs(exact(short, "short")), SIZE)
    if base == 0:
        raise RuleRefusal("no open interest", "nobody to share the loss")
    return Fraction(-(-units(abs(exact(loss, "loss")), MONEY) * SIZE // base), MONEY)


def socialized_deposits(loss: Number, deposits: Number, index: Number = 1) -> Fraction:
    """Cut of the deposit index that spreads ``loss`` units over ``deposits`` units; zero when there are none.

    Rounded up to 1e-10.
    """
    total = at_least_zero(deposits, "deposits")
    if total == 0:
        return ZERO
    cut = at_least_zero(index, "index") * at_least_zero(loss, "loss") / total
    return Fraction((cut * INTEREST).__ceil__(), INTEREST)


def socialized_loss(
    insurance_fund: Number,
    total_balance: Number,
    settlement_balances: Sequence[Number],
    withdrawal: Number = 0,
    shortfall_in_total: bool = False,
) -> SocializedLoss:
    """Charge on withdrawals while bankrupt accounts owe more than the insurance fund is worth.

    shortfall = max(0, sum of negative settlement balances - fund), factor = shortfall / total balance. The source's
    formula adds the shortfall to the denominator (``shortfall_in_total``), its example does not.
    """
    owed = sum((max(-exact(balance, "settlement_balances"), ZERO) for balance in settlement_balances), ZERO)
    shortfall = max(owed - exact(insurance_fund, "insurance_fund"), ZERO)
    asked = at_least_zero(withdrawal, "withdrawal")
    if shortfall == 0:
        return SocializedLoss(ZERO, ZERO, ZERO, asked)
    total = exact(total_balance, "total_balance") + (shortfall if shortfall_in_total else ZERO)
    if total <= 0:
        raise InvalidReference("total_balance", "must be above zero to carry a shortfall")
    factor = min(shortfall / total, Fraction(1))
    return SocializedLoss(shortfall, factor, asked * factor, asked - asked * factor)


def _money(value: Number, field: str) -> int:
    return units(at_least_zero(value, field), MONEY)


def _fee(value: Number, field: str = "liquidation_fee") -> int:
    return units(at_least_zero(value, field), FEE)


def _positive_fee(value: Number) -> int:
    multiplier = _fee(value, "liability_multiplier")
    if multiplier == 0:
        raise InvalidReference("liability_multiplier", "must be above zero")
    return multiplier


def _weight(value: Number, field: str) -> int:
    return units(at_least_zero(value, field), WEIGHT)
