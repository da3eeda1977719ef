"""Fills per CPU-second of one risk worker on real Kafka, against a bare consumer loop that keeps positions in a dict.

Run from the checkout: ``python -m bench.fills_throughput [--fills N] [--accounts N] [--check] [--flame FILE.svg]``.
Ours is the whole way: decode, validate, exact books, margin of every touched account, rows to a durable changelog and
RocksDB, offsets committed. The reference is aiokafka ``getmany`` + orjson + a dict, which does none of the rest.

The worker first consumes deposits and a warm-up (which compiles what is compiled; reported apart), is then frozen while
the backlog is published, and its CPU time counts from the thaw to the committed end of the backlog. The reference
consumes the same records from the same broker. A dead letter is a failure; ``--check`` compares the positions in the
durable rows with the sums of the fills, and fails when one differs. With ``--flame`` the worker is sampled by py-spy
during the backlog, which slows it a little: figures of such a run are not for the record. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from bench._check import no_dead_letters, same_positions
from bench._flame import sampled
from bench._machine import cpu_seconds, machine, resident_bytes, versions
from bench._peer_process import fills_per_cpu_second
from bench._records import deposits, fills
from bench._venue import Consumption, Venue, consume_backlog, pid_of, venue

WARM_UP_FILLS = 20_000


def warm_up(place: Venue, accounts: int) -> dict[str, float]:
    """Start a worker and let it consume deposits and some fills; returns what the start and the warm-up cost."""
    started = time.monotonic()
    place.publish("collateral", deposits(accounts))
    worker = place.start_worker()
    place.settle("the deposits to be consumed")
    start_cpu, start_wall = cpu_seconds(pid_of(worker)), time.monotonic() - started
    used = consume_backlog(place, "fills", fills(WARM_UP_FILLS, accounts, seed=1))
    return {
        "start_cpu_s": round(start_cpu, 2),
        "start_wall_s": round(start_wall, 2),
        "warm_up_cpu_s": round(used.worker_cpu_s, 2),
        "warm_up_fills": WARM_UP_FILLS,
    }


def measure(place: Venue, count: int, accounts: int, flame: Path | None) -> Consumption:
    """The backlog consumed by the warm worker, sampled into ``flame`` when that is given."""
    with ExitStack() as stack:
        if flame is not None:
            stack.enter_context(sampled(pid_of(place.workers[0]), flame))
        return consume_backlog(place, "fills", fills(count, accounts))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fills", type=int, default=300_000)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--check", action="store_true", help="compare the durable positions with the fills")
    parser.add_argument("--flame", type=Path, help="write a flame graph of the worker to this SVG")
    options = parser.parse_args()
    with venue() as place:
        compile_and_start = warm_up(place, options.accounts)
        used = measure(place, options.fills, options.accounts, options.flame)
        memory = resident_bytes(pid_of(place.workers[0]))
        place.workers[0].stop()
        no_dead_letters(place)
        if options.check:
            warm_up_fills = fills(WARM_UP_FILLS, options.accounts, seed=1)
            same_positions(place, [*warm_up_fills, *fills(options.fills, options.accounts)])
        bare = [
            fills_per_cpu_second(
                sys.executable, "_peer_bare.py", place.broker.bootstrap, used.records, place.directory / "bare"
            )
            for _ in range(3)
        ]
    ours, reference = used.records / used.worker_cpu_s, sorted(bare)[1]
    result = {
        "name": "fills_throughput",
        "ours": round(ours),
        "reference": round(reference),
        "ratio": round(ours / reference, 4),
        "unit": "fills per CPU-second of the consuming process; the reference keeps positions only",
        "fills_per_second_wall": round(used.records / used.wall_s),
        "broker_cpu_s": round(used.broker_cpu_s, 2),
        "worker_rss_mb": memory >> 20,
        "fills": options.fills,
        "accounts": options.accounts,
        "books_checked": options.check,
        **compile_and_start,
        "machine": machine(),
        "versions": versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
