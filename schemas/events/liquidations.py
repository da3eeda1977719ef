"""Topics ``liquidations`` (commands to executors) and ``liquidation-acks`` (their answers), keyed by account."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.fields import Count, Identifier, Micros, Offset, PositiveDecimal, UnsignedDecimal


class VersionsV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a decision was taken on: offsets on marks, reference and settlements, the parameter version in force,
    the engine time, and per account topic the newest offset applied (one partition: the account's)."""

    mark_version: Offset
    reference_version: Offset
    settlement_version: Offset
    parameters_version: Count
    time_us: Micros
    offsets: dict[str, Offset]


class LiquidationCommandV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Reduce a position. Executors drop repeated ``command_id`` values and commands past ``expires_us``."""

    v: Literal[1]
    command_id: Identifier
    decision_id: Identifier
    account: Identifier
    liquidation_sequence: Count
    round: Count
    leg: Count
    instrument: Identifier
    side: Literal["buy", "sell"]
    quantity: PositiveDecimal
    limit_price: PositiveDecimal
    reduce_only: Literal[True]
    expires_us: Micros
    versions: VersionsV1


class LiquidationAckV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An executor's answer. ``filled_quantity`` is the total filled so far; final states close the command once the
    fills with its id add up to that total."""

    v: Literal[1]
    event_id: Identifier
    command_id: Identifier
    account: Identifier
    state: Literal["accepted", "partially_filled", "filled", "rejected", "expired", "cancelled"]
    filled_quantity: UnsignedDecimal
    event_time_us: Micros
    reason: str | None = None
