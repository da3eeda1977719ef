"""A partition whose records lay in the buffer for a while is fetched again soon after they were taken."""

from __future__ import annotations

import asyncio

import aiokafka
from aiokafka import TopicPartition

from streams.transport.partial_fetches import shorten_partial_fetches
from tests.servers.kafka import KafkaBroker, RunningKafka, create_topics, producer, unique

BROKER_HOLDS_MS = 25_000


async def next_after_full_buffer(bootstrap: str, *, shortened: bool, patience_ms: int) -> list[bytes]:
    """What comes within ``patience_ms`` after a partition's buffered records were taken, when it has further ones and a
    second partition of the same broker has nothing."""
    topic = unique("partial")
    create_topics(bootstrap, {topic: 2})
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, fetch_max_wait_ms=BROKER_HOLDS_MS)
    await consumer.start()
    try:
        if shortened:
            shorten_partial_fetches(consumer._fetcher)
        busy, idle = TopicPartition(topic, 0), TopicPartition(topic, 1)
        consumer.assign([busy, idle])
        for tp in (busy, idle):
            consumer.seek(tp, 0)
        with producer(bootstrap) as client:
            client.send(topic, value=b"first", partition=0)
            client.flush()
            async with asyncio.timeout(10):
                while busy not in consumer._fetcher._records:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            client.send(topic, value=b"second", partition=0)
            client.flush()
        assert [record.value for record in (await consumer.getmany(busy, timeout_ms=0))[busy]] == [b"first"]
        further = await consumer.getmany(busy, timeout_ms=patience_ms)
        return [record.value for record in further.get(busy, ())]
    finally:
        await consumer.stop()


async def test_partition_that_was_left_out_does_not_wait_for_the_others(kafka: KafkaBroker | RunningKafka) -> None:
    assert await next_after_full_buffer(kafka.bootstrap, shortened=True, patience_ms=20_000) == [b"second"]


async def test_without_it_the_partition_waits_as_long_as_the_broker_holds_the_answer(
    kafka: KafkaBroker | RunningKafka,
) -> None:
    assert await next_after_full_buffer(kafka.bootstrap, shortened=False, patience_ms=1000) == []


class Fetcher:
    """aiokafka's fetcher as far as it is overridden."""

    def __init__(self) -> None:
        self._records: dict[str, object] = {}
        self._fetch_max_wait_ms = 1500
        self._prefetch_backoff = 0.1
        self.waits: list[int] = []

    def _get_actions_per_node(self, assignment: object) -> object:
        self.waits.append(self._fetch_max_wait_ms)
        return assignment


def test_only_partial_fetches_are_short() -> None:
    fetcher = Fetcher()
    shorten_partial_fetches(fetcher, wait_s=0.02)
    assert fetcher._get_actions_per_node("assignment") == "assignment"
    fetcher._records["fills-0"] = object()
    fetcher._get_actions_per_node("assignment")
    fetcher._records.clear()
    fetcher._get_actions_per_node("assignment")
    assert fetcher.waits == [1500, 20, 1500]
    assert fetcher._prefetch_backoff == 0.02


def test_wait_that_is_shorter_already_stays() -> None:
    fetcher = Fetcher()
    fetcher._fetch_max_wait_ms, fetcher._prefetch_backoff = 5, 0.001
    shorten_partial_fetches(fetcher)
    fetcher._records["fills-0"] = object()
    fetcher._get_actions_per_node("assignment")
    assert (fetcher.waits, fetcher._prefetch_backoff) == ([5], 0.001)
