"""Scenario components: the mark value of a pool and its largest weighted loss over a scenario set.

Owns nets of revalued positions inside an underlying. Refuses volatility laws (``revaluation``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.errors import InvalidReference
from engine.methods.context import Charge, Component, MarginContext, same_charge
from engine.methods.revaluation import revalue
from engine.methods.scenario_set import ScenarioSet
from engine.methods.statement import ParameterMap
from engine.pricing.axes import Floats


def mark_value(context: MarginContext, options: ParameterMap) -> Charge:
    """Mark to market by account, []: cash + collateral at price (in units of the settlement currency) + options and
    spot at mark + unrealized PnL and funding of perpetuals and futures, each times the ``settlement_price`` of its
    underlying (1 where not stated). Either sign."""
    portfolio, table = context.portfolio, context.table
    held = table.option_P | table.spot_P
    option_P = np.where(table.option_P & ~table.stated_mark_P, revalue(context, flat(context)).value_P, 0.0)
    stated_P = np.where(held & ((~table.option_P) | table.stated_mark_P), table.quantity_P * table.price_P, 0.0)
    funding_P = np.array([float(p.unrealized_funding) for p in table.positions])
    pnl_P = np.where(held, 0.0, table.unrealized_pnl_P + funding_P * (table.quantity_P != 0.0))
    settlement_P = context.per_unit("settlement_price", 1.0)[table.unit_P]
    option_P, stated_P, pnl_P = option_P * settlement_P, stated_P * settlement_P, pnl_P * settlement_P
    collateral = sum(float(c.amount) * float(c.price) for c in portfolio.collateral) / float(portfolio.stable_price)
    value = float(portfolio.cash) + collateral + float(np.sum(option_P + stated_P + pnl_P))
    return same_charge(
        np.asarray(value), collateral_value=collateral,
        option_value=float(np.sum(option_P + stated_P * table.option_P)),
        unrealized_pnl=float(np.sum(pnl_P)),
    )  # fmt: skip


def scan_loss(context: MarginContext, options: ParameterMap) -> Charge:
    """Largest weighted loss of each underlying's net, [U], >= 0. Option ``group`` picks scenarios by label; option
    ``collateral = true`` lets collateral that moves with the underlying take part at its value."""
    names, weighted_US = weighted_pnl(context, options)
    worst_U = np.argmin(weighted_US, axis=1) if weighted_US.shape[1] else np.full(len(context.units), -1)
    loss_U = np.maximum(-weighted_US.min(axis=1, initial=0.0), 0.0)
    return Charge(loss_U, loss_U, {}, names, weighted_US, np.where(loss_U > 0.0, worst_U, -1))


def weighted_pnl(context: MarginContext, options: ParameterMap) -> tuple[tuple[str, ...], Floats]:
    """Scenario names and weighted net PnL, [U, S], of positions (and of hedging collateral if asked)."""
    scenarios = context.scenarios
    net_US = context.sum_by_unit(revalue(context, scenarios).pnl_PS)
    if options.get("collateral") is True:
        net_US = net_US + hedging_collateral(context)[:, None] * (scenarios.price_factor_US - 1.0)
    group = options.get("group")
    kept = [s for s, name in enumerate(scenarios.groups) if group is None or name == group]
    weighted_US: Floats = (net_US * scenario_weights(context))[:, kept]
    return tuple(scenarios.names[s] for s in kept), weighted_US


def scenario_weights(context: MarginContext) -> Floats:
    """Weight of every scenario for every underlying, [U, S]: the scenarios' own, or, where an underlying has the
    parameter ``scenario_weights`` and the portfolio states no scenarios of its own, that list."""
    weight_S = context.scenarios.weight_S
    result = np.tile(weight_S, (len(context.units), 1))
    for u, unit in enumerate(context.units):
        parameters = context.unit_parameters(unit)
        if context.portfolio.scenarios is None and parameters.has("scenario_weights"):
            own = parameters.numbers("scenario_weights")
            if len(own) != weight_S.size:
                raise InvalidReference("parameters.scenario_weights", f"must have {weight_S.size} numbers")
            result[u] = own
    return result


def hedging_collateral(context: MarginContext) -> Floats:
    """Value of collateral that moves with each underlying, [U], in units of the settlement currency."""
    value_U = np.zeros(len(context.units))
    for entry in context.portfolio.collateral:
        if entry.underlying is not None and entry.underlying in context.units:
            value = float(entry.amount) * float(entry.price) / float(context.portfolio.stable_price)
            value_U[context.units.index(entry.underlying)] += value
    return value_U


def flat(context: MarginContext) -> ScenarioSet:
    """No scenario at all: revalue with it to get values now."""
    return context.scenario_set(())


COMPONENTS: Mapping[str, Component] = {"mark_value": mark_value, "scan_loss": scan_loss}
