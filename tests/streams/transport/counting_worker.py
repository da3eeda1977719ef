"""A toy application on the transport and the row table alone: per key the sum and count of what was added.

Run as a process of its own by the fault tests: ``python -m tests.streams.transport.counting_worker CONFIG.json``.
"""

from __future__ import annotations

import json
import logging
import struct
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import faust
from faust.types import StreamT

from streams.errors import OwnershipLost
from streams.state import MemoryStore, RocksDBStore, RowTable, row_table
from streams.transport import (
    RecordBatch,
    abandon,
    acknowledge,
    broker_urls,
    check_worker,
    coalesced_topic,
    faust_settings,
)

ROW = struct.Struct(">qqq")
"""Sum, count, last source offset."""


@dataclass(frozen=True)
class Config:
    """What a counting worker is told."""

    bootstrap: str
    application: str
    topic: str
    partitions: int
    data_dir: str
    store: str = "rocksdb"
    instance: str = ""
    standby_replicas: int = 0
    session_timeout_s: float = 3.0
    declare: bool = False

    def save(self, path: Path) -> None:
        """Write the configuration for the process to read."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


class Counter:
    """The whole application: a dictionary of rows per partition."""

    def __init__(self, config: Config) -> None:
        self.rows: dict[int, dict[bytes, tuple[int, int, int]]] = {}
        self.app = faust.App(
            config.application,
            broker=broker_urls(config.bootstrap),
            datadir=config.data_dir,
            **faust_settings(
                commit_interval_s=0.3,
                session_timeout_s=config.session_timeout_s,
                heartbeat_s=config.session_timeout_s / 4,
                rebalance_timeout_s=6.0,
                standby_replicas=config.standby_replicas,
                instance=config.instance,
            )
            | {"topic_allow_declare": config.declare, "topic_partitions": config.partitions},
        )
        store = MemoryStore() if config.store == "memory" else RocksDBStore(Path(config.data_dir) / "rows")
        self.table: RowTable = row_table(
            self.app,
            "counts",
            partitions=config.partitions,
            row_store=store,
            sources=[config.topic],
            encode=lambda partition, keys: [ROW.pack(*self.rows[partition][key]) for key in keys],
            on_partition_recovered=self.load,
            on_partition_lost=self.drop,
        )
        topic = coalesced_topic(self.app, config.topic, config.partitions)
        self.app.agent(topic, name="count")(self.count)
        check_worker(self.app)

    def load(self, partition: int, rows: Mapping[bytes, bytes]) -> None:
        """Adopt a partition."""
        assert partition not in self.rows, f"partition {partition} recovered twice without being lost"
        self.rows[partition] = {key: ROW.unpack(row) for key, row in rows.items()}

    def drop(self, partition: int) -> None:
        """Forget a partition."""
        del self.rows[partition]

    async def count(self, stream: StreamT[bytes]) -> None:
        """Add every record once."""
        stream = stream.noack()
        async for event in stream.events():
            batch: RecordBatch = event.message.value
            try:
                self.apply(batch)
                await self.table.flush(
                    batch.partition, generation=batch.generation, sources={batch.topic: batch.offset}
                )
            except OwnershipLost as lost:
                logging.warning("dropped %r: %s", batch, lost)
                abandon(stream, event)
            except Exception as error:
                await self.app.crash(error)
                raise
            else:
                await acknowledge(stream, event)

    def apply(self, batch: RecordBatch) -> None:
        """Fold a batch into the rows of its partition."""
        rows = self.rows.get(batch.partition)
        for record in batch:
            assert record.key is not None and record.value is not None
            self.table.mark_dirty(batch.partition, record.key)
            assert rows is not None, "owned partitions are loaded"
            total, count, applied = rows.get(record.key, (0, 0, -1))
            if record.offset > applied:
                rows[record.key] = (total + int(record.value), count + 1, record.offset)


def main() -> None:
    """Run one worker until it is told to stop; a crash is a non-zero exit."""
    config = Config(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    counter = Counter(config)
    worker = faust.Worker(counter.app, loglevel="INFO", override_logging=True, console_port=0)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
