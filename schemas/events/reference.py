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
    hedges: tuple[Identifier, ...] = ()
    auction: AuctionScheduleV1 = AuctionScheduleV1()
    flow_max: UnsignedDecimal = "0"
    live_accounts_max: Annotated[int, Meta(ge=0, le=2**31)] = 0
    participation: UnsignedDecimal = "0"
    margin_horizon_us: Micros = 86_400_000_000


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


ReferenceV1 = InstrumentV1 | CollateralAssetV1 | RiskParametersV1
"""Told apart by the field ``type``."""
