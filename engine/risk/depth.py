"""The depth model: what closing a size costs.

Owns one cost law for everybody who needs it: margin add-ons, collateral haircuts and liquidation plans. Refuses books.

    cost = notional x (half_spread + impact x daily_volatility x sqrt(notional / (daily_volume x depth_left)))

The square-root law of market impact; ``impact`` is near 1 in published measurements. Source: Almgren, Thum, Hauptmann,
Li (2005); Toth et al. (2011). ``depth_left`` is the share of normal depth that a stress leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats


@dataclass(frozen=True, slots=True)
class Depth:
    """Depth of one market: ``daily_volume`` in numeraire, None where nobody has measured it (spread only)."""

    half_spread: float
    daily_volatility: float = 0.0
    daily_volume: float | None = None
    impact: float = 1.0
    depth_left: float = 1.0

    def __post_init__(self) -> None:
        if self.half_spread < 0.0:
            raise InvalidReference("half_spread", "must not be negative")
        if self.daily_volatility < 0.0:
            raise InvalidReference("daily_volatility", "must not be negative")
        if self.daily_volume is not None and self.daily_volume <= 0.0:
            raise InvalidReference("daily_volume", "must be positive")
        if self.impact < 0.0:
            raise InvalidReference("impact", "must not be negative")
        if not 0.0 < self.depth_left <= 1.0:
            raise InvalidReference("depth_left", "must lie in 0..1, 0 excluded")


def cost_to_close(notional: Floats, depth: Depth) -> Floats:
    """Cost of closing each of ``notional`` (>= 0, numeraire) in one go; same shape. Convex, so that two halves of a
    position held apart never cost more than the whole."""
    rate = np.full(notional.shape, depth.half_spread)
    if depth.daily_volume is not None:
        share = notional / (depth.daily_volume * depth.depth_left)
        rate = rate + depth.impact * depth.daily_volatility * np.sqrt(share)
    result: Floats = notional * rate
    return result
