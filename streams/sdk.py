"""For exchange back ends and liquidation executors: publish checked records, read records, execute commands once.

Owns the producer's and consumer's settings that correctness depends on: records are checked before they are sent, the
key decides the partition by murmur2 as everywhere else, and a send counts only when all replicas have it. Refuses the
risk workers' own input and output (``streams.worker``).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.partitioner import DefaultPartitioner

from schemas.codec import OUTPUT_BYTES_MAX, Record, decode_record, encode, key_of, topic_of
from schemas.errors import SchemaError
from schemas.events.liquidations import LiquidationCommandV1
from streams.errors import StreamsError
from streams.kafka_admin import TopicMissing
from streams.kafka_errors import BOOTSTRAP_MS, mapped_errors
from streams.translate import check_translatable

SEND_TIMEOUT_S = 30.0
POLL_MS = 500


class _Delivery(Protocol):
    """What the producer returns for a record."""

    is_done: bool
    exception: BaseException | None


class _Message(Protocol):
    """What the consumer returns for a record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class NotDelivered(StreamsError):
    """Kafka did not confirm a record; sending the same record again, with the same event id, is safe."""


class Publisher:
    """Publishes records, each to the topic of its type under the key of its content."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        with mapped_errors(bootstrap):
            self._producer = KafkaProducer(
                bootstrap_servers=bootstrap.split(","),
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                acks="all",
                partitioner=DefaultPartitioner(),
                allow_auto_create_topics=False,
                max_request_size=2 * OUTPUT_BYTES_MAX,
            )
        self._unconfirmed: deque[_Delivery] = deque()
        self._confirmed = 0

    def publish(self, record: Record) -> None:
        """Check ``record`` as a consumer would and hand it to the producer; raises ``SchemaError``.

        It is delivered when ``flush`` has returned. Raises ``NotDelivered`` when an earlier one has failed,
        ``KafkaFailed`` when the cluster cannot be asked.
        """
        topic, key, value = topic_of(record), key_of(record), encode(record)
        check_translatable(decode_record(topic, key, value))
        with mapped_errors(self._bootstrap):
            self._unconfirmed.append(self._producer.send(topic, key=key, value=value))
        self._collect()

    def flush(self) -> int:
        """Wait for everything published; return how many records have been delivered in all. Raises
        ``NotDelivered``."""
        with mapped_errors(self._bootstrap):
            self._producer.flush(timeout=SEND_TIMEOUT_S)
        self._collect()
        if self._unconfirmed:
            raise NotDelivered(f"{len(self._unconfirmed)} records without an answer after {SEND_TIMEOUT_S:g} s")
        return self._confirmed

    def _collect(self) -> None:
        while self._unconfirmed and self._unconfirmed[0].is_done:
            if (error := self._unconfirmed.popleft().exception) is not None:
                raise NotDelivered(str(error)) from error
            self._confirmed += 1

    def close(self) -> None:
        """Close the producer; what was not flushed may be lost."""
        self._producer.close(timeout=SEND_TIMEOUT_S)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()


@dataclass(frozen=True, slots=True)
class Received:
    """One record as it came: ``record`` is what it decodes to, or ``error`` why it does not."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    record: Record | None
    error: SchemaError | None


def read_topic(bootstrap: str, topic: str, *, from_beginning: bool, follow: bool) -> Iterator[Received]:
    """Read all partitions of ``topic`` without a consumer group.

    Starts at the beginning or at the end; with ``follow`` it waits for more for ever, else it stops at the end that
    the topic had when the call started.
    """
    with mapped_errors(bootstrap), closing(_consumer(bootstrap)) as consumer:
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        if not partitions:
            raise TopicMissing(f"no topic {topic} on {bootstrap}")
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        if from_beginning:
            consumer.seek_to_beginning(*partitions)
        else:
            for partition in partitions:
                consumer.seek(partition, ends[partition])
        while follow or any(consumer.position(partition) < ends[partition] for partition in partitions):
            for messages in consumer.poll(timeout_ms=POLL_MS).values():
                for message in messages:
                    yield _received(message)


def _consumer(bootstrap: str) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=bootstrap.split(","),
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        group_id=None,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
    )


class CommandInbox:
    """Decides which liquidation commands an executor acts on: each id once, none past its expiry.

    Commands arrive at least once. The newest ``remembered_max`` ids are kept; a command older than those has expired
    long since. An executor that restarts must start from ids it has stored, or rely on its venue to refuse a second
    order of the same id.
    """

    def __init__(self, clock_us: Callable[[], int], remembered_max: int = 100_000) -> None:
        self._clock_us = clock_us
        self._remembered_max = remembered_max
        self._seen: OrderedDict[str, None] = OrderedDict()

    def accept(self, command: LiquidationCommandV1) -> bool:
        """Whether to execute ``command``; True at most once per command id."""
        if command.command_id in self._seen or command.expires_us <= self._clock_us():
            return False
        self._seen[command.command_id] = None
        if len(self._seen) > self._remembered_max:
            self._seen.popitem(last=False)
        return True


def _received(message: _Message) -> Received:
    record, failure = None, None
    try:
        record = decode_record(message.topic, message.key, message.value)
    except SchemaError as error:
        failure = error
    return Received(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=message.timestamp,
        key=message.key,
        value=message.value,
        record=record,
        error=failure,
    )
