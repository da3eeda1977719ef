"""The executor on Kafka: reads without a consumer group, publishes in steps, starts from what the topics say.

Owns the order of a start: answers first, then marks, terms and fills to their ends, then the commands from the
beginning. What was answered is not repeated; what was begun is finished. Refuses to decide anything.

It looks for news at short intervals while there is work and at longer ones otherwise. A blocking poll would be simpler;
but there are brokers (the embedded one) that answer an empty fetch at once, and then it burns a core of each.
"""

from __future__ import annotations

import time
from typing import Protocol

import click
from kafka import KafkaConsumer, TopicPartition

from schemas.codec import Record, decode_record
from schemas.errors import SchemaError
from schemas.events.control import LiquidationControlV1
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1
from streams.executor.core import ExecutorOptions, LiquidationExecutor
from streams.executor.history import MarketHistory
from streams.executor.positions import PositionView
from streams.executor.records import publishing_stage
from streams.sdk import Publisher, read_topic

IDLE_PAUSE_S = 0.025
BUSY_PAUSE_S = 0.005
BUSY_FOR_S = 1.0
"""How long after a command the next one is looked for at the shorter interval."""
CATCH_UP_PAUSE_S = 0.02
POLL_RECORDS_MAX = 2000
COMMANDS = "liquidations"
FEEDS = ("reference", "marks", "fills", "liquidation-control")


class _Message(Protocol):
    """What the consumer returns for a record."""

    topic: str
    offset: int
    key: bytes | None
    value: bytes | None


class SimulatedCrash(Exception):
    """The fault ``crash`` has struck: fills are out, the final answer is not."""


class ExecutorService:
    """Runs a ``LiquidationExecutor`` on Kafka until it is told to stop."""

    def __init__(self, bootstrap: str, counterparty: str, options: ExecutorOptions | None = None) -> None:
        self._running = True
        self._read_count = 0
        self._publisher = Publisher(bootstrap)
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), group_id=None, enable_auto_commit=False)
        feeds, commands = self._partitions(FEEDS), self._partitions((COMMANDS,))
        self._consumer.assign([*feeds, *commands])
        self._consumer.seek_to_beginning(*feeds, *commands)
        begins = self._consumer.beginning_offsets([*feeds, *commands])
        first = {partition: offset for partition, offset in begins.items() if partition.topic == "fills"}
        is_complete = not any(first.values())
        if not is_complete:
            click.echo("fills have been deleted: positions are unknown, reduce-only is not checked", err=True)
        self._history = MarketHistory()
        self._executor = LiquidationExecutor(self._history, counterparty, options, PositionView(is_complete))
        for partition in commands:
            self._executor.open_partition(partition.partition, complete=begins[partition] == 0)
        for received in read_topic(bootstrap, "liquidation-acks", from_beginning=True, follow=False):
            if isinstance(received.record, LiquidationAckV1):
                self._executor.recall(received.record, received.partition)
        self._replayed = self._consumer.end_offsets(commands)
        self._consumer.pause(*commands)
        self._catch_up(feeds)
        self._consumer.resume(*commands)

    def stop(self) -> None:
        """Finish the current round and return from ``run``."""
        self._running = False

    def run(self) -> None:
        """Execute until ``stop``; raises ``streams.sdk.NotDelivered`` when Kafka does not take an answer, and
        ``SimulatedCrash`` when told to."""
        try:
            busy_until = 0.0
            while self._running:
                taken = self._read()
                records: list[Record] = []
                for partition, messages in taken.items():
                    records += self._offer(partition, messages)
                records = records or self._executor.offer(())
                self._publish(records)
                if self._executor.crashed:
                    raise SimulatedCrash("fills are published, their answer is not")
                if taken or records:
                    busy_until = time.monotonic() + BUSY_FOR_S
                is_busy = self._executor.waiting > 0 or time.monotonic() < busy_until
                if self._read_count < POLL_RECORDS_MAX:
                    time.sleep(BUSY_PAUSE_S if is_busy else IDLE_PAUSE_S)
        finally:
            self._publisher.close()
            self._consumer.close()

    def _offer(self, partition: TopicPartition, messages: list[_Message]) -> list[Record]:
        """Offer the commands that stood on the topic at the start, then those that came since."""
        replayed, live = list[LiquidationCommandV1](), list[LiquidationCommandV1]()
        for message in messages:
            record = _decoded(message)
            if isinstance(record, LiquidationCommandV1):
                (replayed if message.offset < self._replayed[partition] else live).append(record)
        records = self._executor.offer(replayed, partition.partition, replayed=True) if replayed else []
        return records + self._executor.offer(live, partition.partition)

    def _read(self) -> dict[TopicPartition, list[_Message]]:
        """Take what there is of marks, terms, fills and holds; return the commands."""
        polled: dict[TopicPartition, list[_Message]] = self._consumer.poll(timeout_ms=0, max_records=POLL_RECORDS_MAX)
        self._read_count = sum(map(len, polled.values()))
        for partition, messages in polled.items():
            if partition.topic == COMMANDS:
                continue
            for message in messages:
                record = _decoded(message)
                if partition.topic == "fills":
                    fill = record if isinstance(record, FillV1) else None
                    self._executor.learn_fill(fill, partition.partition, message.offset)
                elif isinstance(record, LiquidationControlV1):
                    if not self._executor.learn_hold(record, message.offset):
                        click.echo(f"{record.event_id}: it takes two persons to weaken a hold", err=True)
                elif record is not None:
                    self._learn(record, message.offset)
        return {partition: messages for partition, messages in polled.items() if partition.topic == COMMANDS}

    def _learn(self, record: Record, offset: int) -> None:
        try:
            self._history.learn(record, offset)
        except SchemaError as error:
            click.echo(f"offset {offset}: {error}", err=True)

    def _partitions(self, topics: tuple[str, ...]) -> list[TopicPartition]:
        """All partitions of ``topics``."""
        return [
            TopicPartition(topic, number)
            for topic in topics
            for number in sorted(self._consumer.partitions_for_topic(topic) or ())
        ]

    def _catch_up(self, feeds: list[TopicPartition]) -> None:
        ends = self._consumer.end_offsets(feeds)
        while any(self._consumer.position(partition) < ends[partition] for partition in feeds):
            self._read()
            if not self._read_count:
                time.sleep(CATCH_UP_PAUSE_S)
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


def _decoded(message: _Message) -> Record | None:
    try:
        return decode_record(message.topic, message.key, message.value)
    except SchemaError as error:
        click.echo(f"{message.topic} offset {message.offset}: {error}", err=True)
        return None
