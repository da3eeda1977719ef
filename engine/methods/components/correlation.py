"""Correlation offsets: credit for books of correlated underlyings that cannot lose together.

Owns the credit and its bounds: it shrinks as a stress indicator rises, never exceeds the smaller book, is capped, and
uses no loss twice. Refuses to estimate correlations.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.scenario_losses import scan_loss
from engine.methods.context import Charge, Component, MarginContext
from engine.methods.statement import ParameterMap


def correlation_credit(context: MarginContext, options: ParameterMap) -> Charge:
    """Credit against the sum of scan losses, [], >= 0. Options are those of ``scan_loss``.

    Two books offset when their binding moves contradict the correlation: opposite moves and rho > 0, or like moves and
    rho < 0. A pair's credit is share x the smaller loss still unused, share = min(``offset_cap``, ``offset_share`` x
    |rho|) x (1 - ``stress``), stress in 0..1. Larger credits first; a loss that has earned a credit is used up by it.
    Source: inter-commodity credits of SPAN and the capped offsets of Deribit's cross-currency margin, made to depend
    on stress.
    """
    charge = scan_loss(context, options)
    matrix = context.correlation_UU
    parameters = context.account_parameters
    stress = parameters.number("stress", 0.0)
    if not 0.0 <= stress <= 1.0:
        raise InvalidReference("parameters.stress", "must lie in 0..1")
    cap, share = parameters.number("offset_cap"), parameters.number("offset_share")
    if not 0.0 <= cap <= 1.0:
        raise InvalidReference("parameters.offset_cap", "must lie in 0..1")
    assert charge.worst_U is not None
    direction = np.array([
        0.0 if s < 0 else float(np.sign(context.scenarios.price_factor_US[u, s] - 1.0))
        for u, s in enumerate(charge.worst_U)
    ])  # fmt: skip
    left = charge.initial.copy()
    pairs = [
        (min(cap, share * abs(matrix[u, v])) * (1.0 - stress), u, v)
        for u in range(len(context.units))
        for v in range(u + 1, len(context.units))
        if direction[u] * direction[v] * matrix[u, v] < 0.0
    ]
    credit = 0.0
    for rate, u, v in sorted(pairs, key=lambda pair: (-pair[0] * min(left[pair[1]], left[pair[2]]), pair[1:])):
        smaller = float(min(left[u], left[v]))
        credit += rate * smaller
        left[u] -= smaller
        left[v] -= smaller
    return Charge(np.asarray(credit), np.asarray(credit), {"stress": stress})


COMPONENTS: Mapping[str, Component] = {"correlation_credit": correlation_credit}
