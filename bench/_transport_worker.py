"""A worker that does nothing but receive, on our transport or on stock Faust's: what the transport benchmarks start.

``python -m bench._transport_worker ours|stock throughput|latency BOOTSTRAP TOPIC COUNT``: prints ``ready`` when it
holds its partitions, and one JSON object when it has seen COUNT records, then exits.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from typing import Any, cast

import faust
from faust.streams import Stream
from faust.types import StreamT

from streams.transport import acknowledge, broker_urls, coalesced_topic, faust_settings

PARTITIONS = 4


class Tally:
    """What was received: a count with the CPU seconds since the first record, and the age of each record."""

    def __init__(self, kind: str, count: int) -> None:
        self._kind = kind
        self._count = count
        self._seen = 0
        self._started = 0.0
        self._ages: list[float] = []

    def note(self, values: list[bytes | None]) -> None:
        """Records arrived; the last of all ends the process."""
        now = time.monotonic()
        if self._seen == 0:
            self._started = time.process_time()
        self._seen += len(values)
        if self._kind == "latency":
            self._ages += [(now - float(value or b"nan")) * 1000 for value in values]
        if self._seen >= self._count:
            cpu = time.process_time() - self._started
            print(json.dumps({"cpu_s": cpu, "milliseconds": sorted(self._ages)}), flush=True)
            os._exit(0)


def main() -> None:
    """Receive."""
    transport, kind, bootstrap, topic_name, count = sys.argv[1:]
    tally = Tally(kind, int(count))
    broker = broker_urls(bootstrap) if transport == "ours" else f"kafka://{bootstrap}"
    name = f"{topic_name}-{transport}"
    app = faust.App(name, broker=broker, datadir=tempfile.mkdtemp(), topic_partitions=PARTITIONS, **faust_settings())  # type: ignore[arg-type]

    if transport == "ours":

        @app.agent(coalesced_topic(app, topic_name, PARTITIONS), name="receive")
        async def batches(stream: Any) -> None:
            async for event in cast(Stream[Any], stream).noack().events():
                tally.note(event.message.value.values)
                await acknowledge(stream, event)
    else:

        @app.agent(app.topic(topic_name, value_type=bytes, value_serializer="raw", allow_empty=True), name="receive")
        async def records(stream: StreamT[bytes]) -> None:
            async for value in stream:
                tally.note([value])

    @app.task  # type: ignore[untyped-decorator]
    async def announce() -> None:
        while not app.consumer.assignment():
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        print("ready", flush=True)

    worker = faust.Worker(app, loglevel="ERROR", redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
