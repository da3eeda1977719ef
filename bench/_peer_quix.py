"""Quix Streams: a stateful update per fill, RocksDB state and changelog, at-least-once. Run by ``bench.peers``.

Needs only the packages of the peers' environment. Arguments: bootstrap, topic, records, work directory. Prints one JSON
object: records, cpu_seconds and wall_seconds from the first record to the last (CPU of all threads, librdkafka's too).
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from quixstreams import Application, State
from quixstreams.models import TopicConfig

BOOTSTRAP, TOPIC, RECORDS, DIRECTORY = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]


class Positions:
    """Adds fills to the state of their account and counts them."""

    def __init__(self) -> None:
        self.seen, self.wall, self.cpu = 0, 0.0, 0.0

    def update(self, fill: dict[str, Any], state: State) -> None:
        """One fill."""
        if not self.seen:
            self.wall, self.cpu = time.perf_counter(), time.process_time()
        quantity = float(fill["quantity"]) if fill["side"] == "buy" else -float(fill["quantity"])
        held = state.get("held", {})
        held[fill["instrument"]] = held.get(fill["instrument"], 0.0) + quantity
        state.set("held", held)
        self.seen += 1
        if self.seen == RECORDS:
            cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
            print(json.dumps({"records": self.seen, "cpu_seconds": cpu, "wall_seconds": wall}), flush=True)
            os._exit(0)  # What a graceful end costs is not compared.


def main() -> None:
    """Run until the last record."""
    app = Application(
        broker_address=BOOTSTRAP,
        consumer_group="peer-quix",
        auto_offset_reset="earliest",
        state_dir=DIRECTORY,
        use_changelog_topics=True,
        loglevel="WARNING",
    )
    topic = app.topic(
        TOPIC,
        value_deserializer="json",
        key_deserializer="str",
        config=TopicConfig(num_partitions=4, replication_factor=1),
    )
    frame = app.dataframe(topic)
    frame.update(Positions().update, stateful=True)
    app.run()


if __name__ == "__main__":
    main()
