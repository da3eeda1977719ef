"""Records of every topic for the audit tests: contract values and generated runs of offsets."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.codec import Record, encode, key_of
from schemas.events.dead_letters import DeadLetterV1
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationCommandV1, VersionsV1
from schemas.events.margin_events import (
    BindingScenarioV1,
    CertificateV1,
    ExecutionAnomalyV1,
    FiguresV1,
    LiquidationDecisionV1,
    MarginEventV1,
    MarginSnapshotV1,
    PositionSettledV1,
    StatusChangedV1,
    WithdrawalDecidedV1,
)
from streams.audit.records import AuditRecord
from streams.audit.store import AuditStore
from streams.audit.tables import tables_of

START_MS = 1_700_000_000_000
START_US = START_MS * 1000
HOUR_US = 3_600_000_000


def record_of(record: Record, offset: int, timestamp_ms: int = START_MS) -> AuditRecord:
    """A contract value as it stands in Kafka."""
    return AuditRecord(offset, timestamp_ms, key_of(record), encode(record))


def fill(number: int, account: str = "alice", quantity: str = "1", price: str = "20000") -> FillV1:
    """A fill whose event id is its number."""
    return FillV1(
        v=1,
        event_id=f"fill-{number}",
        account=account,
        instrument="BTC-PERP",
        side="buy",
        quantity=quantity,
        price=price,
        fee="-0.000000000000000001",
        trade_time_us=START_US + number,
    )


def fills(first: int, count: int) -> list[AuditRecord]:
    """``count`` fills at offsets from ``first`` on."""
    return [record_of(fill(offset), offset) for offset in range(first, first + count)]


def versions(time_us: int = START_US, mark_version: int = 1) -> VersionsV1:
    """Versions of a decision."""
    return VersionsV1(
        mark_version=mark_version,
        reference_version=1,
        settlement_version=-1,
        parameters_version=1,
        time_us=time_us,
        offsets={"fills": 7, "collateral": 3},
    )


def figures(equity: float = 1000.0, initial: float = 500.0, isolated: float = 800.0) -> FiguresV1:
    """Margin figures; maintenance is half of initial margin."""
    return FiguresV1(
        equity=equity,
        collateral_value=equity,
        unrealized_pnl=0.0,
        option_value=0.0,
        initial_margin=initial,
        maintenance_margin=initial / 2,
        isolated_initial_margin=isolated,
        isolated_maintenance_margin=isolated / 2,
        worst_scenarios={"BTC": "price -16%", "ETH": "price +16%"},
        add_ons={"concentration": 1.5},
    )


def margin_event(kind: int, number: int, account: str = "alice", time_us: int = START_US) -> MarginEventV1:
    """One of the six kinds of margin event, by number."""
    event_id = f"event-{number}"
    evidence = versions(time_us)
    if kind == 0:
        return StatusChangedV1(
            v=1, event_id=event_id, account=account, change=number, before="healthy", after="margin_call",
            figures=figures(), versions=evidence,
        )  # fmt: skip
    if kind == 1:
        return LiquidationDecisionV1(
            v=1, event_id=event_id, account=account, liquidation_sequence=1, round=0, figures=figures(100.0),
            reason="below_maintenance", explanation="closing BTC-PERP frees most", equity_after=90.0,
            maintenance_margin_after=0.0, command_ids=(f"command-{number}",), book="[]", versions=evidence,
            certificate=CertificateV1(
                cost=12.5, lower_bound=12.25, gap=0.02, target=1.1,
                binding=(BindingScenarioV1(underlying="BTC", scenario="price -16%", weight=1.0),),
            ),
        )  # fmt: skip
    if kind == 2:
        return WithdrawalDecidedV1(
            v=1, event_id=event_id, account=account, request_id=f"request-{number}", asset="USD", amount="12.5",
            granted=False, refusal="below_initial_margin", versions=evidence,
        )  # fmt: skip
    if kind == 3:
        return PositionSettledV1(
            v=1, event_id=event_id, account=account, instrument="BTC-28MAR25", quantity="-1.5", price="20000",
            cash="75.225", settlement_version=4, versions=evidence,
        )  # fmt: skip
    if kind == 5:
        return ExecutionAnomalyV1(
            v=1, event_id=event_id, account=account, command_id=f"command-{number}", anomaly="silent_executor",
            versions=evidence,
        )  # fmt: skip
    return MarginSnapshotV1(
        v=1, event_id=event_id, account=account, status="healthy", figures=figures(),
        greeks={"BTC": {"delta": 0.25, "vega": -12.5}}, versions=evidence,
    )  # fmt: skip


def margin_events(first: int, count: int) -> list[AuditRecord]:
    """A run of margin events in which the kinds alternate and every seventh value is broken."""
    records = [record_of(margin_event(offset % 6, offset), offset) for offset in range(first, first + count)]
    return [record._replace(value=b"\xff{") if record.offset % 7 == 6 else record for record in records]


def command(number: int, account: str = "alice", decision: str = "event-1") -> LiquidationCommandV1:
    """A liquidation command."""
    return LiquidationCommandV1(
        v=1, command_id=f"command-{number}", decision_id=decision, account=account, kind="close", epoch=2,
        sequence=number, account_version=7, reason="below_maintenance", liquidation_sequence=1, round=0, leg=0,
        instrument="BTC-PERP", side="sell", quantity="0.5", limit_price="19000", reduce_only=True,
        expires_us=START_US + 1_000_000, versions=versions(),
    )  # fmt: skip


def dead_letter(number: int, reason: str = "bad_format") -> DeadLetterV1:
    """A dead letter about a fill."""
    return DeadLetterV1(
        v=1, topic="fills", partition=0, offset=number, key="alice", reason=reason, field="quantity",
        detail="not a number", payload_base64="eA==", payload_bytes=1, record_time_us=START_US,
    )  # fmt: skip


def stored(store: AuditStore, topic: str, partition: int = 0, *, final: bool = False) -> list[int]:
    """The offsets of a partition in all tables of its group, sorted, repeats included."""
    offsets: list[int] = []
    for table in tables_of(topic):
        answer = store.query(
            f"SELECT src_offset FROM {table.name} {'FINAL' if final else ''} "
            "WHERE src_topic = {topic:String} AND src_partition = {partition:Int64}",
            {"topic": topic, "partition": partition},
        )
        offsets += [row[0] for row in answer.rows]
    return sorted(offsets)


def offsets_of(records: Sequence[AuditRecord]) -> list[int]:
    """The offsets of records."""
    return [record.offset for record in records]
