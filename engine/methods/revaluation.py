"""Revaluation: what every position is worth under every scenario of a set, options in full.

Owns the volatility-shock laws and the joint move of forward, volatility and time. Refuses weights, nets and charges.

    m = (30 days / max(tenor, dte_floor_days)) ^ p,  p = short_term_power up to 30 days, long_term_power beyond
    (``base_days`` in place of 30 where a method or a portfolio states it)
    up: volatility x (1 + vol_range_up m), at least min_vol_when_up;  down: x max(0, 1 - vol_range_down m)
    skew: x max(0, 1 + c), see ``skew_factor``;  a number v: x max(0, 1 + v m), at least min_vol_when_up if v > 0

Sources: Derive PMRM and PMRM2, Deribit, Paradex (same law, own parameters); SPAN for absolute shifts and look-ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.methods.context import MarginContext
from engine.methods.scenario_set import ScenarioSet
from engine.methods.table import DAY_SECONDS, YEAR_SECONDS
from engine.pricing.axes import Bools, Floats
from engine.pricing.black76 import black76

SHOCK_TENOR_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class Revaluation:
    """Values of whole positions (quantity included), numeraire: now [P] and shocked [P, S]. A perpetual or future is
    worth quantity x price here, so that differences are its PnL. ``volatility_PS`` is the shocked volatility."""

    value_P: Floats
    value_PS: Floats
    volatility_PS: Floats

    @property
    def pnl_PS(self) -> Floats:
        """Unweighted PnL."""
        result: Floats = self.value_PS - self.value_P[:, None]
        return result


def revalue(context: MarginContext, scenarios: ScenarioSet) -> Revaluation:
    """Every position under every scenario. ``days_S`` of the set pass; expired lanes are worth intrinsic value."""
    table = context.table
    factor_PS = scenarios.price_factor_US[table.unit_P]
    shift_PS = scenarios.price_shift_US[table.unit_P]
    volatility_PS = shocked_volatility(context, scenarios)
    seconds_PS = np.maximum(table.seconds_P[:, None] - scenarios.days_S * DAY_SECONDS, 0.0)
    # A skew scenario is a move of the smile alone: options keep their forward whatever its record says of spot.
    still_S = np.array([mode.startswith("skew") for mode in scenarios.vol_modes], dtype=np.bool_)
    forward_PS = table.forward_variable_P[:, None] * np.where(still_S, 1.0, factor_PS)
    forward_PS = forward_PS + np.where(still_S, 0.0, shift_PS) + table.forward_fixed_P[:, None]
    sign_PS = np.where(table.option_P, table.sign_P, 1.0)[:, None]
    option_PS = black76(forward_PS, table.strike_P[:, None], seconds_PS / YEAR_SECONDS, volatility_PS, sign_PS)
    option_P = black76(
        table.forward_P, table.strike_P, table.years_P, table.volatility_P, np.where(table.option_P, table.sign_P, 1.0)
    )
    price_PS = table.price_P[:, None] * factor_PS + shift_PS
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse_P, inverse_PS = -1.0 / table.price_P, -1.0 / price_PS
    linear_P = np.where(table.inverse_P, inverse_P, table.price_P)
    linear_PS = np.where(table.inverse_P[:, None], inverse_PS, price_PS)
    # An inverse option pays its value in coins at the price of its own forward.
    coin_P = np.where(table.inverse_P & (table.forward_P > 0.0), table.forward_P, 1.0)
    coin_PS = np.where(table.inverse_P[:, None] & (forward_PS > 0.0), forward_PS, 1.0)
    unit_P = np.where(table.option_P, option_P * table.discount_P / coin_P, linear_P)
    unit_PS = np.where(table.option_P[:, None], option_PS * table.discount_P[:, None] / coin_PS, linear_PS)
    return Revaluation(
        unit_P * table.quantity_P,
        unit_PS * table.quantity_P[:, None],
        np.where(table.option_P[:, None], volatility_PS, 0),
    )


def shocked_volatility(context: MarginContext, scenarios: ScenarioSet) -> Floats:
    """Volatility of every position in every scenario, [P, S]; 0 rows for what has none."""
    table = context.table
    term_P = term_multiplier(context)
    floor_P = _of_unit(context, "min_vol_when_up", 0.0)
    base_PS = table.volatility_P[:, None]
    relative_PS = scenarios.vol_relative_US[table.unit_P]
    shocked = base_PS * np.maximum(1.0 + relative_PS * term_P[:, None], 0.0)
    shocked = np.where(relative_PS > 0.0, np.maximum(shocked, floor_P[:, None]), shocked)
    shocked = shocked * np.maximum(scenarios.vol_factor_US[table.unit_P], 0.0)
    shocked = np.maximum(shocked + scenarios.vol_shift_US[table.unit_P], 0.0)
    modes = np.array(scenarios.vol_modes)
    if (modes == "up").any():
        up_P = table.volatility_P * (1.0 + _of_unit(context, "vol_range_up") * term_P)
        shocked[:, modes == "up"] = np.maximum(up_P, floor_P)[:, None]
    if (modes == "down").any():
        factor_P = np.maximum(1.0 - _of_unit(context, "vol_range_down") * term_P, 0.0)
        shocked[:, modes == "down"] = (table.volatility_P * factor_P)[:, None]
    for mode in ("skew_linear", "skew_abs"):
        if (modes == mode).any():
            shocked[:, modes == mode] = (table.volatility_P * skew_factor(context, mode))[:, None]
    result: Floats = shocked
    return result


def term_multiplier(context: MarginContext) -> Floats:
    """m of every position by its tenor, [P]; 1 at 30 days."""
    table = context.table
    short_P = _of_unit(context, "short_term_power", 0.0)
    long_P = _of_unit(context, "long_term_power", 0.0)
    floor_P = _of_unit(context, "dte_floor_days", 1.0)
    days_P = table.seconds_P / DAY_SECONDS
    base_P = _of_unit(context, "base_days", SHOCK_TENOR_DAYS)
    return volatility_shock(1.0, np.maximum(days_P, floor_P), np.where(days_P <= base_P, short_P, long_P), base_P)


def volatility_shock(
    base_shock: float, days: Floats | float, power: Floats | float, base_days: Floats | float = SHOCK_TENOR_DAYS
) -> Floats:
    """Relative shock of volatility at ``days`` to expiry: base_shock (base_days / days)^power. Source: Deribit."""
    return np.asarray(base_shock * (np.asarray(base_days) / np.asarray(days)) ** np.asarray(power))


def skew_factor(context: MarginContext, mode: str) -> Floats:
    """Factor on each position's volatility when the smile tilts (linear) or bends (abs), [P].

    k = ln(K/F) or its absolute value, cap = cbase sqrt(years) + cap parameter, k* = max(skew_min_kstar,
    sqrt(years) skew_width (skew_vol_static + sqrt(years) skew_vol_scale)), c = k cap / k*, bounded by +cap where
    k >= 0 and by -cap where k < 0: one-sided on purpose, since cap may be negative. Source: Derive PMRM2.
    """
    table = context.table
    prefix = "skew_linear" if mode == "skew_linear" else "skew_abs"
    root_P = np.sqrt(table.years_P)
    cap_P = _of_unit(context, f"{prefix}_cbase") * root_P + _of_unit(context, f"{prefix}_cap")
    width_P = _of_unit(context, "skew_vol_static") + root_P * _of_unit(context, "skew_vol_scale")
    kstar_P = np.maximum(_of_unit(context, "skew_min_kstar"), root_P * _of_unit(context, "skew_width") * width_P)
    live_P: Bools = table.option_P & (table.strike_P > 0.0) & (table.forward_P > 0.0)
    k_P = np.log(np.where(live_P, table.strike_P, 1.0) / np.where(live_P, table.forward_P, 1.0))
    if mode == "skew_abs":
        k_P = np.abs(k_P)
    c_P = k_P * cap_P / kstar_P
    c_P = np.where(k_P >= 0.0, np.minimum(c_P, cap_P), np.maximum(c_P, -cap_P))
    result: Floats = np.where(live_P, np.maximum(1.0 + c_P, 0.0), 1.0)
    return result


def _of_unit(context: MarginContext, name: str, default: float | None = None) -> Floats:
    result: Floats = context.per_unit(name, default)[context.table.unit_P]
    return result
