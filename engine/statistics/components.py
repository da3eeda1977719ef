"""Whose tail it is: the parts of value at risk and expected shortfall that positions contribute (Euler allocation).

Owns the split. Refuses to know prices and accounts. Both measures are homogeneous of degree one in the positions, so
the first-order contributions (size times marginal) add up to the whole without a remainder.
Source: D. Tasche, "Risk contributions and performance measurement" (1999), section 4.

Convention at kinks: where scenarios tie on the tail's boundary, each counts in proportion to its weight
(``engine.statistics.tails``), so equal positions contribute equally whatever the order of the scenarios.
"""

from __future__ import annotations

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats
from engine.statistics.tails import quantile_shares, tail_shares


def component_expected_shortfall(pnl_PS: Floats, level: float, weights_S: Floats | None = None) -> Floats:
    """Contribution of every position to the fractional expected shortfall of their sum, shape [P].

    ``pnl_PS`` is profit and loss by position and scenario, gains positive. Contributions are positive where a position
    adds risk, negative where it hedges; they sum to ``es_fractional`` of the column sums.
    """
    pnl = _checked(pnl_PS)
    return -pnl @ tail_shares(-pnl.sum(axis=0), level, weights_S)


def component_value_at_risk(pnl_PS: Floats, level: float, weights_S: Floats | None = None) -> Floats:
    """Contribution of every position to ``var_order`` (weighted: to ``weighted_value_at_risk``) of their sum, [P].

    Rests on the one scenario at the quantile, so it jumps when another becomes that scenario; expected shortfall does
    not.
    """
    pnl = _checked(pnl_PS)
    return -pnl @ quantile_shares(-pnl.sum(axis=0), level, weights_S)


def _checked(pnl_PS: Floats) -> Floats:
    pnl = np.asarray(pnl_PS, dtype=np.float64)
    if pnl.ndim != 2 or pnl.size == 0:
        raise InvalidReference("pnl", f"positions by scenarios are needed, not shape {pnl.shape}")
    if not np.isfinite(pnl).all():
        raise InvalidReference("pnl", "every position needs a finite value in every scenario")
    return pnl
