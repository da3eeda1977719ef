"""Risk parameters: one versioned, effective-dated, self-checking document for the whole venue.

Owns every number a risk manager may turn. Each relation that the method relies on is proved at construction, so that
a wrong document is refused before it can margin anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import InvalidReference
from engine.reference.gap_policy import DEFAULT_GAP_POLICY, GapPolicy
from engine.reference.liquidation_policy import DEFAULT_POLICY, LiquidationPolicy
from engine.units import PPM


@dataclass(frozen=True, slots=True)
class UnderlyingParameters:
    """Scenario ranges and charges of one underlying.

    ``price_range_ppm`` is the largest core move; the volatility shocks are relative at a 30-day tenor and scale with
    ``(30 days / tenor) ^ volatility_term_power`` (the shape that Deribit, Derive and Paradex publish).
    ``short_option_minimum_*_ppm`` is charged on the index value of net short options per strike and expiry.
    ``close_cost_ppm`` is half the spread plus fees, as a share of closed notional; ``impact_ppm`` is the share that
    closing one ``daily_volume_e8`` (numeraire) at once costs beyond that, smaller sizes by the square root of their
    share of it (``engine.risk.depth``). Without a volume there is no impact.
    """

    price_range_ppm: int
    volatility_up_ppm: int
    volatility_down_ppm: int
    volatility_term_power_ppm: int
    short_option_minimum_initial_ppm: int
    short_option_minimum_maintenance_ppm: int
    close_cost_ppm: int
    impact_ppm: int = 0
    daily_volume_e8: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.price_range_ppm < PPM:
            raise InvalidReference("price_range", "must lie strictly between 0 and 1")
        if self.volatility_up_ppm < 0:
            raise InvalidReference("volatility_up", "must not be negative")
        if not 0 <= self.volatility_down_ppm < PPM:
            raise InvalidReference("volatility_down", "must lie in 0..1, 1 excluded")
        if not 0 <= self.volatility_term_power_ppm <= PPM:
            raise InvalidReference("volatility_term_power", "must lie in 0..1")
        if not 0 <= self.short_option_minimum_maintenance_ppm <= self.short_option_minimum_initial_ppm:
            raise InvalidReference("short_option_minimum_maintenance", "must lie between 0 and the initial minimum")
        if not 0 <= self.close_cost_ppm < PPM:
            raise InvalidReference("close_cost", "must lie in 0..1, 1 excluded")
        if not 0 <= self.impact_ppm <= PPM:
            raise InvalidReference("impact", "must lie in 0..1")
        if self.daily_volume_e8 is not None and self.daily_volume_e8 <= 0:
            raise InvalidReference("daily_volume", "must be positive")


@dataclass(frozen=True, slots=True)
class TailScenario:
    """A move beyond the core range: ``price_move_ppm`` of the price, counted at ``weight_ppm`` of its loss."""

    price_move_ppm: int
    weight_ppm: int

    def __post_init__(self) -> None:
        if not -PPM < self.price_move_ppm <= 10 * PPM:
            raise InvalidReference("price_move", "must be above -1 and at most 10")
        if not 0 < self.weight_ppm <= PPM:
            raise InvalidReference("weight", "must lie in 0..1, 0 excluded")


@dataclass(frozen=True, slots=True)
class RiskParameters:
    """All risk parameters, in force from ``effective_us`` on.

    ``price_steps_ppm`` are the core price moves as fractions of each underlying's range; each is combined with
    volatility up, unchanged and down. Maintenance margin is ``maintenance_factor`` of the initial scenario loss plus
    its own short-option minimum. An account is liquidated when equity falls below maintenance margin, cured to
    ``liquidation_target`` times maintenance margin, and called when equity falls below initial margin; it is released
    from a call above ``release_buffer`` times initial margin (hysteresis). ``policy`` is what happens in between,
    ``gap`` the jumps that the venue means to survive.
    """

    version: int
    effective_us: int
    underlyings: Mapping[str, UnderlyingParameters]
    price_steps_ppm: tuple[int, ...]
    tails: tuple[TailScenario, ...]
    maintenance_factor_ppm: int
    liquidation_target_ppm: int
    release_buffer_ppm: int
    limit_price_band_ppm: int
    mark_age_us_max: int
    command_ttl_us: int
    snapshot_interval_us: int
    policy: LiquidationPolicy = DEFAULT_POLICY
    gap: GapPolicy = DEFAULT_GAP_POLICY

    def __post_init__(self) -> None:
        if self.version <= 0:
            raise InvalidReference("version", "must be positive")
        if not self.underlyings:
            raise InvalidReference("underlyings", "must not be empty")
        if 0 not in self.price_steps_ppm or len(set(self.price_steps_ppm)) != len(self.price_steps_ppm):
            raise InvalidReference("price_steps", "must contain 0 and no step twice")
        if min(self.price_steps_ppm) != -PPM or max(self.price_steps_ppm) != PPM:
            raise InvalidReference("price_steps", "must reach from -1 to 1")
        if not 0 < self.maintenance_factor_ppm <= PPM:
            raise InvalidReference("maintenance_factor", "must lie in 0..1, 0 excluded")
        if self.liquidation_target_ppm < PPM:
            raise InvalidReference("liquidation_target", "must be at least 1")
        if self.release_buffer_ppm < PPM:
            raise InvalidReference("release_buffer", "must be at least 1")
        if not 0 < self.limit_price_band_ppm < PPM:
            raise InvalidReference("limit_price_band", "must lie strictly between 0 and 1")
        for field in ("mark_age_us_max", "command_ttl_us", "snapshot_interval_us"):
            if getattr(self, field) <= 0:
                raise InvalidReference(field, "must be positive")
