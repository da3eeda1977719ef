"""Liquidity and concentration charges, and haircuts that move with volatility, size and a lost peg.

Owns the use of the depth model (``engine.risk.depth``) in margin.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.contract_charges import collateral_value
from engine.methods.context import Charge, Component, MarginContext, same_charge
from engine.methods.greeks import position_greeks
from engine.methods.parameters import Parameters
from engine.methods.statement import ParameterMap, StatedCollateral
from engine.risk.depth import Depth, cost_to_close


def liquidity_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """Cost to close each underlying, [U]: half the spread on every position's delta notional, half the volatility
    spread (``vol_half_spread``, per 1.00) on its vega, and square-root impact on the underlying's net delta, whose
    legs a desk would close against each other first."""
    greeks = position_greeks(context)
    table = context.table
    gross_U = context.sum_by_unit(np.abs(greeks["delta"])) * table.spot_U
    net_U = np.abs(context.sum_by_unit(greeks["delta"])) * table.spot_U
    vega_U = context.sum_by_unit(np.abs(greeks["vega"]))
    charge_U = np.zeros(len(context.units))
    for u, unit in enumerate(context.units):
        parameters = context.unit_parameters(unit)
        depth = depth_of(parameters)
        impact = cost_to_close(net_U[u : u + 1], depth)[0] - net_U[u] * depth.half_spread
        charge_U[u] = gross_U[u] * depth.half_spread + vega_U[u] * parameters.number("vol_half_spread", 0.0) + impact
    return same_charge(charge_U)


def concentration_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """``concentration_rate`` x the net delta notional beyond ``concentration_threshold`` days of volume, [U]; nothing
    where no volume is stated."""
    table = context.table
    net_U = np.abs(context.sum_by_unit(position_greeks(context)["delta"])) * table.spot_U
    charge_U = np.zeros(len(context.units))
    for u, unit in enumerate(context.units):
        parameters = context.unit_parameters(unit)
        if parameters.has("daily_volume"):
            free = parameters.number("concentration_threshold") * parameters.number("daily_volume")
            charge_U[u] = parameters.number("concentration_rate") * max(net_U[u] - free, 0.0)
    return same_charge(charge_U)


def dynamic_haircut(context: MarginContext, options: ParameterMap) -> Charge:
    """Haircuts on collateral, []: of each entry's value the stated haircut, plus ``haircut_volatilities`` x its
    ``daily_volatility``, plus the cost to sell it (``half_spread``, ``daily_volume``), plus ``depeg_factor`` x what it
    has lost of its ``peg``, together at most the whole. Debts count in full; the initial haircut comes on top."""
    maintenance = initial = 0.0
    shares: dict[str, float] = {}
    for entry in context.portfolio.collateral:
        value = collateral_value(context, entry)
        if value <= 0.0:
            continue
        share = min(1.0, _haircut(entry, value, context))
        shares[entry.asset] = share
        maintenance += value * share
        initial += value * min(1.0, share + float(entry.initial_haircut))
    return Charge(np.asarray(initial), np.asarray(maintenance), {"haircuts": shares})


def _haircut(entry: StatedCollateral, value: float, context: MarginContext) -> float:
    parameters = context.collateral_parameters(entry)
    volatility = parameters.number("daily_volatility", 0.0)
    share = float(entry.maintenance_haircut) + parameters.number("haircut_volatilities", 0.0) * volatility
    share += float(cost_to_close(np.array([value]), depth_of(parameters))[0]) / value
    if parameters.has("peg"):
        lost = max(0.0, 1.0 - float(entry.price) / parameters.number("peg"))
        share += parameters.number("depeg_factor") * lost
    return share


def depth_of(parameters: Parameters) -> Depth:
    """The depth that parameters state: half_spread, daily_volatility, daily_volume, impact, depth_left."""
    try:
        return Depth(
            half_spread=parameters.number("half_spread", 0.0),
            daily_volatility=parameters.number("daily_volatility", 0.0),
            daily_volume=parameters.number("daily_volume") if parameters.has("daily_volume") else None,
            impact=parameters.number("impact", 1.0),
            depth_left=parameters.number("depth_left", 1.0),
        )
    except InvalidReference as error:
        name = error.field if error.field.startswith("parameters.") else f"parameters.{error.field}"
        raise InvalidReference(name, error.detail) from error


COMPONENTS: Mapping[str, Component] = {
    "liquidity_charge": liquidity_charge,
    "concentration_charge": concentration_charge,
    "dynamic_haircut": dynamic_haircut,
}
