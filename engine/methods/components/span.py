"""SPAN: scan risk over 16 scenarios, the short option minimum, net option value and exposure.

Owns the scenario rules of a combined commodity, which is one underlying here. Refuses spreads (``span_spreads``).

    total = max(0, max(scan + intra + delivery - inter credit, short option minimum) - net option value)

Source: CME Group, SPAN methodology; the assembly also as JSCC and NSE Clearing print it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.risk_arrays import Records, RiskArrays, largest_loss, risk_arrays
from engine.methods.context import Charge, Component, MarginContext, same_charge
from engine.methods.parameters import Parameters
from engine.methods.statement import ParameterMap, ParameterValue
from engine.pricing.axes import Floats

EXTREME = "extreme"
RANGES = ("price_scan_range", "vol_scan_range", "look_ahead_days", "extreme_multiple", "extreme_cover")


def span_arrays(context: MarginContext) -> RiskArrays:
    """Risk arrays under the method's or the portfolio's scenarios. A scenario that states no ``days`` looks
    ``look_ahead_days`` ahead; one of the group ``extreme`` moves by its sign x ``extreme_multiple`` ranges and counts
    with ``extreme_cover``."""
    stated = context.portfolio.scenarios
    records = context.method.scenarios if stated is None else stated
    return risk_arrays(context, RANGES, lambda parameters: _records(records, parameters))


def _records(records: Records, parameters: Parameters) -> Records:
    days = parameters.exact("look_ahead_days")
    result: list[ParameterMap] = []
    for s, record in enumerate(records):
        changed: dict[str, ParameterValue] = {"days": days, **record}
        if record.get("group") == EXTREME:
            move = Parameters(record).exact("price_move_in_scan_ranges")
            if move == 0:
                raise InvalidReference(f"scenarios[{s}].price_move_in_scan_ranges", "an extreme move has a direction")
            changed["price_move_in_scan_ranges"] = Decimal(1).copy_sign(move) * parameters.exact("extreme_multiple")
            changed["weight"] = parameters.exact("extreme_cover")
        result.append(changed)
    return result


def span_scan(context: MarginContext, options: ParameterMap) -> Charge:
    """Scan risk: the largest loss of the summed arrays, [U], >= 0. Of scenarios with the same loss the lowest number
    is named (``detail.worst_scenario``, None without a loss)."""
    arrays = span_arrays(context)
    pnl_US = context.sum_by_unit(arrays.pnl_PS)
    loss_U, worst_U = largest_loss(pnl_US)
    worst = {unit: arrays.numbers[w] if w >= 0 else None for unit, w in zip(context.units, worst_U, strict=True)}
    return Charge(loss_U, loss_U, {"worst_scenario": worst}, arrays.names, pnl_US, worst_U)


def net_option_value(context: MarginContext, options: ParameterMap) -> Charge:
    """Options at mark, [U]: long ones positive, short ones negative."""
    table = context.table
    return same_charge(context.sum_by_unit(np.where(table.option_P, table.quantity_P * table.price_P, 0.0)))


def short_option_minimum(context: MarginContext, options: ParameterMap) -> Charge:
    """short_option_minimum_per_short_unit x short option contracts + short_option_minimum_rate x their notional at
    spot, [U]. Series are netted first. ``short_option_count`` = "sum" counts calls and puts, "max" the larger."""
    short = short_options(context)
    amount_U = np.zeros(len(context.units))
    for u, unit in enumerate(context.units):
        parameters, spot = context.unit_parameters(unit), float(context.table.spot_U[u])
        count = parameters.text("short_option_count", "sum")
        if count not in ("sum", "max"):
            raise InvalidReference("parameters.short_option_count", "must be sum or max")
        per_unit = parameters.number("short_option_minimum_per_short_unit", 0.0)
        rate = parameters.number("short_option_minimum_rate", 0.0)
        charges = [contracts * per_unit + units * spot * rate for contracts, units in short[u]]
        amount_U[u] = max(charges) if count == "max" else sum(charges)
    counts = {unit: sum(contracts for contracts, _ in short[u]) for u, unit in enumerate(context.units)}
    return same_charge(amount_U, short_contracts=counts)


def short_options(context: MarginContext) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """By underlying: net short contracts and units of puts, and of calls."""
    table = context.table
    net: dict[tuple[int, int, float, bool, float], float] = {}
    for p in np.flatnonzero(table.option_P).tolist():
        multiplier = float(table.positions[p].multiplier)
        key = (int(table.unit_P[p]), int(table.expiry_P[p]), float(table.strike_P[p]), bool(table.sign_P[p] > 0.0),
               multiplier)  # fmt: skip
        net[key] = net.get(key, 0.0) + float(table.positions[p].quantity)
    total = np.zeros((len(context.units), 2, 2))
    for (unit, _, _, is_call, multiplier), contracts in net.items():
        total[unit, int(is_call)] += max(-contracts, 0.0) * np.array([1.0, multiplier])
    return [((float(puts[0]), float(puts[1])), (float(calls[0]), float(calls[1]))) for puts, calls in total]


def exposure_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """exposure_rate x notional, [U]: |net units| of perpetuals and futures by expiry at price, and net short options
    at spot. Source: NSE Clearing, exposure margin beside SPAN."""
    table = context.table
    linear_P = table.perpetual_P | table.future_P
    notional_U = np.array([sum(units for _, units in sides) for sides in short_options(context)]) * table.spot_U
    for unit, expiry in sorted({(int(u), int(e)) for u, e in zip(table.unit_P, table.expiry_P, strict=True)}):
        own_P = linear_P & (table.unit_P == unit) & (table.expiry_P == expiry)
        notional_U[unit] += abs(float(np.sum(table.quantity_P[own_P] * table.price_P[own_P])))
    return same_charge(notional_U * context.per_unit("exposure_rate", 0.0))


def span_requirement(
    scan_risk: float,
    short_option_minimum: float = 0.0,
    net_option_value: float = 0.0,
    intra_charge: float = 0.0,
    delivery_charge: float = 0.0,
    inter_credit: float = 0.0,
) -> tuple[float, float]:
    """Risk and total of one combined commodity from its parts, the rule that the method's file states."""
    risk = max(scan_risk + intra_charge + delivery_charge - inter_credit, short_option_minimum)
    return risk, max(0.0, risk - net_option_value)


def array_scan_risk(quantities: list[float], pnl_of_one_long: list[list[float]]) -> tuple[float, int | None, Floats]:
    """Scan risk, number of the worst scenario (1-based, None without a loss) and summed array of stated arrays."""
    pnl_US = (np.array(quantities)[:, None] * np.array(pnl_of_one_long, dtype=np.float64)).sum(axis=0)[None, :]
    loss_U, worst_U = largest_loss(pnl_US)
    return float(loss_U[0]), int(worst_U[0]) + 1 if worst_U[0] >= 0 else None, pnl_US[0]


COMPONENTS: Mapping[str, Component] = {
    "span_scan": span_scan,
    "net_option_value": net_option_value,
    "short_option_minimum": short_option_minimum,
    "exposure_charge": exposure_charge,
}
