"""The executor on Kafka: reads without a consumer group, publishes in steps, starts from what the topics say.

Owns the order of a start: answers first, then marks, terms and fills to their ends, then the commands from the
beginning. What was answered is not repeated; what was begun is finished. Refuses to decide anything.

Commands are waited for, so that one is taken the moment it arrives; everything else is read along with them, and
waited for only while a command needs it: marks come in ones and twos, and an idle executor should cost nothing.
"""

from __future__ import annotations

import click
from kafka import KafkaConsumer, TopicPartition

from schemas.codec import Record, decode_record
from schemas.errors import SchemaError
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1
from streams.executor.core import ExecutorOptions, LiquidationExecutor
from streams.executor.history import MarketHistory
from streams.executor.positions import PositionView
from streams.executor.records import publishing_stage
from streams.sdk import Publisher, read_topic

IDLE_MS = 50
WAITING_MS = 5
CATCH_UP_MS = 200
POLL_RECORDS_MAX = 2000
FEEDS = ("reference", "marks", "fills")


class SimulatedCrash(Exception):
    """The fault ``crash`` has struck: fills are out, the final answer is not."""


class ExecutorService:
    """Runs a ``LiquidationExecutor`` on Kafka until it is told to stop."""

    def __init__(self, bootstrap: str, counterparty: str, options: ExecutorOptions | None = None) -> None:
        self._running = True
        self._publisher = Publisher(bootstrap)
        self._feeds = _consumer(bootstrap)
        self._commands = _consumer(bootstrap)
        feeds = _assign(self._feeds, FEEDS)
        commands = _assign(self._commands, ("liquidations",))
        first = self._feeds.beginning_offsets([partition for partition in feeds if partition.topic == "fills"])
        is_complete = not any(first.values())
        if not is_complete:
            click.echo("fills have been deleted: positions are unknown, reduce-only is not checked", err=True)
        self._history = MarketHistory()
        self._executor = LiquidationExecutor(self._history, counterparty, options, PositionView(is_complete))
        for partition, begins in self._commands.beginning_offsets(commands).items():
            self._executor.open_partition(partition.partition, complete=begins == 0)
        for received in read_topic(bootstrap, "liquidation-acks", from_beginning=True, follow=False):
            if isinstance(received.record, LiquidationAckV1):
                self._executor.recall(received.record, received.partition)
        self._replayed = self._commands.end_offsets(commands)
        self._catch_up(feeds)

    def stop(self) -> None:
        """Finish the current round and return from ``run``."""
        self._running = False

    def run(self) -> None:
        """Execute until ``stop``; raises ``streams.sdk.NotDelivered`` when Kafka does not take an answer, and
        ``SimulatedCrash`` when told to."""
        try:
            is_behind = False
            while self._running:
                is_waiting = self._executor.waiting > 0
                wait_ms = 0 if is_behind or is_waiting else IDLE_MS
                records: list[Record] = []
                taken = self._commands.poll(timeout_ms=wait_ms, max_records=POLL_RECORDS_MAX)
                is_behind = self._read_feeds(WAITING_MS if is_waiting and not taken else 0)
                for partition, messages in taken.items():
                    replayed, live = self._split(partition, messages)
                    records += self._executor.offer(replayed, partition.partition, replayed=True)
                    records += self._executor.offer(live, partition.partition)
                self._publish(records or self._executor.offer(()))
                if self._executor.crashed:
                    raise SimulatedCrash("fills are published, their answer is not")
        finally:
            self._publisher.close()
            self._commands.close()
            self._feeds.close()

    def _split(
        self, partition: TopicPartition, messages: list[object]
    ) -> tuple[list[LiquidationCommandV1], list[LiquidationCommandV1]]:
        """Commands that stood on the topic at the start, and those that came since."""
        replayed, live = list[LiquidationCommandV1](), list[LiquidationCommandV1]()
        for message in messages:
            record = _decoded(message)
            if isinstance(record, LiquidationCommandV1):
                (replayed if message.offset < self._replayed[partition] else live).append(record)  # type: ignore[attr-defined]
        return replayed, live

    def _read_feeds(self, timeout_ms: int) -> bool:
        """Take what there is of marks, terms and fills; whether there may be more."""
        count = 0
        for partition, messages in self._feeds.poll(timeout_ms=timeout_ms, max_records=POLL_RECORDS_MAX).items():
            count += len(messages)
            for message in messages:
                record = _decoded(message)
                if partition.topic == "fills":
                    fill = record if isinstance(record, FillV1) else None
                    self._executor.learn_fill(fill, partition.partition, message.offset)
                elif record is not None:
                    self._learn(record, message.offset)
        return count >= POLL_RECORDS_MAX

    def _learn(self, record: Record, offset: int) -> None:
        try:
            self._history.learn(record, offset)
        except SchemaError as error:
            click.echo(f"offset {offset}: {error}", err=True)

    def _catch_up(self, feeds: list[TopicPartition]) -> None:
        ends = self._feeds.end_offsets(feeds)
        while any(self._feeds.position(partition) < ends[partition] for partition in feeds):
            self._read_feeds(CATCH_UP_MS)
        for partition in feeds:
            if partition.topic == "fills":
                self._executor.skip_fills(partition.partition, ends[partition])

    def _publish(self, records: list[Record]) -> None:
        stage = 0
        for record in records:
            if publishing_stage(record) > stage:
                self._publisher.flush()
                stage = publishing_stage(record)
            self._publisher.publish(record)
        if records:
            self._publisher.flush()


def _consumer(bootstrap: str) -> KafkaConsumer:
    return KafkaConsumer(bootstrap_servers=bootstrap.split(","), group_id=None, enable_auto_commit=False)


def _assign(consumer: KafkaConsumer, topics: tuple[str, ...]) -> list[TopicPartition]:
    """All partitions of ``topics``, from the beginning."""
    partitions = [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(consumer.partitions_for_topic(topic) or ())
    ]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    return partitions


def _decoded(message: object) -> Record | None:
    try:
        return decode_record(message.topic, message.key, message.value)  # type: ignore[attr-defined]
    except SchemaError as error:
        click.echo(f"{message.topic} offset {message.offset}: {error}", err=True)  # type: ignore[attr-defined]
        return None
