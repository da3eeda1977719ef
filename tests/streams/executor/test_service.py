"""The executor on a broker: what it reads, what it publishes, and that a restart repeats nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from engine.errors import InvalidReference
from schemas.catalogue import load_catalogue
from schemas.codec import Record
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1
from schemas.events.reference import CollateralAssetV1
from streams.demo.broker import start_broker
from streams.executor import ExecutorOptions, ExecutorService
from streams.executor.__main__ import main, parse_bidder
from streams.executor.auction import Bidder
from streams.executor.faults import Fault, FaultKind
from streams.executor.service import SimulatedCrash
from streams.kafka_admin import ensure_topics
from streams.sdk import Publisher, read_topic
from tests.streams.executor.world import PERPETUAL, POSITIONS, at_version, command, mark

DEADLINE_SECONDS = 30.0


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("executor")
    broker, address = start_broker(directory / "broker", directory / "broker.log")
    with broker:
        ensure_topics(address, load_catalogue(), accounts=2)
        publish(address, CollateralAssetV1(v=1, asset="USD", haircut="0"), PERPETUAL, *POSITIONS)
        publish(address, mark("BTC-PERP", "20010"), mark("BTC-PERP", "20020"))
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
    seen = replace(at_version(1), offsets={"fills": -1})
    publish(bootstrap, command(command_id="first", versions=seen), command(command_id="first", versions=seen))
    run_until_answered(bootstrap, "first")

    seen = replace(at_version(0), offsets={"fills": -1})
    publish(bootstrap, command(command_id="second", account="bob", versions=seen))
    run_until_answered(bootstrap, "second")

    fills = [record for record in published(bootstrap, "fills") if isinstance(record, FillV1)]
    assert sorted(
        (fill.event_id, fill.account, fill.price) for fill in fills if fill.event_id.startswith(("first:", "second:"))
    ) == [
        ("first:0:account", "alice", "20009.9"),
        ("first:0:counterparty", "backstop", "20009.9"),
        ("second:0:account", "bob", "19999.9"),
        ("second:0:counterparty", "backstop", "19999.9"),
    ]
    answers = [
        record
        for record in published(bootstrap, "liquidation-acks")
        if isinstance(record, LiquidationAckV1) and record.account in ("alice", "bob")
    ]
    assert ["accepted", "accepted", "filled", "filled"] == sorted(answer.state for answer in answers)


def test_a_crash_between_fills_and_answer_is_made_up_for_after_the_restart(bootstrap: str) -> None:
    seen = replace(at_version(0), offsets={"fills": -1})
    bought = command(command_id="crashing", account="maker", side="buy", limit_price="21000", versions=seen)
    publish(bootstrap, bought)
    crashing = ExecutorService(bootstrap, "backstop", ExecutorOptions(faults=(Fault(FaultKind.CRASH),)))
    with pytest.raises(SimulatedCrash):
        crashing.run()
    assert "crashing:0:account" in {fill.event_id for fill in published(bootstrap, "fills")}  # type: ignore[union-attr]
    run_until_answered(bootstrap, "crashing")

    ids = [record.event_id for record in published(bootstrap, "fills") if isinstance(record, FillV1)]
    assert 1 == ids.count("crashing:0:account") == ids.count("crashing:0:counterparty")


def test_the_options_of_the_command_line_make_an_executor() -> None:
    told = CliRunner().invoke(main, ["--counterparty", "lp", "--fault", "nonsense"])

    assert 2 == told.exit_code and "nonsense" in told.output
    assert Bidder("a:b", 0.9, 0.5) == parse_bidder("a:b:0.9:0.5")
    with pytest.raises(InvalidReference):
        parse_bidder("a:b")
