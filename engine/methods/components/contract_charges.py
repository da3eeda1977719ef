"""Charges on contracts and collateral beside the scenario loss: rates on notional, haircuts, oracle confidence.

Owns them in the form that several venues share. A rate's parameter is named by the use of the component, so that one
primitive serves initial and maintenance charges with the parameters of each.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.errors import InvalidReference
from engine.methods.context import Charge, Component, MarginContext, same_charge
from engine.methods.statement import ParameterMap, StatedCollateral
from engine.pricing.axes import Floats


def contract_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """Rates x spot notional, [U]. Options name the parameters: ``perpetual_rate`` on |units|, ``spot_rate`` on |units|
    of base held, ``short_option_rate`` on naked shorts (net short units per expiry and strike, where a call and a put
    of the same strike offset). An option that is absent charges nothing."""
    table = context.table
    notional_P = np.abs(table.quantity_P) * table.spot_U[table.unit_P]
    charge_U = np.zeros(len(context.units))
    for option, kind_P in (("perpetual_rate", table.perpetual_P), ("spot_rate", table.spot_P)):
        if option in options:
            rate_U = context.per_unit(_text(options, option))
            charge_U = charge_U + rate_U * context.sum_by_unit(np.where(kind_P, notional_P, 0.0))
    naked_U = naked_shorts(context)
    if "short_option_rate" in options:
        charge_U = charge_U + context.per_unit(_text(options, "short_option_rate")) * naked_U * table.spot_U
    return same_charge(charge_U, naked_short_units=dict(zip(context.units, naked_U.tolist(), strict=True)))


def naked_shorts(context: MarginContext) -> Floats:
    """Net short option units of each underlying, [U], netted inside (expiry, strike) over calls and puts."""
    table = context.table
    naked_U = np.zeros(len(context.units))
    net: dict[tuple[int, int, float], float] = {}
    for p in np.flatnonzero(table.option_P).tolist():
        key = (int(table.unit_P[p]), int(table.expiry_P[p]), float(table.strike_P[p]))
        net[key] = net.get(key, 0.0) + float(table.quantity_P[p])
    for (unit, _, _), units in net.items():
        naked_U[unit] += max(-units, 0.0)
    return naked_U


def collateral_haircut(context: MarginContext, options: ParameterMap) -> Charge:
    """Haircuts on collateral at its value in the settlement currency, []: maintenance, and for initial margin the sum
    of both haircuts. A borrowed (negative) amount is never worth less by a haircut."""
    maintenance = initial = 0.0
    for entry in context.portfolio.collateral:
        value = collateral_value(context, entry)
        maintenance += max(value, 0.0) * float(entry.maintenance_haircut)
        initial += max(value, 0.0) * float(entry.maintenance_haircut + entry.initial_haircut)
    return Charge(np.asarray(initial), np.asarray(maintenance))


def collateral_value(context: MarginContext, entry: StatedCollateral) -> float:
    """Value of one entry in the settlement currency."""
    return float(entry.amount) * float(entry.price) / float(context.portfolio.stable_price)


def confidence_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """(1 - c) x confidence_margin x notional wherever a confidence c is below confidence_threshold, [U].

    Perpetuals: c of spot and perpetual. Base held: the same, spot alone without a perpetual.
    Options, by expiry: c of spot, perpetual if one is held,
    forward, rate and volatility, on all units at spot. Collateral that moves with an underlying is charged there;
    other collateral with the first underlying, whose spot confidence it shares: c of its own price and spot.
    """
    table = context.table
    threshold_U, margin_U = context.per_unit("confidence_threshold"), context.per_unit("confidence_margin")
    charge_U = np.zeros(len(context.units))

    def charge(unit: int, confidence: float, notional: float) -> None:
        if confidence < threshold_U[unit]:
            charge_U[unit] += (1.0 - confidence) * margin_U[unit] * notional

    for u, name in enumerate(context.units):
        market = context.portfolio.markets[name]
        spot, perpetual = float(market.spot_confidence), float(market.perpetual_confidence)
        own = table.unit_P == u
        notional_P = np.abs(table.quantity_P) * table.spot_U[u]
        held = float(notional_P[own & table.perpetual_P].sum())
        charge(u, min(spot, perpetual), held)
        charge(u, min(spot, perpetual) if held else spot, float(notional_P[own & table.spot_P].sum()))
        for e in np.flatnonzero(table.unit_E == u).tolist():
            expiry = table.expiries[e][1]
            confidence = min(
                spot, float(expiry.forward_confidence), float(expiry.rate_confidence), float(expiry.vol_confidence)
            )
            confidence = min(confidence, perpetual) if held else confidence
            charge(u, confidence, float(notional_P[table.option_P & (table.expiry_P == e)].sum()))
    if context.units:
        for entry in context.portfolio.collateral:
            unit = context.units.index(entry.underlying) if entry.underlying in context.units else 0
            spot = float(context.portfolio.markets[context.units[unit]].spot_confidence)
            charge(unit, min(float(entry.confidence), spot), collateral_value(context, entry))
    return same_charge(charge_U)


def _text(options: ParameterMap, name: str) -> str:
    value = options[name]
    if not isinstance(value, str):
        raise InvalidReference(name, "names a parameter")
    return value


COMPONENTS: Mapping[str, Component] = {
    "contract_charge": contract_charge,
    "collateral_haircut": collateral_haircut,
    "confidence_charge": confidence_charge,
}
