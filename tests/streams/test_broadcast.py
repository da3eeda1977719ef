"""The broadcast reader on a real broker: everything from the beginning, in order, through restarts, and loud."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import faust
import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

import streams.broadcast
from streams.broadcast import BroadcastReader
from streams.errors import BroadcastFailed
from streams.transport import Record, broker_urls, faust_settings
from tests.servers.kafka import KafkaBroker, RunningKafka, create_topics, producer, unique

Seen = dict[tuple[str, int], list[bytes | None]]
OnBatch = Callable[[str, int, Sequence[Record]], Awaitable[None] | None]


def fill(bootstrap: str, topic: str, first: int, end: int, partitions: int = 2) -> None:
    with producer(bootstrap) as client:
        for number in range(first, end):
            client.send(topic, key=b"k%d" % number, value=b"%d" % number, partition=number % partitions)


def values(first: int, end: int, partition: int, partitions: int = 2) -> list[bytes]:
    return [b"%d" % number for number in range(first, end) if number % partitions == partition]


@asynccontextmanager
async def reading(
    bootstrap: str, topics: Sequence[str], on_batch: OnBatch | None = None
) -> AsyncIterator[tuple[BroadcastReader, Seen]]:
    seen: Seen = defaultdict(list)

    def note(topic: str, partition: int, records: Sequence[Record]) -> None:
        seen[topic, partition] += [record.value for record in records]

    app = faust.App(unique("reader"), broker=broker_urls(bootstrap), **faust_settings())
    reader = BroadcastReader(app, topics, on_batch or note)
    await reader.start()
    try:
        yield reader, seen
    finally:
        await reader.stop()


async def eventually(condition: Callable[[], bool], deadline_s: float = 20.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
def topic(kafka: KafkaBroker | RunningKafka) -> str:
    name = unique("marks")
    create_topics(kafka.bootstrap, {name: 2})
    return name


async def test_ready_means_that_everything_of_before_was_handed_over(
    kafka: KafkaBroker | RunningKafka, topic: str
) -> None:
    fill(kafka.bootstrap, topic, 0, 1000)
    async with reading(kafka.bootstrap, [topic]) as (reader, seen):
        await reader.wait_ready()
        assert seen == {(topic, 0): values(0, 1000, 0), (topic, 1): values(0, 1000, 1)}
        assert reader.positions() == {(topic, 0): 500, (topic, 1): 500}


async def test_empty_topics_are_ready_at_once_and_followed(kafka: KafkaBroker | RunningKafka, topic: str) -> None:
    other = unique("reference")
    create_topics(kafka.bootstrap, {other: 1})
    async with reading(kafka.bootstrap, [topic, other]) as (reader, seen):
        await reader.wait_ready()
        assert seen == {}
        fill(kafka.bootstrap, topic, 0, 10)
        fill(kafka.bootstrap, other, 0, 3, partitions=1)
        await reader.catch_up()
        assert seen[topic, 1] == values(0, 10, 1)
        assert seen[other, 0] == [b"0", b"1", b"2"]


async def test_asynchronous_callback_is_awaited_and_its_error_stops_the_service(
    kafka: KafkaBroker | RunningKafka, topic: str
) -> None:
    fill(kafka.bootstrap, topic, 0, 4)

    async def refuse(_topic: str, _partition: int, _records: Sequence[Record]) -> None:
        await asyncio.sleep(0)
        raise ValueError("not a mark")

    async with reading(kafka.bootstrap, [topic], refuse) as (reader, _):
        await eventually(lambda: reader.crashed)
        assert isinstance(reader.crash_reason, ValueError)
        assert not reader.ready.is_set()


async def test_missing_topic_is_named(kafka: KafkaBroker | RunningKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.broadcast, "_TOPICS_DEADLINE_S", 0.5)
    async with reading(kafka.bootstrap, ["never-created"]) as (reader, _):
        await eventually(lambda: reader.crashed)
        assert isinstance(reader.crash_reason, BroadcastFailed)
        assert "never-created" in str(reader.crash_reason)


async def test_log_truncated_under_the_reader_stops_it(
    kafka: KafkaBroker | RunningKafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(kafka.bootstrap, topic, 0, 100)
    real = streams.broadcast.groupless_consumer

    def short_sighted(app: faust.App) -> Any:
        consumer = real(app)
        seek = consumer.seek
        # As if the records had been deleted after their offsets were asked for.
        consumer.seek = lambda tp, offset: seek(tp, offset + 10_000)
        return consumer

    monkeypatch.setattr(streams.broadcast, "groupless_consumer", short_sighted)
    async with reading(kafka.bootstrap, [topic]) as (reader, _):
        await eventually(lambda: reader.crashed)
        assert isinstance(reader.crash_reason, BroadcastFailed)


async def test_beginning_of_the_log_may_be_anywhere(kafka: KafkaBroker | RunningKafka, topic: str) -> None:
    fill(kafka.bootstrap, topic, 0, 100)
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)

    admin.delete_records({TopicPartition(topic, 0): 20})
    admin.close()
    async with reading(kafka.bootstrap, [topic]) as (reader, seen):
        await reader.wait_ready()
        assert seen[topic, 0] == values(0, 100, 0)[20:]
        assert seen[topic, 1] == values(0, 100, 1)


@pytest.mark.faults
async def test_broker_restart_is_survived_without_loss_or_repetition(own_kafka: KafkaBroker) -> None:
    topic = unique("marks")
    create_topics(own_kafka.bootstrap, {topic: 2})
    fill(own_kafka.bootstrap, topic, 0, 100)
    async with reading(own_kafka.bootstrap, [topic]) as (reader, seen):
        await reader.wait_ready()
        await asyncio.to_thread(own_kafka.kill)
        await asyncio.to_thread(own_kafka.start)
        await asyncio.to_thread(fill, own_kafka.bootstrap, topic, 100, 200)
        async with asyncio.timeout(60):
            await reader.catch_up()
        assert seen == {(topic, 0): values(0, 200, 0), (topic, 1): values(0, 200, 1)}


async def test_topics_are_read_in_the_order_named_and_a_topic_after_what_it_is_built_on(
    kafka: KafkaBroker | RunningKafka, topic: str
) -> None:
    reference = unique("reference")
    create_topics(kafka.bootstrap, {reference: 1})
    order: list[tuple[str, int]] = []

    async def note(name: str, partition: int, records: Sequence[Record]) -> None:
        order.append((name, len(records)))
        await asyncio.sleep(0)

    fill(kafka.bootstrap, topic, 0, 100)
    fill(kafka.bootstrap, reference, 0, 3, partitions=1)
    app = faust.App(unique("reader"), broker=broker_urls(kafka.bootstrap), **faust_settings())
    reader = BroadcastReader(app, [reference, topic], note, built_on={topic: reference})
    await reader.start()
    try:
        await reader.wait_ready()
        assert reference == order[0][0]
        for number in range(20):
            order.clear()
            # What a record refers to is published before it, and must be handed over before it.
            fill(kafka.bootstrap, reference, number, number + 1, partitions=1)
            fill(kafka.bootstrap, topic, number, number + 1)
            await reader.catch_up()
            assert [reference, topic] == [name for name, _ in order]
    finally:
        await reader.stop()


async def test_turn_lets_what_is_in_the_socket_overtake_a_busy_task(
    kafka: KafkaBroker | RunningKafka, topic: str
) -> None:
    async with reading(kafka.bootstrap, [topic]) as (reader, seen):
        await reader.wait_ready()
        for number in range(20):
            await asyncio.sleep(0.05)  # the next fetch is under way
            fill(kafka.bootstrap, topic, number, number + 1, partitions=1)
            # A slice that blocks the loop: the answer to the fetch arrives meanwhile.
            time.sleep(0.1)
            await reader.turn()
            assert seen[topic, 0] == values(0, number + 1, 0, partitions=1)
            assert not reader.pending()


async def test_turn_waits_for_an_asynchronous_callback_to_finish(kafka: KafkaBroker | RunningKafka, topic: str) -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_topic: str, _partition: int, _records: Sequence[Record]) -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    async with reading(kafka.bootstrap, [topic], slow) as (reader, _):
        await reader.wait_ready()
        assert not reader.pending()
        fill(kafka.bootstrap, topic, 0, 1, partitions=1)
        await begun.wait()
        assert reader.pending()
        turn = asyncio.create_task(reader.turn())
        await asyncio.sleep(0.05)
        assert not turn.done()
        may_end.set()
        async with asyncio.timeout(5):
            await turn
        assert ended.is_set()


async def test_turn_of_a_reader_that_failed_or_has_not_begun_returns(
    kafka: KafkaBroker | RunningKafka, topic: str
) -> None:
    app = faust.App(unique("reader"), broker=broker_urls(kafka.bootstrap), **faust_settings())
    async with asyncio.timeout(5):
        await BroadcastReader(app, [topic], lambda *_: None).turn()

    async def refuse(_topic: str, _partition: int, _records: Sequence[Record]) -> None:
        raise ValueError("not a mark")

    async with reading(kafka.bootstrap, [topic], refuse) as (reader, _):
        await reader.wait_ready()
        fill(kafka.bootstrap, topic, 0, 1, partitions=1)
        await eventually(lambda: reader.crashed)
        async with asyncio.timeout(5):
            await reader.turn()
