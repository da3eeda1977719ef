"""Spreads of SPAN: charges between months and in delivery, credits between commodities.

Owns deltas in contracts and how spreads are formed from them. Refuses scenarios (``span``).

A delta in contracts is quantity x delta of one contract per unit of its multiplier (1 for a future; Black's for an
option; a stated one as it is) x ``delta_scaling_factor``, so that contracts of different size can be spread.
Source: CME Group, SPAN methodology and "Spread calculations".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.risk_arrays import RiskArrays, largest_loss
from engine.methods.components.span import span_arrays
from engine.methods.context import Charge, Component, MarginContext, same_charge
from engine.methods.greeks import position_greeks
from engine.methods.parameters import Parameters, as_number
from engine.methods.statement import ParameterMap, ParameterValue
from engine.pricing.axes import Floats


@dataclass(frozen=True, slots=True)
class SpreadCharge:
    """``charge`` per spread of ``ratio_a`` deltas of month a against ``ratio_b`` of month b."""

    month_a: str
    month_b: str
    charge: float
    ratio_a: float = 1.0
    ratio_b: float = 1.0


@dataclass(frozen=True, slots=True)
class SpreadLeg:
    """One leg of an inter-commodity spread: net delta, deltas per spread, and money per delta."""

    delta: float
    ratio: float
    margin: float


def contract_deltas(context: MarginContext) -> Floats:
    """Delta of every position in contracts, [P]."""
    table = context.table
    multiplier_P = np.array([float(p.multiplier) for p in table.positions])
    quantity_P = np.array([float(p.quantity) for p in table.positions])
    stated_P = np.array([p.delta is not None for p in table.positions], dtype=np.bool_)
    greek_P = position_greeks(context)["delta"]
    model_P = np.where(table.option_P, greek_P / multiplier_P, quantity_P)
    result: Floats = np.where(stated_P, greek_P, model_P) * context.per_position("delta_scaling_factor", 1.0)
    return result


def month_deltas(context: MarginContext) -> list[dict[str, float]]:
    """Net delta in contracts by underlying and month. The month of a position is its parameter ``month`` (for options
    on a future of another month), else its expiry; "" without one."""
    result: list[dict[str, float]] = [{} for _ in context.units]
    for p, delta in enumerate(contract_deltas(context).tolist()):
        position = context.table.positions[p]
        month = context.position_parameters(position).text("month", position.expiry or "")
        by_month = result[int(context.table.unit_P[p])]
        by_month[month] = by_month.get(month, 0.0) + delta
    return result


def spread_charge(net_delta: Mapping[str, float], charges: Sequence[SpreadCharge]) -> float:
    """Charge for spreads between months, formed in the order of ``charges`` from deltas of opposite sign."""
    left, total = dict(net_delta), 0.0
    for row in charges:
        a, b = left.get(row.month_a, 0.0), left.get(row.month_b, 0.0)
        if a * b >= 0.0:
            continue
        spreads = min(abs(a) / row.ratio_a, abs(b) / row.ratio_b)
        left[row.month_a] = a - np.sign(a) * spreads * row.ratio_a
        left[row.month_b] = b - np.sign(b) * spreads * row.ratio_b
        total += spreads * row.charge
    return float(total)


def spread_margin(
    net_delta: Mapping[str, float], price_scan_range: Mapping[str, float], charges: Sequence[SpreadCharge]
) -> float:
    """Margin of futures only: |sum of delta x scan range| + spread charge. Source: CME Group, "Spread calculations"."""
    return abs(sum(delta * price_scan_range[month] for month, delta in net_delta.items())) + spread_charge(
        net_delta, charges
    )


def spread_credit(legs: Sequence[SpreadLeg], rate: float) -> float:
    """rate x sum(n x ratio x margin), n = min |delta| / ratio: the credit of one inter-commodity spread."""
    spreads = min((abs(leg.delta) / leg.ratio for leg in legs), default=0.0)
    return rate * sum(spreads * leg.ratio * leg.margin for leg in legs)


def intra_commodity_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """Spread charges between months, [U], by the parameter ``spread_charges``: rows [month, month, charge] or
    [month, month, charge, deltas of the first, deltas of the second], in order of priority."""
    charge_U = np.zeros(len(context.units))
    months = month_deltas(context)
    for u, unit in enumerate(context.units):
        parameters = context.unit_parameters(unit)
        if parameters.has("spread_charges"):
            charge_U[u] = spread_charge(months[u], spread_charges(parameters))
    detail = {unit: dict(months[u]) for u, unit in enumerate(context.units)}
    return same_charge(charge_U, net_delta=detail)


def spread_charges(parameters: Parameters) -> list[SpreadCharge]:
    """The parameter ``spread_charges``; raises ``InvalidReference``."""
    rows: list[SpreadCharge] = []
    for i, row in enumerate(parameters.items("spread_charges")):
        field = f"parameters.spread_charges[{i}]"
        if not isinstance(row, list | tuple) or len(row) not in (3, 5):
            raise InvalidReference(field, "must be [month, month, charge] and maybe deltas per spread of both")
        month_a, month_b = row[0], row[1]
        if not isinstance(month_a, str) or not isinstance(month_b, str) or month_a == month_b:
            raise InvalidReference(field, "needs the names of two months")
        numbers = [as_number(value, field) for value in row[2:]]
        if any(ratio <= 0.0 for ratio in numbers[1:]):
            raise InvalidReference(field, "deltas per spread must be positive")
        rows.append(SpreadCharge(month_a, month_b, *numbers))
    return rows


def delivery_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """Sum over months of the parameter ``delivery_charges`` (a table, charge per delta by month) x |net delta|, [U]."""
    charge_U = np.zeros(len(context.units))
    for u, by_month in enumerate(month_deltas(context)):
        parameters = context.unit_parameters(context.units[u])
        if parameters.has("delivery_charges"):
            rates = Parameters(parameters.mapping("delivery_charges"))
            charge_U[u] = sum(abs(delta) * rates.number(month, 0.0) for month, delta in by_month.items())
    return same_charge(charge_U)


def inter_commodity_credit(context: MarginContext, options: ParameterMap) -> Charge:
    """Credits for spreads between underlyings, [U], by the parameter ``inter_commodity_spreads``: a list, in order of
    priority, of {rate, legs: [{underlying, ratio, side}]}. ``side`` is A or B (the first leg's is A, the others' B):
    legs of one side must be long and those of the other short, else the spread does not form. A delta is used once.
    A leg's money per delta is its ``margin``, else its market's ``margin_per_delta``, else its price risk per delta
    (``price_risk``). Each leg's underlying has its own share of the credit."""
    credit_U = np.zeros(len(context.units))
    rows = context.account_parameters.get("inter_commodity_spreads")
    if rows is None:
        return same_charge(credit_U)
    left_U = np.array([sum(by_month.values()) for by_month in month_deltas(context)])
    risk_U = price_risk(context, left_U)
    formed: list[float] = []
    for i, row in enumerate(context.account_parameters.items("inter_commodity_spreads")):
        field = f"parameters.inter_commodity_spreads[{i}]"
        table = Parameters(_table(row, field))
        legs, sides, members = _legs(context, table, left_U, risk_U, field)
        rate = as_number(table.get("rate"), f"{field}.rate")
        directions = {side * np.sign(leg.delta) for leg, side in zip(legs, sides, strict=True)}
        spreads = min(abs(leg.delta) / leg.ratio for leg in legs) if len(directions) == 1 else 0.0
        for leg, u in zip(legs, members, strict=True):
            credit_U[u] += rate * spreads * leg.ratio * leg.margin
            left_U[u] -= np.sign(left_U[u]) * spreads * leg.ratio
        formed.append(float(spreads))
    return same_charge(credit_U, spreads=formed)


def price_risk(context: MarginContext, delta_U: Floats) -> Floats:
    """Price risk per delta, [U]: (scan loss averaged over the worst scenario and the one of the same price move and
    opposite volatility - the average loss at no price move) / |net delta|; 0 without a delta. An extreme scenario is
    its own pair. Source: CME Group, SPAN methodology, weighted futures price risk."""
    arrays = span_arrays(context)
    pnl_US = context.sum_by_unit(arrays.pnl_PS)
    loss_U, worst_U = largest_loss(pnl_US)
    risk_U = np.zeros(len(context.units))
    for u in range(len(context.units)):
        if worst_U[u] < 0 or delta_U[u] == 0.0:
            continue
        still_S = np.flatnonzero(arrays.price_moves_S == 0.0)
        time_loss = -float(pnl_US[u, still_S].mean()) if still_S.size else 0.0
        paired = (float(loss_U[u]) - float(pnl_US[u, _pair(arrays, int(worst_U[u]))])) / 2.0
        risk_U[u] = max(paired - time_loss, 0.0) / abs(float(delta_U[u]))
    return risk_U


def _pair(arrays: RiskArrays, worst: int) -> int:
    price_S, vol_S = arrays.price_moves_S, arrays.vol_moves_S
    same = np.flatnonzero((price_S == price_S[worst]) & (vol_S == -vol_S[worst]))
    return int(same[0]) if same.size else worst


def _legs(
    context: MarginContext, table: Parameters, left_U: Floats, risk_U: Floats, field: str
) -> tuple[list[SpreadLeg], list[int], list[int]]:
    """Legs with what is left of their deltas, sides (+1 for A, -1 for B) and indices of underlyings."""
    legs: list[SpreadLeg] = []
    sides: list[int] = []
    members: list[int] = []
    value = table.get("legs")
    if not isinstance(value, list | tuple) or len(value) < 2:
        raise InvalidReference(f"{field}.legs", "must be a list of at least two legs")
    for i, entry in enumerate(value):
        path = f"{field}.legs[{i}]"
        leg = Parameters(_table(entry, path))
        unit = leg.get("underlying")
        if unit not in context.units or context.units.index(str(unit)) in members:
            raise InvalidReference(f"{path}.underlying", "must be one of the markets, once")
        u = context.units.index(str(unit))
        ratio = as_number(leg.get("ratio"), f"{path}.ratio")
        if ratio <= 0.0:
            raise InvalidReference(f"{path}.ratio", "must be positive")
        side = leg.get("side") or ("A" if i == 0 else "B")
        if side not in ("A", "B"):
            raise InvalidReference(f"{path}.side", "must be A or B")
        margin = leg.number("margin", context.unit_parameters(str(unit)).number("margin_per_delta", risk_U[u]))
        legs.append(SpreadLeg(float(left_U[u]), ratio, margin))
        sides.append(1 if side == "A" else -1)
        members.append(u)
    return legs, sides, members


def _table(value: ParameterValue, field: str) -> ParameterMap:
    if not isinstance(value, Mapping):
        raise InvalidReference(field, "must be a table")
    return value


COMPONENTS: Mapping[str, Component] = {
    "intra_commodity_charge": intra_commodity_charge,
    "delivery_charge": delivery_charge,
    "inter_commodity_credit": inter_commodity_credit,
}
