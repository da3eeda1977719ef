"""Deterministic replay: a file of records through the same engine as the workers', one total order, no Kafka.

Owns the order: lines as they stand, ``batch`` of them per step; the credit leg of a granted transfer comes right after
the step that granted it, as the workers would write it to topic ``collateral``. Refuses to guard prices: marks are read
from topic ``marks``, raw prices are counted and passed over.

A log without offsets gets them by counting. A log with offsets is a recording: it holds the transfer credits already,
so none are added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from engine.books.account import AccountBook
from engine.commands import Command, TransferCredit
from engine.events import BadRecord, Event, Source
from engine.margin_engine import MarginEngine
from engine.market import Market
from engine.outcomes import Disposition, Outcome
from engine.reference.parameters import RiskParameters
from schemas.catalogue import load_catalogue
from schemas.codec import Record, decode_record, encode, key_of, topic_of
from schemas.errors import SchemaError
from schemas.fields import Count
from streams.dead_letters import dead_letter
from streams.translate import to_account_event, to_broadcast_event, to_wire

ACCOUNT_TOPICS = ("fills", "collateral", "liquidation-acks")
BROADCAST_TOPICS = ("marks", "reference", "settlements", "liquidation-control")


class InvalidLine(Exception):
    """A line of the log is not a record with a topic; the text names line and field."""


class _Line(msgspec.Struct, frozen=True):
    """A line of a log, as ``crossmargin tail`` prints it; other members are passed over."""

    topic: str
    key: str | None
    value: msgspec.Raw
    partition: Count | None = None
    offset: Count | None = None
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a log with its address."""

    source: Source
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A record as an event, or why it is none; a bad record of a known account is both. Neither: not an input."""

    record: LogRecord
    event: Event | None
    error: SchemaError | None


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay did. ``counts`` has applied, duplicate, rejected (each with a dead letter) and ignored, and they
    add up to ``records``; the hashes are over all accounts at the end and over everything written."""

    records: int
    counts: dict[str, int]
    written: dict[str, int]
    state_hash: str
    commands_hash: str


class LogReader:
    """Reads the lines of one log, numbering records that have no offset."""

    def __init__(self) -> None:
        self._next: Counter[tuple[str, int]] = Counter()
        self._recorded: bool | None = None

    @property
    def is_recording(self) -> bool:
        """Whether the records came with offsets."""
        return self._recorded is True

    def read(self, number: int, text: bytes) -> LogRecord:
        """The record in line ``number``; raises ``InvalidLine``."""
        try:
            line = msgspec.json.decode(text, type=_Line)
            value = _payload(line.value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidLine(f"line {number}: {error}") from error
        if line.topic not in load_catalogue():
            raise InvalidLine(f"line {number}: topic: no topic {line.topic!r}")
        if (line.partition is None) != (line.offset is None):
            raise InvalidLine(f"line {number}: offset: partition and offset come together or not at all")
        if self._recorded is None:
            self._recorded = line.offset is not None
        if self._recorded != (line.offset is not None):
            raise InvalidLine(f"line {number}: offset: all records of a log have offsets, or none")
        key = None if line.key is None else line.key.encode()
        if line.offset is None or line.partition is None:
            return LogRecord(self._source(line.topic), line.timestamp_ms, key, value)
        return LogRecord(Source(line.topic, line.partition, line.offset), line.timestamp_ms, key, value)

    def append(self, record: Record) -> LogRecord:
        """A record that the replay itself adds to the log."""
        return LogRecord(self._source(topic_of(record)), 0, key_of(record), encode(record))

    def _source(self, topic: str) -> Source:
        offset = self._next[topic, 0]
        self._next[topic, 0] += 1
        return Source(topic, 0, offset)


class Replay:
    """One run over one log."""

    def __init__(self, write: Callable[[bytes], object], batch: int = 1) -> None:
        """``write`` receives every output line, without line end, in order of decision."""
        assert batch >= 1
        self._write = write
        self._batch = batch
        self._engine = MarginEngine()
        self._reader = LogReader()
        self._pending: list[LogRecord] = []
        self._records = 0
        self._counts: Counter[str] = Counter()
        self._written: Counter[str] = Counter()
        self._digest = blake2b(digest_size=16)

    def run(self, lines: Iterable[tuple[int, bytes]]) -> ReplayReport:
        """Replay numbered lines to the end; raises ``InvalidLine``."""
        for number, text in lines:
            self._pending.append(self._reader.read(number, text))
            while len(self._pending) >= self._batch:
                self._step()
        while self._pending:
            self._step()
        return ReplayReport(
            records=self._records,
            counts={name: self._counts[name] for name in ("applied", "duplicate", "rejected", "ignored")},
            written=dict(sorted(self._written.items())),
            state_hash=self._engine.state_hash(),
            commands_hash=self._digest.hexdigest(),
        )

    def books(self) -> list[AccountBook]:
        """The accounts as they stand, sorted by id; for reading only."""
        return [book for name in sorted(self._engine.accounts()) if (book := self._engine.book(name)) is not None]

    def market(self) -> Market:
        """The market as it stands; an immutable value."""
        return self._engine.market()

    def parameters(self) -> RiskParameters | None:
        """The risk parameters in force, or None before the first."""
        return self._engine.parameters

    def _step(self) -> None:
        records, self._pending = self._pending[: self._batch], self._pending[self._batch :]
        self._records += len(records)
        decoded = [self._decode(record) for record in records]
        result = self._engine.step([item.event for item in decoded if item.event is not None])
        outcomes = iter(result.outcomes)
        for item in decoded:
            self._account_for(item, next(outcomes) if item.event is not None else None)
        for _, command in result.commands:
            topic, key, record = to_wire(command)
            self._emit(topic, key, record)
            if isinstance(command, TransferCredit) and not self._reader.is_recording:
                self._pending.append(self._reader.append(record))
        reports: tuple[Command, ...] = (*result.snapshots, *result.gaps)
        for report in reports:
            self._emit(*to_wire(report))

    def _decode(self, record: LogRecord) -> _Decoded:
        source = record.source
        if source.topic not in ACCOUNT_TOPICS + BROADCAST_TOPICS:
            return _Decoded(record, None, None)
        try:
            struct = decode_record(source.topic, record.key, record.value)
            if source.topic in BROADCAST_TOPICS:
                return _Decoded(record, to_broadcast_event(struct, source.offset), None)
            return _Decoded(record, to_account_event(struct, source), None)
        except SchemaError as error:
            account = (record.key or b"").decode("ascii", "replace")
            if source.topic in BROADCAST_TOPICS or self._engine.book(account) is None:
                return _Decoded(record, None, error)
            return _Decoded(record, BadRecord(source, account), error)

    def _account_for(self, item: _Decoded, outcome: Outcome | None) -> None:
        """Count the record, and write its dead letter if it was refused."""
        if item.error is not None:
            self._reject(item.record, item.error)
        elif outcome is None:
            self._counts["ignored"] += 1
        elif outcome.disposition is Disposition.REJECTED:
            self._reject(item.record, outcome)
        else:
            self._counts[outcome.disposition.value] += 1

    def _reject(self, record: LogRecord, error: SchemaError | Outcome) -> None:
        self._counts["rejected"] += 1
        source = record.source
        letter = dead_letter(
            source.topic, source.partition, source.offset, record.key, record.value, record.timestamp_ms, error
        )
        self._emit("dead-letters", key_of(letter), letter)

    def _emit(self, topic: str, key: bytes, record: Record) -> None:
        line = msgspec.json.encode({"topic": topic, "key": key.decode(), "value": msgspec.Raw(encode(record))})
        self._digest.update(line + b"\n")
        self._written[topic] += 1
        self._write(line)


def read_output(line: bytes) -> tuple[str, bytes]:
    """Topic and value of a line that a replay has written."""
    read = msgspec.json.decode(line, type=_Line)
    return read.topic, bytes(read.value)


def _payload(raw: msgspec.Raw) -> bytes | None:
    """The value of a line as a broker would hold it: null is a tombstone, text is taken as it stands."""
    data = bytes(raw)
    if data == b"null":
        return None
    if data.startswith(b'"'):
        return msgspec.json.decode(data, type=str).encode()
    return data
