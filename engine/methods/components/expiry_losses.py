"""Scenario losses that are discounted and stressed expiry by expiry, and the basis contingency beside them.

Owns the static discount of net expiry values, the skew rule and the basis contingency. Source: Derive PMRM and PMRM2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.methods.components.scenario_losses import hedging_collateral
from engine.methods.context import Charge, Component, MarginContext, same_charge
from engine.methods.revaluation import Revaluation, revalue
from engine.methods.statement import ParameterMap
from engine.pricing.axes import Floats


def expiry_scan_loss(context: MarginContext, options: ParameterMap) -> Charge:
    """Largest loss of each underlying, [U], >= 0, when every expiry's shocked net value is discounted on its own.

    PnL = weight x (linear PnL + sum over expiries of (discounted shocked value - value) + hedging collateral's PnL).
    Option ``discount`` = ``two_sided``: positive values x static_discount exp(-t (r long_rate_mult + long_rate_add)),
    negative ones x min(e^(rt), static_discount_neg exp(t (r short_rate_mult + short_rate_add))); ``positive``: only
    positive values, x static_discount exp(-t (r rate_mult + rate_add)). In skew scenarios every expiry counts as
    minus the size of its PnL. Option ``basis = true`` lets the basis contingency compete with the scenarios.
    """
    scenarios = context.scenarios
    values = revalue(context, scenarios)
    table = context.table
    linear_US = context.sum_by_unit(np.where(table.option_P[:, None], 0.0, values.pnl_PS))
    pnl_ES = _expiry_pnl(context, values, str(options.get("discount", "none")))
    skew_S = np.array([mode.startswith("skew") for mode in scenarios.vol_modes], dtype=np.bool_)
    pnl_ES = np.where(skew_S, -np.abs(pnl_ES), pnl_ES)
    option_US = np.zeros_like(linear_US)
    np.add.at(option_US, table.unit_E, pnl_ES)
    hedge_US = hedging_collateral(context)[:, None] * (scenarios.price_factor_US - 1.0)
    pnl_US = (linear_US + option_US + hedge_US) * scenarios.weight_S
    names: tuple[str, ...] = scenarios.names
    if options.get("basis") is True:
        pnl_US = np.concatenate([pnl_US, basis_contingency(context)[:, None]], axis=1)
        names = (*names, "basis contingency")
    worst_U = np.argmin(pnl_US, axis=1) if pnl_US.shape[1] else np.full(len(context.units), -1)
    loss_U = -pnl_US.min(axis=1, initial=np.inf) if pnl_US.shape[1] else np.zeros(len(context.units))
    return Charge(loss_U, loss_U, {}, names, pnl_US, worst_U)


def basis_contingency(context: MarginContext) -> Floats:
    """Sum over expiries of min(PnL at forward x basis_spot_up, at forward x basis_spot_down, 0) x (basis_add_factor +
    basis_mult_factor x years), [U], <= 0: each expiry may move against the others, none helps another."""
    table = context.table
    total_U = np.zeros(len(context.units))
    ups = [context.unit_parameters(unit).exact("basis_spot_up") for unit in context.units]
    downs = [context.unit_parameters(unit).exact("basis_spot_down") for unit in context.units]
    add_U, mult_U = context.per_unit("basis_add_factor"), context.per_unit("basis_mult_factor")
    for u, (up, down) in enumerate(zip(ups, downs, strict=True)):
        scenarios = context.scenario_set(({"spot_multiplier": up}, {"spot_multiplier": down}))
        pnl_ES = _sum_by_expiry(context, revalue(context, scenarios).pnl_PS)
        own = table.unit_E == u
        worst_E = np.minimum(pnl_ES.min(axis=1, initial=0.0), 0.0) * (add_U[u] + mult_U[u] * table.years_E)
        total_U[u] = worst_E[own].sum()
    return total_U


def peg_loss_factor(context: MarginContext, options: ParameterMap) -> Charge:
    """Factor on the initial loss, [U]: im_loss_factor + max(0, peg_loss_threshold - stable price) x
    peg_loss_factor."""
    short = np.maximum(0.0, context.per_unit("peg_loss_threshold") - float(context.portfolio.stable_price))
    return same_charge(context.per_unit("im_loss_factor") + short * context.per_unit("peg_loss_factor"))


def _expiry_pnl(context: MarginContext, values: Revaluation, discount: str) -> Floats:
    """Discounted shocked value less value of every expiry, [E, S]."""
    table = context.table
    now_E = _sum_by_expiry(context, values.value_P[:, None])[:, 0]
    shocked_ES = _sum_by_expiry(context, values.value_PS)
    rate_E, years_E = np.maximum(table.rate_E, 0.0), table.years_E
    if discount == "none":
        return shocked_ES - now_E[:, None]
    base_E = context.per_unit("static_discount")[table.unit_E]
    if discount == "positive":
        growth_E = rate_E * context.per_unit("rate_mult")[table.unit_E] + context.per_unit("rate_add")[table.unit_E]
        long_E, short_E = base_E * np.exp(-years_E * growth_E), np.ones_like(base_E)
    else:
        parameter = {name: context.per_unit(name)[table.unit_E] for name in (
            "static_discount_neg", "long_rate_mult", "long_rate_add", "short_rate_mult", "short_rate_add",
        )}  # fmt: skip
        long_E = base_E * np.exp(-years_E * (rate_E * parameter["long_rate_mult"] + parameter["long_rate_add"]))
        growth_E = np.exp(years_E * (rate_E * parameter["short_rate_mult"] + parameter["short_rate_add"]))
        short_E = np.minimum(np.exp(rate_E * years_E), parameter["static_discount_neg"] * growth_E)
    discounted_ES = np.where(shocked_ES >= 0.0, shocked_ES * long_E[:, None], shocked_ES * short_E[:, None])
    result: Floats = discounted_ES - now_E[:, None]
    return result


def _sum_by_expiry(context: MarginContext, value_PS: Floats) -> Floats:
    """Sums of option rows by expiry, [E, S]."""
    table = context.table
    total_ES = np.zeros((len(table.expiries), value_PS.shape[1]))
    option = np.flatnonzero(table.option_P)
    np.add.at(total_ES, table.expiry_P[option], value_PS[option])
    return total_ES


COMPONENTS: Mapping[str, Component] = {
    "expiry_scan_loss": expiry_scan_loss,
    "peg_loss_factor": peg_loss_factor,
}
