"""Counting workers under fire: start, kill, freeze and revive worker processes, and know what they must have counted.

Owns the processes, the input and the oracle (the changelog read from its beginning by the same fence that recovery
uses, against sums kept while producing).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.state.memory_store import MemoryPartition
from streams.state.replica import Replica
from tests.servers.kafka import create_topics, unique
from tests.streams.transport.counting_worker import ROW, Config

ROOT = Path(__file__).resolve().parents[3]
Sums = dict[bytes, tuple[int, int]]


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 60.0) -> None:
    """Poll ``condition``; raise with ``what`` was awaited when the deadline passes."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {deadline_s:.0f} s still waiting: {what}")
        time.sleep(0.05)


class Worker:
    """One worker process; ``start`` revives it under the same name and with the same data directory."""

    def __init__(self, name: str, config: Config, root: Path) -> None:
        self.log = root / f"{name}.log"
        self.config = replace(config, data_dir=str(root / name))
        self._config_path = root / f"{name}.json"
        self.process: subprocess.Popen[bytes] | None = None
        self.exits: list[int] = []

    @property
    def running(self) -> bool:
        """Whether the process is there (frozen counts)."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start or revive the process."""
        self.config.save(self._config_path)
        command = [sys.executable, "-m", "tests.streams.transport.counting_worker", str(self._config_path)]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=dict(os.environ))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the running process."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGKILL, grace_s: float = 20.0) -> int:
        """Signal, wait, kill what does not go by itself; the exit code."""
        assert self.process is not None
        self.send(number)
        try:
            code = self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(10)
        self.exits.append(code)
        return code

    def text(self) -> str:
        """Everything it ever logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")


class Cluster:
    """Workers of one application on fresh topics, and the input they are given."""

    def __init__(self, bootstrap: str, root: Path, *, workers: int = 2, partitions: int = 4, **options: object) -> None:
        self.bootstrap = bootstrap
        self.partitions = partitions
        self.application = unique("counting")
        self.topic = unique("numbers")
        self.changelog = f"{self.application}-counts-changelog"
        create_topics(bootstrap, {self.topic: partitions})
        create_topics(bootstrap, {self.changelog: partitions}, configuration={"cleanup.policy": "compact"})
        config = Config(bootstrap, self.application, self.topic, partitions, "", **options)  # type: ignore[arg-type]
        self.workers = [Worker(f"worker-{number}", config, root) for number in range(workers)]
        self.expected: Sums = {}
        self.counts = [0] * partitions
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.running:
                worker.send(signal.SIGCONT)
                worker.end()
        self._producer.close(timeout=5)

    def produce(self, count: int, randomness: random.Random, keys: int = 200) -> None:
        """Append ``count`` numbers to random keys and note what they sum up to."""
        for _ in range(count):
            key, number = b"k%d" % randomness.randrange(keys), randomness.randrange(1, 1000)
            partition = int(key[1:]) % self.partitions
            self._producer.send(self.topic, key=key, value=b"%d" % number, partition=partition)
            total, seen = self.expected.get(key, (0, 0))
            self.expected[key] = (total + number, seen + 1)
            self.counts[partition] += 1
        self._producer.flush(timeout=30)

    def committed(self) -> list[int]:
        """The group's committed offset per partition, 0 for none."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.application, enable_auto_commit=False)
        try:
            tps = [TopicPartition(self.topic, number) for number in range(self.partitions)]
            return [consumer.committed(tp) or 0 for tp in tps]
        finally:
            consumer.close()

    def wait_consumed(self, deadline_s: float = 60.0) -> None:
        """Wait until every record is committed."""
        wait_until(lambda: self.committed() == self.counts, f"commits to reach {self.counts}", deadline_s)

    def durable(self) -> Sums:
        """Sum and count of each key as a recovery from the changelog's beginning finds them."""
        sums: Sums = {}
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, consumer_timeout_ms=20_000)
        try:
            for number in range(self.partitions):
                tp = TopicPartition(self.changelog, number)
                consumer.assign([tp])
                consumer.seek_to_beginning(tp)
                end = consumer.end_offsets([tp])[tp]
                replica = Replica(self.changelog, number, MemoryPartition())
                while consumer.position(tp) < end:
                    for records in consumer.poll(timeout_ms=500).values():
                        replica.replay(records)
                for key, row in replica.store:
                    total, count, _ = ROW.unpack(row)
                    sums[key] = (total, count)
        finally:
            consumer.close()
        return sums

    def log_tails(self) -> str:
        """The end of every worker's log, for a failing assertion."""
        return "\n".join(f"--- {worker.log.name}\n{worker.text()[-3000:]}" for worker in self.workers)
