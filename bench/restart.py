"""Seconds from the start of a risk worker to the first command it owes, with many accounts to take back first.

Run from the checkout: ``python -m bench.restart [--accounts N]``. A changelog of N accounts with eight positions each
is written by a process of its own. The price of one instrument falls so that one account breaches, and a worker with an
empty local store is started: ``cold``. It is killed, the price falls again for one more account, and it is started over
the local store that it left: ``warm``. Both count from the start of the process and from the assignment of partitions
(as the worker logs it) to the command as a consumer reads it.

``ours`` is the cold restart; the reference is how long a bare aiokafka consumer needs to read the same changelog into a
dict of bytes, with which nothing is decided yet. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench._commands import reader, wait_for
from bench._machine import cpu_seconds, machine, resident_bytes, versions
from bench._rows import BREACH_PRICES, CHANGELOG, FALLING, more_instruments
from bench._venue import PARTITIONS, Venue, last_words, pid_of, publish, venue
from streams.kafka_admin import ensure_changelog
from tests.faults.cluster import Worker
from tests.faults.workload import START_US, mark

SETTINGS = {"CROSSMARGIN_LOG_LEVEL": "INFO", "CROSSMARGIN_SESSION_TIMEOUT_S": "10"}
ASSIGNED = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})\].*Setting newly assigned partitions")
DEADLINE_S = 540.0


def write_changelog(place: Venue, accounts: int) -> None:
    """Create the changelog and fill it from another process, so that this one stays small."""
    ensure_changelog(place.broker.bootstrap, CHANGELOG, partitions=place.partitions, replication=1)
    arguments = [place.broker.bootstrap, CHANGELOG, str(place.partitions), str(accounts)]
    subprocess.run([sys.executable, "-m", "bench._rows", *arguments], check=True)


async def read_bare(bootstrap: str, count: int) -> float:
    """Seconds of wall time to read ``count`` changelog records into a dict."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    started = time.monotonic()
    await consumer.start()
    consumer.assign([TopicPartition(CHANGELOG, number) for number in range(PARTITIONS)])
    held: dict[bytes, bytes] = {}
    while len(held) < count:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            held.update((record.key, record.value) for record in records)
    seconds = time.monotonic() - started
    await consumer.stop()
    return seconds


def assigned_at(worker: Worker, since: float) -> float:
    """When partitions were last assigned to the worker, in seconds since the epoch; raises when it never says so."""
    for text in reversed(ASSIGNED.findall(worker.log.read_text(errors="replace"))):
        at = datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
        if at >= since:
            return at
    raise RuntimeError(f"no assignment in the log of {worker.name}: {last_words(worker)}")


def time_to_command(place: Venue, number: int) -> dict[str, float]:
    """Drop the price below account ``number``, start the worker, and wait for the account's command."""
    consumer = reader(place.broker.bootstrap, "liquidations", place.partitions)
    publish(place.cluster, [mark("ETH-PERP", BREACH_PRICES[number], time_us=START_US + 1 + number)])
    started = time.time()
    if place.workers:
        worker = place.workers[0]
        worker.start()
    else:
        worker = place.start_worker(settings=SETTINGS)
    try:
        commanded = wait_for(consumer, FALLING[number].encode(), DEADLINE_S)
    except TimeoutError as error:
        raise RuntimeError(f"no command: {last_words(worker)}") from error
    consumer.close()
    return {
        "from_start_s": round(commanded - started, 2),
        "from_assignment_s": round(commanded - assigned_at(worker, started), 2),
        "cpu_s": round(cpu_seconds(pid_of(worker)), 2),
        "rss_mb": resident_bytes(pid_of(worker)) >> 20,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    options = parser.parse_args()
    with venue(PARTITIONS) as place:
        publish(place.cluster, more_instruments())
        write_changelog(place, options.accounts)
        bare = asyncio.run(read_bare(place.broker.bootstrap, options.accounts + len(FALLING)))
        cold = time_to_command(place, 0)
        place.workers[0].send(signal.SIGKILL)
        place.workers[0].wait(10)
        warm = time_to_command(place, 1)
    ours = cold["from_start_s"]
    result = {
        "name": "restart",
        "ours": ours,
        "reference": round(bare, 2),
        "ratio": round(ours / bare, 2),
        "unit": "seconds of wall time from process start to the first command, empty local store; lower is better",
        "cold": cold,
        "warm": warm,
        "accounts": options.accounts,
        "machine": machine(),
        "versions": versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
