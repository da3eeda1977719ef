"""Topic ``margin-events``: every decision that is not a command to an executor, and snapshots; keyed by account.

The kinds are told apart by the field ``type``. Figures are float64 in shortest round-trip form; amounts of money and
quantity are decimal strings.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.events.liquidations import CommandReason, VersionsV1
from schemas.fields import Count, Decimal, Float, Identifier, Offset, PositiveDecimal, UnsignedDecimal

Status = Literal[
    "healthy",
    "watch",
    "margin_call",
    "held",
    "suspect",
    "cancelling",
    "liquidating",
    "cooldown",
    "backstop",
    "auction",
    "deleveraging",
    "closed",
]


class FiguresV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Margin figures of one account, in numeraire units."""

    equity: Float
    collateral_value: Float
    unrealized_pnl: Float
    option_value: Float
    initial_margin: Float
    maintenance_margin: Float
    isolated_initial_margin: Float
    isolated_maintenance_margin: Float
    worst_scenarios: dict[str, str]
    add_ons: dict[str, Float]


class StatusChangedV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="status_changed"):
    """The account moved on the status table."""

    v: Literal[1]
    event_id: Identifier
    account: Identifier
    change: Count
    before: Status
    after: Status
    figures: FiguresV1
    versions: VersionsV1


class BindingScenarioV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A scenario that keeps a plan from being cheaper, with its share (0..1) in the plan's price of margin."""

    underlying: Identifier
    scenario: str
    weight: Float


class CertificateV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No plan that reaches ``target`` times maintenance margin costs less than ``lower_bound`` (numeraire); ``gap`` is
    (cost - lower bound) / cost."""

    cost: Float
    lower_bound: Float
    gap: Float
    target: Float
    binding: tuple[BindingScenarioV1, ...]


class LiquidationDecisionV1(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="liquidation_decision"
):
    """Why a round of commands was issued; ``book`` is the canonical account state it was computed from. A round that
    closes nothing at a price of the market has no certificate."""

    v: Literal[1]
    event_id: Identifier
    account: Identifier
    liquidation_sequence: Count
    round: Count
    reason: CommandReason
    explanation: str
    figures: FiguresV1
    equity_after: Float
    maintenance_margin_after: Float
    command_ids: tuple[Identifier, ...]
    book: str
    versions: VersionsV1
    certificate: CertificateV1 | None = None


class ExecutionAnomalyV1(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="execution_anomaly"
):
    """A fill or an answer did what its command does not allow. It was booked; ``cause_id`` is its event id, absent when
    what is wrong is that nothing came."""

    v: Literal[1]
    event_id: Identifier
    account: Identifier
    command_id: Identifier
    anomaly: Literal[
        "unknown_command",
        "overfilled",
        "executed_late",
        "wrong_instrument",
        "wrong_side",
        "beyond_limit",
        "ack_out_of_order",
        "ack_without_fills",
        "silent_executor",
        "epoch_stale",
    ]
    versions: VersionsV1
    cause_id: Identifier | None = None


class WithdrawalDecidedV1(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="withdrawal_decided"
):
    """The answer to a withdrawal or transfer request; ``request_id`` is the request's event id."""

    v: Literal[1]
    event_id: Identifier
    account: Identifier
    request_id: Identifier
    asset: Identifier
    amount: PositiveDecimal
    granted: bool
    versions: VersionsV1
    refusal: (
        Literal["insufficient_balance", "below_initial_margin", "price_unavailable", "account_in_liquidation"] | None
    ) = None


class PositionSettledV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="position_settled"):
    """An expired position was settled in cash."""

    v: Literal[1]
    event_id: Identifier
    account: Identifier
    instrument: Identifier
    quantity: Decimal
    price: UnsignedDecimal
    cash: Decimal
    settlement_version: Offset
    versions: VersionsV1


class MarginSnapshotV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="margin_snapshot"):
    """Periodic figures of one account with Greeks per underlying; best effort."""

    v: Literal[1]
    event_id: Identifier
    account: Identifier
    status: Status
    figures: FiguresV1
    greeks: dict[str, dict[str, Float]]
    versions: VersionsV1


MarginEventV1 = (
    StatusChangedV1
    | LiquidationDecisionV1
    | ExecutionAnomalyV1
    | WithdrawalDecidedV1
    | PositionSettledV1
    | MarginSnapshotV1
)
"""Told apart by the field ``type``."""
