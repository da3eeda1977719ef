"""Fills per second of two risk workers beside one, on a backlog that is complete before they start on it.

Run from the checkout: ``python -m bench.two_workers [--fills N] [--accounts N]``. Eight partitions, the same records
for both runs, wall time from the thaw of the warm workers to the committed end. The reference is one worker on a broker
of its own. On two cores the broker runs beside the workers, so wall time bounds the ratio from below; fills per second
of CPU of the workers are reported beside it, and they show what a second worker costs. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json

from bench._check import no_dead_letters
from bench._machine import machine, versions
from bench._records import deposits, fills
from bench._venue import Consumption, consume_backlog, venue
from tests.faults.cluster import wait_until

PARTITIONS = 8
WARM_UP_FILLS = 20_000
BALANCE_DEADLINE_S = 120


def consume_with(workers: int, count: int, accounts: int) -> Consumption:
    """A fresh broker, that many warm workers, and the backlog."""
    with venue(PARTITIONS) as place:
        place.publish("collateral", deposits(accounts))
        for number in range(workers):
            place.start_worker(f"worker-{number}")
        place.settle("the deposits to be consumed")
        wait_until(lambda: place.members() == workers, f"{workers} workers to share partitions", BALANCE_DEADLINE_S)
        consume_backlog(place, "fills", fills(WARM_UP_FILLS, accounts, seed=1))
        used = consume_backlog(place, "fills", fills(count, accounts))
        no_dead_letters(place)
        return used


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fills", type=int, default=600_000)
    parser.add_argument("--accounts", type=int, default=1_000)
    options = parser.parse_args()
    one, two = (consume_with(workers, options.fills, options.accounts) for workers in (1, 2))
    ours, reference = two.records / two.wall_s, one.records / one.wall_s
    result = {
        "name": "two_workers",
        "ours": round(ours),
        "reference": round(reference),
        "ratio": round(ours / reference, 2),
        "unit": "fills per second of wall time; two workers beside one, broker on the same cores",
        "per_cpu_second_two": round(two.records / two.worker_cpu_s),
        "per_cpu_second_one": round(one.records / one.worker_cpu_s),
        "broker_cpu_s_two": round(two.broker_cpu_s, 2),
        "broker_cpu_s_one": round(one.broker_cpu_s, 2),
        "fills": options.fills,
        "accounts": options.accounts,
        "machine": machine(),
        "versions": versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
