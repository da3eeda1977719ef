"""Fills per CPU-second beside what others use for keyed state on Kafka: same broker, same topic, same records, one run.

Run from the checkout: ``python -m bench.peers [--fills N] [--accounts N]``. Ours is the whole risk worker: exact
books, margin of every touched account, durable rows, committed offsets. Each reference only adds fills to positions:

* ``vanilla_faust``: an agent with a memory table and its changelog, record by record (``reference`` and ``ratio``);
* ``quix``: Quix Streams with RocksDB state and its changelog;
* ``bytewax``: a stateful step per batch with snapshots to its own recovery store (on disk, not on Kafka);
* ``bare_loop``: aiokafka ``getmany``, orjson and a dict; nothing durable, the floor of a Python consumer.

The topic is full before anybody starts. A peer is a process of its own in an environment of its own (uv, pinned
versions, cached), and its CPU time counts from its first record to its last; slow peers get fewer records. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

from bench._check import no_dead_letters
from bench._environment import PEERS, EnvironmentUnavailable, environment
from bench._machine import machine, versions
from bench._peer_process import fills_per_cpu_second
from bench._venue import venue
from bench.fills_throughput import measure, warm_up


@dataclass(frozen=True, slots=True)
class Peer:
    """One script of the comparison and the records that it gets through in reasonable time."""

    name: str
    script: str
    records_max: int


ALL = (
    Peer("vanilla_faust", "_peer_faust.py", 20_000),
    Peer("quix", "_peer_quix.py", 200_000),
    Peer("bytewax", "_peer_bytewax.py", 200_000),
    Peer("bare_loop", "_peer_bare.py", 1_000_000),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fills", type=int, default=300_000)
    parser.add_argument("--accounts", type=int, default=1_000)
    options = parser.parse_args()
    try:
        programs = environment(PEERS)
    except EnvironmentUnavailable as error:
        raise SystemExit(f"peers: {error}") from error
    with venue() as place:
        warm_up(place, options.accounts)
        used = measure(place, options.fills, options.accounts, None)
        place.workers[0].stop()
        no_dead_letters(place)
        rates = {
            peer.name: fills_per_cpu_second(
                programs / "python",
                peer.script,
                place.broker.bootstrap,
                min(options.fills, peer.records_max),
                place.directory / peer.name,
            )
            for peer in ALL
        }
    ours = used.records / used.worker_cpu_s
    result = {
        "name": "peers",
        "ours": round(ours),
        "reference": round(rates["vanilla_faust"]),
        "ratio": round(ours / rates["vanilla_faust"], 2),
        "unit": "fills per CPU-second of the consuming process; the references keep positions only",
        "rates": {name: round(rate) for name, rate in rates.items()},
        "ratios": {name: round(ours / rate, 3) for name, rate in rates.items()},
        "fills": options.fills,
        "fills_of_peers": {peer.name: min(options.fills, peer.records_max) for peer in ALL},
        "accounts": options.accounts,
        "machine": machine(),
        "versions": {**versions(), **dict(package.split("==") for package in PEERS)},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
