"""Microseconds of CPU that one mark costs a risk worker with many accounts, on real Kafka, at a steady rate of marks.

Run from the checkout: ``python -m bench.mark_cost [--accounts N] [--marks M] [--rate MARKS_PER_SECOND]``. The worker
takes back N accounts with eight positions each from a changelog, and is left alone until it is idle. Then one mark
after the other moves one of the instruments by up to a tenth of a percent, none of which breaches anybody; a last one
does, and the command says that all were seen. ``ours`` is CPU time per mark above what the worker uses when idle.
The reference is a bare aiokafka loop that decodes the same marks with orjson into a dict, all at once. Prints one JSON
object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench._commands import reader, wait_for
from bench._machine import cpu_seconds, machine, resident_bytes, versions
from bench._rows import BREACH_PRICES, FALLING, more_instruments
from bench._venue import PARTITIONS, Venue, pid_of, publish, venue
from bench.restart import time_to_command, write_changelog
from tests.faults.workload import START_US, mark

IDLE_S = 5.0
SETTLED_CORES = 0.2
SETTLE_DEADLINE_S = 120.0
PRICES = {"BTC-PERP": 20_010.0, "BTC-30D": 20_100.0, "ETH-PERP": 1_300.0}


def moves(count: int) -> list[bytes]:
    """``count`` marks, each of one feed, around today's price."""
    rng = random.Random(5)
    made = []
    for number in range(count):
        feed = rng.choice(sorted(PRICES))
        price = PRICES[feed] * (1 + rng.uniform(-0.001, 0.001))
        made.append(orjson.dumps(mark(feed, f"{price:.2f}", time_us=START_US + 10 + number).value))
    return made


def idle_cores(place: Venue) -> float:
    """Cores the worker uses when nothing happens, once that is little; raises ``TimeoutError`` when it never is."""
    pid, deadline = pid_of(place.workers[0]), time.monotonic() + SETTLE_DEADLINE_S
    while time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(IDLE_S)
        if (cores := (cpu_seconds(pid) - before) / IDLE_S) < SETTLED_CORES:
            return cores
    raise TimeoutError(f"the worker still uses {cores:.2f} cores after {SETTLE_DEADLINE_S:.0f} s")


def cost_of_marks(place: Venue, payloads: list[bytes], rate: float) -> tuple[float, float]:
    """CPU seconds per mark above idling, and the marks per second that were reached until the last was acted upon."""
    pid, idle = pid_of(place.workers[0]), idle_cores(place)
    consumer = reader(place.broker.bootstrap, "liquidations", place.partitions)
    cpu, wall = cpu_seconds(pid), time.monotonic()
    for number, payload in enumerate(payloads):
        time.sleep(max(0.0, wall + number / rate - time.monotonic()))
        place.cluster.producer.send("marks", key=orjson.loads(payload)["feed"].encode(), value=payload)
    publish(place.cluster, [mark("ETH-PERP", BREACH_PRICES[1], time_us=START_US + 11 + len(payloads))])
    wait_for(consumer, FALLING[1].encode(), 300.0)
    cpu, wall = cpu_seconds(pid) - cpu, time.monotonic() - wall
    consumer.close()
    return max(0.0, cpu - idle * wall) / len(payloads), len(payloads) / wall


async def bare_loop(bootstrap: str, count: int) -> float:
    """CPU seconds per mark of decoding the last ``count`` marks into a dict."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition("marks", 0)])
    prices: dict[str, float] = {}
    seen, started = 0, time.process_time()
    while seen < count:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                value = orjson.loads(record.value)
                prices[value["feed"]] = float(value["price"])
            seen += len(records)
    used = time.process_time() - started
    await consumer.stop()
    return used / seen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--marks", type=int, default=500)
    parser.add_argument("--rate", type=float, default=50.0, metavar="MARKS_PER_SECOND")
    options = parser.parse_args()
    with venue(PARTITIONS) as place:
        publish(place.cluster, more_instruments())
        write_changelog(place, options.accounts)
        time_to_command(place, 0)
        ours, reached = cost_of_marks(place, moves(options.marks), options.rate)
        memory = resident_bytes(pid_of(place.workers[0]))
        reference = asyncio.run(bare_loop(place.broker.bootstrap, options.marks))
    result = {
        "name": "mark_cost",
        "ours": round(ours * 1e6, 1),
        "reference": round(reference * 1e6, 1),
        "ratio": round(ours / reference, 2),
        "unit": "microseconds of CPU per mark; lower is better; the reference decodes only",
        "marks_per_second": round(reached, 1),
        "worker_rss_mb": memory >> 20,
        "accounts": options.accounts,
        "marks": options.marks,
        "machine": machine(),
        "versions": versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
