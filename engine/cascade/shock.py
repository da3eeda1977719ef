"""The path that prices would take without anybody's liquidation, from standard normals.

Owns the path. Refuses to draw: normals arrive as arrays.

    factor(t) = -size x fallen(t) x (1 - returns (1 - exp(-u / returns_s))),  u = max(0, t - calm_s)
    fallen(t) = fast (1 - exp(-u / fast_s)) + (1 - fast) (1 - exp(-u / slow_s))
    noise     = daily volatility x sqrt(tick / day) x swell(t) x (sqrt(c) common + sqrt(1 - c) own)
    swell(t)  = 1 + (noise_rise - 1) exp(-u / noise_s) from calm_s on, 1 before
    log price = beta x factor + sum of noise
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

from engine.cascade.impact import DAY_S
from engine.errors import InvalidReference
from engine.pricing.axes import Floats


@dataclass(frozen=True, slots=True)
class Shock:
    """``size`` is the fall of the factor as a positive log move; negative sizes are rises. ``returns`` is the share of
    it that comes back: what other venues' forced flow has moved, and news that turn out less bad."""

    size: float
    calm_s: float
    fast: float
    fast_s: float
    slow_s: float
    noise_rise: float
    noise_s: float
    correlation: float
    returns: float = 0.0
    returns_s: float = 1800.0

    def __post_init__(self) -> None:
        if not isfinite(self.size):
            raise InvalidReference("size", "must be finite")
        for name in ("fast_s", "slow_s", "noise_s", "returns_s"):
            if not getattr(self, name) > 0.0:
                raise InvalidReference(name, "must be above zero")
        for name in ("fast", "correlation", "returns"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidReference(name, "must lie in 0..1")
        if self.calm_s < 0.0 or self.noise_rise < 0.0:
            raise InvalidReference("calm_s", "times and factors must not be negative")


def outside_path(
    shock: Shock, beta_K: Floats, daily_volatility_K: Floats, common_T: Floats, own_TK: Floats, tick_s: float
) -> Floats:
    """Log prices against the start, [T, K]; the first row is 0."""
    since_T = np.arange(common_T.size) * tick_s - shock.calm_s
    after_T = np.maximum(since_T, 0.0)
    fallen_T = shock.fast * -np.expm1(-after_T / shock.fast_s) + (1.0 - shock.fast) * -np.expm1(-after_T / shock.slow_s)
    kept_T = 1.0 + shock.returns * np.expm1(-after_T / shock.returns_s)
    swell_T = np.where(since_T < 0.0, 1.0, 1.0 + (shock.noise_rise - 1.0) * np.exp(-after_T / shock.noise_s))
    mixed_TK = np.sqrt(shock.correlation) * common_T[:, None] + np.sqrt(1.0 - shock.correlation) * own_TK
    noise_TK = mixed_TK * swell_T[:, None] * (daily_volatility_K * np.sqrt(tick_s / DAY_S))
    noise_TK[0] = 0.0
    result: Floats = np.cumsum(noise_TK, axis=0) - shock.size * (fallen_T * kept_T)[:, None] * beta_K
    return result
