"""Greeks: first- and second-order sensitivities of one contract, analytic.

Owns the derivatives of the formulas in ``valuation`` with respect to the contract's own mark, its volatility and
time. Refuses quantities and scenarios.

    Black-76, s = volatility sqrt(years):  delta = +-N(+-d1),  gamma = n(d1) / (F s),
    vega = F n(d1) sqrt(years),  theta per year = -F n(d1) volatility / (2 sqrt(years)), forward held fixed
    inverse perpetual, V = -m / p:         delta = m / p^2,    gamma = -2 m / p^3

Where s is zero the option is its intrinsic value: delta 0, 1/2 (at the strike) or 1 in magnitude, the rest 0.
Source: differentiation of Black (1976).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from engine.pricing.axes import Floats
from engine.pricing.black76 import standard_moves
from engine.pricing.valuation import ContractTable

DAYS_PER_YEAR = 365.0


@dataclass(frozen=True, slots=True)
class Greeks:
    """Sensitivities of one contract in numeraire, each of shape [I].

    ``delta`` per unit of price (so in units of the underlying), ``gamma`` per unit of price squared, ``vega`` per
    1.00 of volatility, ``theta`` per calendar day.
    """

    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats


def black76_greeks(forward: Floats, strike: Floats, years: Floats, volatility: Floats, sign: Floats) -> Greeks:
    """Greeks of an option on one unit, in the currency of ``forward``; arguments as in ``black76``."""
    root = np.sqrt(np.maximum(years, 0.0))
    deviation = volatility * root
    live = (deviation > 0.0) & (forward > 0.0) & (strike > 0.0)
    d1, _ = standard_moves(forward, strike, deviation, live)
    # Beyond 40 deviations the density is zero in double precision; the clip keeps its square finite.
    density = np.exp(-0.5 * np.square(np.clip(d1, -40.0, 40.0))) / np.sqrt(2.0 * np.pi)
    scale = np.where(live, forward * density, 0.0)
    intrinsic_delta = np.heaviside(sign * (forward - strike), 0.5)
    return Greeks(
        delta=sign * np.where(live, ndtr(sign * d1), intrinsic_delta),
        gamma=scale / np.where(live, np.square(forward) * deviation, 1.0),
        vega=scale * root,
        theta=-scale * volatility / (2.0 * np.where(live, root, 1.0)) / DAYS_PER_YEAR,
    )


def unit_greeks(table: ContractTable) -> Greeks:
    """Greeks of one contract of every row of ``table``, numeraire, the settlement asset's price held fixed.

    Where that price moves with the underlying, what it adds depends on the cost of a position, which only
    ``risk.sensitivities`` knows.
    """
    price, multiplier = table.price_I, table.multiplier_I
    option = black76_greeks(price, table.strike_I, table.years_I, table.volatility_I, table.sign_I)
    inverse_delta = 1.0 / np.square(price)
    is_option = table.sign_I != 0.0
    delta = np.where(is_option, option.delta, np.where(table.inverse_I, inverse_delta, 1.0))
    gamma = np.where(is_option, option.gamma, np.where(table.inverse_I, -2.0 * inverse_delta / price, 0.0))
    scale = multiplier * table.settlement_price_I
    return Greeks(
        delta=delta * scale,
        gamma=gamma * scale,
        vega=np.where(is_option, option.vega, 0.0) * scale,
        theta=np.where(is_option, option.theta, 0.0) * scale,
    )
