"""The demonstration without Kafka: the same exchange and executor against a bare engine, one minute a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine import MarginEngine
from engine.commands import MarginSnapshot, StepResult
from engine.events import Event, Source
from engine.oracle import PriceGuard
from engine.outcomes import Disposition
from schemas.codec import Record, decode_record, encode, key_of, topic_of
from schemas.errors import SchemaError
from schemas.events.collateral import CollateralV1
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1
from schemas.events.prices import PriceV1
from streams.audit.inserter import BatchInserter
from streams.audit.records import AuditRecord
from streams.audit.store import AuditStore
from streams.demo.exchange import Exchange
from streams.demo.mistakes import RawRecord
from streams.demo.population import BACKSTOP
from streams.executor import LiquidationExecutor, MarketHistory
from streams.translate import to_account_event, to_broadcast_event, to_mark_record, to_quote, to_wire


@dataclass
class Rehearsal:
    """Plays an exchange; everything that would have been published is kept by topic."""

    exchange: Exchange
    engine: MarginEngine = field(default_factory=MarginEngine)
    guard: PriceGuard = field(default_factory=PriceGuard)
    topics: dict[str, list[Record]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    snapshots: list[MarginSnapshot] = field(default_factory=list)
    offsets: Counter[str] = field(default_factory=Counter)
    dead_letters: int = 0

    def __post_init__(self) -> None:
        self.history = MarketHistory()
        self.executor = LiquidationExecutor(self.history, BACKSTOP)

    def play(self) -> None:
        self.publish(self.exchange.reference())
        for at in range(len(self.exchange.minutes)):
            records, mistakes = self.exchange.minute(at)
            self.publish([record for record in records if isinstance(record, PriceV1)])
            if at == 0:
                self.publish(self.exchange.deposits())
            self.publish([record for record in records if not isinstance(record, PriceV1)])
            self.publish_raw(mistakes)
            if at % 5 == 0 and (probe := self.exchange.probe()) is not None:
                self.publish([probe])

    def publish(self, records: Sequence[Record]) -> None:
        """Step the engine over records and over everything that follows from them, until nothing does."""
        while records:
            result = self.engine.step(events := [event for record in records for event in self._events(record)])
            for event, outcome in zip(events, result.outcomes, strict=True):
                self.outcomes[outcome.disposition.value] += 1
                if outcome.disposition is Disposition.REJECTED:
                    self.outcomes[str(outcome.rejection)] += 1
                    self.dead_letters += 1
                    assert outcome.rejection is not None, event
            records = self._answers(result)

    def audit(self, store: AuditStore) -> None:
        """Write every record into an audit trail, one partition a topic."""
        batch = {
            (topic, 0): [
                AuditRecord(offset, 0, key_of(record), encode(record)) for offset, record in enumerate(records)
            ]
            for topic, records in self.topics.items()
        }
        BatchInserter(store).insert(batch)

    def publish_raw(self, mistakes: Sequence[RawRecord]) -> None:
        for mistake in mistakes:
            try:
                record = decode_record(mistake.topic, mistake.key, mistake.value)
                if isinstance(record, PriceV1):
                    to_quote(record)
                else:
                    to_account_event(record, Source("", 0, 0))
            except SchemaError as error:
                self.outcomes[error.reason] += 1
                self.dead_letters += 1
                continue
            self.publish([record])

    def _events(self, record: Record) -> list[Event]:
        topic = topic_of(record)
        self.topics.setdefault(topic, []).append(record)
        offset = self.offsets[topic]
        self.offsets[topic] += 1
        if isinstance(record, FillV1):
            self.executor.learn_fill(record, 0, offset)
        if isinstance(record, (FillV1, CollateralV1, LiquidationAckV1)):
            return [to_account_event(decode_record(topic, key_of(record), encode(record)), Source(topic, 0, offset))]
        if not isinstance(record, PriceV1):
            self.history.learn(record, offset)
            return [to_broadcast_event(record, offset)]
        mark = self.guard.offer(to_quote(record))
        return [] if mark is None else self._events(to_mark_record(mark))

    def _answers(self, result: StepResult) -> list[Record]:
        self.snapshots += result.snapshots
        self.topics.setdefault("margin-events", []).extend(to_wire(snapshot)[2] for snapshot in result.snapshots)
        wired = [to_wire(command)[2] for _, command in result.commands]
        for record in wired:
            self.topics.setdefault(topic_of(record), []).append(record)
            self.exchange.observe(record)
        executed = self.executor.offer([record for record in wired if isinstance(record, LiquidationCommandV1)])
        for record in executed:
            self.exchange.observe(record)
        return executed + [record for record in wired if isinstance(record, CollateralV1)]
