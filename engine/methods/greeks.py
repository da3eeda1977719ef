"""Greeks of stated positions.

Owns their sums of quantity and unit sensitivity. Refuses the formulas (``engine.pricing.greeks``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.methods.context import MarginContext
from engine.pricing.axes import Floats
from engine.pricing.greeks import black76_greeks


def position_greeks(context: MarginContext) -> Mapping[str, Floats]:
    """delta (units of the underlying), gamma (per unit of price), vega (per 1.00 of volatility) and theta (per day,
    forward fixed) of whole positions, [P], numeraire. A stated delta is taken as it is. Option sensitivities are
    discounted as the method discounts values; delta and gamma are to the forward's variable part."""
    table = context.table
    sign_P = np.where(table.option_P, table.sign_P, 1.0)
    unit = black76_greeks(table.forward_P, table.strike_P, table.years_P, table.volatility_P, sign_P)
    scale_P = table.quantity_P * table.discount_P
    moving_P = np.divide(
        table.forward_variable_P, table.forward_P, out=np.zeros_like(table.forward_P), where=table.forward_P > 0
    )
    with np.errstate(divide="ignore", over="ignore"):
        linear_P = np.where(table.inverse_P, 1.0 / table.price_P**2, 1.0) * table.quantity_P
        bend_P = np.where(table.inverse_P, -2.0 / table.price_P**3, 0.0) * table.quantity_P
    delta_P = np.where(table.option_P, unit.delta * scale_P * moving_P, linear_P)
    for p, position in enumerate(table.positions):
        if position.delta is not None:
            delta_P[p] = float(position.quantity * position.delta)
    option = table.option_P
    return {
        "delta": delta_P,
        "gamma": np.where(option, unit.gamma * scale_P * moving_P**2, bend_P),
        "vega": np.where(option, unit.vega * scale_P, 0.0),
        "theta": np.where(option, unit.theta * scale_P, 0.0),
    }
