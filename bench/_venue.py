"""A broker, risk workers and a market for the benchmarks that need a whole machine.

Owns the processes and the freezing of workers while a backlog is published. Refuses to know what is measured.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from kafka.admin import KafkaAdminClient

from bench._machine import cpu_seconds
from bench._records import KeyedRecord, publish_all
from schemas.catalogue import load_catalogue
from streams.kafka_admin import ensure_topics
from tests.faults.cluster import Cluster, Worker, wait_until
from tests.faults.workload import Event, Workload
from tests.servers.kafka import KafkaBroker

PARTITIONS = 4
GROUP = "crossmargin-risk"
FROZEN_SESSION_S = 85
"""Session timeout of workers that are frozen while a backlog is published: longer than that takes, and below Faust's
limit, its request timeout of 90 s."""


@dataclass(slots=True)
class Venue:
    """One broker with topics and market data, and the risk workers started on it."""

    broker: KafkaBroker
    cluster: Cluster
    directory: Path
    partitions: int
    workers: list[Worker] = field(default_factory=list)

    def start_worker(self, name: str = "bench", settings: Mapping[str, str] | None = None) -> Worker:
        """Start a risk worker with a data directory of its own."""
        environment = {
            "CROSSMARGIN_KAFKA": self.broker.bootstrap,
            "CROSSMARGIN_PARTITIONS": str(self.partitions),
            "CROSSMARGIN_DATA_DIR": str(self.directory / f"state-{name}"),
            "CROSSMARGIN_SESSION_TIMEOUT_S": str(FROZEN_SESSION_S),
            **(settings or {}),
        }
        worker = Worker(name, environment, self.directory / f"{name}.log")
        worker.start()
        self.workers.append(worker)
        return worker

    def publish(self, topic: str, records: Iterable[KeyedRecord]) -> int:
        """Publish records to an account topic in large batches; returns their number when all are durable."""
        return asyncio.run(publish_all(self.broker.bootstrap, topic, self.partitions, records))

    def publish_frozen(self, topic: str, records: Iterable[KeyedRecord]) -> int:
        """The same while every worker is frozen, so that publisher and worker do not share the cores."""
        prepared = list(records)
        for worker in self.workers:
            worker.send(signal.SIGSTOP)
        return self.publish(topic, prepared)

    def thaw(self) -> None:
        """Let frozen workers go on."""
        for worker in self.workers:
            worker.send(signal.SIGCONT)

    def settle(self, what: str, deadline_s: float = 600.0) -> None:
        """Wait until the workers have committed to the end of the account topics."""
        wait_until(self._is_consumed, what, deadline_s)

    def members(self) -> int:
        """Workers in the consumer group while it is stable, 0 while it is rebalancing."""
        admin = KafkaAdminClient(bootstrap_servers=self.broker.bootstrap)
        try:
            group = admin.describe_groups([GROUP])[GROUP]
        finally:
            admin.close()
        return len(group["members"]) if group["group_state"] == "Stable" else 0

    def broker_cpu_seconds(self) -> float:
        """CPU time of the broker so far."""
        return cpu_seconds(self.broker.pid)

    def _is_consumed(self) -> bool:
        for worker in self.workers:
            if worker.process is not None and (code := worker.process.poll()) is not None:
                raise RuntimeError(f"worker {worker.name} ended with {code}: {last_words(worker)}")
        return self.cluster.is_consumed()


@contextmanager
def venue(partitions: int = PARTITIONS) -> Iterator[Venue]:
    """A fresh broker with the market of the fault tests; workers are the caller's to start and ours to stop, also when
    this process is told to terminate."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory() as directory, KafkaBroker(Path(directory) / "kafka") as broker:
        ensure_topics(broker.bootstrap, load_catalogue(), accounts=partitions)
        cluster = Cluster(broker.bootstrap, GROUP)
        market = next(phase for phase in Workload(1).phases() if phase.name == "market")
        publish(cluster, market.events)
        made = Venue(broker, cluster, Path(directory), partitions)
        try:
            yield made
        finally:
            for worker in made.workers:
                worker.stop()
            cluster.close()


def publish(cluster: Cluster, events: tuple[Event, ...] | list[Event]) -> None:
    """Publish events and wait for the broker to have them."""
    for event in events:
        cluster.producer.send(event.topic, key=event.key.encode(), value=orjson.dumps(event.value))
    cluster.producer.flush()


def pid_of(worker: Worker) -> int:
    """The process id of a started worker."""
    assert worker.process is not None, "the worker was never started"
    return worker.process.pid


def last_words(worker: Worker) -> str:
    """The end of what a worker printed."""
    return worker.log.read_text(errors="replace")[-800:] if worker.log.exists() else "(no output)"


@dataclass(frozen=True, slots=True)
class Consumption:
    """What consuming a backlog took: records, seconds of CPU of all workers and of the broker, seconds of wall time."""

    records: int
    worker_cpu_s: float
    broker_cpu_s: float
    wall_s: float


def consume_backlog(place: Venue, topic: str, records: Iterable[KeyedRecord], deadline_s: float = 600.0) -> Consumption:
    """Publish a backlog while the workers are frozen, thaw them, and measure until all of it is committed."""
    count = place.publish_frozen(topic, records)
    pids = [pid_of(worker) for worker in place.workers]
    cpu_before, broker_before = sum(map(cpu_seconds, pids)), place.broker_cpu_seconds()
    wall_before = time.monotonic()
    place.thaw()
    place.settle(f"{count} records of {topic} to be consumed", deadline_s)
    return Consumption(
        count,
        sum(map(cpu_seconds, pids)) - cpu_before,
        place.broker_cpu_seconds() - broker_before,
        time.monotonic() - wall_before,
    )
