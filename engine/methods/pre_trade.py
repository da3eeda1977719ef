"""Before a trade: may these fills happen, and what do the open orders require at their worst.

Owns the rule by which a trade is accepted, and the choice of the worst fills. Refuses to margin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.errors import InvalidReference
from engine.methods.method import MarginMethod
from engine.methods.modes import AccountMargin, account_margin
from engine.methods.requirement import MarginResult
from engine.methods.statement import ZERO, StatedOrder, StatedPortfolio
from engine.methods.what_if import Change, Fill, filled, what_if


@dataclass(frozen=True, slots=True)
class OrdersWorst:
    """The worst fills of the open orders: by underlying ``none``, ``buys`` or ``sells``, what each of them requires
    initially on its own, and the margin if the worst of every underlying happens at once."""

    sides: Mapping[str, str]
    initial_by_side: Mapping[str, Mapping[str, float]]
    margin: AccountMargin


@dataclass(frozen=True, slots=True)
class PreTrade:
    """Whether fills may happen, why, and the margin before and after them."""

    accepted: bool
    reason: str
    before: AccountMargin
    after: AccountMargin


def worst_orders(portfolio: StatedPortfolio, method: MarginMethod) -> OrdersWorst:
    """Open orders filled against the account. For every underlying: no order, all buys or all sells filled, whichever
    requires most initially with the other underlyings' orders unfilled (equal: none before buys before sells); then
    the worst of all underlyings together. Orders fill at their price, those that only reduce as far as they can."""
    quiet = replace(portfolio, orders=())
    sides: dict[str, str] = {}
    by_side: dict[str, Mapping[str, float]] = {}
    for name in portfolio.markets:
        initial = {
            side: account_margin(
                _with_orders(quiet, portfolio.orders, method, {name: side}), method
            ).total.initial_margin
            for side in ("none", "buys", "sells")
        }
        by_side[name] = initial
        sides[name] = max(initial, key=lambda side: initial[side])
    return OrdersWorst(sides, by_side, account_margin(_with_orders(quiet, portfolio.orders, method, sides), method))


def _with_orders(
    quiet: StatedPortfolio, orders: Sequence[StatedOrder], method: MarginMethod, sides: Mapping[str, str]
) -> StatedPortfolio:
    result = quiet
    for i, order in enumerate(orders):
        position = next((p for p in result.positions if p.instrument == order.instrument), None)
        if position is None:
            raise InvalidReference(f"orders[{i}].instrument", f"{order.instrument} is not among the positions")
        if sides.get(position.underlying) != ("buys" if order.quantity > 0 else "sells"):
            continue
        quantity = order.quantity
        if order.reduce_only:
            held = abs(position.quantity) if position.quantity * quantity < 0 else ZERO
            quantity = min(abs(quantity), held).copy_sign(quantity)
        if quantity:
            result = filled(result, method, Fill(order.instrument, quantity, order.price), f"orders[{i}]")
    return result


def pre_trade(portfolio: StatedPortfolio, method: MarginMethod, fills: Sequence[Fill]) -> PreTrade:
    """Whether ``fills`` may happen together. Every pool must afterwards cover its initial margin; one that does not may
    not be riskier than before: its initial requirement does not rise, and its excess over maintenance, per maintenance,
    does not fall (where nothing is required afterwards: the excess itself)."""
    before = account_margin(portfolio, method)
    after = what_if(portfolio, method, Change(fills=tuple(fills))).margin
    uncovered = {name: pool for name, pool in after.pools.items() if pool.margin_excess_initial < 0.0}
    if not uncovered:
        return PreTrade(True, "equity covers initial margin after the trade", before, after)
    for name, pool in uncovered.items():
        riskier = _riskier(before.pools[name], pool)
        if riskier is not None:
            short = f"{name}: short of initial margin by {-pool.margin_excess_initial:.2f} after the trade"
            return PreTrade(False, f"{short}, and {riskier}", before, after)
    return PreTrade(True, "short of initial margin, but no riskier than before the trade", before, after)


def _riskier(before: MarginResult, after: MarginResult) -> str | None:
    """Why a pool is riskier than before, None if it is not."""
    if after.initial_margin > before.initial_margin:
        return "initial margin rises"
    excess, required = after.margin_excess_maintenance, after.maintenance_margin
    if required <= 0.0:
        falls = excess < before.margin_excess_maintenance
    else:
        # Cross-multiplied, so that a maintenance margin of 0 before needs no case.
        falls = excess * before.maintenance_margin < before.margin_excess_maintenance * required
    return "excess over maintenance margin falls against maintenance margin" if falls else None
