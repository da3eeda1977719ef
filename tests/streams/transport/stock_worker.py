"""A stock Faust worker that counts in a table, as its user guide has it: what the fault tests compare with.

Run as a process of its own: ``python -m tests.streams.transport.stock_worker BOOTSTRAP APPLICATION TOPIC DATADIR``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import faust


def main() -> None:
    """Count records per key; the sum of the table goes to ``sum`` in the data directory after every change."""
    bootstrap, application, topic_name, datadir = sys.argv[1:5]
    app = faust.App(
        application,
        broker=f"kafka://{bootstrap}",
        store="rocksdb://",
        datadir=datadir,
        topic_partitions=1,
        topic_disable_leader=True,
        web_enabled=False,
        stream_recovery_delay=0.0,
        broker_commit_interval=60.0,  # so that a kill falls between two commits
        broker_session_timeout=2.0,
        broker_heartbeat_interval=0.5,
        table_standby_replicas=0,
    )
    topic = app.topic(topic_name, key_type=bytes, value_type=bytes, value_serializer="raw", partitions=1)
    table = app.Table("counts", key_type=str, value_type=int, default=int, partitions=1)

    async def count(stream: faust.StreamT[bytes]) -> None:
        async for _ in stream:
            table["all"] += 1
            (Path(datadir) / "sum").write_text(str(table["all"]), encoding="utf-8")

    app.agent(topic, name="count")(count)
    faust.Worker(app, loglevel="WARNING", console_port=0).execute_from_commandline()


if __name__ == "__main__":
    main()
