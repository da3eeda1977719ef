"""Outputs of the engine, as plain values in scaled integers.

Owns the shape of what ``MarginEngine.step`` returns. Risk figures are float64; they leave the engine as float64 and
are rendered in shortest round-trip form on the wire, so that a recomputation can be compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.outcomes import MarginStatus, Outcome, Refusal


@dataclass(frozen=True, slots=True)
class Versions:
    """What a decision was taken on: offsets of the newest mark, reference record and settlement (-1: none yet),
    the version of the parameters in force, the engine time, and per account topic the newest offset applied."""

    mark_version: int
    reference_version: int
    settlement_version: int
    parameters_version: int
    time_us: int
    offsets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """The verdict on one account, in numeraire units (float64).

    ``initial_margin`` and ``maintenance_margin`` are requirements (never negative); the ``isolated_`` pair is what
    the same positions would require one by one. ``worst_scenarios`` names per underlying the binding scenario.
    """

    equity: float
    collateral_value: float
    unrealized_pnl: float
    option_value: float
    initial_margin: float
    maintenance_margin: float
    isolated_initial_margin: float
    isolated_maintenance_margin: float
    worst_scenarios: Mapping[str, str]
    add_ons: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LiquidationCommand:
    """One leg to execute: reduce ``instrument`` by ``quantity_e8`` (signed: buy positive) no worse than the limit.

    ``command_id`` is a pure function of account, liquidation sequence, round and leg, never of a price.
    """

    command_id: str
    decision_id: str
    account: str
    liquidation_sequence: int
    round: int
    leg: int
    instrument: str
    quantity_e8: int
    limit_price_e8: int
    expires_us: int
    versions: Versions


@dataclass(frozen=True, slots=True)
class LiquidationDecision:
    """Why a round of commands was issued: the figures and the exact book they were computed from.

    ``book`` is the canonical text of the account's state before the decision (``engine.state``); with the versions
    it is all that a recomputation needs. ``equity_after`` and ``maintenance_margin_after`` are the planner's.
    """

    decision_id: str
    account: str
    liquidation_sequence: int
    round: int
    figures: AccountFigures
    equity_after: float
    maintenance_margin_after: float
    command_ids: tuple[str, ...]
    book: str
    versions: Versions


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The account moved on the status table. ``change`` numbers the changes of the account."""

    account: str
    change: int
    before: MarginStatus
    after: MarginStatus
    figures: AccountFigures
    versions: Versions


@dataclass(frozen=True, slots=True)
class WithdrawalDecided:
    """The answer to a withdrawal or an outgoing transfer; ``refusal`` is None when it was granted."""

    account: str
    event_id: str
    asset: str
    amount_e8: int
    refusal: Refusal | None
    versions: Versions


@dataclass(frozen=True, slots=True)
class TransferCredit:
    """The credit leg of a granted transfer, to be delivered to ``account``."""

    event_id: str
    account: str
    payer: str
    transfer_sequence: int
    asset: str
    amount_e8: int
    event_time_us: int


@dataclass(frozen=True, slots=True)
class PositionSettled:
    """An expired position was settled: ``cash_e8`` was credited in the settlement asset."""

    account: str
    instrument: str
    quantity_e8: int
    price_e8: int
    cash_e8: int
    settlement_version: int
    versions: Versions


@dataclass(frozen=True, slots=True)
class ParametersInForce:
    """A parameter version became effective at engine time."""

    parameters_version: int
    versions: Versions


@dataclass(frozen=True, slots=True)
class MarginSnapshot:
    """Periodic figures of one account; best effort, shed under overload."""

    account: str
    status: MarginStatus
    figures: AccountFigures
    greeks: Mapping[str, Mapping[str, float]]
    versions: Versions


AccountCommand = (
    LiquidationCommand | LiquidationDecision | StatusChanged | WithdrawalDecided | TransferCredit | PositionSettled
)
"""Commands that must not be lost: they pass through the outbox of their account's row."""

Command = AccountCommand | MarginSnapshot


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step did.

    ``outcomes`` is aligned with the batch. ``rows`` are the accounts whose row must be written, sorted, by the shard
    they are in. ``commands`` holds each command under the account whose row guards its delivery (``TransferCredit``:
    the payer), in order of decision.
    """

    outcomes: tuple[Outcome, ...]
    rows: Mapping[int, tuple[bytes, ...]]
    commands: tuple[tuple[str, AccountCommand], ...]
    snapshots: tuple[MarginSnapshot, ...]

    @property
    def touched(self) -> tuple[str, ...]:
        """The accounts of ``rows``, sorted."""
        return tuple(sorted(account.decode() for accounts in self.rows.values() for account in accounts))
