"""Outputs of the engine, as plain values in scaled integers.

Owns the shape of what ``MarginEngine.step`` returns. Risk figures are float64; they leave the engine as float64 and
are rendered in shortest round-trip form on the wire, so that a recomputation can be compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.outcomes import Anomaly, MarginStatus, Outcome, Refusal
from engine.reference.gap_policy import GapLayer
from engine.reference.liquidation_policy import AuctionSchedule


@dataclass(frozen=True, slots=True)
class Versions:
    """What a decision was taken on: offsets of the newest mark, reference record, settlement and control (-1: none
    yet), the version of the parameters in force, the engine time, and per account topic the newest offset applied."""

    mark_version: int
    reference_version: int
    settlement_version: int
    parameters_version: int
    time_us: int
    offsets: Mapping[str, int]
    control_version: int = -1


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


class CommandKind(StrEnum):
    """What an executor is asked to do. The first, ``AUCTION`` and ``RELEASE`` are about the whole account; the others
    are one leg each."""

    CANCEL_ORDERS = "cancel_orders"
    REDUCE = "reduce"
    CLOSE = "close"
    HEDGE = "hedge"
    TRANSFER_TO_BACKSTOP = "transfer_to_backstop"
    AUCTION = "auction"
    ADL = "adl"
    RELEASE = "release"

    @property
    def is_leg(self) -> bool:
        """Whether it names an instrument and a quantity."""
        return self not in (CommandKind.CANCEL_ORDERS, CommandKind.AUCTION, CommandKind.RELEASE)


class CommandReason(StrEnum):
    """Why a round was issued, as a code."""

    BELOW_MAINTENANCE = "below_maintenance"
    NO_AFFORDABLE_PLAN = "no_affordable_plan"
    NEGATIVE_EQUITY = "negative_equity"
    BELOW_BACKSTOP = "below_backstop"
    FRUITLESS_ROUNDS = "fruitless_rounds"
    BACKSTOP_REFUSED = "backstop_refused"
    AUCTION_FAILED = "auction_failed"
    CURED = "cured"


@dataclass(frozen=True, slots=True)
class AuctionOffer:
    """What is auctioned and at which price over time (``engine.rules.auction``): the book's worth and its margin, that
    is equity less maintenance margin, both numeraire; ``buffer`` is the cushion beyond maintenance to restore."""

    mark_to_market: float
    margin: float
    buffer_ppm: int
    schedule: AuctionSchedule


@dataclass(frozen=True, slots=True)
class LiquidationCommand:
    """One intent. A leg trades ``quantity_e8`` (signed: buy positive) of ``instrument`` no worse than the limit;
    kinds that are about the whole account have no instrument, a quantity of 0 and no limit.

    ``command_id`` is a pure function of account, liquidation sequence, round and leg, never of a price. ``sequence``
    numbers the commands of the account without gaps. ``account_version`` counts the records of the account that the
    decision had seen. ``supersedes`` are earlier commands that are void from here on.
    """

    command_id: str
    decision_id: str
    account: str
    kind: CommandKind
    sequence: int
    account_version: int
    liquidation_sequence: int
    round: int
    leg: int
    instrument: str
    quantity_e8: int
    limit_price_e8: int
    reason: CommandReason
    expires_us: int
    versions: Versions
    supersedes: tuple[str, ...] = ()
    auction: AuctionOffer | None = None


@dataclass(frozen=True, slots=True)
class BindingScenario:
    """A scenario that keeps the plan from being cheaper, with its share in the plan's price of margin (0..1)."""

    underlying: str
    scenario: str
    weight: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a plan costs and how much cheaper any other could be, in numeraire.

    No plan that reaches the target costs less than ``lower_bound``; ``gap`` is (cost - bound) / cost. Both are of the
    model: closing at the mark less spread, fees and impact, whole quantities. ``target`` is the multiple of maintenance
    margin that equity has to reach.
    """

    cost: float
    lower_bound: float
    gap: float
    target: float
    binding: tuple[BindingScenario, ...]


@dataclass(frozen=True, slots=True)
class LiquidationDecision:
    """Why a round of commands was issued: the figures and the exact book they were computed from.

    ``book`` is the canonical text of the account's state before the decision (``engine.state``); with the versions
    it is all that a recomputation needs. ``equity_after`` and ``maintenance_margin_after`` are the planner's: what
    holds once all legs have traded at the marks. ``explanation`` is one sentence for a person. A round that closes
    nothing at a price of the market has no ``certificate``.
    """

    decision_id: str
    account: str
    liquidation_sequence: int
    round: int
    reason: CommandReason
    explanation: str
    figures: AccountFigures
    equity_after: float
    maintenance_margin_after: float
    certificate: Certificate | None
    command_ids: tuple[str, ...]
    book: str
    versions: Versions


@dataclass(frozen=True, slots=True)
class ExecutionAnomaly:
    """An executor or a venue did what the protocol does not allow. What it did to the books stands; this says so.
    ``event_id`` is that of the fill or answer at fault, empty where none came."""

    account: str
    command_id: str
    event_id: str
    anomaly: Anomaly
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


@dataclass(frozen=True, slots=True)
class JumpShortfall:
    """What the accounts of a shard would owe beyond all they have after one jump, in numeraire: in all, how many of
    them, and the largest ones, falling."""

    jump: str
    total: float
    accounts: int
    largest: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GapAtRisk:
    """Gap-at-risk of one shard, gathered along a sweep; best effort like a snapshot. ``accounts`` were looked at, of
    which ``unpriced`` lack a mark and are missing from the sums. ``versions`` are those of the marks used."""

    shard: int
    accounts: int
    unpriced: int
    jumps: tuple[JumpShortfall, ...]
    layers: tuple[GapLayer, ...]
    versions: Versions


AccountCommand = (
    LiquidationCommand
    | LiquidationDecision
    | StatusChanged
    | WithdrawalDecided
    | TransferCredit
    | PositionSettled
    | ExecutionAnomaly
)
"""Commands that must not be lost: they pass through the outbox of their account's row."""

Command = AccountCommand | MarginSnapshot | GapAtRisk


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
    gaps: tuple[GapAtRisk, ...] = ()

    @property
    def touched(self) -> tuple[str, ...]:
        """The accounts of ``rows``, sorted."""
        return tuple(sorted(account.decode() for accounts in self.rows.values() for account in accounts))
