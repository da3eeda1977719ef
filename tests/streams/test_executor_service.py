"""The executor on a broker: what it reads, what it publishes, and that a restart repeats nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from schemas.catalogue import load_catalogue
from schemas.codec import Record
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1
from schemas.events.reference import CollateralAssetV1
from streams.demo.broker import start_broker
from streams.executor import ExecutorService
from streams.kafka_admin import ensure_topics
from streams.sdk import Publisher, read_topic
from tests.streams.test_executor import PERPETUAL, at_version, command, mark

DEADLINE_SECONDS = 30.0


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("executor")
    broker, address = start_broker(directory / "broker", directory / "broker.log")
    with broker:
        ensure_topics(address, load_catalogue(), accounts=2)
        yield address


def publish(bootstrap: str, *records: Record) -> None:
    with Publisher(bootstrap) as publisher:
        for record in records:
            publisher.publish(record)


def published(bootstrap: str, topic: str) -> list[Record]:
    received = read_topic(bootstrap, topic, from_beginning=True, follow=False)
    return [message.record for message in received if message.record is not None]


def run_until_answered(bootstrap: str, command_id: str) -> None:
    """Run an executor until a final answer to ``command_id`` stands on the topic."""
    service = ExecutorService(bootstrap, "backstop")
    thread = threading.Thread(target=service.run)
    thread.start()
    deadline = time.monotonic() + DEADLINE_SECONDS
    try:
        while not any(
            isinstance(answer, LiquidationAckV1) and answer.command_id == command_id and answer.state == "filled"
            for answer in published(bootstrap, "liquidation-acks")
        ):
            assert thread.is_alive() and time.monotonic() < deadline, f"{command_id} was not filled"
            time.sleep(0.05)
    finally:
        service.stop()
        thread.join(DEADLINE_SECONDS)


def test_commands_are_executed_once_over_a_restart(bootstrap: str) -> None:
    publish(bootstrap, CollateralAssetV1(v=1, asset="USD", haircut="0"), PERPETUAL)
    publish(bootstrap, mark("BTC-PERP", "20010"), mark("BTC-PERP", "20020"))
    publish(bootstrap, command(command_id="first"), command(command_id="first"))
    run_until_answered(bootstrap, "first")

    publish(bootstrap, command(command_id="second", account="bob", versions=at_version(0)))
    run_until_answered(bootstrap, "second")

    fills = [record for record in published(bootstrap, "fills") if isinstance(record, FillV1)]
    assert sorted((fill.event_id, fill.account, fill.price) for fill in fills) == [
        ("first:account", "alice", "20009.9"),
        ("first:counterparty", "backstop", "20009.9"),
        ("second:account", "bob", "19999.9"),
        ("second:counterparty", "backstop", "19999.9"),
    ]
    answers = [record for record in published(bootstrap, "liquidation-acks") if isinstance(record, LiquidationAckV1)]
    assert ["accepted", "accepted", "filled", "filled"] == sorted(answer.state for answer in answers)
