"""The risk runner: one margin engine, the accounts of the partitions this worker owns, and what they owe.

Owns the way from raw records to changed rows: scan or decode, step, collect. Everything here is synchronous and free
of Kafka, so that a Faust worker, a test and a fault simulation drive the same code. Refuses to know how rows, messages
and dead letters travel (``streams.worker``).

Fills travel in two lanes. A whole slice is scanned into columns at once, and the engine applies them from there; a
record that the scanner or the engine does not take (odd, bad, of a new account) stops the lane, is decoded and applied
alone, and the lane goes on behind it. Order inside a partition is the order of the log.

Trail: before it ``streams.worker`` (a coalesced batch), after it ``engine.margin_engine``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from aiokafka.partitioner import murmur2

from engine import MarginEngine
from engine.columns.arrays import Int64s, UInt8s
from engine.columns.fill_columns import FillColumns
from engine.columns.fills import REPEATED, TAKEN, outcome_of
from engine.columns.rows import DamagedRow
from engine.commands import MarginSnapshot, StepResult
from engine.events import BadRecord, Fill, Source
from engine.outcomes import Outcome
from schemas.codec import decode_record, encode, key_of
from schemas.errors import Reason, SchemaError
from schemas.events.dead_letters import DeadLetterV1
from schemas.events.fills import FillV1
from streams.dead_letters import dead_letter
from streams.outbox import Outbox
from streams.rows import OutboxEntry, UnreadableRow, frame_row, frame_rows, split_row
from streams.translate import to_account_event, to_broadcast_event, to_wire
from streams.translate.fill_lane import scan


class InputRecord(Protocol):
    """What a runner needs of one Kafka record."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...


class InputRecords(Protocol):
    """What the runner needs of consecutive Kafka records of one partition, column by column."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def keys(self) -> Sequence[bytes | None]: ...
    @property
    def values(self) -> Sequence[bytes | None]: ...
    @property
    def offsets(self) -> Int64s: ...
    @property
    def timestamps(self) -> Int64s: ...


@dataclass(frozen=True, slots=True)
class Scanned:
    """Records before they are applied; ``fills`` are those of the fills topic as columns. ``lacks_reference``: a fill
    names an instrument that cannot be booked yet, so reference data may still be on its way."""

    records: InputRecords
    fills: FillColumns | None
    lacks_reference: bool


@dataclass(slots=True)
class BatchEffects:
    """What the shell has to do after a step: write these rows, publish these messages.

    ``dirty`` are account ids by partition. ``dead_letters`` are those of records that no row knows; those of known
    accounts are in their rows' outbox. ``reports`` are about many accounts at once. ``bad`` are the reasons of all bad
    records by offset.
    """

    dirty: Mapping[int, Sequence[bytes]]
    dead_letters: list[DeadLetterV1]
    snapshots: list[OutboxEntry]
    reports: list[OutboxEntry] = field(default_factory=list)
    bad: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Fates:
    """What became of the records of a slice."""

    letters: list[DeadLetterV1] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition Kafka's default partitioner gives ``key``."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class RiskRunner:
    """Drives one ``MarginEngine`` over the partitions that this worker owns; a partition is a shard of the engine.

    While ``judging`` is off, events are applied and nobody's status changes (``streams.catch_up``).
    """

    def __init__(self, outbox: Outbox, partitions: int, epoch: Callable[[int], int] = lambda partition: 0) -> None:
        """``epoch`` is the fencing number under which this worker owns a partition."""
        self.engine = MarginEngine()
        self.outbox = outbox
        self.judging = True
        self.counts: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        self._partitions = partitions
        self._epoch = epoch

    def scan(self, records: InputRecords) -> Scanned:
        """Look at account records for the first time. What is found holds until the next event of any kind: apply it
        at once, or scan again."""
        if records.topic != "fills":
            return Scanned(records, None, lacks_reference=False)
        fills = scan(records.keys, records.values, records.offsets, *self.engine.names())
        known_I = np.append(self.engine.bookable_instruments(), False)  # the last is for unknown ones, number -1
        taken_N = fills.lane_N != 0
        lacks = bool(np.any(taken_N & ~known_I[fills.instrument_N]))
        odd = np.flatnonzero(~taken_N).tolist()
        return Scanned(records, fills, lacks or any(self._lacks_reference(records, at) for at in odd))

    def apply(self, scanned: Scanned, *, judge: bool = True) -> BatchEffects:
        """Step the engine over account records and collect what follows from it. Without ``judge`` the accounts are
        judged at the next step of any kind."""
        records, fills, fates = scanned.records, scanned.fills, _Fates()
        self.engine.begin()
        at, end = 0, len(records.offsets)
        code_N = np.zeros(end, dtype=np.uint8)
        while at < end:
            if fills is not None:
                at = self.engine.apply_fills(fills, at, records.partition, code_N)
            if at < end:
                self._apply_record(records, at, fates)
                at += 1
        self._note_lane(records, fills, code_N, fates)
        fates.letters.sort(key=lambda letter: letter.offset)
        effects = self._collect(self.engine.finish((), judge=judge and self.judging, sweep_max=0))
        effects.bad = {letter.offset: letter.reason for letter in fates.letters}
        effects.dead_letters = [letter for letter in fates.letters if not self._owe(letter)]
        counts = self.counts[records.topic, records.partition]
        counts["read"] += end
        counts["dead_lettered"] += len(fates.letters)
        counts.update(+fates.counts)
        return effects

    def apply_broadcast(self, topic: str, records: Sequence[InputRecord]) -> BatchEffects:
        """Apply marks, reference data or settlements. What is wrong with them the oracle role reports; here it is
        counted, and changes nothing."""
        counts = self.counts[topic, 0]
        counts["read"] += len(records)
        self.engine.begin()
        for record in records:
            try:
                struct = decode_record(topic, record.key, record.value)
                event = to_broadcast_event(struct, record.offset)
            except SchemaError:
                counts["rejected"] += 1
            else:
                counts[self.engine.apply(event).disposition.value] += 1
        return self._collect(self.engine.finish((), judge=self.judging, sweep_max=0))

    def evaluate(self, sweep_max: int | None = None) -> BatchEffects:
        """Recompute accounts adopted since the last step, on the market as it stands, and go on with the sweep by at
        most ``sweep_max`` accounts."""
        return self._collect(self.engine.step((), judge=self.judging, sweep_max=sweep_max))

    def load(self, partition: int, rows: Mapping[bytes, bytes]) -> None:
        """Adopt the recovered rows of a partition; raises ``UnreadableRow``."""
        self.drop(partition)
        books: list[bytes] = []
        owing: list[tuple[str, list[OutboxEntry]]] = []
        for key, row in rows.items():
            book, entries = split_row(row)
            books.append(book)
            if entries:
                owing.append((key.decode(), entries))
        try:
            accounts = self.engine.load_rows(books, partition)
        except DamagedRow as error:
            raise UnreadableRow(f"partition {partition}: {error}") from error
        assert accounts == list(rows), "a row is kept under the id of its account"
        for account, entries in owing:
            self.outbox.load(account, entries)

    def drop(self, partition: int) -> None:
        """Forget a partition that now belongs to another worker."""
        self.outbox.drop([account for account in self.outbox.owing() if self.home(account) == partition])
        self.engine.drop_shard(partition)

    def encode(self, partition: int, keys: Sequence[bytes]) -> list[bytes]:
        """The rows of accounts as they stand now."""
        books = self.engine.encode_rows(keys)
        if self.outbox.is_empty:
            return frame_rows(books)
        return [frame_row(book, self.outbox.entries(key.decode())) for key, book in zip(keys, books, strict=True)]

    def home(self, account: str) -> int | None:
        """The partition of an account of this worker."""
        return self.engine.shard(account)

    def _note_lane(self, records: InputRecords, fills: FillColumns | None, code_N: UInt8s, fates: _Fates) -> None:
        """Count what became of the records that the lane took, and write dead letters of those it rejected."""
        if fills is None:
            return
        fates.counts["applied"] += int(np.count_nonzero(code_N == TAKEN))
        fates.counts["duplicate"] += int(np.count_nonzero(code_N == REPEATED))
        for at in np.flatnonzero(code_N > REPEATED).tolist():
            struct = decode_record(records.topic, records.keys[at], records.values[at])
            assert isinstance(struct, FillV1), "the lane takes fills"
            terms = self.engine.market().instruments.get(struct.instrument)
            outcome = outcome_of(int(code_N[at]), terms, struct.event_id)
            fates.letters.append(self._dead_letter(records, at, outcome))

    def _apply_record(self, records: InputRecords, at: int, fates: _Fates) -> None:
        source = Source(records.topic, records.partition, int(records.offsets[at]))
        key = records.keys[at]
        try:
            struct = decode_record(records.topic, key, records.values[at])
            event = to_account_event(struct, source)
            self._check_partition(event.account, records.partition)
        except SchemaError as error:
            fates.letters.append(self._dead_letter(records, at, error))
            account = (key or b"").decode("ascii", "replace")
            if self.home(account) == records.partition:
                self.engine.apply(BadRecord(source, account))
            return
        outcome = self.engine.apply(event)
        if outcome.rejection is not None:
            fates.letters.append(self._dead_letter(records, at, outcome))
        else:
            fates.counts[outcome.disposition.value] += 1

    def _lacks_reference(self, records: InputRecords, at: int) -> bool:
        try:
            struct = decode_record(records.topic, records.keys[at], records.values[at])
            event = to_account_event(struct, Source(records.topic, records.partition, int(records.offsets[at])))
        except SchemaError:
            return False
        return isinstance(event, Fill) and not self.engine.has_instrument(event.instrument)

    def _check_partition(self, account: str, partition: int) -> None:
        home = self.home(account)
        if home is None:
            home = partition_of(account.encode(), self._partitions)
        if home != partition:
            raise SchemaError(Reason.WRONG_PARTITION, "account", f"belongs to partition {home}, not {partition}")

    def _owe(self, letter: DeadLetterV1) -> bool:
        """Put a dead letter into the row of its account, whose watermark would hide the record from a replay. False
        when no row knows the record: it is read again until it is reported."""
        if self.home(letter.key) != letter.partition:
            return False
        self.outbox.add(letter.key, OutboxEntry("dead-letters", key_of(letter), encode(letter)))
        return True

    def _collect(self, result: StepResult) -> BatchEffects:
        for owner, command in result.commands:
            partition = self.home(owner)
            assert partition is not None, "commands are made for accounts of this worker"
            topic, key, struct = to_wire(command, self._epoch(partition))
            self.outbox.add(owner, OutboxEntry(topic, key, encode(struct)))
        reports = [OutboxEntry(topic, key, encode(struct)) for topic, key, struct in map(to_wire, result.gaps)]
        return BatchEffects(result.rows, [], [self._snapshot(snapshot) for snapshot in result.snapshots], reports)

    def _snapshot(self, snapshot: MarginSnapshot) -> OutboxEntry:
        topic, key, struct = to_wire(snapshot)
        return OutboxEntry(topic, key, encode(struct))

    def _dead_letter(self, records: InputRecords, at: int, error: SchemaError | Outcome) -> DeadLetterV1:
        return dead_letter(
            records.topic,
            records.partition,
            int(records.offsets[at]),
            records.keys[at],
            records.values[at],
            int(records.timestamps[at]),
            error,
        )
