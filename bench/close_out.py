"""Milliseconds of CPU to plan the cheapest close-out of a hedged book, with proof of how cheap it is, in process.

Run from the checkout: ``python -m bench.close_out [--books N] [--sample N]``. Books are made up (mostly one direction,
some against it, two of five positions with gamma), so ratios show direction, not size. ``ours`` is the median of a
plan for 32 positions x 32 scenarios; the reference is Clarabel, a general conic solver, on the same problems, in an
environment of its own. Per size beside it: how often the gap is certified at 2 % or less, what closing an equal share
of everything costs, plans that miss the target though closing everything is affordable, how often the first tenth of
the largest leg, or that of the plan's first leg, leaves the account worse off, and the cost beside Clarabel's (over and
under, as shares). The batch is one compiled call over many accounts. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench._commands import percentile
from bench._environment import EnvironmentUnavailable, environment
from bench._machine import machine, versions
from bench._peer_process import PEER_TIMEOUT_S, SCRIPTS, PeerFailed
from engine.unwind.least_cost import Solution, least_cost
from engine.unwind.many import joined, least_cost_of_each
from engine.unwind.problem import CloseOut, cost
from tests.engine.unwind.hedged_books import Book, equal_share, hedged_book, largest_first, missing, planned_first

CLARABEL = ("clarabel==0.11.1", "numpy==2.4.6", "scipy==1.17.1")
CERTIFIED = 0.02
BATCH = 1_000
NOISE = 1e-8
"""A target missed by this share of equity is reached."""


class Shape(NamedTuple):
    """Positions, scenarios, underlyings, option groups; whether closing has impact."""

    items: int
    scenarios: int
    groups: int = 1
    options: int = 0
    impact: bool = True

    @property
    def name(self) -> str:
        """As printed."""
        more = f", {self.groups} underlyings" if self.groups > 1 else ""
        return f"{self.items}x{self.scenarios}{more}{'' if self.impact else ', no impact'}"


MAIN = Shape(32, 32)
SHAPES = (
    Shape(8, 16), Shape(16, 16), MAIN, Shape(64, 64), Shape(128, 64), Shape(32, 32, 4, 2), Shape(64, 33, 8, 4),
    Shape(32, 32, impact=False), Shape(64, 33, 8, impact=False),
)  # fmt: skip


def by_clarabel(python: Path, problems: Sequence[CloseOut]) -> tuple[list[float | None], list[float]]:
    """Costs (None: not solved) and CPU seconds of each; raises ``PeerFailed``."""
    with tempfile.TemporaryDirectory() as directory:
        for number, problem in enumerate(problems):
            np.savez(Path(directory) / f"{number:06}.npz", **problem._asdict())
        command = [str(python), str(SCRIPTS / "_peer_clarabel.py"), directory]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PEER_TIMEOUT_S)
    if done.returncode:
        raise PeerFailed(f"clarabel: {done.stderr.strip()[-600:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return result["costs"], result["cpu_seconds"]


def solved(books: Sequence[Book]) -> tuple[list[Solution], list[float]]:
    """Plans, and the CPU seconds of each."""
    least_cost(books[0].problem)  # compiles
    solutions, seconds = [], []
    for book in books:
        started = time.thread_time()
        solutions.append(least_cost(book.problem))
        seconds.append(time.thread_time() - started)
    return solutions, sorted(seconds)


def one_shape(shape: Shape, books: Sequence[Book], python: Path, sample: int) -> dict[str, float | str]:
    """Everything about one size. Shares are of books whose whole close-out is affordable."""
    solutions, seconds = solved(books)
    pairs = [
        pair
        for pair in zip(books, solutions, strict=True)
        if missing(pair[0].problem, pair[0].problem.size_I) <= 0.0 and pair[1].cost > 0.0
    ]
    untouched = np.zeros(shape.items)
    before = [missing(book.problem, untouched) for book, _ in pairs]
    largest = [missing(book.problem, largest_first(book)) > at for (book, _), at in zip(pairs, before, strict=True)]
    planned = [
        missing(book.problem, planned_first(book.problem, solution.x_I)) > at
        for (book, solution), at in zip(pairs, before, strict=True)
    ]
    shares = [cost(book.problem, equal_share(book.problem)) / solution.cost for book, solution in pairs]
    compared = pairs[:sample]
    theirs, theirs_s = by_clarabel(python, [book.problem for book, _ in compared])
    errors = [
        solution.cost / other - 1.0 for (_, solution), other in zip(compared, theirs, strict=True) if other is not None
    ]
    return {
        "size": shape.name,
        "p50_ms": round(1e3 * percentile(seconds, 0.5), 3),
        "p99_ms": round(1e3 * percentile(seconds, 0.99), 3),
        "clarabel_p50_ms": round(1e3 * percentile(sorted(theirs_s), 0.5), 3),
        "books": len(pairs),
        "certified_within_2_percent": round(float(np.mean([plan.gap <= CERTIFIED for _, plan in pairs])), 4),
        "largest_gap": round(max(plan.gap for _, plan in pairs), 5),
        "infeasible": sum(missing(book.problem, plan.x_I) > NOISE * abs(book.problem.equity) for book, plan in pairs),
        "equal_share_cost": round(float(np.median(shares)), 2),
        "largest_leg_worsens": round(float(np.mean(largest)), 4),
        "planned_leg_worsens": round(float(np.mean(planned)), 4),
        "compared": len(errors),
        "over_clarabel_median": float(f"{np.median(errors):.1e}"),
        "over_clarabel_max": float(f"{max(errors):.1e}"),
        "under_clarabel_max": float(f"{-min(errors):.1e}"),
    }


def batch_us(shape: Shape, rng: np.random.Generator) -> float:
    """Microseconds of CPU per account in one call, best of five."""
    batch = joined([draw(shape, rng).problem for _ in range(BATCH)])
    least_cost_of_each(batch)  # compiles
    seconds = []
    for _ in range(5):
        started = time.thread_time()
        least_cost_of_each(batch)
        seconds.append(time.thread_time() - started)
    return 1e6 * min(seconds) / BATCH


def draw(shape: Shape, rng: np.random.Generator) -> Book:
    """A book of that shape."""
    return hedged_book(rng, shape.items, shape.scenarios, shape.groups, impact=shape.impact, options=shape.options)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", type=int, default=400)
    parser.add_argument("--sample", type=int, default=60)
    options = parser.parse_args()
    try:
        python = environment(CLARABEL) / "python"
    except EnvironmentUnavailable as error:
        raise SystemExit(f"close_out: {error}") from error
    rng = np.random.default_rng(7)
    sizes = [
        one_shape(shape, [draw(shape, rng) for _ in range(options.books)], python, options.sample) for shape in SHAPES
    ]
    ours = next(size for size in sizes if size["size"] == MAIN.name)
    result = {
        "name": "close_out",
        "ours": ours["p50_ms"],
        "reference": ours["clarabel_p50_ms"],
        "ratio": round(float(ours["clarabel_p50_ms"]) / float(ours["p50_ms"]), 1),
        "unit": "milliseconds of CPU per plan, median, 32 positions x 32 scenarios; lower is better",
        "sizes": sizes,
        "batch_us_per_account": {shape.name: round(batch_us(shape, rng), 1) for shape in SHAPES},
        "machine": machine(),
        "versions": versions() | dict(package.split("==") for package in CLARABEL),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
