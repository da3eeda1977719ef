"""A broker, one risk worker and a market for the benchmarks that need a whole machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from schemas.catalogue import load_catalogue
from streams.kafka_admin import ensure_topics
from tests.faults.cluster import Cluster, Worker, wait_until
from tests.faults.workload import Event, Workload
from tests.servers.kafka import KafkaBroker

PARTITIONS = 4


@contextmanager
def risk_venue() -> Iterator[tuple[Cluster, Worker]]:
    """A fresh broker with the market of the fault tests, and a risk worker that has read it."""
    with tempfile.TemporaryDirectory() as directory, KafkaBroker(Path(directory) / "kafka") as broker:
        ensure_topics(broker.bootstrap, load_catalogue(), accounts=PARTITIONS)
        cluster = Cluster(broker.bootstrap, "crossmargin-risk")
        market = next(phase for phase in Workload(1).phases() if phase.name == "market")
        publish(cluster, market.events)
        environment = {
            "CROSSMARGIN_KAFKA": broker.bootstrap,
            "CROSSMARGIN_PARTITIONS": str(PARTITIONS),
            "CROSSMARGIN_DATA_DIR": str(Path(directory) / "state"),
        }
        worker = Worker("bench", environment, Path(directory) / "worker.log")
        worker.start()
        try:
            yield cluster, worker
        finally:
            worker.stop()
            cluster.close()


def publish(cluster: Cluster, events: tuple[Event, ...] | list[Event]) -> None:
    """Publish events and wait for the broker to have them."""
    for event in events:
        cluster.producer.send(event.topic, key=event.key.encode(), value=orjson.dumps(event.value))
    cluster.producer.flush()


def settle(cluster: Cluster, what: str) -> None:
    """Wait until the worker has committed to the end of the account topics."""
    wait_until(cluster.is_consumed, what)


def cpu_seconds(worker: Worker) -> float:
    """User and system time of the worker's process so far."""
    assert worker.process is not None
    fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
