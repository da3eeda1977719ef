"""Charges on delta and vega: what net and hedged exposures cost beyond the scenarios.

Owns exposures by underlying and expiry, and the rates on them. Refuses scenarios.

An underlying settles either in the quote currency (its contracts are linear) or in its own coin (inverse): amounts are
in that currency, times ``settlement_price`` (1 where not stated), the price of one unit of it in the numeraire.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.errors import InvalidReference
from engine.methods.context import Charge, Component, MarginContext, same_charge
from engine.methods.greeks import position_greeks
from engine.methods.statement import ParameterMap
from engine.pricing.axes import Bools, Floats, Ints


def coin_settled(context: MarginContext) -> Bools:
    """Whether each underlying settles in its own coin, [U]; raises ``InvalidReference`` where contracts disagree."""
    inverse: dict[str, bool] = {}
    for p, position in enumerate(context.portfolio.positions):
        if inverse.setdefault(position.underlying, position.inverse) != position.inverse:
            raise InvalidReference(
                f"positions[{p}].inverse", f"linear and inverse contracts of {position.underlying} need own markets"
            )
    return np.array([inverse.get(unit, False) for unit in context.units], dtype=np.bool_)


def settlement_price(context: MarginContext) -> Floats:
    """Numeraire per unit of each underlying's settlement currency, [U]: the parameter of that name, else 1."""
    return context.per_unit("settlement_price", 1.0)


def unit_value(context: MarginContext) -> Floats:
    """What one unit of each underlying is worth in its settlement currency, [U]: 1 coin, or spot."""
    return np.where(coin_settled(context), 1.0, context.table.spot_U)


def coin_delta(context: MarginContext) -> Floats:
    """Delta of whole positions in units of the underlying, [P]; a stated delta as it is. An inverse contract on q
    units of the quote currency is q / price coins."""
    table = context.table
    delta_P = position_greeks(context)["delta"].copy()
    stated_P = np.array([position.delta is not None for position in table.positions], dtype=np.bool_)
    per_price_P = table.inverse_P & ~table.option_P & ~stated_P
    result: Floats = np.where(per_price_P, delta_P * table.price_P, delta_P)
    return result


def minimum_delta(context: MarginContext, options: ParameterMap) -> Charge:
    """(unhedged_factor |net| + hedged_factor hedged) spot, [U]; hedged = (gross - |net|) / 2 in units of the
    underlying. Source: Paradex documentation, portfolio margin, minimum delta requirement."""
    delta_P = coin_delta(context)
    net_U = np.abs(context.sum_by_unit(delta_P))
    gross_U = context.sum_by_unit(np.abs(delta_P))
    hedged_U = (gross_U - net_U) / 2.0
    rate_U = context.per_unit("unhedged_factor") * net_U + context.per_unit("hedged_factor") * hedged_U
    return same_charge(
        rate_U * unit_value(context) * settlement_price(context),
        net_delta=dict(zip(context.units, net_U.tolist(), strict=True)),
        hedged_delta=dict(zip(context.units, hedged_U.tolist(), strict=True)),
    )


def roll_shock(context: MarginContext, options: ParameterMap) -> Charge:
    """Sum over expiries of |delta of the expiry| x max(min_annualised_move, annualised_move_risk x years), [U].
    Perpetuals and spot share one expiry of 0 years. Source: Deribit, portfolio margin (roll shock); OKX MR4."""
    delta_G, unit_G, years_G = expiry_deltas(context)
    least_G = context.per_unit("min_annualised_move")[unit_G]
    rate_G = np.maximum(least_G, context.per_unit("annualised_move_risk")[unit_G] * years_G)
    charge_U = np.zeros(len(context.units))
    np.add.at(charge_U, unit_G, np.abs(delta_G) * rate_G)
    return same_charge(charge_U * unit_value(context) * settlement_price(context))


def expiry_deltas(context: MarginContext) -> tuple[Floats, Ints, Floats]:
    """Net delta in units of the underlying by underlying and expiry: delta, unit index and years of each group."""
    table, delta_P = context.table, coin_delta(context)
    groups = sorted({(int(u), int(e)) for u, e in zip(table.unit_P, table.expiry_P, strict=True)})
    delta = [float(delta_P[(table.unit_P == u) & (table.expiry_P == e)].sum()) for u, e in groups]
    years = [float(table.years_E[e]) if e >= 0 else 0.0 for _, e in groups]
    return np.array(delta), np.array([u for u, _ in groups], dtype=np.int64), np.array(years)


def delta_shock(context: MarginContext, options: ParameterMap) -> Charge:
    """min(excess x m_inc, max_delta_shock) x |net delta|, [U]; excess = units of the underlying by which the net delta
    is worth more than ``delta_total_liq_shock_threshold`` in the quote currency. Source: Deribit's model parameters;
    that m_inc is per unit is our reading (per quote unit every excess above 2,000 would already be at the cap)."""
    net_U = np.abs(context.sum_by_unit(coin_delta(context)))
    spot_U = context.table.spot_U
    above_U = np.maximum(net_U * spot_U - context.per_unit("delta_total_liq_shock_threshold"), 0.0)
    excess_U = np.divide(above_U, spot_U, out=np.zeros_like(above_U), where=spot_U > 0.0)
    rate_U = np.minimum(excess_U * context.per_unit("m_inc"), context.per_unit("max_delta_shock"))
    return same_charge(rate_U * net_U * unit_value(context) * settlement_price(context))


def hedged_vega(context: MarginContext, options: ParameterMap) -> Charge:
    """vega_offset_rate x vega that offsets between expiries, [U], in the numeraire per 1.00 of volatility: the smaller
    of the expiries' long and short vega. Source: Deribit, early portfolio margin (contingency on vegas offsetting in
    different expirations); the term-structure charge of OKX (MR3) and Bybit has the same shape."""
    table, vega_P = context.table, position_greeks(context)["vega"]
    offset = np.zeros(len(context.units))
    for u in range(len(context.units)):
        by_expiry = [
            float(vega_P[(table.unit_P == u) & (table.expiry_P == e)].sum()) for e in range(len(table.expiries))
        ]
        offset[u] = min(sum(v for v in by_expiry if v > 0.0), -sum(v for v in by_expiry if v < 0.0))
    return same_charge(offset * context.per_unit("vega_offset_rate"))


COMPONENTS: Mapping[str, Component] = {
    "minimum_delta": minimum_delta,
    "roll_shock": roll_shock,
    "delta_shock": delta_shock,
    "hedged_vega": hedged_vega,
}
