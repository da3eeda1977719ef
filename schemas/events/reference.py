"""Topic ``reference``: instruments, collateral assets and risk parameters, keyed by kind and id, compacted."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.fields import Decimal, Identifier, Micros, PositiveDecimal, UnsignedDecimal


class InstrumentV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="instrument"):
    """Terms of an instrument. An option names its forward as ``mark_feed``; its volatility comes from the
    ``underlying``'s feed. A spot instrument names ``base_asset`` and settles in its quote asset."""

    v: Literal[1]
    instrument: Identifier
    contract: Literal["spot", "linear_perpetual", "inverse_perpetual", "future", "call", "put"]
    underlying: Identifier
    settlement_asset: Identifier
    mark_feed: Identifier
    multiplier: PositiveDecimal
    tick: PositiveDecimal
    lot: PositiveDecimal
    expiry_us: Micros | None = None
    strike: PositiveDecimal | None = None
    base_asset: Identifier | None = None


class CollateralAssetV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="collateral_asset"):
    """An asset accepted as collateral; without ``mark_feed`` it is the numeraire (US dollar)."""

    v: Literal[1]
    asset: Identifier
    haircut: UnsignedDecimal
    mark_feed: Identifier | None = None
    underlying: Identifier | None = None


class UnderlyingParametersV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Scenario ranges and charges of one underlying, as fractions (0.16 is 16 %).

    ``impact`` is what closing one ``daily_volume`` (numeraire) at once would cost beyond ``close_cost``, as a fraction
    of its value; smaller sizes cost by the square root of their share. Without a volume there is no impact.
    """

    price_range: UnsignedDecimal
    volatility_up: UnsignedDecimal
    volatility_down: UnsignedDecimal
    volatility_term_power: UnsignedDecimal
    short_option_minimum_initial: UnsignedDecimal
    short_option_minimum_maintenance: UnsignedDecimal
    close_cost: UnsignedDecimal
    impact: UnsignedDecimal = "0"
    daily_volume: PositiveDecimal | None = None


class TailScenarioV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A price move beyond the core range and the share of its loss that counts."""

    price_move: Decimal
    weight: UnsignedDecimal


class AuctionScheduleV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Price of an auctioned book over time, as a share of its worth."""

    start: UnsignedDecimal = "0.95"
    fast_end: UnsignedDecimal = "0.7"
    fast_us: Micros = 900_000_000
    slow_us: Micros = 43_200_000_000


class TrustPolicyV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far prices and new parameters are believed (docs/oracle-trust.md)."""

    range_sigmas: Annotated[int, Meta(ge=1, le=1000)] = 4
    age_sigmas: Annotated[int, Meta(ge=0, le=1000)] = 3
    fresh_us: Micros = 30_000_000
    jump_sigmas: Annotated[int, Meta(ge=1, le=1000)] = 8
    breaker_floor: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 20
    breaker_factor: Annotated[int, Meta(ge=1, le=1000)] = 4
    breaker_prior: UnsignedDecimal = "0.1"
    breaker_us: Micros = 10_000_000
    shadow_us: Micros = 60_000_000


class LiquidationPolicyV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The numbers of the liquidation ladder (docs/liquidation.md)."""

    watch_buffer: UnsignedDecimal = "1"
    suspect_us_max: Micros = 2_000_000
    cancel_us_max: Micros = 1_000_000
    cooldown_us: Micros = 1_000_000
    cooldown_us_max: Micros = 60_000_000
    fruitless_rounds_max: Annotated[int, Meta(ge=1, le=1000)] = 5
    backstop_at: UnsignedDecimal = "0"
    liquidation_fee: UnsignedDecimal = "0"
    dust: UnsignedDecimal = "0"
    auction: AuctionScheduleV1 = AuctionScheduleV1()
    flow_max: UnsignedDecimal = "0"
    live_accounts_max: Annotated[int, Meta(ge=0, le=2**31)] = 0
    participation: UnsignedDecimal = "0"
    margin_horizon_us: Micros = 86_400_000_000
    trust: TrustPolicyV1 = TrustPolicyV1()
    hedges: Annotated[tuple[Identifier, ...], Meta(max_length=100)] = ()


class JumpV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A jump of everything at once: relative moves (-0.3 is a fall of 30 %) of every underlying that ``moves`` does
    not name, of those that it names (or of single feeds), and of all implied volatilities."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    others: Decimal
    volatility: Decimal = "0"
    moves: dict[Identifier, Decimal] = {}


class GapLayerTermsV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Money committed before a loss reaches customers who did nothing wrong, in numeraire."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    capacity: UnsignedDecimal


class GapPolicyV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which jumps the venue means to survive with which money (docs/gap-at-risk.md). Without ``jumps`` the standard
    ones, with none of them nothing is computed. ``profit_withdrawals``: whether profit not realized may leave."""

    jumps: Annotated[tuple[JumpV1, ...], Meta(max_length=64)] | None = None
    layers: Annotated[tuple[GapLayerTermsV1, ...], Meta(max_length=20)] = ()
    cover: Annotated[int, Meta(ge=1, le=100)] = 2
    profit_withdrawals: bool = True


class RiskParametersV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="risk_parameters"):
    """All risk parameters of the venue, in force from ``effective_us`` on; versions only rise."""

    v: Literal[1]
    version: Annotated[int, Meta(ge=1, le=2**53)]
    effective_us: Micros
    underlyings: dict[Identifier, UnderlyingParametersV1]
    price_steps: tuple[Decimal, ...]
    tails: tuple[TailScenarioV1, ...]
    maintenance_factor: UnsignedDecimal
    liquidation_target: UnsignedDecimal
    release_buffer: UnsignedDecimal
    limit_price_band: UnsignedDecimal
    mark_age_us_max: Micros
    command_ttl_us: Micros
    snapshot_interval_us: Micros
    liquidation: LiquidationPolicyV1 = LiquidationPolicyV1()
    gap: GapPolicyV1 = GapPolicyV1()


ReferenceV1 = InstrumentV1 | CollateralAssetV1 | RiskParametersV1
"""Told apart by the field ``type``."""
