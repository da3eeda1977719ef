"""The runner: every record has one fate, neighbors of a bad one are applied, and rows bring everything back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson
import pytest

from engine.columns.arrays import Int64s
from engine.state import canonical_text
from schemas.codec import decode
from schemas.events.dead_letters import DeadLetterV1
from schemas.events.liquidations import LiquidationCommandV1
from streams.outbox import Outbox
from streams.rows import OutboxEntry, UnreadableRow, frame_row, split_row
from streams.runner import BatchEffects, RiskRunner, partition_of
from tests.faults.workload import Event, Json, Workload, mark
from tests.streams.rows import read_row

PARTITIONS = 4


@dataclass(frozen=True)
class Record:
    key: bytes | None
    value: bytes | None
    offset: int


@dataclass(frozen=True)
class Records:
    """Records of one partition, column by column."""

    topic: str
    partition: int
    records: Sequence[Record]

    @property
    def keys(self) -> list[bytes | None]:
        return [record.key for record in self.records]

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for record in self.records]

    @property
    def offsets(self) -> Int64s:
        return np.array([record.offset for record in self.records], dtype=np.int64)

    @property
    def timestamps(self) -> Int64s:
        return np.full(len(self.records), 1_700_000_000_000, dtype=np.int64)


async def unsent(message: OutboxEntry) -> asyncio.Future[object]:
    raise AssertionError(f"the runner sends nothing, but {message.topic} was sent")


class Driver:
    """Feeds a runner as the worker does, partition by partition, numbering offsets."""

    def __init__(self) -> None:
        self.runner = RiskRunner(Outbox(unsent, lambda account: None), PARTITIONS)
        self.offsets: dict[tuple[str, int], int] = {}

    def publish(self, *events: Event) -> BatchEffects:
        effects = BatchEffects({}, [], [])
        for event in events:
            effects = self.send(event.topic, event.key.encode(), orjson.dumps(event.value))
        return effects

    def send(self, topic: str, key: bytes, value: bytes, partition: int | None = None) -> BatchEffects:
        home = 0 if topic in ("marks", "reference", "settlements") else partition_of(key, PARTITIONS)
        at = home if partition is None else partition
        offset = self.offsets.get((topic, at), -1) + 1
        self.offsets[topic, at] = offset
        record = Record(key, value, offset)
        if topic in ("marks", "reference", "settlements"):
            return self.runner.apply_broadcast(topic, [record])
        return self.apply(Records(topic, at, [record]))

    def apply(self, records: Records) -> BatchEffects:
        return self.runner.apply(self.runner.scan(records))

    def row(self, account: bytes) -> bytes:
        (row,) = self.runner.encode(partition_of(account, PARTITIONS), [account])
        return row


def deposit(account: str = "alice", amount: str = "10000", event_id: str = "d-1") -> Event:
    value: Json = {
        "v": 1, "event_id": event_id, "account": account, "kind": "deposit", "asset": "USD", "amount": amount,
        "event_time_us": 1,
    }  # fmt: skip
    return Event("collateral", account, value)


def fill(account: str = "alice", quantity: str = "1", event_id: str = "f-1", **changes: object) -> Event:
    value: Json = {
        "v": 1, "event_id": event_id, "account": account, "instrument": "ETH-PERP", "side": "buy",
        "quantity": quantity, "price": "1500", "trade_time_us": 1, **changes,
    }  # fmt: skip
    return Event("fills", account, value)


@pytest.fixture
def driver() -> Driver:
    driver = Driver()
    market = next(phase for phase in Workload(1).phases() if phase.name == "market")
    driver.publish(*market.events)
    return driver


def counts(driver: Driver, topic: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for (name, _), counter in driver.runner.counts.items():
        if name == topic:
            for key, value in counter.items():
                total[key] = total.get(key, 0) + value
    return total


BAD_FILLS: list[tuple[str, bytes, str, str]] = [
    ("malformed JSON", b"{", "malformed_json", ""),
    ("empty value", b"", "empty_value", ""),
    ("unknown field", orjson.dumps({**fill().value, "color": "red"}), "unknown_field", "color"),
    ("wrong type", orjson.dumps({**fill().value, "quantity": 1}), "wrong_type", "quantity"),
    ("NaN", orjson.dumps({**fill().value, "price": "NaN"}), "bad_format", "price"),
    ("huge exponent", orjson.dumps({**fill().value, "price": "1E+999999"}), "bad_format", "price"),
    ("negative price", orjson.dumps({**fill().value, "price": "-1"}), "bad_format", "price"),
    ("zero price", orjson.dumps({**fill().value, "price": "0"}), "bad_format", "price"),
    ("40 digits", orjson.dumps({**fill().value, "quantity": "1" * 40}), "bad_format", "quantity"),
    ("2^64", orjson.dumps({**fill().value, "quantity": str(2**64)}), "bad_format", "quantity"),
    ("beyond int64", orjson.dumps({**fill().value, "quantity": "999999999999"}), "amount_out_of_range", "quantity"),
    ("unknown instrument", orjson.dumps(fill(event_id="f-2", instrument="DOGE-PERP").value),
     "unknown_instrument", "instrument"),
    ("off lot", orjson.dumps(fill(event_id="f-2", quantity="0.0001").value), "quantity_off_lot", "quantity"),
    ("off tick", orjson.dumps(fill(event_id="f-2", price="1500.05").value), "price_off_tick", "price"),
    ("expired", orjson.dumps(fill(event_id="f-2", instrument="BTC-30D", trade_time_us=1_700_000_000_000_000).value),
     "instrument_expired", "trade_time_us"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "reason", "field"), BAD_FILLS, ids=[row[0] for row in BAD_FILLS])
def test_a_bad_fill_gets_its_reason_and_costs_only_itself(
    driver: Driver, name: str, value: bytes, reason: str, field: str
) -> None:
    driver.publish(deposit())
    partition = partition_of(b"alice", PARTITIONS)
    records = [
        Record(b"alice", orjson.dumps(fill(event_id="f-1").value), 0),
        Record(b"alice", value, 1),
        Record(b"alice", orjson.dumps(fill(event_id="f-3").value), 2),
    ]
    effects = driver.apply(Records("fills", partition, records))
    assert {1: reason} == effects.bad
    (letter,) = (decode(entry.topic, entry.value) for entry in driver.runner.outbox.entries("alice"))
    assert isinstance(letter, DeadLetterV1)
    assert (reason, field, 1) == (letter.reason, letter.field, letter.offset)
    book = driver.runner.engine.book("alice")
    assert book is not None
    assert 200_000_000 == book.positions["ETH-PERP"].quantity_e8, name
    assert 2 == book.applied["fills"]
    assert {"read": 3, "applied": 2, "dead_lettered": 1} == counts(driver, "fills")


def test_every_record_has_exactly_one_fate(driver: Driver) -> None:
    driver.publish(deposit(), fill(), fill(), fill(event_id="f-1", quantity="2"))
    driver.send("fills", b"bob", orjson.dumps(fill().value))
    driver.send("fills", b"alice", orjson.dumps(fill(event_id="f-9").value), partition=3 - partition_of(b"alice", 4))
    tally = counts(driver, "fills")
    assert tally["read"] == tally["applied"] + tally["duplicate"] + tally["dead_lettered"]
    assert {"read": 5, "applied": 1, "duplicate": 1, "dead_lettered": 3} == tally


def test_a_record_in_a_foreign_partition_does_not_move_the_watermark(driver: Driver) -> None:
    driver.publish(deposit(), fill())
    foreign = (partition_of(b"alice", PARTITIONS) + 1) % PARTITIONS
    driver.offsets["fills", foreign] = 1000
    effects = driver.send("fills", b"alice", orjson.dumps(fill(event_id="f-2").value), partition=foreign)
    assert ["wrong_partition"] == [letter.reason for letter in effects.dead_letters], "no row knows it"
    book = driver.runner.engine.book("alice")
    assert book is not None and 0 == book.applied["fills"]


def test_a_breach_puts_its_commands_into_the_row_that_caused_them(driver: Driver) -> None:
    driver.publish(deposit(), fill(quantity="20"))
    effects = driver.publish(mark("ETH-PERP", "1100", time_us=1_678_320_000_000_001))
    partition = partition_of(b"alice", PARTITIONS)
    assert {partition: (b"alice",)} == effects.dirty
    book, owed = read_row(driver.row(b"alice"))
    live = driver.runner.engine.book("alice")
    assert live is not None and canonical_text(live) == canonical_text(book)
    commands = [decode(entry.topic, entry.value) for entry in owed if entry.topic == "liquidations"]
    assert 1 == len(commands)
    assert isinstance(commands[0], LiquidationCommandV1)
    assert ("ETH-PERP", "sell") == (commands[0].instrument, commands[0].side)


def test_recovered_rows_owe_the_same_bytes_and_decide_nothing_anew(driver: Driver) -> None:
    driver.publish(deposit(), fill(quantity="20"), mark("ETH-PERP", "1100", time_us=1_678_320_000_000_001))
    partition = partition_of(b"alice", PARTITIONS)
    row = driver.row(b"alice")
    owed = list(driver.runner.outbox.entries("alice"))
    driver.runner.load(partition, {b"alice": row})
    assert owed == list(driver.runner.outbox.entries("alice"))
    assert {} == driver.runner.evaluate().dirty
    assert row == driver.row(b"alice")


def test_a_lost_partition_is_forgotten(driver: Driver) -> None:
    driver.publish(deposit())
    driver.runner.drop(partition_of(b"alice", PARTITIONS))
    assert driver.runner.engine.book("alice") is None
    assert driver.runner.home("alice") is None


def test_an_unknown_instrument_is_noticed_before_it_is_judged(driver: Driver) -> None:
    record = Record(b"alice", orjson.dumps(fill(instrument="SOL-PERP").value), 0)
    records = Records("fills", partition_of(b"alice", PARTITIONS), [record])
    assert driver.runner.scan(records).lacks_reference


def test_a_damaged_row_is_refused(driver: Driver) -> None:
    driver.publish(deposit())
    row = driver.row(b"alice")
    book, _ = split_row(row)
    for damaged in (b"", row[:3], row[:-1], row + b"\xc1", frame_row(book[:-1], ()), frame_row(b"\x04" + book[1:], ())):
        with pytest.raises(UnreadableRow):
            driver.runner.load(0, {b"alice": damaged})
