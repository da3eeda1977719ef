"""Worker processes under fire: start, kill, stop and revive real risk workers on a real broker."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

ACCOUNT_TOPICS = ("fills", "collateral", "liquidation-acks")
DEADLINE_S = 150.0


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Poll ``condition``; raise with ``what`` was awaited when the deadline passes."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {deadline_s:.0f} s still waiting: {what}")
        time.sleep(0.1)


@dataclass(slots=True)
class Worker:
    """A process, by default ``crossmargin worker --role risk``, that can be started again under the same name."""

    name: str
    environment: Mapping[str, str]
    log: Path
    module: tuple[str, ...] = ("streams", "worker", "--role", "risk")
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def start(self) -> None:
        """Start the process; its output goes to a log of its own."""
        self.starts += 1
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.module],
                env={**os.environ, **self.environment, "CROSSMARGIN_INSTANCE": self.name},
                stdout=output,
                stderr=output,
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal, whatever state the process is in."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the process to end; None when it has not by then."""
        assert self.process is not None
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Terminate, and kill what does not listen."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        if self.process is not None and self.wait(20) is None:
            self.send(signal.SIGKILL)
            self.wait(5)


@dataclass(slots=True)
class Assassin:
    """Kills workers on a seeded schedule from a thread of its own: SIGKILL, SIGTERM, and SIGSTOP beyond the session."""

    workers: list[Worker]
    seed: int
    kills: int
    log: list[str] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first kill comes within the first seconds of the fresh group."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the last victim is back."""
        assert self._thread is not None
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), self.log

    def _run(self) -> None:
        rng = random.Random(self.seed)
        for _ in range(self.kills):
            # Short waits hit joins and recoveries, long ones hit processing.
            time.sleep(rng.choice([rng.uniform(0.2, 1.5), rng.uniform(1.5, 6.0)]))
            victim = rng.choice(self.workers)
            number = rng.choices([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], [5, 3, 2])[0]
            self.log.append(f"{time.monotonic():.1f} {number.name} {victim.name}")
            victim.send(number)
            if number is signal.SIGSTOP:
                time.sleep(rng.uniform(7.0, 10.0))
                victim.send(signal.SIGCONT)
                time.sleep(1.0)
                if victim.wait(3.0) is None:
                    continue
            elif victim.wait(20.0) is None:
                victim.send(signal.SIGKILL)
                victim.wait(5.0)
            victim.start()


class Cluster:
    """A broker's topics seen from outside: publish in phases, wait for consumption, read everything back."""

    def __init__(self, bootstrap: str, group: str) -> None:
        self.bootstrap = bootstrap
        self._group = group
        self._admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self._reader = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        self.producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)

    def close(self) -> None:
        """Release the clients."""
        self.producer.close()
        self._reader.close()
        self._admin.close()

    def all_ends(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """End offsets of whole topics, by topic and partition."""
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in sorted(self._reader.partitions_for_topic(topic) or ())
        ]
        ends = self._reader.end_offsets(partitions)
        return {(partition.topic, partition.partition): end for partition, end in ends.items()}

    def is_consumed(self, topics: Sequence[str] = ACCOUNT_TOPICS) -> bool:
        """Whether the group has committed to the end of every partition of ``topics``."""
        try:
            committed = self._admin.list_group_offsets({self._group: None}).get(self._group, {})
        except KafkaError as error:
            if not error.retriable:
                raise
            return False  # The very first group of a fresh broker has no coordinator for a moment.
        for (topic, number), end in self.all_ends(topics).items():
            done = committed.get(TopicPartition(topic, number))
            if end and (done is None or done.offset < end):
                return False
        return True

    def read_all(self, topic: str) -> list[tuple[int, int, bytes, bytes | None]]:
        """Every record of a topic as (partition, offset, key, value), by partition and offset."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        records: list[tuple[int, int, bytes, bytes | None]] = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for partition, batch in consumer.poll(timeout_ms=500).items():
                records += [(partition.partition, r.offset, r.key, r.value) for r in batch]
        consumer.close()
        return sorted(records, key=lambda record: record[:2])
