"""A topic that follows another is fetched with it and read before it."""

from __future__ import annotations

import asyncio

import aiokafka
from aiokafka import TopicPartition
from faust.types import TP

from streams.transport.fetch_order import Wanted, keep_order, ordered
from streams.transport.partial_fetches import shorten_partial_fetches
from tests.servers.kafka import KafkaBroker, RunningKafka, create_topics, producer, unique

FOLLOWS = {"fills": "collateral"}


def wanted(topic: str, *partitions: int) -> Wanted:
    return topic, [(partition, 0, 1 << 20) for partition in partitions]


def test_what_follows_is_read_first() -> None:
    asked = [wanted("acks", 0), wanted("collateral", 0, 1), wanted("fills", 1, 0)]
    assert [wanted("fills", 1, 0), wanted("acks", 0), wanted("collateral", 0, 1)] == ordered(asked, FOLLOWS, {})


def test_a_follower_is_left_out_with_its_companion() -> None:
    asked = [wanted("fills", 0, 1), wanted("collateral", 1), wanted("acks", 0)]
    found = ordered(asked, FOLLOWS, {TP("collateral", 0): object()})
    assert [wanted("fills", 1), wanted("collateral", 1), wanted("acks", 0)] == found


def test_other_buffered_partitions_change_nothing() -> None:
    asked = [wanted("fills", 0)]
    assert asked == ordered(asked, FOLLOWS, {TP("collateral", 1): object(), TP("acks", 0): object()})


def test_a_follower_alone_leaves_no_empty_request() -> None:
    assert [] == ordered([wanted("fills", 0)], FOLLOWS, {TP("collateral", 0): object()})


async def test_a_record_is_never_seen_without_what_was_published_before_it(kafka: KafkaBroker | RunningKafka) -> None:
    """Deposits lie in the buffer; another deposit and then its fill are published: whoever holds the fill knows that
    there is another deposit."""
    collateral, fills = unique("collateral"), unique("fills")
    create_topics(kafka.bootstrap, {collateral: 1, fills: 1})
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=None, fetch_max_wait_ms=500)
    await consumer.start()
    try:
        fetcher = consumer._fetcher
        shorten_partial_fetches(fetcher)
        keep_order(fetcher, {fills: collateral})
        deposit, fill = TopicPartition(collateral, 0), TopicPartition(fills, 0)
        consumer.assign([deposit, fill])
        for tp in (deposit, fill):
            consumer.seek(tp, 0)
        with producer(kafka.bootstrap) as client:
            client.send(collateral, value=b"first", partition=0)
            client.flush()
            async with asyncio.timeout(10):
                while deposit not in fetcher._records:
                    await asyncio.sleep(0.01)
            client.send(collateral, value=b"second", partition=0)
            client.flush()
            client.send(fills, value=b"backed by the second", partition=0)
            client.flush()
        await asyncio.sleep(0.5)
        assert fill not in fetcher._records, "fetched without its companion"
        await consumer.getmany(deposit, timeout_ms=0)
        async with asyncio.timeout(10):
            while fill not in fetcher._records:
                await asyncio.sleep(0.01)
        assert 2 == consumer.highwater(deposit)
    finally:
        await consumer.stop()
