"""One holding of a weighted account: a spot balance or a perpetual position with its open orders.

Owns what a holding adds to collateral and to the requirement. Refuses to know the account's other holdings; the
choices that concern all of them travel in ``WeightedTerms``.

*Strict* pricing values assets at the lower and liabilities at the higher of oracle price and five-minute average. Open
orders are taken at their worst: whichever side, filled completely, leaves less free collateral (spot) or the larger
liability (perpetual); a tie goes to the sell side. Money is whole 1e-6 units, rounded toward zero after each product.
Source: Drift protocol-v2 at 0ae3e3b1, programs/drift/src/math/margin.rs and state/user.rs.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from engine.errors import InvalidReference
from engine.rules.rounding import ONE, ZERO, floor_to, truncate_to
from engine.rules.weights import (
    MONEY_STEP,
    WEIGHT_STEP,
    HighLeverage,
    MarginType,
    asset_weight,
    liability_weight,
    margin_ratio,
    unrealized_pnl_weight,
)

ORDER_FEE = Fraction(1, 100)
PROFIT_CAP = Fraction(100)


@dataclass(frozen=True, slots=True)
class PriceRange:
    """An oracle price and, under strict pricing, its five-minute average."""

    price: Fraction
    twap: Fraction | None = None

    def low(self) -> Fraction:
        """What an asset is worth."""
        return self.price if self.twap is None else min(self.price, self.twap)

    def high(self) -> Fraction:
        """What a liability costs."""
        return self.price if self.twap is None else max(self.price, self.twap)


@dataclass(frozen=True, slots=True)
class WeightedTerms:
    """Choices for the whole account.

    ``user_ratio`` is a stricter margin ratio chosen by the holder, in force for initial margin only;
    ``ratio_override`` is one imposed for every margin type. ``quote`` prices the currency in which perpetuals settle.
    """

    margin_type: MarginType = "initial"
    strict: bool = False
    user_ratio: Fraction = ZERO
    ratio_override: Fraction = ZERO
    quote: PriceRange = PriceRange(ONE)
    order_fee: Fraction = ORDER_FEE
    profit_cap: Fraction = PROFIT_CAP
    buffer: Fraction = ZERO

    @property
    def custom_ratio(self) -> Fraction:
        """The stricter of the ratios that apply to every holding."""
        chosen = self.user_ratio if self.margin_type == "initial" else ZERO
        return floor_to(max(chosen, self.ratio_override), WEIGHT_STEP)


@dataclass(frozen=True, slots=True)
class SpotHolding:
    """A deposit (positive amount) or a debt, with resting orders in units of the asset (both sides positive).

    A weight given once stands for both margin types; ``maintenance_*`` splits them. ``risky`` is false for the
    settlement currency: the holder's custom ratio does not touch it and its open orders do not count.
    """

    asset: str
    amount: Fraction
    price: Fraction
    asset_weight: Fraction = ONE
    liability_weight: Fraction = ONE
    maintenance_asset_weight: Fraction | None = None
    maintenance_liability_weight: Fraction | None = None
    imf: Fraction = ZERO
    scale_start: Fraction = ZERO
    deposits: Fraction = ZERO
    twap: Fraction | None = None
    risky: bool = False
    open_bids: Fraction = ZERO
    open_asks: Fraction = ZERO
    open_orders: int = 0


@dataclass(frozen=True, slots=True)
class PerpHolding:
    """A perpetual position: ``size`` units signed, ``quote_entry`` what was received for it (negative for a long).

    ``funding`` is unsettled funding received. ``pnl_weight`` given once stands for both margin types. ``prediction``
    contracts pay between 0 and 1: a short owes the difference to 1. ``expiry_price`` puts the market in settlement.
    ``isolated_collateral`` takes the position out of the common account.
    """

    market: str
    size: Fraction
    price: Fraction
    initial_ratio: Fraction
    maintenance_ratio: Fraction
    imf: Fraction = ZERO
    quote_entry: Fraction = ZERO
    funding: Fraction = ZERO
    pnl_weight: Fraction = ONE
    maintenance_pnl_weight: Fraction | None = None
    pnl_imf: Fraction = ZERO
    pnl_max_imbalance: Fraction = ZERO
    net_unsettled_pnl: Fraction = ZERO
    open_bids: Fraction = ZERO
    open_asks: Fraction = ZERO
    open_orders: int = 0
    position_ratio: Fraction = ZERO
    high_leverage: HighLeverage | None = None
    prediction: bool = False
    expiry_price: Fraction | None = None
    isolated_collateral: Fraction | None = None


@dataclass(frozen=True, slots=True)
class WeightedItem:
    """What one holding adds. ``liability`` is unweighted; ``weight`` is the weight or margin ratio that was used."""

    name: str
    collateral: Fraction
    margin_requirement: Fraction
    liability: Fraction
    weight: Fraction
    worst_size: Fraction


@dataclass(frozen=True, slots=True)
class _Fill:
    amount: Fraction
    value: Fraction
    orders_value: Fraction
    weighted: Fraction
    weight: Fraction

    @property
    def free_collateral(self) -> Fraction:
        return self.weighted + self.orders_value


def spot_item(holding: SpotHolding, terms: WeightedTerms) -> WeightedItem:
    """What a spot balance adds, its open orders filled on the worse side."""
    prices = PriceRange(holding.price, holding.twap if terms.strict else None)
    _positive_price(holding.asset, holding.price)
    value = floor_to(holding.amount * (prices.low() if holding.amount > 0 else prices.high()), MONEY_STEP)
    worst = _spot_fill(holding, terms, prices, value, ZERO)
    fee = ZERO
    if holding.risky:
        bids, asks = abs(holding.open_bids), abs(holding.open_asks)
        if bids or asks:
            ask = _spot_fill(holding, terms, prices, value, -asks)
            bid = _spot_fill(holding, terms, prices, value, bids)
            worst = ask if ask.free_collateral <= bid.free_collateral else bid
        worst = _with_custom_ratio(worst, holding, terms)
        fee = holding.open_orders * terms.order_fee
    owed = max(-worst.weighted, ZERO) + max(-worst.orders_value, ZERO)
    return WeightedItem(
        name=holding.asset,
        collateral=max(worst.weighted, ZERO) + max(worst.orders_value, ZERO),
        margin_requirement=owed + fee,
        liability=max(-worst.value, ZERO) + max(-worst.orders_value, ZERO),
        weight=worst.weight,
        worst_size=worst.amount,
    )


def perp_item(holding: PerpHolding, terms: WeightedTerms) -> WeightedItem:
    """What a perpetual adds: its requirement at the worst fill, and its weighted profit or loss as collateral."""
    _positive_price(holding.market, holding.price)
    worst, value = _worst_perp_fill(holding)
    liability = floor_to(value * _quote(terms).high(), MONEY_STEP)
    custom = terms.custom_ratio
    if terms.margin_type == "initial":
        custom = max(custom, floor_to(holding.position_ratio, WEIGHT_STEP))
    settlement = holding.expiry_price is not None
    ratio = margin_ratio(
        terms.margin_type,
        worst,
        holding.imf,
        holding.initial_ratio,
        holding.maintenance_ratio,
        holding.high_leverage,
        settlement,
    )
    ratio = ratio if settlement else max(ratio, custom)
    required = floor_to(liability * ratio, MONEY_STEP) + holding.open_orders * terms.order_fee
    return WeightedItem(holding.market, counted_pnl(holding, terms), required, liability, ratio, worst)


def counted_pnl(holding: PerpHolding, terms: WeightedTerms) -> Fraction:
    """Unrealized profit or loss as collateral: a loss in full, a profit weighted and, for initial margin, capped."""
    pnl = unrealized_pnl(holding)
    later = holding.pnl_weight if holding.maintenance_pnl_weight is None else holding.maintenance_pnl_weight
    weight = unrealized_pnl_weight(
        pnl,
        holding.pnl_imf,
        holding.pnl_weight,
        later,
        terms.margin_type,
        holding.pnl_max_imbalance,
        holding.net_unsettled_pnl,
    )
    quote = _quote(terms)
    price = quote.low() if pnl > 0 else quote.high() if pnl < 0 else quote.price
    counted = truncate_to(truncate_to(pnl * weight, MONEY_STEP) * price, MONEY_STEP)
    return min(counted, terms.profit_cap) if terms.margin_type == "initial" else counted


def unrealized_pnl(holding: PerpHolding) -> Fraction:
    """size * price + quote entry + funding, in the settlement currency; a price below zero counts as zero."""
    price = holding.price if holding.expiry_price is None else holding.expiry_price
    return truncate_to(holding.size * max(price, ZERO), MONEY_STEP) + holding.quote_entry + holding.funding


def _worst_perp_fill(holding: PerpHolding) -> tuple[Fraction, Fraction]:
    bought, sold = holding.size + abs(holding.open_bids), holding.size - abs(holding.open_asks)
    at_bid, at_ask = _perp_liability(holding, bought), _perp_liability(holding, sold)
    return (sold, at_ask) if at_ask >= at_bid else (bought, at_bid)


def _perp_liability(holding: PerpHolding, size: Fraction) -> Fraction:
    owed = ONE - holding.price if holding.prediction and size < 0 else holding.price
    return floor_to(abs(size) * max(owed, ZERO), MONEY_STEP)


def _spot_fill(
    holding: SpotHolding, terms: WeightedTerms, prices: PriceRange, value: Fraction, orders: Fraction
) -> _Fill:
    paid = floor_to(-orders * prices.high(), MONEY_STEP)
    amount, after = holding.amount + orders, value - paid
    weight = _spot_weight(holding, terms.margin_type, amount, after)
    return _Fill(amount, after, paid, truncate_to(after * weight, MONEY_STEP), weight)


def _spot_weight(holding: SpotHolding, margin_type: MarginType, amount: Fraction, value: Fraction) -> Fraction:
    if value > 0:
        later = holding.maintenance_asset_weight
        return asset_weight(
            margin_type,
            amount,
            holding.imf,
            holding.asset_weight,
            holding.asset_weight if later is None else later,
            holding.scale_start,
            holding.deposits,
            holding.price,
        )
    later = holding.maintenance_liability_weight
    return liability_weight(
        margin_type,
        amount,
        holding.imf,
        holding.liability_weight,
        holding.liability_weight if later is None else later,
    )


def _with_custom_ratio(fill: _Fill, holding: SpotHolding, terms: WeightedTerms) -> _Fill:
    custom = terms.custom_ratio
    if custom == 0 or fill.weighted == 0:
        return fill
    weight = _spot_weight(holding, "initial", fill.amount, fill.value)
    weight = max(weight, ONE + custom) if fill.weighted < 0 else min(weight, max(ONE - custom, ZERO))
    return _Fill(fill.amount, fill.value, fill.orders_value, truncate_to(fill.value * weight, MONEY_STEP), weight)


def _quote(terms: WeightedTerms) -> PriceRange:
    return terms.quote if terms.strict else PriceRange(terms.quote.price)


def _positive_price(name: str, price: Fraction) -> None:
    if price < 0:
        raise InvalidReference("price", f"{price} of {name} is below zero")
