"""Milliseconds from a published mark to the liquidation command it causes, readable by a consumer, on real Kafka.

Run from the checkout: ``python -m bench.price_to_command [--rounds N] [--load FILLS_PER_SECOND]``. Each round lowers
the price of one perpetual so that exactly one more account breaches. The reference is the bare way there and back on
the same broker, sent and read by the same two clients. With ``--load`` the rounds are repeated while a process of its
own publishes fills at that rate (0 leaves it out). Prints one JSON object; ``ours`` and ``reference`` are medians
without load.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from bench._commands import percentile, reader, wait_for
from bench._machine import cpu_seconds, machine, versions
from bench._records import deposits, fills
from bench._venue import PARTITIONS, Venue, pid_of, publish, venue
from tests.faults.workload import START_US, Event, mark

LOADED_ACCOUNTS = 1_000
WARM_UP_FILLS = 5_000
LOAD_WARM_UP_S = 2.0


def book(rounds: int) -> list[Event]:
    """One account per round with one long position each, sized so that they breach one after another."""
    events = []
    for number in range(rounds):
        account = f"round-{number}"
        deposit: dict[str, object] = {
            "v": 1, "event_id": f"d-{number}", "account": account, "kind": "deposit", "asset": "USD",
            "amount": f"{3_000 + 10 * number}", "event_time_us": START_US,
        }  # fmt: skip
        fill: dict[str, object] = {
            "v": 1, "event_id": f"f-{number}", "account": account, "instrument": "ETH-PERP", "side": "buy",
            "quantity": "10", "price": "1500", "trade_time_us": START_US,
        }  # fmt: skip
        events += [Event("collateral", account, deposit), Event("fills", account, fill)]
    return events


def breach_price(number: int) -> float:
    """A price at which accounts up to ``number`` are below maintenance margin (12 % of notional), and no further one.

    equity 3000 + 10 n + 10 (p - 1500) < 1.2 p, so the n-th breaches below (12000 - 10 n) / 8.8.
    """
    return (12_000 - 10 * number - 5) / 8.8


def latencies(place: Venue, rounds: range) -> list[float]:
    """Milliseconds from mark to command, sorted."""
    consumer = reader(place.broker.bootstrap, "liquidations", place.partitions)
    found = []
    for number in rounds:
        price = mark("ETH-PERP", f"{breach_price(number):.2f}", time_us=START_US + 1 + number)
        payload = orjson.dumps(price.value)
        sent = time.time()
        place.cluster.producer.send("marks", key=b"ETH-PERP", value=payload)
        found.append((wait_for(consumer, f"round-{number}".encode()) - sent) * 1000)
        time.sleep(0.05)
    consumer.close()
    return sorted(found)


def round_trips(place: Venue, rounds: int) -> list[float]:
    """Milliseconds from a record sent to the same record read, sorted."""
    consumer = reader(place.broker.bootstrap, "prices", 1)
    found = []
    for number in range(rounds):
        key, sent = b"probe-%d" % number, time.time()
        place.cluster.producer.send("prices", key=key, value=b"{}")
        found.append((wait_for(consumer, key) - sent) * 1000)
        time.sleep(0.05)
    consumer.close()
    return sorted(found)


@contextmanager
def load(place: Venue, rate: int) -> Iterator[None]:
    """Fills at a steady rate from another process while the block runs; raises when that process ended before."""
    arguments = [place.broker.bootstrap, str(place.partitions), str(rate), str(LOADED_ACCOUNTS)]
    process = subprocess.Popen([sys.executable, "-m", "bench._load", *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(LOAD_WARM_UP_S)
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the load of {rate} fills per second ended before the rounds did")
    finally:
        process.terminate()
        process.wait(10)


def fills_published(place: Venue) -> int:
    """Fills that the broker has."""
    return sum(place.cluster.all_ends(("fills",)).values())


def under_load(place: Venue, rate: int, rounds: range) -> dict[str, float]:
    """Percentiles while fills come at ``rate``, and the share of a core that the worker used."""
    pid = pid_of(place.workers[0])
    with load(place, rate):
        cpu, wall, published = cpu_seconds(pid), time.monotonic(), fills_published(place)
        found = latencies(place, rounds)
        wall = time.monotonic() - wall
        busy, reached = (cpu_seconds(pid) - cpu) / wall, (fills_published(place) - published) / wall
    return {
        "load_fills_per_second": rate,
        "load_reached": round(reached),
        "loaded_p50": round(percentile(found, 0.5), 2),
        "loaded_p99": round(percentile(found, 0.99), 2),
        "loaded_worker_cores": round(busy, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--load", type=int, default=20_000, metavar="FILLS_PER_SECOND")
    options = parser.parse_args()
    with venue(PARTITIONS) as place:
        place.start_worker()
        publish(place.cluster, book(2 * options.rounds))
        place.publish("collateral", deposits(LOADED_ACCOUNTS))
        place.publish("fills", fills(WARM_UP_FILLS, LOADED_ACCOUNTS))
        place.settle("the book to be consumed")
        ours = latencies(place, range(options.rounds))
        reference = round_trips(place, options.rounds)
        second = range(options.rounds, 2 * options.rounds)
        loaded = under_load(place, options.load, second) if options.load else {}
    median, bare = percentile(ours, 0.5), percentile(reference, 0.5)
    result = {
        "name": "price_to_command",
        "ours": round(median, 2),
        "reference": round(bare, 2),
        "ratio": round(median / bare, 2),
        "unit": "milliseconds, median; lower is better",
        "ours_p99": round(percentile(ours, 0.99), 2),
        "reference_p99": round(percentile(reference, 0.99), 2),
        **loaded,
        "rounds": options.rounds,
        "machine": machine(),
        "versions": versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
