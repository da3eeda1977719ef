"""A broker, a topic and a receiving process for the benchmarks of the transport alone."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from bench._transport_worker import PARTITIONS
from tests.servers.kafka import KafkaBroker, create_topics, unique

Send = Callable[[KafkaProducer, str], None]
"""Publishes everything that the worker is to receive."""


@contextmanager
def broker() -> Iterator[str]:
    """The bootstrap address of a fresh broker."""
    with tempfile.TemporaryDirectory() as directory, KafkaBroker(Path(directory) / "kafka") as kafka:
        yield kafka.bootstrap


def received(bootstrap: str, transport: str, kind: str, count: int, send: Send, *, before: bool) -> dict[str, Any]:
    """What a worker process on ``transport`` says of ``count`` records that were sent before it started, or after."""
    topic = unique("records")
    create_topics(bootstrap, {topic: PARTITIONS})
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5 if before else 0)
    if before:
        send(producer, topic)
    command = [sys.executable, "-m", "bench._transport_worker", transport, kind, bootstrap, topic, str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.strip() == "ready" and not before:
                send(producer, topic)
            elif line.startswith("{"):
                result: dict[str, Any] = json.loads(line)
                return result
        raise RuntimeError(f"the worker ended with {process.wait()} and no result")
    finally:
        process.kill()
        process.wait()
        producer.close(timeout=5)
