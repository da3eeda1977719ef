"""Explains a liquidation command: recomputes it from the audit trail alone and compares every bit.

Owns the proof. Three things must hold: the audited decision is what ``decide`` returns for the audited book, marks,
reference data and parameters; its commands, including the one asked about, are byte for byte those audited, sent in one
epoch; and the positions in that book are what the account's audited fills and settlements add up to. Refuses to trust
any figure that was written down: figures are only ever compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine import MarginEngine
from engine.books.account import AccountBook
from engine.commands import Command
from engine.events import Event, Fill, Source
from engine.liquidation.decision import decide
from engine.state import book_from_text
from schemas.codec import decode, encode
from schemas.errors import SchemaError
from schemas.events.liquidations import LiquidationCommandV1, VersionsV1
from schemas.events.margin_events import LiquidationDecisionV1
from streams.audit.evidence import (
    ACCOUNT_INPUTS,
    COMMAND,
    COMMANDS_OF_DECISION,
    CONTROLS_AS_OF,
    MARGIN_EVENT,
    MARKS_AS_OF,
    REFERENCE_AS_OF,
    SETTLEMENTS_AS_OF,
)
from streams.audit.store import AuditStore
from streams.translate import to_account_event, to_broadcast_event, to_versions, to_wire


class NotInAudit(Exception):
    """The audit trail does not hold what was asked for; the text names it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and its proof. ``differences`` is empty when every bit agrees."""

    command: LiquidationCommandV1
    decision: LiquidationDecisionV1
    commands: tuple[LiquidationCommandV1, ...]
    differences: tuple[str, ...]


def explain(store: AuditStore, command_id: str) -> Explanation:
    """Recompute the decision behind ``command_id``; raises ``NotInAudit`` when a part of the evidence is missing."""
    command = _one(store, "command", command_id)
    assert isinstance(command, LiquidationCommandV1)
    decision = _one(store, "decision", command.decision_id)
    assert isinstance(decision, LiquidationDecisionV1)
    audited = _raw_by_id(COMMANDS_OF_DECISION.run(store, decision_id=decision.event_id).rows)
    market = _market_engine(store, decision.versions)
    differences = [
        *_compare_versions(market, decision.versions),
        *_compare_decision(market, decision, audited),
        *_compare_positions(store, decision),
    ]
    commands = tuple(_as_command(raw) for raw in audited.values())
    return Explanation(command, decision, commands, tuple(differences))


def _one(store: AuditStore, what: str, identity: str) -> object:
    if what == "command":
        rows = COMMAND.run(store, command_id=identity).rows
        topic = "liquidations"
    else:
        rows = MARGIN_EVENT.run(store, event_id=identity).rows
        topic = "margin-events"
    copies = {row[-1] for row in rows}
    if not copies:
        raise NotInAudit(f"{what} {identity} is not in the audit trail")
    if len(copies) > 1:
        raise NotInAudit(f"{what} {identity} is in the audit trail with {len(copies)} different contents")
    return decode(topic, copies.pop())


def _raw_by_id(rows: Iterable[Sequence[object]]) -> dict[str, bytes]:
    """Bytes by command id, in leg order; a redelivery is the same bytes again."""
    found: dict[str, bytes] = {}
    for row in rows:
        raw = row[-1]
        assert isinstance(raw, bytes)
        found.setdefault(str(row[0]), raw)
    return found


def _as_command(raw: bytes) -> LiquidationCommandV1:
    command = decode("liquidations", raw)
    assert isinstance(command, LiquidationCommandV1)
    return command


def _market_engine(store: AuditStore, versions: VersionsV1) -> MarginEngine:
    """An engine without accounts that has seen what the decision had seen of the broadcast topics."""
    engine = MarginEngine()
    for topic, rows in (
        ("reference", REFERENCE_AS_OF.run(store, reference_version=versions.reference_version).rows),
        ("liquidation-control", CONTROLS_AS_OF.run(store, control_version=versions.control_version).rows),
        ("marks", MARKS_AS_OF.run(store, mark_version=versions.mark_version).rows),
        ("settlements", SETTLEMENTS_AS_OF.run(store, settlement_version=versions.settlement_version).rows),
    ):
        engine.step(_events(topic, rows))
    return engine


def _events(topic: str, rows: Iterable[Sequence[object]]) -> list[Event]:
    events: list[tuple[int, Event]] = []
    for *_, offset, raw in rows:
        assert isinstance(offset, int) and isinstance(raw, bytes)
        try:
            events.append((offset, to_broadcast_event(decode(topic, raw), offset)))
        except SchemaError:
            continue  # The workers ignored it for the same reason.
    return [event for _, event in sorted(events, key=lambda pair: pair[0])]


def _compare_versions(engine: MarginEngine, versions: VersionsV1) -> list[str]:
    differences = []
    if engine.market().time_us != versions.time_us:
        differences.append(f"time_us: {engine.market().time_us} from the marks, {versions.time_us} in the decision")
    in_force = engine.parameters.version if engine.parameters is not None else 0
    if in_force != versions.parameters_version:
        differences.append(f"parameters_version: {in_force} recomputed, {versions.parameters_version} in the decision")
    return differences


def _compare_decision(engine: MarginEngine, decision: LiquidationDecisionV1, audited: dict[str, bytes]) -> list[str]:
    if engine.parameters is None:
        return ["parameters: none in force at the decision's reference version"]
    book = book_from_text(decision.book)
    again = decide(book, engine.market(), engine.parameters, to_versions(decision.versions))
    if again is None:
        return ["decision: recomputed, there is nothing to command"]
    evidence, commands = again
    differences = []
    if _bytes(evidence) != encode(decision):
        differences.append(f"decision {decision.event_id}: recomputed bytes differ")
    epochs = {_as_command(raw).epoch for raw in audited.values()}
    if len(epochs) != 1:
        return [*differences, f"commands of {decision.event_id}: sent in epochs {sorted(epochs)}"]
    recomputed = {command.command_id: _bytes(command, *epochs) for command in commands}
    for command_id in sorted(recomputed.keys() | audited.keys()):
        if recomputed.get(command_id) != audited.get(command_id):
            differences.append(f"command {command_id}: recomputed bytes differ from those audited")
    return differences


def _compare_positions(store: AuditStore, decision: LiquidationDecisionV1) -> list[str]:
    """The positions of the audited book against the sum of the account's audited fills and settlements."""
    claimed = book_from_text(decision.book)
    offsets = decision.versions.offsets
    rows = ACCOUNT_INPUTS.run(
        store,
        account=decision.account,
        fills_offset=offsets.get("fills", -1),
        collateral_offset=-1,
        liquidation_acks_offset=-1,
    ).rows
    engine = MarginEngine()
    versions = decision.versions
    engine.step(_events("reference", REFERENCE_AS_OF.run(store, reference_version=versions.reference_version).rows))
    for topic, partition, offset, _, _, _, raw in rows:
        engine.step(_fill(str(topic), int(partition), int(offset), raw))
    engine.step(
        _events("settlements", SETTLEMENTS_AS_OF.run(store, settlement_version=versions.settlement_version).rows)
    )
    summed = engine.book(decision.account) or AccountBook(decision.account)
    differences = []
    for name in sorted(claimed.positions.keys() | summed.positions.keys()):
        one, other = _holding(claimed, name), _holding(summed, name)
        if one != other:
            differences.append(f"position {name}: {one} in the decision, {other} from the fills")
    return differences


def _fill(topic: str, partition: int, offset: int, raw: bytes) -> list[Event]:
    try:
        event = to_account_event(decode(topic, raw), Source(topic, partition, offset))
    except SchemaError:
        return []  # A dead letter: it changed no position.
    return [event] if isinstance(event, Fill) else []


def _holding(book: AccountBook, name: str) -> tuple[int, int]:
    position = book.positions.get(name)
    return (position.quantity_e8, position.cost_e8) if position is not None else (0, 0)


def _bytes(command: Command, epoch: int = 0) -> bytes:
    return encode(to_wire(command, epoch)[2])
