"""Bytewax: a stateful step per batch of fills of an account, snapshots to a recovery store. Run by ``bench.peers``.

Needs only the packages of the peers' environment. Arguments: bootstrap, topic, records, work directory. Prints one JSON
object: records, cpu_seconds and wall_seconds from the first record to the last (CPU of all threads, librdkafka's too).
Its recovery store is SQLite on the local disk; it has no changelog on Kafka.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

BOOTSTRAP, TOPIC, RECORDS, DIRECTORY = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
SNAPSHOT_INTERVAL = timedelta(seconds=1)


class Positions(StatefulBatchLogic[dict[str, Any], int, dict[str, float]]):
    """The positions of one account."""

    def __init__(self, resumed: dict[str, float] | None) -> None:
        self.held = resumed or {}

    def on_batch(self, values: list[dict[str, Any]]) -> tuple[list[int], bool]:
        """Add fills."""
        for fill in values:
            quantity = float(fill["quantity"]) if fill["side"] == "buy" else -float(fill["quantity"])
            self.held[fill["instrument"]] = self.held.get(fill["instrument"], 0.0) + quantity
        return [len(values)], False

    def snapshot(self) -> dict[str, float]:
        """What a restart resumes from."""
        return dict(self.held)


class Counter(StatelessSinkPartition[tuple[str, int]]):
    """Counts fills that came out of the stateful step."""

    def __init__(self) -> None:
        self.seen = 0
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def write_batch(self, items: list[tuple[str, int]]) -> None:
        """Some results of some accounts."""
        self.seen += sum(count for _, count in items)
        if self.seen >= RECORDS:
            cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
            print(json.dumps({"records": self.seen, "cpu_seconds": cpu, "wall_seconds": wall}), flush=True)
            os._exit(0)  # What a graceful end costs is not compared.


class Sink(DynamicSink[tuple[str, int]]):
    """A counter per worker; there is one."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Counter:
        """The counter, built before the first record is read."""
        return Counter()


def decode(message: KafkaSourceMessage[bytes, bytes]) -> tuple[str, dict[str, Any]]:
    """A fill by its account."""
    fill = orjson.loads(message.value)
    return fill["account"], fill


def main() -> None:
    """Run until the last record."""
    flow = Dataflow("peer")
    messages = op.input("fills", flow, KafkaSource([BOOTSTRAP], [TOPIC], batch_size=1000, tail=True))
    op.output("count", op.stateful_batch("positions", op.map("decode", messages, decode), Positions), Sink())
    init_db_dir(DIRECTORY, 1)
    cluster_main(flow, [], 0, epoch_interval=SNAPSHOT_INTERVAL, recovery_config=RecoveryConfig(str(DIRECTORY)))


if __name__ == "__main__":
    main()
