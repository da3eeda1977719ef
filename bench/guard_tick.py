"""Milliseconds of CPU from a price tick to the exact set of accounts that it puts below maintenance margin, in process.

Run from the checkout: ``python -m bench.guard_tick [--accounts N] [--ticks N]``. ``ours`` is the median over ticks of
two basis points on a hundred coins: market rows, guard bands, and the accounts whose bands broke recomputed and
guarded again. The reference recomputes every account that holds the coin, with the same kernel; who holds it is given.
Beside it the same with a third of the accounts in options, a crash in which every coin falls by 30 % in 60 ticks (at
sampled ticks everybody is recomputed: nobody may be in breach who was not found), and bytes per account. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from bench._commands import percentile
from bench._guarded import COINS, POSITIONS, WITH_OPTIONS, Population, population
from bench._machine import machine, versions
from engine.columns.arrays import Int32s
from engine.columns.holders import holders
from engine.guard.bands import GuardBands
from engine.risk.verdicts import Verdicts, empty_verdicts, evaluate

TICK = 2e-4
CRASH, CRASH_TICKS = 0.3, 60
CHECKS, REFERENCES = 20, 40
WARM_UP = 200


class Missed(Exception):
    """An account was in breach and nobody had been told."""


@dataclass
class Watched:
    """A population behind guard bands. ``gone`` marks accounts that were found in breach, which leave."""

    held: Population
    bands: GuardBands = field(default_factory=GuardBands)
    gone_A: np.ndarray = field(default_factory=lambda: np.zeros(0, np.bool_))
    recomputed: int = 0

    def judge(self, numbers: Int32s) -> Verdicts:
        """Exact figures."""
        verdicts = empty_verdicts(numbers.size)
        evaluate(numbers, self.held.columns.holdings(), self.held.rows.arrays, verdicts)
        return verdicts

    def look(self, numbers: Int32s) -> Int32s:
        """Recompute accounts and guard them; those in breach."""
        breached = []
        while numbers.size:
            verdicts = self.judge(numbers)
            slack = verdicts.equity_A - verdicts.maintenance_margin_A
            sound = slack >= 0.0
            breached.append(numbers[~sound])
            self.recomputed += numbers.size
            numbers = self.bands.put(
                numbers[sound], slack[sound], np.zeros(int(sound.sum()), np.bool_), self.held.columns.holdings(),
                self.held.rows.arrays,
            )  # fmt: skip
        found = np.concatenate(breached) if breached else numbers
        self.gone_A[found] = True
        return found

    def tick(self, coin: int, price: float) -> float:
        """CPU seconds that a new price takes until all accounts in breach are known."""
        feed = self.held.quote(coin, price)
        started = time.thread_time()
        changed = self.held.rows.refresh((feed,))
        moved = self.bands.moved(changed.instruments, changed.assets, self.held.rows.arrays)
        if moved.size:
            self.look(moved)
        return time.thread_time() - started

    def check(self) -> None:
        """Recompute everybody; raises ``Missed``."""
        verdicts = self.judge(self.held.columns.numbers())
        missed = (verdicts.equity_A < verdicts.maintenance_margin_A) & ~self.gone_A
        if missed.any():
            raise Missed(f"{int(missed.sum())} accounts, first {int(np.flatnonzero(missed)[0])}")


def watched(accounts: int, options: bool) -> tuple[Watched, float]:
    """Everybody with a band, and the seconds that setting them took."""
    made = Watched(population(accounts, options))
    rows = made.held.rows
    made.bands.reset(rows.arrays, rows.fixed_C, len(rows.grid.underlyings), 1.0)
    made.gone_A = np.zeros(accounts, np.bool_)
    made.look(np.arange(min(accounts, 2), dtype=np.int32))  # compiles
    started = time.thread_time()
    made.look(made.held.columns.numbers())
    return made, time.thread_time() - started


def price_of(made: Watched, coin: int) -> float:
    """The newest mark."""
    return made.held.market.marks[f"C{coin:03}"].price_e8 / 1e8


def quiet(made: Watched, ticks: int, coins: int) -> dict[str, float]:
    """Ticks of coins as popular as they are held, around where they stand."""
    rng = np.random.default_rng(2)
    popularity = 1.0 / np.arange(1, coins + 1)
    chosen = rng.choice(coins, ticks + WARM_UP, p=popularity / popularity.sum()).tolist()
    made.recomputed = 0
    seconds = [made.tick(coin, price_of(made, coin) * (1 + rng.normal(0.0, TICK))) for coin in chosen]
    made.check()
    return summary(seconds[WARM_UP:]) | {"accounts_per_tick": round(made.recomputed / len(seconds), 2)}


def summary(seconds: Iterable[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    ordered = sorted(seconds)
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}
    return {name: round(1e3 * percentile(ordered, share), 4) for name, share in shares.items()}


def everybody_exposed(made: Watched) -> float:
    """Median seconds of recomputing all holders of a ticking coin."""
    rng = np.random.default_rng(3)
    popularity = 1.0 / np.arange(1, COINS + 1)
    seconds, rows = [], made.held.rows.arrays
    numbers = made.held.columns.numbers()
    for coin in rng.choice(COINS, REFERENCES, p=popularity / popularity.sum()).tolist():
        nothing = np.zeros(rows.price_C.size, np.bool_)
        exposed = holders(numbers, made.held.columns.holdings(), made.held.coin_I == coin, nothing)
        started = time.thread_time()
        made.judge(exposed)
        seconds.append(time.thread_time() - started)
    return percentile(sorted(seconds), 0.5)


def crash(made: Watched) -> dict[str, float]:
    """Every coin falls, all at once; nobody may be found late."""
    rng = np.random.default_rng(4)
    order = rng.permutation(np.repeat(np.arange(COINS), CRASH_TICKS)).tolist()
    factor = (1.0 - CRASH) ** (1.0 / CRASH_TICKS)
    checks = set(rng.choice(len(order), CHECKS, replace=False).tolist())
    before, seconds = int(made.gone_A.sum()), []
    for at, coin in enumerate(order):
        seconds.append(made.tick(coin, price_of(made, coin) * factor))
        if at in checks:
            made.check()
    made.check()
    found = int(made.gone_A.sum()) - before
    return summary(seconds) | {"ticks_per_s": round(len(seconds) / sum(seconds)), "breached": found}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--ticks", type=int, default=5_000)
    options = parser.parse_args()
    made, set_s = watched(options.accounts, options=False)
    ticks, reference = quiet(made, options.ticks, COINS), everybody_exposed(made)
    bytes_each = (made.held.columns.memory_bytes() + made.bands.memory_bytes()) / options.accounts
    crashed = crash(made)
    del made
    with_options, _ = watched(options.accounts, options=True)
    result = {
        "name": "guard_tick",
        "ours": ticks["p50_ms"],
        "reference": round(1e3 * reference, 3),
        "ratio": round(1e3 * reference / ticks["p50_ms"], 1),
        "unit": "milliseconds of CPU per price tick, median; lower is better",
        "linear": ticks,
        "ticks_of_coins_with_options": quiet(with_options, options.ticks // 5, WITH_OPTIONS),
        "crash": crashed,
        "bytes_per_account": round(bytes_each),
        "guard_everybody_s": round(set_s, 2),
        "accounts": options.accounts,
        "positions": POSITIONS,
        "machine": machine(),
        "versions": versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
