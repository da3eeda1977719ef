"""Plays the exchange onto Kafka, as fast as the risk workers keep up and no faster.

Owns pacing. Market time must not run away from the decisions taken on it: minute k is published only when the risk
workers are known to have reached minute k - 30 (on a crowded machine k - 60), and no liquidation command older than
that is still without a final answer. What they have reached is told by a probe: one account asks again and again for
money it does not have, and each refusal names the market time of the state it was decided on. Answers travel the whole
way, from the raw quote over the mark and the changed row to the outbox, so nothing can hide behind them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from schemas.catalogue import load_catalogue
from schemas.codec import decode_record
from streams.demo.exchange import Exchange
from streams.demo.mistakes import RawRecord
from streams.demo.processes import DemoFailed
from streams.sdk import Publisher

LOOK_AHEAD_MINUTES = 30
LOOK_AHEAD_MINUTES_MAX = 60
PATIENCE_SECONDS = 0.05
"""On a crowded machine every answer is late without anybody being at work: after this wait the larger bound holds."""
BLOCK_MINUTES = 10
"""Minutes are released in blocks, so that every hop handles a few batches and not a hundred crumbs."""
STALL_SECONDS_MAX = 120.0
FIRST_START_SECONDS_MAX = 480.0
"""The first start of a version compiles before it takes anything: one to three minutes on two busy cores."""
PAUSE_SECONDS = 0.03
LAG_PAUSE_SECONDS = 0.2
SETTLED_CHECKS = 3

TOPICS = tuple(load_catalogue())
WATCHED = ("margin-events", "liquidations", "liquidation-acks")
_TOO_SLOW = "the risk workers do not keep up"
_SNAPSHOT_MARK = b'"type":"margin_snapshot"'


class Feeder:
    """Publishes one run. ``check`` is called while waiting and raises when there is no more reason to wait."""

    def __init__(
        self, bootstrap: str, exchange: Exchange, groups: Mapping[str, Sequence[str]], check: Callable[[], None]
    ) -> None:
        """``groups`` names the consumer groups of the workers and the topics whose positions each commits."""
        self._exchange = exchange
        self._groups = groups
        self._check = check
        self._asked = 0.0
        self._publisher = Publisher(bootstrap)
        self._raw = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
        self._admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self._watch = KafkaConsumer(
            # The broker is on this machine, and checksums are computed in Python.
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            check_crcs=False,
        )
        partitions = _partitions_of(self._watch, WATCHED)
        self._watch.assign(partitions)
        self._watch.seek_to_beginning(*partitions)

    def open(self) -> None:
        """Publish reference data, the first quotes and all deposits, each heard of before the next."""
        for record in self._exchange.reference():
            self._publisher.publish(record)
        self._publisher.flush()
        for record in self._exchange.deposits():
            self._publisher.publish(record)
        self._publisher.flush()
        untaken = "the risk workers do not take the deposits"
        self._wait(lambda: self._unread(("collateral",)) == 0, untaken, LAG_PAUSE_SECONDS, FIRST_START_SECONDS_MAX)

    def play(self, on_minute: Callable[[int], None]) -> None:
        """Publish every minute in turn; ``on_minute`` hears of each."""
        minutes = self._exchange.minutes
        for at in range(len(minutes)):
            if at % BLOCK_MINUTES == 0:
                self._keep_pace(at)
            records, mistakes = self._exchange.minute(at)
            for record in records:
                self._publisher.publish(record)
            for mistake in mistakes:
                self._publish_raw(mistake)
            on_minute(at)
        self._publisher.flush()
        self._wait(partial(self._has_reached, len(minutes) - 1), _TOO_SLOW, PAUSE_SECONDS)

    def settle(self) -> None:
        """Wait until every record is consumed, every command answered, and nothing new has come of it."""
        quiet: list[Mapping[TopicPartition, int]] = []

        def settled() -> bool:
            self._observe()
            ends = self.ends()
            if self._exchange.oldest_open_command_us is not None or self._unread(TOPICS) or ends not in quiet:
                quiet.clear()
            quiet.append(ends)
            return len(quiet) >= SETTLED_CHECKS

        self._wait(settled, "the workers do not come to rest", LAG_PAUSE_SECONDS)

    def ends(self) -> dict[TopicPartition, int]:
        """End offset of every partition of every topic of the manifest."""
        ends: dict[TopicPartition, int] = self._watch.end_offsets(_partitions_of(self._watch, TOPICS))
        return ends

    def close(self) -> None:
        """Let go of all connections."""
        self._publisher.close()
        self._raw.close()
        self._watch.close()
        self._admin.close()

    def _keep_pace(self, at: int) -> None:
        """Wait until minute ``at`` may be published."""
        patient_until = time.monotonic() + PATIENCE_SECONDS

        def is_near() -> bool:
            look_ahead = LOOK_AHEAD_MINUTES if time.monotonic() < patient_until else LOOK_AHEAD_MINUTES_MAX
            return self._has_reached(at - look_ahead)

        self._wait(is_near, _TOO_SLOW, PAUSE_SECONDS)

    def _has_reached(self, at: int) -> bool:
        """Whether the risk workers have reached minute ``at`` and no older command is open; before the first minute
        there is nothing to reach."""
        self._ask()
        if at < 0:
            return True
        time_us = self._exchange.minutes[at].time_us
        oldest = self._exchange.oldest_open_command_us
        return self._exchange.echoed_us >= time_us and (oldest is None or oldest >= time_us)

    def _ask(self) -> None:
        """Hear what was said since, and keep one probe on its way; not more often than it can be worth."""
        if time.monotonic() - self._asked < PAUSE_SECONDS:
            return
        self._observe()
        if (probe := self._exchange.probe()) is not None:
            self._publisher.publish(probe)
        self._asked = time.monotonic()

    def _wait(
        self, condition: Callable[[], bool], complaint: str, pause_s: float, seconds_max: float = STALL_SECONDS_MAX
    ) -> None:
        deadline = time.monotonic() + seconds_max
        self._check()
        while not condition():
            if time.monotonic() > deadline:
                raise DemoFailed(f"{complaint}: waited {seconds_max:g} s")
            time.sleep(pause_s)
            self._check()

    def _observe(self) -> None:
        """Let the exchange heed what the workers and the executor have said since."""
        for messages in self._watch.poll(timeout_ms=0).values():
            for message in messages:
                if _SNAPSHOT_MARK not in message.value:
                    self._exchange.observe(decode_record(message.topic, message.key, message.value))

    def _publish_raw(self, mistake: RawRecord) -> None:
        # The original of a repeated record must stand before it.
        self._publisher.flush()
        self._raw.send(mistake.topic, key=mistake.key, value=mistake.value).get(timeout=STALL_SECONDS_MAX)

    def _unread(self, topics: Sequence[str]) -> int:
        """Records of ``topics`` that some group of the workers has not committed yet."""
        unread = 0
        for group, committing in self._groups.items():
            partitions = _partitions_of(self._watch, [topic for topic in committing if topic in topics])
            committed = self._admin.list_group_offsets([group]).get(group, {})
            for partition, end in self._watch.end_offsets(partitions).items():
                position = committed.get(partition)
                unread += end - (position.offset if position is not None else 0)
        return unread


def _partitions_of(consumer: KafkaConsumer, topics: Sequence[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(consumer.partitions_for_topic(topic) or ())
    ]
