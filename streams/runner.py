"""The risk runner: one margin engine, the accounts of the partitions this worker owns, and what they owe.

Owns the way from raw records to changed rows: decode, translate, step, collect. Everything here is synchronous and
free of Kafka, so that a Faust worker, a test and a fault simulation drive the same code. Refuses to know how rows,
messages and dead letters travel (``streams.worker``).

Trail: before it ``streams.worker`` (a coalesced batch), after it ``engine.margin_engine``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka.partitioner import murmur2

from engine import MarginEngine
from engine.commands import MarginSnapshot, StepResult
from engine.events import AccountEvent, BadRecord, Event, Fill, Source
from engine.outcomes import Disposition, Outcome
from schemas.codec import decode_record, encode, key_of
from schemas.errors import Reason, SchemaError
from schemas.events.dead_letters import DeadLetterV1
from streams.dead_letters import dead_letter
from streams.outbox import Outbox
from streams.rows import OutboxEntry, decode_row, encode_row
from streams.translate import to_account_event, to_broadcast_event, to_wire


class InputRecord(Protocol):
    """What the runner needs of a Kafka record."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...


@dataclass(slots=True)
class DecodedBatch:
    """Records of one partition, each as an engine event or as a dead letter (or both: the event flags the account)."""

    topic: str
    partition: int
    events: list[Event] = field(default_factory=list)
    records: list[InputRecord] = field(default_factory=list)
    dead_letters: list[DeadLetterV1] = field(default_factory=list)
    read: int = 0


@dataclass(slots=True)
class BatchEffects:
    """What the shell has to do after a step: write these rows, publish these messages.

    ``dead_letters`` are those of records that no row knows; those of known accounts are in their rows' outbox.
    ``bad`` are the reasons of all bad records by offset.
    """

    dirty: dict[int, list[str]]
    dead_letters: list[DeadLetterV1]
    snapshots: list[OutboxEntry]
    bad: dict[int, str] = field(default_factory=dict)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition Kafka's default partitioner gives ``key``."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class RiskRunner:
    """Drives one ``MarginEngine`` over the partitions that this worker owns.

    While ``judging`` is off, events are applied and nobody's status changes (``streams.catch_up``).
    """

    def __init__(self, outbox: Outbox, partitions: int) -> None:
        self.engine = MarginEngine()
        self.outbox = outbox
        self.judging = True
        self.counts: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        self._partitions = partitions
        self._partition_of: dict[str, int] = {}
        self._accounts_in: dict[int, set[str]] = defaultdict(set)

    def decode(self, topic: str, partition: int, records: Sequence[InputRecord]) -> DecodedBatch:
        """Turn records into events; a poison record costs only itself."""
        batch = DecodedBatch(topic, partition, read=len(records))
        for record in records:
            source = Source(topic, partition, record.offset)
            try:
                struct = decode_record(topic, record.key, record.value)
                event: AccountEvent = to_account_event(struct, source)
                self._check_partition(event.account, partition)
            except SchemaError as error:
                batch.dead_letters.append(self._dead_letter(source, record, error))
                account = (record.key or b"").decode("ascii", "replace")
                if self._partition_of.get(account) != partition:
                    continue
                event = BadRecord(source, account)
            batch.events.append(event)
            batch.records.append(record)
        return batch

    def lacks_reference(self, batch: DecodedBatch) -> bool:
        """Whether a fill names an instrument not heard of yet: reference data may still be on its way."""
        fills = (event for event in batch.events if isinstance(event, Fill))
        return any(not self.engine.has_instrument(fill.instrument) for fill in fills)

    def apply(self, batch: DecodedBatch) -> BatchEffects:
        """Step the engine over a decoded batch and collect what follows from it."""
        result = self.engine.step(batch.events, judge=self.judging)
        for account in result.touched:
            self._own(account, batch.partition)
        effects = self._collect(result)
        letters = batch.dead_letters + self._rejections(batch, result.outcomes)
        effects.bad = {letter.offset: letter.reason for letter in letters}
        effects.dead_letters = [letter for letter in letters if not self._owe(letter)]
        counts = self.counts[batch.topic, batch.partition]
        counts["read"] += batch.read
        counts["dead_lettered"] += len(letters)
        for event, outcome in zip(batch.events, result.outcomes, strict=True):
            if not isinstance(event, BadRecord) and outcome.disposition is not Disposition.REJECTED:
                counts[outcome.disposition.value] += 1
        return effects

    def apply_broadcast(self, topic: str, records: Sequence[InputRecord]) -> BatchEffects:
        """Apply marks, reference data or settlements. What is wrong with them the oracle role reports; here it is
        counted, and changes nothing."""
        events: list[Event] = []
        counts = self.counts[topic, 0]
        counts["read"] += len(records)
        for record in records:
            try:
                struct = decode_record(topic, record.key, record.value)
                events.append(to_broadcast_event(struct, record.offset))
            except SchemaError:
                counts["rejected"] += 1
        result = self.engine.step(events, judge=self.judging)
        for outcome in result.outcomes:
            counts[outcome.disposition.value] += 1
        return self._collect(result)

    def evaluate(self) -> BatchEffects:
        """Recompute accounts adopted since the last step, on the market as it stands."""
        return self._collect(self.engine.step((), judge=self.judging))

    def load(self, partition: int, rows: Mapping[bytes, bytes]) -> None:
        """Adopt the recovered rows of a partition."""
        self.drop(partition)
        for key, data in rows.items():
            book, entries = decode_row(data)
            account = key.decode()
            assert book.account == account, f"row of {account} holds {book.account}"
            self._own(account, partition)
            self.engine.load(book)
            self.outbox.load(account, entries)

    def drop(self, partition: int) -> None:
        """Forget a partition that now belongs to another worker."""
        accounts = self._accounts_in.pop(partition, set())
        self.engine.drop(accounts)
        self.outbox.drop(accounts)
        for account in accounts:
            del self._partition_of[account]

    def encode(self, partition: int, key: bytes) -> bytes:
        """The row of an account as it stands now."""
        account = key.decode()
        book = self.engine.book(account)
        assert book is not None and self._partition_of[account] == partition
        return encode_row(book, self.outbox.entries(account))

    def home(self, account: str) -> int | None:
        """The partition of an account of this worker."""
        return self._partition_of.get(account)

    def _owe(self, letter: DeadLetterV1) -> bool:
        """Put a dead letter into the row of its account, whose watermark would hide the record from a replay. False
        when no row knows the record: it is read again until it is reported."""
        book = self.engine.book(letter.key)
        if book is None or self._partition_of.get(letter.key) != letter.partition:
            return False
        self.outbox.add(letter.key, OutboxEntry("dead-letters", key_of(letter), encode(letter)))
        return True

    def _own(self, account: str, partition: int) -> None:
        if account not in self._partition_of:
            self._partition_of[account] = partition
            self._accounts_in[partition].add(account)

    def _check_partition(self, account: str, partition: int) -> None:
        home = self._partition_of.get(account)
        if home is None:
            home = partition_of(account.encode(), self._partitions)
        if home != partition:
            raise SchemaError(Reason.WRONG_PARTITION, "account", f"belongs to partition {home}, not {partition}")

    def _collect(self, result: StepResult) -> BatchEffects:
        for owner, command in result.commands:
            topic, key, struct = to_wire(command)
            self.outbox.add(owner, OutboxEntry(topic, key, encode(struct)))
        dirty: dict[int, list[str]] = defaultdict(list)
        for account in result.touched:
            dirty[self._partition_of[account]].append(account)
        return BatchEffects(dict(dirty), [], [self._snapshot(snapshot) for snapshot in result.snapshots])

    def _snapshot(self, snapshot: MarginSnapshot) -> OutboxEntry:
        topic, key, struct = to_wire(snapshot)
        return OutboxEntry(topic, key, encode(struct))

    def _rejections(self, batch: DecodedBatch, outcomes: Iterable[Outcome]) -> list[DeadLetterV1]:
        letters = []
        for event, record, outcome in zip(batch.events, batch.records, outcomes, strict=True):
            if outcome.rejection is not None and not isinstance(event, BadRecord):
                source = Source(batch.topic, batch.partition, record.offset)
                letters.append(self._dead_letter(source, record, outcome))
        return letters

    def _dead_letter(self, source: Source, record: InputRecord, error: SchemaError | Outcome) -> DeadLetterV1:
        return dead_letter(
            source.topic, source.partition, source.offset, record.key, record.value, record.timestamp, error
        )
