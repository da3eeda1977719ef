"""Workers are killed, stopped and frozen at random while they count; the sums must come out exact."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.servers.kafka import KafkaBroker, RunningKafka
from tests.streams.transport.cluster import Cluster, Worker, wait_until

pytestmark = pytest.mark.faults

LONG = "CROSSMARGIN_FAULT_ROUNDS" in os.environ
ROUNDS = int(os.environ.get("CROSSMARGIN_FAULT_ROUNDS", "4"))
SEED = int(os.environ.get("CROSSMARGIN_FAULT_SEED", "20230311"))


def hurt(worker: Worker, randomness: random.Random, session_s: float) -> str:
    """One act of violence; the worker runs again afterwards. Returns what was done."""
    act = randomness.choice(("kill", "kill", "terminate", "freeze"))
    if act == "freeze":
        worker.send(signal.SIGSTOP)
        time.sleep(session_s * randomness.choice((0.5, 1.6)))
        worker.send(signal.SIGCONT)
        return act
    worker.end(signal.SIGKILL if act == "kill" else signal.SIGTERM)
    time.sleep(randomness.choice((0.0, 0.5)))
    worker.start()
    return act


@pytest.mark.timeout(120 + 40 * ROUNDS)
@pytest.mark.parametrize("store", ["rocksdb", "memory"] if LONG else ["rocksdb"])
def test_sums_are_exact_after_kills(kafka: KafkaBroker | RunningKafka, tmp_path: Path, store: str) -> None:
    randomness = random.Random(f"{SEED}{store}")
    acts = []
    with Cluster(kafka.bootstrap, tmp_path, store=store) as cluster:
        for worker in cluster.workers:
            worker.start()
        # The first acts fall into the first minute of a fresh group: joins, empty commits, recoveries.
        for _ in range(ROUNDS):
            cluster.produce(4000, randomness)
            time.sleep(randomness.uniform(0.0, 3.0))
            victim = randomness.choice(cluster.workers)
            if not victim.running:
                victim.start()
            acts.append(hurt(victim, randomness, victim.config.session_timeout_s))
        cluster.produce(1000, randomness)
        for worker in cluster.workers:
            if not worker.running:  # one that woke up replaced may have stopped itself, as it should
                worker.start()
        try:
            cluster.wait_consumed()
        except TimeoutError as error:
            raise AssertionError(f"{acts} seed {SEED}: {error}\n{cluster.log_tails()}") from error
        assert cluster.durable() == cluster.expected, f"{acts} seed {SEED}"


@pytest.mark.timeout(120)
def test_frozen_worker_cannot_overwrite_its_successor(kafka: KafkaBroker | RunningKafka, tmp_path: Path) -> None:
    randomness = random.Random(SEED)
    with Cluster(kafka.bootstrap, tmp_path) as cluster:
        frozen, successor = cluster.workers
        frozen.start()
        cluster.produce(2000, randomness)
        wait_until(lambda: sum(cluster.committed()) > 0, "the first worker to count")
        cluster.produce(4000, randomness)
        frozen.send(signal.SIGSTOP)  # with batches in hand
        successor.start()
        cluster.produce(2000, randomness)
        cluster.wait_consumed()
        assert cluster.durable() == cluster.expected, "the successor counted what the frozen one left"
        frozen.send(signal.SIGCONT)
        cluster.produce(2000, randomness)
        if not frozen.running:
            frozen.start()
        cluster.wait_consumed()
        assert cluster.durable() == cluster.expected


@pytest.mark.timeout(180)
def test_sums_are_exact_after_the_broker_was_killed(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    randomness = random.Random(SEED)
    with Cluster(own_kafka.bootstrap, tmp_path) as cluster:
        for worker in cluster.workers:
            worker.start()
        cluster.produce(2000, randomness)
        own_kafka.kill()
        own_kafka.start()
        cluster.produce(2000, randomness)
        for worker in cluster.workers:
            if not worker.running:  # a write that the broker cannot confirm stops its worker
                worker.start()
        try:
            cluster.wait_consumed()
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{cluster.log_tails()}") from error
        assert cluster.durable() == cluster.expected
