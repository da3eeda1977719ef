"""Accounts per CPU-second whose shortfall is known after every jump: gap-at-risk along the sweep, in process.

Run from the checkout: ``python -m bench.gap_at_risk [--accounts N] [--repeats N]``. ``ours`` goes over the accounts in
slices as the sweep does, under the standard jumps, rows and sums included; perpetuals on a hundred coins. The reference
is SciPy: positions as a CSR matrix (building it is not counted) times the values after the jumps, cost and cash added,
the negative part summed. Both give the same sums, or the run fails. Beside it the same with a third of the accounts in
options, and milliseconds of the rows alone: they are computed at once, when a sweep begins. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from bench._commands import percentile
from bench._guarded import POSITIONS, Population, population
from bench._machine import machine, versions
from engine.commands import GapAtRisk
from engine.liquidation.gaps import GapTally
from engine.pricing.axes import Floats
from engine.reference.gap_policy import STANDARD_JUMPS
from engine.reference.parameters import RiskParameters
from engine.risk.gap_at_risk import JumpRows, jump_rows
from engine.units import E8
from streams.sweep_pace import SLICE_MAX


class Different(Exception):
    """Two ways to the same sums gave different ones."""


def parameters_of(held: Population) -> RiskParameters:
    """What the population is judged by; its jumps are the standard ones."""
    assert held.market.parameters is not None
    return held.market.parameters


def sweep(held: Population, tally: GapTally) -> GapAtRisk:
    """One sweep over everybody."""
    numbers = held.columns.numbers()
    tally.begin(parameters_of(held))
    for first in range(0, numbers.size, SLICE_MAX):
        tally.add(numbers[first : first + SLICE_MAX])
    (found,) = tally.finish()
    return found


def rows_of(held: Population) -> JumpRows:
    """All instruments after all jumps."""
    return jump_rows(held.market.view(), parameters_of(held), STANDARD_JUMPS, sorted(held.market.instruments), ["USD"])


def by_matrix(held: Population, accounts: int) -> Callable[[], Floats]:
    """Sums per jump by CSR x dense; positions are in dollars, cash is the only collateral."""
    pool, owned = held.columns.positions, held.columns.balances
    entries = slice(0, accounts * POSITIONS)
    starts = np.arange(accounts + 1) * POSITIONS
    quantity = csr_array((pool.quantity_e8_P[entries] / E8, pool.instrument_P[entries], starts))
    cost_A = pool.cost_e8_P[entries].reshape(accounts, POSITIONS).sum(axis=1) / E8
    cash_A = owned.amount_e8_C[:accounts] / E8

    def sums() -> Floats:
        equity_AJ = quantity @ rows_of(held).value_IJ + (cash_A - cost_A)[:, None]
        total_J: Floats = np.maximum(-equity_AJ, 0.0).sum(axis=0)
        return total_J

    return sums


def median_s(work: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds."""
    work()  # compiles
    seconds = []
    for _ in range(repeats):
        started = time.thread_time()
        work()
        seconds.append(time.thread_time() - started)
    return percentile(sorted(seconds), 0.5)


def measured(accounts: int, repeats: int, options: bool) -> dict[str, float]:
    """Seconds of both ways and of rows alone; raises ``Different``."""
    held = population(accounts, options)
    tally, reference = GapTally(held.columns, held.market), by_matrix(held, accounts)
    found = sweep(held, tally)
    if not np.allclose([each.total for each in found.jumps], reference(), rtol=1e-9, atol=1e-3):
        raise Different(f"{[each.total for each in found.jumps]} and {reference().tolist()}")
    worst = max(found.jumps, key=lambda each: each.total)
    return {
        "sweep_s": median_s(lambda: sweep(held, tally), repeats),
        "matrix_s": median_s(reference, repeats),
        "rows_s": median_s(lambda: rows_of(held), repeats),
        "short_after_the_worst_jump": worst.accounts,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    linear = measured(options.accounts, options.repeats, options=False)
    optional = measured(options.accounts, options.repeats, options=True)
    result = {
        "name": "gap_at_risk",
        "ours": round(options.accounts / linear["sweep_s"]),
        "reference": round(options.accounts / linear["matrix_s"]),
        "ratio": round(linear["matrix_s"] / linear["sweep_s"], 2),
        "unit": "accounts per CPU-second after all jumps; higher is better",
        "linear": {name: round(value, 5) for name, value in linear.items()},
        "with_options": {name: round(value, 5) for name, value in optional.items()},
        "jumps": len(STANDARD_JUMPS),
        "accounts": options.accounts,
        "positions": POSITIONS,
        "machine": machine(),
        "versions": versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
