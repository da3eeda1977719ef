"""Nested groups of underlyings: gains of one class group pay for a share of another's losses inside a product group.

Owns the order class group < product group < portfolio group and the minimum per contract. Refuses revaluation.

    class group      one underlying: its contracts offset in full, valuation point by valuation point
    product group    at every point: losses in full, of gains the share ``product_group_offset``
    portfolio group  the same over its product groups, with ``portfolio_group_offset``
    requirement      of each portfolio group: max(largest loss over the points, minimum of its contracts)

Source: OCC, Theoretical Intermarket Margin System (customer portfolio margin); minimum and ranges: FINRA rule 4210(g).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.risk_arrays import Records, largest_loss, risk_arrays
from engine.methods.context import Charge, Component, MarginContext
from engine.methods.parameters import Parameters
from engine.methods.statement import ONE, ParameterMap
from engine.pricing.axes import Floats

RANGES = ("price_range", "price_range_down")


def grouped_loss(context: MarginContext, options: ParameterMap) -> Charge:
    """Requirement of all portfolio groups, allocated to underlyings, [U]: each one's share of its group's worst point
    (a gain that was counted is negative), or of the minimum where that is more. The shares add up to the requirement.

    Market parameters: ``product_group`` (default: the underlying by itself), ``portfolio_group`` (default: the product
    group by itself), offsets in 0..1, ``price_range`` (share of the price; ``price_range_down`` for moves down where
    it differs). The minimum is that of ``minimum_charges``.
    """
    stated = context.portfolio.scenarios
    records = context.method.scenarios if stated is None else stated
    arrays = risk_arrays(context, RANGES, lambda parameters: _records(records, parameters))
    own_US = context.sum_by_unit(arrays.pnl_PS)
    product_U, portfolio_U = group_names(context)
    counted_US = _counted(own_US, own_US, _offsets(context, "product_group_offset", product_U))
    product_US = _sums(counted_US, product_U)
    share_US = _counted(product_US, counted_US, _offsets(context, "portfolio_group_offset", portfolio_U))
    group_US = _sums(share_US, portfolio_U)
    least_U = minimum_charges(context)
    least_group_U = _sums(least_U[:, None], portfolio_U)[:, 0]
    loss_U, worst_U = largest_loss(group_US)
    at_worst_U = (
        -np.take_along_axis(share_US, np.maximum(worst_U, 0)[:, None], axis=1)[:, 0] if len(worst_U) else loss_U
    )
    result_U = np.where(loss_U >= least_group_U, np.where(worst_U >= 0, at_worst_U, 0.0), least_U)
    detail = {
        group: {
            "members": [unit for unit, name in zip(context.units, portfolio_U, strict=True) if name == group],
            "loss": float(loss_U[portfolio_U.index(group)]),
            "minimum": float(least_group_U[portfolio_U.index(group)]),
        }
        for group in dict.fromkeys(portfolio_U)
    }
    return Charge(result_U, result_U, detail, arrays.names, share_US, worst_U)


def group_names(context: MarginContext) -> tuple[list[str], list[str]]:
    """Product and portfolio group of every underlying; raises ``InvalidReference`` where a product group would be in
    two portfolio groups."""
    product = [context.unit_parameters(unit).text("product_group", f"class {unit}") for unit in context.units]
    portfolio = [
        context.unit_parameters(unit).text("portfolio_group", f"product {name}")
        for unit, name in zip(context.units, product, strict=True)
    ]
    for unit, name, group in zip(context.units, product, portfolio, strict=True):
        if group != portfolio[product.index(name)]:
            raise InvalidReference(f"markets.{unit}.parameters.portfolio_group", f"{name} is in another one already")
    return product, portfolio


def minimum_charges(context: MarginContext) -> Floats:
    """Sum over positions, long and short alike, of contracts x multiplier x ``minimum_charge``, or of contracts x
    ``minimum_charge_per_contract`` where that is stated, [U]. A holding of the underlying itself has none."""
    charge_P = np.zeros(len(context.table.positions))
    for p, position in enumerate(context.table.positions):
        if not context.table.spot_P[p]:
            parameters = context.position_parameters(position)
            by_unit = parameters.number("minimum_charge") * float(position.multiplier)
            charge_P[p] = abs(float(position.quantity)) * parameters.number("minimum_charge_per_contract", by_unit)
    return context.sum_by_unit(charge_P)


def _records(records: Records, parameters: Parameters) -> Records:
    """Steps down as relative moves of ``price_range_down`` where that is stated."""
    if not parameters.has("price_range_down"):
        return records
    down = parameters.exact("price_range_down")
    result: list[ParameterMap] = []
    for record in records:
        step = Parameters(record).exact("range_steps", Decimal(0))
        if step >= 0:
            result.append(record)
            continue
        rest = {name: value for name, value in record.items() if name != "range_steps"}
        result.append({**rest, "spot": step * down})
    return result


def _offsets(context: MarginContext, name: str, group_U: list[str]) -> Floats:
    """The share of gains that counts, [U], one for each group; raises ``InvalidReference``."""
    values = [context.unit_parameters(unit).exact(name) for unit in context.units]
    for unit, group, value in zip(context.units, group_U, values, strict=True):
        if not 0 <= value <= ONE:
            raise InvalidReference(f"markets.{unit}.parameters.{name}", "must lie in 0..1")
        if value != values[group_U.index(group)]:
            raise InvalidReference(f"markets.{unit}.parameters.{name}", f"differs from that of others in {group}")
    return np.array([float(value) for value in values])


def _counted(net_US: Floats, part_US: Floats, offset_U: Floats) -> Floats:
    """``part_US`` of a net, with the share ``offset_U`` of it where the net is a gain. A gain on its way to another
    group passes the share of every level that it crosses."""
    result: Floats = np.where(net_US > 0.0, part_US * offset_U[:, None], part_US)
    return result


def _sums(value_US: Floats, group_U: list[str]) -> Floats:
    """Sums over each one's group, [U, S]."""
    same_UU = np.array([[one == other for other in group_U] for one in group_U], dtype=np.float64)
    result: Floats = same_UU.reshape(len(group_U), len(group_U)) @ value_US
    return result


COMPONENTS: Mapping[str, Component] = {"grouped_loss": grouped_loss}
