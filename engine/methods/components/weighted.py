"""Weighted accounts as components: assets and liabilities by weights that depend on size.

Owns the way from a stated portfolio to ``engine.rules.weighted_account``. Refuses the rules themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.leverage import mark_price
from engine.methods.components.venue_charges import decimal_text
from engine.methods.context import Charge, Component, MarginContext, same_charge
from engine.methods.parameters import Parameters, as_exact
from engine.methods.statement import MarginMode, ParameterMap, PositionKind, StatedCollateral, StatedPosition
from engine.rules.rounding import ZERO
from engine.rules.weighted_account import WeightedAccount, net_usd_value, terms_for, weighted_account
from engine.rules.weighted_holdings import PerpHolding, SpotHolding, WeightedTerms
from engine.rules.weights import HighLeverage, MarginType

CASH = "cash"


def weighted_requirement(context: MarginContext, options: ParameterMap) -> Charge:
    """Requirement of the account, []: weighted debts and perpetual margins, isolated positions apart. ``detail`` has
    the exact sums for initial, fill and maintenance margin. Source: Drift protocol-v2."""
    initial, maintenance = exact_weighted(context, "initial"), exact_weighted(context, "maintenance")
    texts = {
        kind: _detail(account)
        for kind, account in (
            ("initial", initial), ("fill", exact_weighted(context, "fill")), ("maintenance", maintenance),
        )
    }  # fmt: skip
    return Charge(
        np.asarray(float(initial.margin_requirement)), np.asarray(float(maintenance.margin_requirement)), texts
    )


def weighted_collateral(context: MarginContext, options: ParameterMap) -> Charge:
    """Weighted collateral of the account, [], for the initial and the maintenance requirement."""
    return Charge(
        np.asarray(float(exact_weighted(context, "initial").total_collateral)),
        np.asarray(float(exact_weighted(context, "maintenance").total_collateral)),
    )


def weighted_net_value(context: MarginContext, options: ParameterMap) -> Charge:
    """Unweighted value, []: balances at oracle price and unrealized PnL."""
    spot, perps = holdings(context)
    value = net_usd_value(spot, perps, terms_for(spot).quote.price)
    return same_charge(np.asarray(float(value)), exact=decimal_text(value))


def exact_weighted(context: MarginContext, margin_type: MarginType) -> WeightedAccount:
    """The account for one margin type; raises ``InvalidReference``."""
    parameters = context.account_parameters
    spot, perps = holdings(context)
    terms = WeightedTerms(
        margin_type=margin_type,
        strict=parameters.flag("strict"),
        user_ratio=_number(parameters, "user_ratio"),
        ratio_override=_number(parameters, "ratio_override"),
        order_fee=_number(parameters, "order_fee"),
        profit_cap=_number(parameters, "profit_cap"),
        buffer=_number(parameters, "liquidation_buffer"),
    )
    return weighted_account(spot, perps, terms_for(spot, terms))


def holdings(context: MarginContext) -> tuple[list[SpotHolding], list[PerpHolding]]:
    """Cash, collateral and spot positions as balances, perpetuals as positions; raises ``InvalidReference``."""
    portfolio = context.portfolio
    spot = [_collateral(context, entry) for entry in portfolio.collateral]
    if portfolio.cash or all(holding.risky for holding in spot):
        twap = context.account_parameters.get("stable_twap")
        settlement = SpotHolding(
            CASH, Fraction(portfolio.cash), Fraction(portfolio.stable_price),
            twap=None if twap is None else Fraction(as_exact(twap, "parameters.stable_twap")),
        )  # fmt: skip
        spot.insert(0, settlement)
    perps: list[PerpHolding] = []
    for p, position in enumerate(portfolio.positions):
        if position.kind is PositionKind.SPOT:
            spot.append(_spot(context, position, p))
        elif position.kind is PositionKind.PERPETUAL and not position.inverse:
            perps.append(_perp(context, position, p))
        else:
            raise InvalidReference(f"positions[{p}].kind", "only linear perpetuals and spot have weights")
    return spot, perps


def _collateral(context: MarginContext, entry: StatedCollateral) -> SpotHolding:
    parameters = context.collateral_parameters(entry)
    return _weights(entry.asset, Fraction(entry.amount), Fraction(entry.price), parameters, (ZERO, ZERO, 0))


def _spot(context: MarginContext, position: StatedPosition, index: int) -> SpotHolding:
    size = Fraction(position.quantity) * Fraction(position.multiplier)
    price = mark_price(position, context.portfolio, index)
    return _weights(position.underlying, size, price, context.position_parameters(position), _orders(context, position))


def _weights(
    asset: str, amount: Fraction, price: Fraction, parameters: Parameters, orders: tuple[Fraction, Fraction, int]
) -> SpotHolding:
    return SpotHolding(
        asset, amount, price,
        asset_weight=_number(parameters, "asset_weight"),
        liability_weight=_number(parameters, "liability_weight"),
        maintenance_asset_weight=_maybe(parameters, "maintenance_asset_weight"),
        maintenance_liability_weight=_maybe(parameters, "maintenance_liability_weight"),
        imf=_number(parameters, "imf", ZERO),
        scale_start=_number(parameters, "scale_start", ZERO),
        deposits=_number(parameters, "deposits", ZERO),
        twap=_maybe(parameters, "twap"),
        risky=parameters.flag("risky", default=True),
        open_bids=orders[0], open_asks=orders[1], open_orders=orders[2],
    )  # fmt: skip


def _perp(context: MarginContext, position: StatedPosition, index: int) -> PerpHolding:
    parameters = context.position_parameters(position)
    size = Fraction(position.quantity) * Fraction(position.multiplier)
    price = mark_price(position, context.portfolio, index)
    bids, asks, count = _orders(context, position)
    return PerpHolding(
        market=position.instrument, size=size, price=price,
        initial_ratio=_number(parameters, "initial_ratio"), maintenance_ratio=_number(parameters, "maintenance_ratio"),
        imf=_number(parameters, "imf", ZERO),
        quote_entry=_quote_entry(position, size, price, parameters),
        funding=Fraction(position.unrealized_funding),
        pnl_weight=_number(parameters, "pnl_weight"),
        maintenance_pnl_weight=_maybe(parameters, "maintenance_pnl_weight"),
        pnl_imf=_number(parameters, "pnl_imf", ZERO),
        pnl_max_imbalance=_number(parameters, "pnl_max_imbalance", ZERO),
        net_unsettled_pnl=_number(parameters, "net_unsettled_pnl", ZERO),
        open_bids=bids, open_asks=asks, open_orders=count,
        position_ratio=_number(parameters, "position_ratio", ZERO),
        high_leverage=_high_leverage(parameters),
        prediction=parameters.flag("prediction"),
        expiry_price=_maybe(parameters, "expiry_price"),
        isolated_collateral=(
            Fraction(position.isolated_collateral) if position.mode is MarginMode.ISOLATED else None
        ),
    )  # fmt: skip


def _quote_entry(position: StatedPosition, size: Fraction, price: Fraction, parameters: Parameters) -> Fraction:
    if parameters.has("quote_entry"):
        return _number(parameters, "quote_entry")
    if position.unrealized_pnl is not None:
        return Fraction(position.unrealized_pnl) - size * price
    return -size * (price if position.entry_price is None else Fraction(position.entry_price))


def _orders(context: MarginContext, position: StatedPosition) -> tuple[Fraction, Fraction, int]:
    """Units that open orders would buy and sell (those that only reduce count as none), and the number of orders."""
    own = [order for order in context.portfolio.orders if order.instrument == position.instrument]
    sides = [Fraction(order.quantity) * Fraction(position.multiplier) for order in own if not order.reduce_only]
    return sum((s for s in sides if s > 0), ZERO), -sum((s for s in sides if s < 0), ZERO), len(own)


def _high_leverage(parameters: Parameters) -> HighLeverage | None:
    if not parameters.has("high_leverage"):
        return None
    table = Parameters(parameters.mapping("high_leverage"))
    return HighLeverage(_number(table, "initial"), _number(table, "maintenance"))


def _number(parameters: Parameters, name: str, default: Fraction | None = None) -> Fraction:
    if default is not None and not parameters.has(name):
        return default
    return Fraction(parameters.exact(name))


def _maybe(parameters: Parameters, name: str) -> Fraction | None:
    return Fraction(parameters.exact(name)) if parameters.has(name) else None


def _detail(account: WeightedAccount) -> dict[str, object]:
    return {
        "margin_requirement": decimal_text(account.margin_requirement),
        "total_collateral": decimal_text(account.total_collateral),
        "margin_requirement_with_buffer": decimal_text(account.margin_requirement_with_buffer),
        "total_collateral_with_buffer": decimal_text(account.total_collateral_with_buffer),
        "meets_requirement": account.meets_requirement,
        "weights": {item.name: decimal_text(item.weight) for item in account.items},
        "isolated": {name: _detail(part) for name, part in account.isolated.items()},
    }


COMPONENTS: Mapping[str, Component] = {
    "weighted_account": weighted_requirement,
    "weighted_collateral": weighted_collateral,
    "weighted_net_value": weighted_net_value,
}
