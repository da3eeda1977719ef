"""Impact of forced flow on prices, in three parts, and what volatility leaves of depth.

Owns the law and its state. Refuses to know who trades.

    load            z <- z exp(-dt / decay) + flow / (daily volume x depth left)
    transient       sign(z) x impact x daily volatility x sqrt(|z|)    and, linear, lambda x z
    instantaneous   eta x daily volatility x share / depth left, gone at the next tick
    share           flow / volume of the tick, within -1..1: who sells more than is traded is all of the volume
    depth left      min(1, (variance / normal variance)^(-thinning / 2)), at least ``depth_floor``
    live volume     min(volume_rise_max, sqrt(variance / normal variance)) x normal volume

All in log price, flow signed (a sale is negative). ``variance`` is an exponential average of squared returns per tick,
never below normal. The square root is that of ``engine.risk.depth``; that impact of uninformed flow fades is Donier and
Bonart (2015), arXiv 1412.4503; the exponent 0.489 +- 0.0015 is arXiv 2411.13965.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats
from engine.risk.depth import Depth

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class ImpactLaw:
    """Parameters beside the depth of each underlying. ``linear`` is lambda: log move per day's volume sold."""

    decay_s: float
    eta: float = 0.0
    linear: float = 0.0
    thinning: float = 0.0
    depth_floor: float = 1.0
    volume_rise_max: float = 1.0
    variance_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("decay_s", "variance_s"):
            if not getattr(self, name) > 0.0:
                raise InvalidReference(name, "must be above zero")
        for name in ("eta", "linear", "thinning"):
            if not getattr(self, name) >= 0.0:
                raise InvalidReference(name, "must not be negative")
        if not 0.0 < self.depth_floor <= 1.0:
            raise InvalidReference("depth_floor", "must lie in 0..1, 0 excluded")
        if not self.volume_rise_max >= 1.0:
            raise InvalidReference("volume_rise_max", "must be at least 1")


class ImpactState:
    """Load, variance and depth of each underlying, as they stand after the last tick."""

    def __init__(self, law: ImpactLaw, depths: tuple[Depth, ...], tick_s: float) -> None:
        self.law = law
        self.half_spread_K = np.array([depth.half_spread for depth in depths])
        self.volume_K = np.array([_volume(depth) for depth in depths])
        self.daily_volatility_K = np.array([depth.daily_volatility for depth in depths])
        self.root_K = self.daily_volatility_K * np.array([depth.impact for depth in depths])
        self._normal_depth_K = np.array([depth.depth_left for depth in depths])
        self._tick_s = tick_s
        self._normal_K = np.maximum(self.daily_volatility_K**2 * tick_s / DAY_S, 1e-18)
        self._variance_K = self._normal_K.copy()
        self._keep = np.exp(-tick_s / law.decay_s)
        self._variance_keep = np.exp(-tick_s / law.variance_s)
        self.load_K = np.zeros(len(depths))
        self.moment_K = np.zeros(len(depths))

    @property
    def stress_K(self) -> Floats:
        """Volatility against normal, at least 1."""
        result: Floats = np.sqrt(np.maximum(self._variance_K / self._normal_K, 1.0))
        return result

    @property
    def depth_left_K(self) -> Floats:
        """Share of normal depth."""
        result: Floats = self._normal_depth_K * np.maximum(self.stress_K ** (-self.law.thinning), self.law.depth_floor)
        return result

    @property
    def tick_volume_K(self) -> Floats:
        """What everybody trades in a tick, numeraire."""
        rise_K = np.minimum(self.stress_K, self.law.volume_rise_max)
        result: Floats = self.volume_K * (self._tick_s / DAY_S) * rise_K
        return result

    def transient(self, load_K: Floats) -> Floats:
        """Log move that ``load_K`` stands for; any shape that ends in K."""
        result: Floats = np.sign(load_K) * self.root_K * np.sqrt(np.abs(load_K)) + self.law.linear * load_K
        return result

    def shift(self) -> Floats:
        """Log move of each price by all impact."""
        return self.transient(self.load_K) + self.moment_K

    def take(self, flow_K: Floats) -> None:
        """Let load fade for a tick, then add ``flow_K`` (numeraire, bought less sold)."""
        depth_K = self.depth_left_K
        self.load_K = self.load_K * self._keep + flow_K / (self.volume_K * depth_K)
        if self.law.eta > 0.0:
            share_K = np.clip(flow_K / self.tick_volume_K, -1.0, 1.0)
            self.moment_K = self.law.eta * self.daily_volatility_K * share_K / depth_K

    def see(self, return_K: Floats) -> None:
        """Take a tick's log returns into the variance."""
        self._variance_K = self._variance_keep * self._variance_K + (1.0 - self._variance_keep) * return_K**2


def _volume(depth: Depth) -> float:
    if depth.daily_volume is None:
        raise InvalidReference("daily_volume", "a cascade needs the volume of every underlying")
    return depth.daily_volume
