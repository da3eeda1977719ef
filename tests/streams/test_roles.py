"""The three roles as real processes on a real broker: bad input, floods, quotes to marks, and the audit of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from engine.outcomes import Rejection
from schemas.catalogue import load_catalogue
from schemas.codec import decode
from schemas.events.dead_letters import DeadLetterV1
from schemas.events.prices import MarkV1
from streams.audit.connect import open_store
from streams.audit.tables import tables_of
from streams.explain import explain
from streams.kafka_admin import ensure_topics
from tests.faults.cluster import Cluster, Worker, wait_until
from tests.faults.workload import Event, Json, Workload, instrument, mark
from tests.servers.kafka import KafkaBroker
from tests.streams.test_runner import deposit, fill

PARTITIONS = 2
FLOOD = 60


class Venue:
    """A broker with topics, and worker processes that end with the test."""

    def __init__(self, bootstrap: str, directory: Path) -> None:
        ensure_topics(bootstrap, load_catalogue(), accounts=PARTITIONS)
        self.cluster = Cluster(bootstrap, "crossmargin-risk")
        self.audit_url = f"chdb://{directory / 'audit'}"
        self._directory = directory
        self._environment = {
            "CROSSMARGIN_KAFKA": bootstrap,
            "CROSSMARGIN_CLICKHOUSE": self.audit_url,
            "CROSSMARGIN_PARTITIONS": str(PARTITIONS),
            "CROSSMARGIN_DATA_DIR": str(directory / "state"),
            "CROSSMARGIN_DEAD_LETTERS_CONSECUTIVE_MAX": str(FLOOD),
        }
        self.workers: dict[str, Worker] = {}

    def start(self, role: str) -> Worker:
        """Start the worker of a role."""
        module = ("streams", "worker", "--role", role)
        self.workers[role] = Worker(role, self._environment, self._directory / f"{role}.log", module)
        self.workers[role].start()
        return self.workers[role]

    def log(self, role: str) -> str:
        """What the worker has printed."""
        return (self._directory / f"{role}.log").read_text(errors="replace")

    def publish(self, *events: Event) -> None:
        """Publish JSON events."""
        for event in events:
            self.send(event.topic, event.key.encode(), orjson.dumps(event.value))
        self.cluster.producer.flush()

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Publish bytes."""
        self.cluster.producer.send(topic, key=key, value=value)

    def dead_letters(self) -> list[DeadLetterV1]:
        """Every dead letter there is."""
        letters = [decode("dead-letters", value) for *_, value in self.cluster.read_all("dead-letters")]
        return [letter for letter in letters if isinstance(letter, DeadLetterV1)]

    def close(self) -> None:
        """Stop everything."""
        for worker in self.workers.values():
            worker.stop()
        self.cluster.close()


@pytest.fixture
def venue(own_kafka: KafkaBroker, tmp_path: Path) -> Iterator[Venue]:
    venue = Venue(own_kafka.bootstrap, tmp_path)
    market = next(phase for phase in Workload(1).phases() if phase.name == "market")
    venue.publish(*market.events)
    yield venue
    venue.close()


BAD = {
    b"{": "malformed_json",
    b"": "empty_value",
    orjson.dumps({**fill().value, "price": "NaN"}): "bad_format",
    orjson.dumps({**fill().value, "quantity": 1.5}): "wrong_type",
    orjson.dumps({**fill().value, "surprise": 1}): "unknown_field",
    orjson.dumps(fill(event_id="f-x", instrument="NOPE").value): Rejection.UNKNOWN_INSTRUMENT.value,
    orjson.dumps(fill(event_id="f-y", quantity="0.00001").value): Rejection.QUANTITY_OFF_LOT.value,
}


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_bad_records_are_reported_once_and_their_neighbors_reach_the_audit(venue: Venue) -> None:
    for role in ("risk", "oracle", "audit"):
        venue.start(role)
    venue.publish(deposit(), fill(event_id="before"))
    for value in BAD:
        venue.send("fills", b"alice", value)
    withdrawal: Json = {**deposit(event_id="w-1").value, "kind": "withdrawal", "account": "nobody"}
    venue.publish(
        fill(event_id="after", quantity="19"),
        Event("fills", "mallory", fill(event_id="stolen").value),
        Event("collateral", "nobody", withdrawal),
        instrument("SOL-PERP", "linear_perpetual", tick="0"),
        Event("settlements", "ETH-PERP", {"v": 1, "event_id": "s", "instrument": "ETH-PERP", "price": "1",
                                          "event_time_us": 1}),
        *(Event("prices", "BTC", {"v": 1, "source": source, "feed": "BTC", "price": price, "source_time_us": 10**15})
          for source, price in (("a", "20100"), ("b", "20120"), ("c", "2"))),
        Event("prices", "BTC", {"v": 1, "source": "d", "feed": "BTC", "price": "-5", "source_time_us": 10**15}),
    )  # fmt: skip
    venue.publish(mark("ETH-PERP", "1040", time_us=1_678_320_000_000_001))
    expected = Counter(BAD.values()) + Counter(
        ["wrong_key", "unknown_account", "bad_format", "bad_format", "settlement_before_expiry"]
    )
    wait_until(lambda: len(venue.dead_letters()) >= sum(expected.values()), "all dead letters")
    wait_until(venue.cluster.is_consumed, "the account topics to be consumed")
    wait_until(lambda: bool(venue.cluster.read_all("liquidations")), "the liquidation of alice")
    assert expected == Counter(letter.reason for letter in venue.dead_letters())
    by_offset = {(letter.topic, letter.partition, letter.offset) for letter in venue.dead_letters()}
    assert len(by_offset) == len(venue.dead_letters())
    guarded = [decode("marks", value) for *_, value in venue.cluster.read_all("marks")][-1]
    assert isinstance(guarded, MarkV1)
    ends = {topic: len(venue.cluster.read_all(topic)) for topic in load_catalogue()}
    _wait_for_audit(venue, ends)
    command = orjson.loads(venue.cluster.read_all("liquidations")[0][3] or b"")
    assert ("alice", "ETH-PERP", "sell") == (command["account"], command["instrument"], command["side"])
    store = open_store(venue.audit_url)
    try:
        for topic, end in ends.items():
            rows = sum(store.query(f"SELECT count() FROM {table.name}").rows[0][0] for table in tables_of(topic))
            assert end == rows, topic
        assert () == explain(store, command["command_id"]).differences
    finally:
        store.close()


def _wait_for_audit(venue: Venue, ends: dict[str, int]) -> None:
    """The audit's group has committed to the end of every topic; then its process ends, and with it chDB's lock."""
    audit = Cluster(venue.cluster.bootstrap, "crossmargin-audit")
    try:
        wait_until(lambda: audit.is_consumed(tuple(ends)), "the audit to catch up")
    finally:
        audit.close()
    venue.workers["audit"].stop()
    assert 0 == venue.workers["audit"].wait(5)


@pytest.mark.faults
@pytest.mark.timeout(200)
def test_deposits_confirmed_before_fills_are_sent_back_them_in_a_backlog_and_live(venue: Venue) -> None:
    def back(name: str, count: int) -> None:
        accounts = [f"{name}-{number}" for number in range(count)]
        # Confirmed first: a producer that is given both at once may send the later one earlier.
        venue.publish(*(deposit(account, "3000", f"d-{account}") for account in accounts))
        venue.publish(*(fill(account, "10", f"f-{account}") for account in accounts))

    back("backlog", 150)
    venue.start("risk")
    wait_until(venue.cluster.is_consumed, "the backlog to be consumed")
    for number in range(100):
        back(f"live{number}", 3)
    wait_until(venue.cluster.is_consumed, "the live records to be consumed")
    assert [] == venue.cluster.read_all("liquidations")
    assert [] == venue.cluster.read_all("margin-events"), "nobody was even called"


@pytest.mark.faults
@pytest.mark.timeout(200)
def test_a_flood_of_bad_records_stops_the_worker_instead_of_draining_the_topic(venue: Venue) -> None:
    worker = venue.start("risk")
    venue.publish(deposit())
    wait_until(venue.cluster.is_consumed, "the deposit to be consumed")
    for number in range(FLOOD * 5):
        venue.send("fills", b"alice", b"rubbish %d" % number)
    venue.cluster.producer.flush()
    wait_until(lambda: worker.process is not None and worker.process.poll() is not None, "the worker to stop")
    assert 0 != worker.wait(1)
    assert "DeadLetterFlood" in venue.log("risk")
    assert "malformed_json" in venue.log("risk")
    assert len(venue.dead_letters()) < FLOOD, "what looks like our own fault is left on the topic"
    assert not venue.cluster.is_consumed()
