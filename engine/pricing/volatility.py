"""Implied volatility: surface look-up and volatility shocks.

Owns interpolation and extrapolation. Refuses to fit anything: nodes arrive with the mark of an underlying's feed.

Between nodes of one tenor volatility is linear in log-moneyness ln(K/F); between tenors total variance
(volatility^2 x tenor) is linear in time, so forward variance is constant from node to node; beyond the first and last
node both ways volatility is flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from engine.events import VolatilityNode
from engine.pricing.axes import Floats

SHOCK_TENOR_DAYS = 30.0
"""Tenor at which the volatility shocks of the parameters are stated."""

SHOCK_TENOR_DAYS_MIN = 1.0
"""The power law would shock the last hours of an option without bound; venues floor the tenor at a day."""


@dataclass(frozen=True, slots=True)
class VolatilitySurface:
    """Nodes by tenor, ascending; each smile is (log-moneyness ascending, volatility)."""

    tenor_days: Floats
    smiles: tuple[tuple[Floats, Floats], ...]


def volatility_surface(nodes: Sequence[VolatilityNode]) -> VolatilitySurface | None:
    """The surface through ``nodes`` (any order), or None when there are none."""
    if not nodes:
        return None
    ordered = sorted((node.tenor_days, node.log_moneyness, node.volatility) for node in nodes)
    tenors: list[float] = []
    smiles: list[tuple[Floats, Floats]] = []
    for tenor, group in groupby(ordered, key=lambda node: node[0]):
        smile = np.array([node[1:] for node in group], dtype=np.float64)
        tenors.append(tenor)
        smiles.append((np.ascontiguousarray(smile[:, 0]), np.ascontiguousarray(smile[:, 1])))
    return VolatilitySurface(np.array(tenors, dtype=np.float64), tuple(smiles))


def implied_volatility(surface: VolatilitySurface, tenor_days: Floats, log_moneyness: Floats) -> Floats:
    """Volatility (1.00 = 100 %) of options at ``tenor_days`` and ``log_moneyness``, two arrays of shape [N]."""
    assert tenor_days.shape == log_moneyness.shape and tenor_days.ndim == 1
    nodes = surface.tenor_days
    smile_TN = np.stack([np.interp(log_moneyness, x, y) for x, y in surface.smiles])
    last = nodes.size - 1
    if last == 0:
        single: Floats = smile_TN[0]
        return single
    tenor = np.minimum(np.maximum(tenor_days, nodes[0]), nodes[last])
    left = np.minimum(np.maximum(np.searchsorted(nodes, tenor, side="right") - 1, 0), last - 1)
    lane = np.arange(tenor.size)
    near, far = smile_TN[left, lane], smile_TN[left + 1, lane]
    near_variance = near * near * nodes[left]
    far_variance = far * far * nodes[left + 1]
    share = (tenor - nodes[left]) / (nodes[left + 1] - nodes[left])
    variance = near_variance + (far_variance - near_variance) * share
    # On a node the node's own volatility is the answer; this also keeps a tenor of zero out of the division.
    between = (share > 0.0) & (share < 1.0)
    interpolated = np.sqrt(variance / np.where(between, tenor, 1.0))
    result: Floats = np.where(between, interpolated, np.where(share > 0.0, far, near))
    return result


def volatility_shock(tenor_days: Floats, up: Floats, down: Floats, power: Floats) -> tuple[Floats, Floats]:
    """Factors (up, down) on volatility: 1 + up m and max(0, 1 - down m), m = (30 / max(tenor, 1)) ^ power.

    All arrays have shape [N]. Source: the power law of Deribit's and Derive's published portfolio margin.
    """
    scale = np.power(SHOCK_TENOR_DAYS / np.maximum(tenor_days, SHOCK_TENOR_DAYS_MIN), power)
    return 1.0 + up * scale, np.maximum(1.0 - down * scale, 0.0)
