"""Publisher, reader and topics against a real broker; the command inbox on its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiokafka.partitioner import murmur2
from click.testing import CliRunner
from kafka import KafkaProducer

from schemas.catalogue import load_catalogue
from schemas.codec import SchemaError, decode
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationCommandV1
from streams.cli import cli
from streams.kafka_admin import PartitionMismatch, TopicMissing, ensure_topics
from streams.kafka_errors import KafkaFailed
from streams.sdk import CommandInbox, Publisher, read_topic
from tests.schemas.examples import load, valid
from tests.servers.kafka import KafkaBroker

PARTITIONS = 3


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of this module's own: the topics have the names that everybody uses."""
    with KafkaBroker(tmp_path_factory.mktemp("sdk"), heap_mb=256) as broker:
        ensure_topics(broker.bootstrap, load_catalogue(), accounts=PARTITIONS)
        yield broker.bootstrap


def fills(account: str, count: int) -> list[FillV1]:
    record = decode("fills", valid("fills", "buy_linear_perpetual").value)
    assert isinstance(record, FillV1)
    return [msgspec.structs.replace(record, account=account, event_id=f"{account}-{number}") for number in range(count)]


def test_topics_are_created_once_and_never_changed(bootstrap: str) -> None:
    again = ensure_topics(bootstrap, load_catalogue(), accounts=PARTITIONS)
    assert ((), tuple(sorted(load_catalogue()))) == (again.created, again.existing)
    with pytest.raises(PartitionMismatch, match="has 3 partitions, expected 4"):
        ensure_topics(bootstrap, load_catalogue(), accounts=PARTITIONS + 1)


def test_published_records_come_back_in_order_on_the_partition_of_their_key(bootstrap: str) -> None:
    accounts = [f"sdk-{number}" for number in range(20)]
    with Publisher(bootstrap) as publisher:
        for account in accounts:
            for record in fills(account, 5):
                publisher.publish(record)
        assert 100 == publisher.flush()
    received = [item for item in read_topic(bootstrap, "fills", from_beginning=True, follow=False) if item.record]
    for account in accounts:
        mine = [item for item in received if item.key == account.encode()]
        assert fills(account, 5) == [item.record for item in mine]
        assert {(murmur2(account.encode()) & 0x7FFFFFFF) % PARTITIONS} == {item.partition for item in mine}


def test_every_valid_example_can_be_published(bootstrap: str) -> None:
    with Publisher(bootstrap) as publisher:
        for item in load("valid"):
            publisher.publish(decode(item.topic, item.value))
        assert len(load("valid")) == publisher.flush()
    marks = list(read_topic(bootstrap, "marks", from_beginning=True, follow=False))
    assert {item.key for item in load("valid") if item.topic == "marks"} == {item.key for item in marks}


def test_record_that_no_worker_could_apply_is_not_sent(bootstrap: str) -> None:
    (record,) = fills("nobody", 1)
    with Publisher(bootstrap) as publisher:
        with pytest.raises(SchemaError, match="too_many_decimals"):
            publisher.publish(msgspec.structs.replace(record, quantity="0.000000001"))
        with pytest.raises(SchemaError, match="bad_format"):
            publisher.publish(msgspec.structs.replace(record, account="no body"))
        assert 0 == publisher.flush()


def test_bad_record_is_received_with_its_error(bootstrap: str) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send("settlements", key=b"x", value=b"{").get(timeout=30)
    producer.close()
    received = list(read_topic(bootstrap, "settlements", from_beginning=True, follow=False))
    (bad,) = [item for item in received if item.error is not None]
    assert (b"x", b"{", "malformed_json") == (bad.key, bad.value, bad.error.reason if bad.error else "")


def test_reading_from_the_end_sees_nothing_old(bootstrap: str) -> None:
    assert [] == list(read_topic(bootstrap, "fills", from_beginning=False, follow=False))


def test_missing_topic_and_missing_cluster_are_named(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TopicMissing, match="no topic trades"):
        list(read_topic(bootstrap, "trades", from_beginning=True, follow=False))
    for module in ("streams.sdk", "streams.kafka_admin"):
        monkeypatch.setattr(f"{module}.BOOTSTRAP_MS", 200)
    with pytest.raises(KafkaFailed, match=r"127\.0\.0\.1:1") as caught:
        Publisher("127.0.0.1:1")
    assert caught.value.retriable
    with pytest.raises(KafkaFailed):
        ensure_topics("127.0.0.1:1", load_catalogue(), accounts=1)


def test_shell_publishes_and_tails(bootstrap: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> dict[str, object]:
        result = CliRunner().invoke(cli, [*arguments, "--json"], env={"CROSSMARGIN_KAFKA": bootstrap})
        assert 0 == result.exit_code, result.stderr
        parsed = json.loads(result.stdout)
        assert isinstance(parsed, dict)
        return parsed

    assert [] == run("topics", "--partitions", str(PARTITIONS))["created"]
    path = tmp_path / "acks.jsonl"
    acks = [item.plain for item in load("valid") if item.topic == "liquidation-acks"]
    path.write_text("".join(json.dumps(ack) + "\n" for ack in acks))
    before = run("tail", "liquidation-acks", "--from-beginning", "--no-follow")["records"]
    assert isinstance(before, list)
    assert {"topic": "liquidation-acks", "published": len(acks)} == run("publish", "liquidation-acks", str(path))
    after = run("tail", "liquidation-acks", "--from-beginning", "--max", str(len(before) + len(acks)))["records"]
    assert isinstance(after, list)
    assert acks == [{k: v for k, v in line["value"].items() if v is not None} for line in after[-len(acks) :]]
    mismatch = CliRunner().invoke(cli, ["topics", "--partitions", "9"], env={"CROSSMARGIN_KAFKA": bootstrap})
    assert 1 == mismatch.exit_code
    assert "expected 9" in mismatch.stderr


def command(command_id: str, expires_us: int) -> LiquidationCommandV1:
    record = decode("liquidations", valid("liquidations", "sell").value)
    assert isinstance(record, LiquidationCommandV1)
    return msgspec.structs.replace(record, command_id=command_id, expires_us=expires_us)


def test_inbox_accepts_a_command_once_and_not_past_its_expiry() -> None:
    now_us = [100]
    inbox = CommandInbox(lambda: now_us[0])
    assert inbox.accept(command("a", 200))
    assert not inbox.accept(command("a", 200))
    now_us[0] = 200
    assert not inbox.accept(command("b", 200))
    assert inbox.accept(command("c", 201))


def test_inbox_forgets_only_the_oldest_ids() -> None:
    inbox = CommandInbox(lambda: 0, remembered_max=2)
    assert [True, True, True] == [inbox.accept(command(name, 9)) for name in ("a", "b", "c")]
    assert [False, False] == [inbox.accept(command(name, 9)) for name in ("b", "c")]
