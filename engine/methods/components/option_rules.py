"""Rule-based margin: options by fixed rules or by their largest loss at expiry, perpetuals and base held by rates.

Owns the rules that need no scenario. Refuses scenarios and formulas.

Equity counts options, base and unrealized PnL at mark. A rule whose net margin is n (negative: cash needed) of holdings
worth v at mark is therefore a requirement of v - n: a long option that gives no credit requires its own value. Source:
derivexyz/v2-core 7736900, ``StandardManager``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.venue_charges import option_text
from engine.methods.context import Charge, Component, MarginContext
from engine.methods.parameters import Parameters
from engine.methods.statement import ParameterMap, PositionKind
from engine.pricing.axes import Floats


@dataclass(frozen=True, slots=True)
class OptionHolding:
    """The net of one option series: signed units and their signed value at mark, numeraire."""

    strike: float
    is_call: bool
    units: float
    value: float


@dataclass(frozen=True, slots=True)
class OptionRates:
    """Rates of one requirement on short options, as shares of spot unless said otherwise. ``of_value`` is a share of
    a put's value. ``floor_scale`` (None: no such floor) times the maintenance rule bounds a put from below."""

    spot: float
    spot_min: float
    of_value: float
    by_moneyness: bool
    floor_scale: float | None = None


def initial_rates(parameters: Parameters) -> tuple[OptionRates, OptionRates]:
    """Rates of the initial requirement for calls and for puts: max(max_spot_req - otm, min_spot_req), and for puts at
    least mm_offset_scale times the maintenance rule."""
    least, most = parameters.number("min_spot_req"), parameters.number("max_spot_req")
    call = OptionRates(most, least, 0.0, True)
    return call, OptionRates(most, least, 0.0, True, parameters.number("mm_offset_scale"))


def maintenance_rates(parameters: Parameters) -> tuple[OptionRates, OptionRates]:
    """Rates of the maintenance requirement for calls and for puts: mm_call_spot_req; mm_put_spot_req of spot or
    mm_put_mtm_req of the value, whichever is more."""
    call, put = parameters.number("mm_call_spot_req"), parameters.number("mm_put_spot_req")
    return OptionRates(call, 0.0, 0.0, False), OptionRates(put, 0.0, parameters.number("mm_put_mtm_req"), False)


def isolated_short(holding: OptionHolding, spot: float, rates: OptionRates, floor: OptionRates) -> float:
    """Cash that a short series needs by itself, its value included; 0 for a long one. ``floor`` are the maintenance
    rates that a put's ``floor_scale`` refers to. Out of the money counts as a share of spot."""
    if holding.units >= 0.0:
        return 0.0
    units, value = -holding.units, -holding.value
    distance = holding.strike - spot if holding.is_call else spot - holding.strike
    otm = max(distance, 0.0) / spot if spot > 0.0 else 0.0
    rate = max(rates.spot - otm, rates.spot_min) if rates.by_moneyness else rates.spot
    need = max(rate * spot * units, rates.of_value * value) + value
    if rates.floor_scale is None:
        return need
    return max(need, rates.floor_scale * isolated_short(holding, spot, floor, floor))


def largest_loss(holdings: list[OptionHolding]) -> float:
    """Largest loss of the payoff of ``holdings`` (one expiry) at 0 and at every strike, >= 0."""
    payoffs = [sum(_payoff(h, price) for h in holdings) for price in (0.0, *(h.strike for h in holdings))]
    return max(-min(payoffs), 0.0)


def _payoff(holding: OptionHolding, price: float) -> float:
    reach = price - holding.strike if holding.is_call else holding.strike - price
    return holding.units * max(reach, 0.0)


def isolated_or_max_loss(context: MarginContext, options: ParameterMap) -> Charge:
    """Options by expiry, [U]: the better of (i) every short series by itself and (ii) the largest loss at expiry plus
    unpaired_im or unpaired_mm x forward per net short call; plus the options' value, since long ones give no credit
    beyond the rule. Options of different expiries never help each other."""
    initial, maintenance = np.zeros(len(context.units)), np.zeros(len(context.units))
    detail: dict[str, object] = {}
    for e, holdings in expiry_holdings(context).items():
        unit = int(context.table.unit_E[e])
        parameters = context.unit_parameters(context.units[unit])
        spot, forward = float(context.table.spot_U[unit]), float(context.table.forward_E[e])
        value = sum(h.value for h in holdings)
        short_calls = max(-sum(h.units for h in holdings if h.is_call), 0.0)
        lines: dict[str, float] = {"value": value}
        floor_call, floor_put = maintenance_rates(parameters)
        for purpose, rates, unpaired in (
            ("initial", initial_rates(parameters), "unpaired_im"),
            ("maintenance", (floor_call, floor_put), "unpaired_mm"),
        ):
            alone = sum(
                isolated_short(h, spot, rates[0], floor_call) if h.is_call
                else isolated_short(h, spot, rates[1], floor_put)
                for h in holdings
            )  # fmt: skip
            bounded = largest_loss(holdings) + parameters.number(unpaired) * forward * short_calls
            lines[f"isolated_{purpose}"], lines[f"max_loss_{purpose}"] = alone, bounded
            (initial if purpose == "initial" else maintenance)[unit] += min(alone, bounded) + value
        detail[f"{context.units[unit]} {context.table.expiries[e][1].name}"] = lines
    return Charge(initial, maintenance, detail)


def expiry_holdings(context: MarginContext) -> dict[int, list[OptionHolding]]:
    """Option series by expiry index, positions of one series netted; raises ``InvalidReference`` for inverse ones."""
    table = context.table
    net: dict[int, dict[tuple[float, bool], tuple[float, float]]] = {}
    for p in np.flatnonzero(table.option_P).tolist():
        if table.inverse_P[p]:
            raise InvalidReference(f"positions[{p}].inverse", "these rules are for linear options")
        series = net.setdefault(int(table.expiry_P[p]), {})
        key = (float(table.strike_P[p]), bool(table.sign_P[p] > 0.0))
        units, value = series.get(key, (0.0, 0.0))
        quantity = float(table.quantity_P[p])
        series[key] = (units + quantity, value + quantity * float(table.price_P[p]))
    return {
        e: [OptionHolding(strike, is_call, units, value) for (strike, is_call), (units, value) in series.items()]
        for e, series in net.items()
    }


def perpetual_margin(context: MarginContext, options: ParameterMap) -> Charge:
    """Rate x |net perpetual units| x perpetual price, [U]. Options ``initial_rate`` and ``maintenance_rate`` name the
    parameters. Contracts that expire have no rule here and are refused."""
    table = context.table
    for p, position in enumerate(table.positions):
        if position.kind is PositionKind.FUTURE or (position.kind is PositionKind.PERPETUAL and position.inverse):
            raise InvalidReference(f"positions[{p}].kind", "these rules know linear perpetuals, options and spot")
    notional_U = np.abs(context.sum_by_unit(np.where(table.perpetual_P, table.quantity_P * table.price_P, 0.0)))
    return Charge(
        notional_U * context.per_unit(option_text(options, "initial_rate")),
        notional_U * context.per_unit(option_text(options, "maintenance_rate")),
    )


def base_margin(context: MarginContext, options: ParameterMap) -> Charge:
    """Base held, [U]: value at mark - units x spot x factor, so that base gives factor x spot. ``factor`` names the
    parameter, ``initial_scale`` another by which it is multiplied for the initial requirement. A debt is refused."""
    table = context.table
    for p in np.flatnonzero(table.spot_P & (table.quantity_P < 0.0)).tolist():
        raise InvalidReference(f"positions[{p}].quantity", "base cannot be owed under these rules")
    value_U = context.sum_by_unit(np.where(table.spot_P, table.quantity_P * table.price_P, 0.0))
    factor_U = context.per_unit(option_text(options, "factor"))
    scale_U = context.per_unit(option_text(options, "initial_scale"))
    notional_U = base_units(context) * table.spot_U
    return Charge(value_U - notional_U * factor_U * scale_U, value_U - notional_U * factor_U)


def base_units(context: MarginContext) -> Floats:
    """Units of base held, [U]."""
    return context.sum_by_unit(np.where(context.table.spot_P, context.table.quantity_P, 0.0))


def perpetual_units(context: MarginContext) -> Floats:
    """|Net perpetual units|, [U]."""
    return np.abs(context.sum_by_unit(np.where(context.table.perpetual_P, context.table.quantity_P, 0.0)))


def short_confidence_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """(1 - c) x confidence_factor x spot x units wherever a confidence c is below its threshold, [U], initial only.

    Perpetuals: c of spot and perpetual, perp_confidence_threshold. Short options by expiry: c of spot, forward and
    volatility, option_confidence_threshold. Base: c of spot, base_confidence_threshold. A threshold of 0 is off."""
    spot_U, charge_U = context.table.spot_U, np.zeros(len(context.units))
    perpetual_U, base_U, holdings = perpetual_units(context), base_units(context), expiry_holdings(context)
    for u, unit in enumerate(context.units):
        market, parameters = context.portfolio.markets[unit], context.unit_parameters(unit)
        spot = float(market.spot_confidence)
        lines = [
            (min(spot, float(market.perpetual_confidence)), "perp_confidence_threshold", float(perpetual_U[u])),
            (spot, "base_confidence_threshold", float(base_U[u])),
        ]
        for e, series in holdings.items():
            if int(context.table.unit_E[e]) == u:
                expiry = context.table.expiries[e][1]
                confidence = min(spot, float(expiry.forward_confidence), float(expiry.vol_confidence))
                lines.append((confidence, "option_confidence_threshold", _short_units(series)))
        for confidence, threshold, units in lines:
            if confidence < parameters.number(threshold):
                charge_U[u] += (1.0 - confidence) * parameters.number("confidence_factor") * float(spot_U[u]) * units
    return Charge(charge_U, np.zeros(len(context.units)))


def depeg_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """(short option units + |perpetual units|) x max(0, depeg_threshold - stable price) x depeg_factor x spot, [U],
    initial only."""
    units_U = perpetual_units(context)
    for e, series in expiry_holdings(context).items():
        units_U[int(context.table.unit_E[e])] += _short_units(series)
    below_U = np.maximum(context.per_unit("depeg_threshold") - float(context.portfolio.stable_price), 0.0)
    charge_U = units_U * below_U * context.per_unit("depeg_factor") * context.table.spot_U
    return Charge(charge_U, np.zeros(len(context.units)))


def _short_units(series: list[OptionHolding]) -> float:
    return sum(max(-h.units, 0.0) for h in series)


COMPONENTS: Mapping[str, Component] = {
    "isolated_or_max_loss": isolated_or_max_loss,
    "perpetual_margin": perpetual_margin,
    "base_margin": base_margin,
    "short_confidence_charge": short_confidence_charge,
    "depeg_charge": depeg_charge,
}
