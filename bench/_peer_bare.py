"""A bare aiokafka loop: ``getmany``, orjson, a dict of positions; nothing durable. Run by ``bench.peers``.

Needs only the packages of the peers' environment. Arguments: bootstrap, topic, records, work directory (unused). Prints
one JSON object: records, cpu_seconds and wall_seconds from the first fetch to the last record.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

BOOTSTRAP, TOPIC, RECORDS = sys.argv[1], sys.argv[2], int(sys.argv[3])


async def main() -> None:
    """Run until the last record."""
    consumer = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(TOPIC, number) for number in range(4)])
    positions: dict[tuple[str, str], float] = {}
    seen, wall, cpu = 0, time.perf_counter(), time.process_time()
    while seen < RECORDS:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                fill = orjson.loads(record.value)
                key = fill["account"], fill["instrument"]
                quantity = float(fill["quantity"]) if fill["side"] == "buy" else -float(fill["quantity"])
                positions[key] = positions.get(key, 0.0) + quantity
            seen += len(records)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"records": seen, "cpu_seconds": cpu, "wall_seconds": wall}), flush=True)
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main())
