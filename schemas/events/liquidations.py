"""Topics ``liquidations`` (commands to executors) and ``liquidation-acks`` (their answers), keyed by account."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.fields import Count, Float, Identifier, Micros, Offset, PositiveDecimal, UnsignedDecimal


class VersionsV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a decision was taken on: offsets on marks, reference, settlements and liquidation-control, the parameter
    version in force, the engine time, and per account topic the newest offset applied (one partition: the account's).
    """

    mark_version: Offset
    reference_version: Offset
    settlement_version: Offset
    parameters_version: Count
    time_us: Micros
    offsets: dict[str, Offset]
    control_version: Offset = -1


CommandKind = Literal["cancel_orders", "reduce", "close", "hedge", "transfer_to_backstop", "auction", "adl", "release"]
CommandReason = Literal[
    "below_maintenance",
    "no_affordable_plan",
    "negative_equity",
    "below_backstop",
    "fruitless_rounds",
    "backstop_refused",
    "auction_failed",
    "cured",
]
AckReason = Literal[
    "halted",
    "epoch_stale",
    "sequence_gap",
    "duplicate",
    "expired",
    "version_mismatch",
    "unknown_instrument",
    "not_reducing",
    "price_band",
    "no_mark",
    "limit_price",
    "superseded",
    "capacity",
    "venue",
]


class AuctionOfferV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is auctioned: slices of a book worth ``mark_to_market`` whose margin (equity less maintenance margin,
    negative) is to be restored, numeraire. The price falls from ``start`` to ``fast_end`` of that worth in ``fast_us``,
    then to nothing in ``slow_us``; a book worth nothing is paid for, up to what is missing, over ``fast_us``."""

    mark_to_market: Float
    margin: Float
    buffer: UnsignedDecimal
    start: UnsignedDecimal
    fast_end: UnsignedDecimal
    fast_us: Micros
    slow_us: Micros


class LiquidationCommandV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An intent. Legs (``reduce``, ``close``, ``hedge``, ``transfer_to_backstop``, ``adl``) name instrument, side,
    quantity and the worst price; the other kinds are about the whole account. Executors drop repeated ``command_id``
    values, commands past ``expires_us``, and commands of an ``epoch`` below one they have seen of the partition."""

    v: Literal[1]
    command_id: Identifier
    decision_id: Identifier
    account: Identifier
    kind: CommandKind
    epoch: Count
    sequence: Count
    account_version: Count
    liquidation_sequence: Count
    round: Count
    leg: Count
    reduce_only: bool
    reason: CommandReason
    expires_us: Micros
    versions: VersionsV1
    instrument: Identifier | None = None
    side: Literal["buy", "sell"] | None = None
    quantity: PositiveDecimal | None = None
    limit_price: PositiveDecimal | None = None
    supersedes: tuple[Identifier, ...] = ()
    auction: AuctionOfferV1 | None = None


class LiquidationAckV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An executor's answer. ``filled_quantity`` is the total filled so far; final states close the command once the
    fills with its id add up to that total. ``epoch_seen`` is the highest epoch the executor knows of."""

    v: Literal[1]
    event_id: Identifier
    command_id: Identifier
    account: Identifier
    state: Literal["accepted", "partially_filled", "filled", "rejected", "expired", "cancelled", "failed"]
    filled_quantity: UnsignedDecimal
    event_time_us: Micros
    reason: AckReason | None = None
    detail: str | None = None
    executor: Identifier | None = None
    epoch_seen: Count | None = None
