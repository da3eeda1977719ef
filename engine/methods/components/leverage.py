"""Leverage margin as components: fractions or tiers of each position's notional, no netting, exact arithmetic.

Owns the way from a stated position to ``engine.rules.leverage_account``. Refuses the rules themselves.

A position is margined by the first of these that its parameters state:

    margin_tiers  rows (upper notional, initial rate, maintenance rate), the last without a bound; option ``tiers``
                  of the component: "marginal" (each slice at its rate) or "whole" (the bracket's rate for all of it)
    im_fraction   initial fraction, with ``mm_fraction``, or with ``maintenance_of_im`` of it; open interest raises it
                  between ``oi_lower_cap`` and ``oi_upper_cap``
    max_leverage  initial fraction 1 / max_leverage, maintenance as above
    leverage      initial fraction 1 / leverage, maintenance as above
    default_im_fraction  for what states none of these

``configured_fraction``, or a ``leverage`` beside any of the first three, is the holder's own stricter initial rate; a
leverage above ``max_leverage`` and a maintenance rate above the initial one are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.collateral_credit import collateral_credit
from engine.methods.components.venue_charges import decimal_text
from engine.methods.context import Charge, Component, MarginContext
from engine.methods.parameters import Parameters, as_exact
from engine.methods.statement import ParameterMap, PositionKind, StatedPortfolio, StatedPosition
from engine.rules.leverage import LeverageMarket, PositionMargin
from engine.rules.leverage_account import LeverageAccount, LeveragePosition, leverage_account
from engine.rules.rounding import ONE, ZERO, exact, share
from engine.rules.tiers import NotionalTier, with_deductions


def leverage_margin(context: MarginContext, options: ParameterMap) -> Charge:
    """Initial and maintenance requirement, [U]. Options: ``kinds``, what may be held; ``tiers``, see above; ``step``,
    the money step to which the venue rounds (0: none); ``quote_balance = "cash"``: positions without an entry price
    were paid out of cash, which their whole notional adds to. ``detail`` gives the exact account in decimal text."""
    account = exact_account(context, options)
    initial, maintenance = np.zeros(len(context.units)), np.zeros(len(context.units))
    for position in context.portfolio.positions:
        margin = account.positions[position.instrument]
        initial[context.units.index(position.underlying)] += float(margin.initial_margin)
        maintenance[context.units.index(position.underlying)] += float(margin.maintenance_margin)
    return Charge(initial, maintenance, _detail(account))


def leverage_equity(context: MarginContext, options: ParameterMap) -> Charge:
    """Net collateral, []: cash, settled funding and every position's notional and quote balance, or its unrealized PnL;
    collateral at its credit (``collateral_credit``). Options as ``leverage_margin``, which see."""
    account = exact_account(context, options)
    initial, maintenance, credits = collateral_credit(context)
    stable = Fraction(context.portfolio.stable_price)
    value = account.net_collateral + maintenance / stable
    return Charge(
        np.asarray(float(account.net_collateral + initial / stable)),
        np.asarray(float(value)),
        {"net_collateral": decimal_text(value), "collateral_credit": credits},
    )


def exact_account(context: MarginContext, options: ParameterMap) -> LeverageAccount:
    """The portfolio's account; raises ``InvalidReference``."""
    portfolio = context.portfolio
    kinds = options.get("kinds", ("perpetual", "future"))
    if not isinstance(kinds, list | tuple):
        raise InvalidReference("kinds", "must be a list of kinds of positions")
    positions: list[LeveragePosition] = []
    markets: dict[str, LeverageMarket] = {}
    for p, position in enumerate(portfolio.positions):
        if position.kind.value not in kinds:
            raise InvalidReference(f"positions[{p}].kind", f"this method does not margin {position.kind.value}")
        parameters = context.position_parameters(position)
        market = leverage_market(position, portfolio, parameters, options, p)
        index = Fraction(context.unit_parameters(position.underlying).exact("funding_index", ZERO_DECIMAL))
        market = replace(market, funding_index=index)
        if position.instrument in markets:
            raise InvalidReference(f"positions[{p}].instrument", f"{position.instrument} is held twice")
        markets[position.instrument] = market
        positions.append(_holding(position, market, parameters, options, _value_of(context, p)))
    isolated = sum((Fraction(p.isolated_collateral) for p in portfolio.positions), ZERO)
    step = options.get("step")
    return leverage_account(
        Fraction(portfolio.cash) + isolated, positions, markets, step=ZERO if step is None else as_exact(step, "step")
    )


def leverage_market(
    position: StatedPosition, portfolio: StatedPortfolio, parameters: Parameters, options: ParameterMap, index: int
) -> LeverageMarket:
    """How ``position`` is margined. An inverse contract is margined in coins: its units are quote units, at one over
    their price."""
    mark = mark_price(position, portfolio, index)
    price = ONE / mark if position.inverse else mark
    configured = Fraction(parameters.exact("configured_fraction")) if parameters.has("configured_fraction") else ZERO
    if parameters.has("leverage"):
        configured = max(configured, ONE / _leverage(parameters, "leverage"))
        if parameters.has("max_leverage") and parameters.exact("leverage") > parameters.exact("max_leverage"):
            raise InvalidReference("parameters.leverage", "is above max_leverage")
    tiers = leverage_tiers(parameters, options)
    if tiers:
        return LeverageMarket(price=price, tiers=tiers, configured_fraction=configured)
    base = _initial_fraction(parameters)
    if parameters.has("mm_fraction"):
        maintenance = share(parameters.exact("mm_fraction"), "parameters.mm_fraction")
        if maintenance > base:
            raise InvalidReference("parameters.mm_fraction", "is above the initial fraction")
        return LeverageMarket(
            price=price, tiers=(NotionalTier(None, base, maintenance),), configured_fraction=configured
        )
    return LeverageMarket(
        price=price,
        initial_fraction=base,
        maintenance_share=share(parameters.exact("maintenance_of_im"), "parameters.maintenance_of_im"),
        open_interest=Fraction(parameters.exact("open_interest", ZERO_DECIMAL)),
        lower_cap=Fraction(parameters.exact("oi_lower_cap", ZERO_DECIMAL)),
        upper_cap=Fraction(parameters.exact("oi_upper_cap", ZERO_DECIMAL)),
        configured_fraction=configured,
    )


def leverage_tiers(parameters: Parameters, options: ParameterMap) -> tuple[NotionalTier, ...]:
    """The parameter ``margin_tiers`` as a table, empty where none is stated; raises ``InvalidReference``."""
    if not parameters.has("margin_tiers"):
        return ()
    tiers: list[NotionalTier] = []
    for i, row in enumerate(parameters.items("margin_tiers")):
        field = f"parameters.margin_tiers[{i}]"
        if not isinstance(row, list | tuple) or not 2 <= len(row) <= 3:
            raise InvalidReference(field, "must be (upper notional, initial rate, maintenance rate)")
        upper = Fraction(as_exact(row[0], field)) if len(row) == 3 and row[0] is not None else None
        initial, maintenance = (share(as_exact(rate, field), field) for rate in row[-2:])
        if maintenance > initial:
            raise InvalidReference(field, "has a maintenance rate above its initial rate")
        tiers.append(NotionalTier(upper, initial, maintenance))
        if i and (last := tiers[i - 1].upper) is not None and upper is not None and upper <= last:
            raise InvalidReference(field, f"bound {row[0]} does not rise")
    return with_deductions(tiers) if options.get("tiers", "marginal") == "marginal" else tuple(tiers)


def mark_price(position: StatedPosition, portfolio: StatedPortfolio, index: int) -> Fraction:
    """The exact price that a position is margined at: its mark, else the market's perpetual price or forward; spot for
    options and spot. Raises ``InvalidReference`` where there is none: nothing values at zero by default."""
    market = portfolio.markets.get(position.underlying)
    if market is None:
        raise InvalidReference(f"positions[{index}].underlying", f"{position.underlying} is not among the markets")
    price = None if position.kind is PositionKind.OPTION else position.mark_price
    if price is None and position.kind is PositionKind.PERPETUAL:
        price = market.perpetual_price
    if price is None and position.kind is PositionKind.FUTURE and position.expiry is not None:
        expiry = market.expiries.get(position.expiry)
        price = None if expiry is None else expiry.forward
    if price is None and position.kind in (PositionKind.OPTION, PositionKind.SPOT):
        price = market.spot
    if price is None or price < 0 or (price == 0 and position.inverse):
        raise InvalidReference(f"positions[{index}].mark_price", "is missing, or below the prices a contract can have")
    return Fraction(price)


def _holding(
    position: StatedPosition,
    market: LeverageMarket,
    parameters: Parameters,
    options: ParameterMap,
    value: Fraction | None,
) -> LeveragePosition:
    """Size and quote balance: together with the notional they add to net collateral the position's unrealized PnL,
    or the ``value`` of what is paid for in full. A ``quote_balance`` among the position's own parameters stands as it
    is; its own ``funding_index`` is the market's index when it was last settled."""
    size = Fraction(position.quantity) * Fraction(position.multiplier)
    notional = size * market.price
    own = parameters.only(position.parameters)
    last = Fraction(own.exact("funding_index")) if own.has("funding_index") else None
    funding = Fraction(position.unrealized_funding) if size else ZERO
    if own.has("quote_balance"):
        balance = Fraction(own.exact("quote_balance"))
    elif value is not None:
        balance = value - notional
    elif position.unrealized_pnl is not None:
        balance = Fraction(position.unrealized_pnl) - notional
    elif position.entry_price is not None:
        if position.entry_price <= 0:
            raise InvalidReference(f"{position.instrument}.entry_price", "must be positive")
        entry = Fraction(position.entry_price)
        balance = size / entry - 2 * notional if position.inverse else -size * entry
    else:
        balance = ZERO if options.get("quote_balance") == "cash" else -notional
    return LeveragePosition(position.instrument, size, balance + funding, last)


def _value_of(context: MarginContext, index: int) -> Fraction | None:
    """Mark value of an option or a spot holding, which are paid for in full; None for what has a PnL instead."""
    position = context.portfolio.positions[index]
    if position.kind in (PositionKind.PERPETUAL, PositionKind.FUTURE):
        return None
    return exact(float(context.table.price_P[index])) * Fraction(position.quantity) * Fraction(position.multiplier)


def _initial_fraction(parameters: Parameters) -> Fraction:
    if parameters.has("im_fraction"):
        return share(parameters.exact("im_fraction"), "parameters.im_fraction")
    for name in ("max_leverage", "leverage"):
        if parameters.has(name):
            return ONE / _leverage(parameters, name)
    if parameters.has("default_im_fraction"):
        return share(parameters.exact("default_im_fraction"), "parameters.default_im_fraction")
    raise InvalidReference("parameters.im_fraction", "is missing: state it, max_leverage, leverage or margin_tiers")


def _leverage(parameters: Parameters, name: str) -> Fraction:
    value = Fraction(parameters.exact(name))
    if value < 1:
        raise InvalidReference(f"parameters.{name}", "must be at least 1")
    return value


def _detail(account: LeverageAccount) -> dict[str, object]:
    def text(margin: PositionMargin) -> dict[str, str]:
        return {
            "notional": decimal_text(margin.notional),
            "initial_margin": decimal_text(margin.initial_margin),
            "maintenance_margin": decimal_text(margin.maintenance_margin),
        }

    return {
        "initial_margin": decimal_text(account.initial_margin),
        "maintenance_margin": decimal_text(account.maintenance_margin),
        "funding": decimal_text(account.funding),
        "liquidatable": account.risk.liquidatable,
        "positions": {name: text(margin) for name, margin in account.positions.items()},
    }


ZERO_DECIMAL = as_exact("0", "zero")

COMPONENTS: Mapping[str, Component] = {"leverage_account": leverage_margin, "leverage_equity": leverage_equity}
