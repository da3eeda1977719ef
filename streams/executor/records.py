"""The records an executor publishes: fills of both sides and answers, under ids that a repetition repeats.

Owns their shape. Refuses to decide what is published, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.codec import Record
from schemas.events.fills import FillV1
from schemas.events.liquidations import AckReason, LiquidationAckV1, LiquidationCommandV1
from streams.executor.protocol import FINAL_STATES, AckState
from streams.translate import e8_text


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade for a command. ``quantity_e8`` is signed for the liquidated account; ``number`` (digits and dots) is
    its place among the command's trades."""

    number: str
    counterparty: str
    instrument: str
    quantity_e8: int
    price_e8: int
    time_us: int


@dataclass(frozen=True, slots=True)
class Execution:
    """The trades that were to be had, and the final state. A rejection has none."""

    state: AckState
    trades: tuple[Trade, ...] = ()
    reason: AckReason | None = None
    detail: str | None = None

    @property
    def filled_e8(self) -> int:
        """Unsigned quantity over all trades, 10^-8."""
        return sum(abs(trade.quantity_e8) for trade in self.trades)


def fills_of(command: LiquidationCommandV1, trade: Trade) -> tuple[FillV1, FillV1]:
    """The counterparty's fill and the account's; only the account's bears the command id."""
    return tuple(  # type: ignore[return-value]
        FillV1(
            v=1,
            event_id=f"{command.command_id}:{trade.number}:{party}",
            account=account,
            instrument=trade.instrument,
            side="buy" if (trade.quantity_e8 > 0) is (party == "account") else "sell",
            quantity=e8_text(abs(trade.quantity_e8)),
            price=e8_text(trade.price_e8),
            trade_time_us=trade.time_us,
            command_id=command.command_id if party == "account" else None,
        )
        for party, account in (("counterparty", trade.counterparty), ("account", command.account))
    )


@dataclass(frozen=True, slots=True)
class Signature:
    """Who answers, and what it had seen when it did."""

    executor: str
    epoch_seen: int


def answer(
    command: LiquidationCommandV1,
    state: AckState,
    filled_e8: int,
    signature: Signature,
    reason: AckReason | None = None,
    detail: str | None = None,
    label: str = "",
) -> LiquidationAckV1:
    """An answer to ``command``; ``label`` tells answers of the same state apart."""
    return LiquidationAckV1(
        v=1,
        event_id=f"{command.command_id}:{label or state}",
        command_id=command.command_id,
        account=command.account,
        state=state,
        filled_quantity=e8_text(filled_e8),
        event_time_us=command.versions.time_us,
        reason=reason,
        detail=detail,
        executor=signature.executor,
        epoch_seen=signature.epoch_seen,
    )


def publishing_stage(record: Record) -> int:
    """In which of three steps a record goes out; a step ends with everything delivered. Counterparties first, so that
    after a crash an account's fill never lacks its other side; the final answer last, so that it is never without
    its fills."""
    if isinstance(record, FillV1):
        return 0 if record.command_id is None else 1
    return 2 if isinstance(record, LiquidationAckV1) and record.state in FINAL_STATES else 0


def in_order(records: Sequence[Record]) -> list[Record]:
    """``records`` by stage; the order within a stage stays."""
    return sorted(records, key=publishing_stage)
