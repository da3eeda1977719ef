"""Inputs of the engine, as plain values in scaled integers.

Owns the shape of what ``MarginEngine.step`` accepts. Refuses wire formats: ``streams.translate`` makes these from
the records of ``schemas``. Account events carry the Kafka position they came from, because that position is part of
the state they produce; broadcast events carry the offset that names their version.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument
from engine.reference.parameters import RiskParameters


@dataclass(frozen=True, slots=True)
class Source:
    """Where a record stands in the log."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Fill:
    """An executed trade of one account. ``quantity_e8`` is signed: bought positive, sold negative.

    ``fee_e8`` is paid by the account in the settlement asset (negative: a rebate). ``command_id`` names the
    liquidation command this fill executes, or is empty.
    """

    source: Source
    event_id: str
    body_digest: bytes
    account: str
    instrument: str
    quantity_e8: int
    price_e8: int
    fee_e8: int
    trade_time_us: int
    command_id: str = ""


class CollateralKind(StrEnum):
    """What moves a balance from outside."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    TRANSFER_CREDIT = "transfer_credit"


@dataclass(frozen=True, slots=True)
class CollateralEvent:
    """A deposit, a withdrawal, a transfer out to ``counterparty``, or the credit leg of a transfer from it.

    ``amount_e8`` is positive. ``transfer_sequence`` numbers the transfers of the paying account, so that the
    receiving one applies each exactly once however often it is delivered.
    """

    source: Source
    event_id: str
    body_digest: bytes
    account: str
    kind: CollateralKind
    asset: str
    amount_e8: int
    event_time_us: int
    counterparty: str = ""
    transfer_sequence: int = 0


EPOCH_STALE = "epoch_stale"
"""The reason of an executor that has seen commands of a later owner of the account."""


class AckState(StrEnum):
    """What an executor says of a command."""

    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self not in (AckState.ACCEPTED, AckState.PARTIALLY_FILLED)


@dataclass(frozen=True, slots=True)
class LiquidationAck:
    """An executor's answer. ``filled_e8`` (unsigned) is the total it has filled; fills carry the same command id.
    ``reason`` is its reason code, or empty."""

    source: Source
    event_id: str
    body_digest: bytes
    account: str
    command_id: str
    state: AckState
    filled_e8: int
    event_time_us: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record of ``account`` that could not be decoded: it advances the offset and flags the account."""

    source: Source
    account: str


@dataclass(frozen=True, slots=True)
class VolatilityNode:
    """One node of an implied volatility surface: tenor in days, log-moneyness ln(K/F), volatility (1.0 = 100 %)."""

    tenor_days: float
    log_moneyness: float
    volatility: float


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """A guarded price. ``version`` is its offset on the marks topic: the price version that decisions name.

    The funding indices accumulate rate x price (linear) and rate / price (inverse) over time, in 10^-12 units.
    """

    version: int
    feed: str
    price_e8: int
    confidence_e8: int
    volatility: tuple[VolatilityNode, ...]
    funding_index_linear_e12: int
    funding_index_inverse_e12: int
    mark_time_us: int


@dataclass(frozen=True, slots=True)
class InstrumentListed:
    """An instrument exists from ``version`` (offset on the reference topic) on."""

    version: int
    instrument: Instrument


@dataclass(frozen=True, slots=True)
class CollateralAssetListed:
    """A collateral asset exists, or its terms change, from ``version`` on."""

    version: int
    asset: CollateralAsset


@dataclass(frozen=True, slots=True)
class ParametersSet:
    """Risk parameters are known from ``version`` on and in force from their own effective time on."""

    version: int
    parameters: RiskParameters


@dataclass(frozen=True, slots=True)
class Settlement:
    """The final price of an expired instrument. ``version`` is its offset on the settlements topic."""

    version: int
    instrument: str
    price_e8: int
    event_time_us: int


class ControlScope(StrEnum):
    """What a hold stops: everything, one instrument, one venue's executors, one account."""

    GLOBAL = "global"
    INSTRUMENT = "instrument"
    VENUE = "venue"
    ACCOUNT = "account"


class ControlMode(StrEnum):
    """How much is stopped, by severity (``engine.controls``)."""

    RUN = "run"
    REDUCE_ONLY = "reduce_only"
    CANCEL_ONLY = "cancel_only"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class ControlSet:
    """Somebody has stopped liquidations in a scope, or let them run again. ``version`` is the offset on the control
    topic; ``target`` is empty for the global scope, ``until_us`` 0 for ``RUN``. ``is_approved``: a second person has
    agreed, so that it replaces earlier holds of the scope."""

    version: int
    scope: ControlScope
    target: str
    mode: ControlMode
    until_us: int
    is_approved: bool


AccountEvent = Fill | CollateralEvent | LiquidationAck | BadRecord
ReferenceEvent = InstrumentListed | CollateralAssetListed | ParametersSet
BroadcastEvent = MarkPrice | Settlement | InstrumentListed | CollateralAssetListed | ParametersSet | ControlSet
Event = AccountEvent | BroadcastEvent
