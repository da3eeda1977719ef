"""Trust policy: how far prices and parameters are believed before anybody is liquidated on them.

Owns the numbers of ``engine.trust``. They are part of the liquidation policy, so a change of them has a version and an
effective time. How long a doubt may last is the policy's ``suspect_us_max``; 0 there switches doubts about prices off.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import InvalidReference


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Numbers of the price box, the breaker and the shadow.

    The daily standard deviation of a price is its core range over ``range_sigmas``. A mark older than ``fresh_us``
    (the interval at which an unchanged price is repeated) may be off by ``age_sigmas`` standard deviations of the rest
    of its age. A move beyond ``jump_sigmas`` of them with fewer than two sources is doubted.

    The breaker trips when one batch brings more than ``breaker_floor`` + ``breaker_factor`` x forecast accounts below
    maintenance margin; it stops entries into liquidation for ``breaker_us`` (0: no breaker). Before it has seen
    anything, the forecast is ``breaker_prior_ppm`` of all accounts for a move of one daily standard deviation.

    Who falls short through new parameters alone is not acted upon for ``shadow_us`` after these came (0: no shadow).
    """

    range_sigmas: int = 4
    age_sigmas: int = 3
    fresh_us: int = 30_000_000
    jump_sigmas: int = 8
    breaker_floor: int = 20
    breaker_factor: int = 4
    breaker_prior_ppm: int = 100_000
    breaker_us: int = 10_000_000
    shadow_us: int = 60_000_000

    def __post_init__(self) -> None:
        for field in ("range_sigmas", "jump_sigmas", "breaker_factor"):
            if getattr(self, field) < 1:
                raise InvalidReference(f"liquidation.trust.{field}", "must be at least 1")
        for field in ("age_sigmas", "fresh_us", "breaker_floor", "breaker_prior_ppm", "breaker_us", "shadow_us"):
            if getattr(self, field) < 0:
                raise InvalidReference(f"liquidation.trust.{field.removesuffix('_ppm')}", "must not be negative")


DEFAULT_TRUST = TrustPolicy()
