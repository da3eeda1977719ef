"""Vanilla Faust: one agent, one memory table with a changelog, one event at a time. Run by ``bench.peers``.

Needs only the packages of the peers' environment. Arguments: bootstrap, topic, records, work directory. Prints one JSON
object: records, cpu_seconds and wall_seconds from the first record to the last.
"""

from __future__ import annotations

import json
import os
import sys
import time

import faust
import orjson

BOOTSTRAP, TOPIC, RECORDS, DIRECTORY = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]

app = faust.App(
    "peer-faust",
    broker=f"kafka://{BOOTSTRAP}",
    store="memory://",
    topic_partitions=4,
    topic_disable_leader=True,
    web_enabled=False,
    datadir=DIRECTORY,
    consumer_auto_offset_reset="earliest",
)
topic = app.topic(TOPIC, value_serializer="raw", key_serializer="raw", value_type=bytes, key_type=bytes, partitions=4)
positions = app.Table("positions", default=dict, partitions=4)


@app.agent(topic)
async def book(stream: faust.Stream[bytes]) -> None:
    """Add every fill to the positions of its account."""
    seen, wall, cpu = 0, 0.0, 0.0
    async for value in stream:
        if not seen:
            wall, cpu = time.perf_counter(), time.process_time()
        fill = orjson.loads(value)
        account, instrument = fill["account"], fill["instrument"]
        quantity = float(fill["quantity"]) if fill["side"] == "buy" else -float(fill["quantity"])
        held = positions[account]
        held[instrument] = held.get(instrument, 0.0) + quantity
        positions[account] = held
        seen += 1
        if seen == RECORDS:
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            print(json.dumps({"records": seen, "cpu_seconds": cpu, "wall_seconds": wall}), flush=True)
            os._exit(0)  # What a graceful end costs is not compared.


if __name__ == "__main__":
    sys.argv[1:] = []
    faust.Worker(app, loglevel="WARNING", redirect_stdouts=False).execute_from_commandline()
