"""How many accounts per second can be margined on history: 500 joint scenarios, 1,000 instruments, in bounded memory.

Run from the checkout: ``python -m bench.historical_margin [--accounts N] [--positions N]``. Prints one JSON object;
``ours`` and ``reference`` are accounts per second of process time, best of the rounds, ``ratio`` is ours / reference.
The reference is what a user would write with SciPy on a subset of the same accounts: holdings as a CSR matrix times
the dense table of instruments by scenarios, then a sort of every row. ``loop`` is a plain loop over accounts in NumPy.
All three compute the same expected shortfalls, which is checked before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import tracemalloc

import numpy as np
from scipy.sparse import csr_array

from bench.revaluation import best_seconds
from engine.pricing.axes import Floats, Ints
from engine.pricing.black76 import black76
from engine.statistics.scenario_sets import JointMoves, historical_scenarios
from engine.statistics.shortfall_rows import CHUNK_ACCOUNTS, account_shortfalls

FACTORS = ("BTC", "ETH", "SOL", "BTC volatility", "ETH volatility", "SOL volatility")
UNDERLYINGS = 3
LEVEL = 0.99
SCENARIOS = 500
OBSERVATIONS = 1_000


def joint_moves(draw: np.random.Generator) -> JointMoves:
    """500 filtered scenarios of three prices and their volatilities, correlated and heavy-tailed."""
    correlation = np.full((6, 6), -0.3)
    correlation[:3, :3] = correlation[3:, 3:] = 0.7
    np.fill_diagonal(correlation, 1.0)
    deviation = np.array([0.03, 0.04, 0.05, 0.06, 0.06, 0.08])
    normal = draw.standard_normal((OBSERVATIONS, 6)) @ np.linalg.cholesky(correlation).T
    heavy = normal * np.sqrt(4.0 / draw.chisquare(4.0, (OBSERVATIONS, 1)))
    return historical_scenarios(heavy * deviation, FACTORS, decay=0.97, level=LEVEL, scenarios=SCENARIOS)


def revalue(moves: JointMoves, instruments: int, draw: np.random.Generator) -> Floats:
    """Profit and loss per unit of every instrument in every scenario: a tenth linear, the rest options, [I, S]."""
    # Figures of today have one column, which broadcasts against the scenarios.
    underlying = np.arange(instruments) % UNDERLYINGS
    price_IS = np.array([50_000.0, 2_500.0, 100.0])[underlying][:, None]
    strike_IS = price_IS * draw.uniform(0.7, 1.4, (instruments, 1))
    years_IS = draw.uniform(2.0, 180.0, (instruments, 1)) / 365.0
    sign_IS = draw.choice((-1.0, 1.0), (instruments, 1))
    volatility_IS = draw.uniform(0.4, 0.9, (instruments, 1))
    shocked_IS = price_IS * (1.0 + moves.moves_SF.T[underlying])
    later_IS = volatility_IS * (1.0 + moves.moves_SF.T[UNDERLYINGS + underlying])
    option_IS = black76(shocked_IS, strike_IS, years_IS - 1.0 / 365.0, later_IS, sign_IS)
    option_IS -= black76(price_IS, strike_IS, years_IS, volatility_IS, sign_IS)
    return np.where(np.arange(instruments)[:, None] % 10 == 0, shocked_IS - price_IS, option_IS)


def reference_shortfalls(pnl_IS: Floats, first_A: Ints, instrument_P: Ints, quantity_P: Floats) -> Floats:
    """CSR times dense, then the mean of the five worst of every sorted row (1 % of 500 is whole)."""
    holdings = csr_array((quantity_P, instrument_P, first_A), shape=(first_A.size - 1, pnl_IS.shape[0]))
    worst_first = np.sort(holdings @ pnl_IS, axis=1)
    return -worst_first[:, : round(SCENARIOS * (1 - LEVEL))].mean(axis=1)


def loop_shortfalls(pnl_IS: Floats, first_A: Ints, instrument_P: Ints, quantity_P: Floats) -> Floats:
    """One account after the other."""
    result = []
    for a in range(first_A.size - 1):
        held = slice(first_A[a], first_A[a + 1])
        result.append(-np.sort(quantity_P[held] @ pnl_IS[instrument_P[held]])[: round(SCENARIOS * (1 - LEVEL))].mean())
    return np.array(result)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--positions", type=int, default=8)
    parser.add_argument("--instruments", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    draw = np.random.default_rng(1)
    moves = joint_moves(draw)
    pnl_IS = revalue(moves, options.instruments, draw)
    first_A = np.arange(options.accounts + 1, dtype=np.int64) * options.positions
    instrument_P = draw.integers(0, options.instruments, int(first_A[-1]))
    quantity_P = draw.normal(0.0, 5.0, int(first_A[-1]))
    count = min(5_000, options.accounts)
    subset = (first_A[: count + 1], instrument_P[: first_A[count]], quantity_P[: first_A[count]])
    tracemalloc.start()
    shortfall_A = account_shortfalls(pnl_IS, first_A, instrument_P, quantity_P, level=LEVEL)
    working_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for twin in (reference_shortfalls, loop_shortfalls):
        np.testing.assert_allclose(shortfall_A[:count], twin(pnl_IS, *subset), rtol=1e-9, atol=1e-6)
    ours = options.accounts / best_seconds(
        lambda: account_shortfalls(pnl_IS, first_A, instrument_P, quantity_P, level=LEVEL), options.rounds
    )
    reference = count / best_seconds(lambda: reference_shortfalls(pnl_IS, *subset), options.rounds)
    loop = count / best_seconds(lambda: loop_shortfalls(pnl_IS, *subset), options.rounds)
    revaluation = best_seconds(lambda: revalue(moves, options.instruments, np.random.default_rng(2)), options.rounds)
    print(
        json.dumps(
            {
                "benchmark": "historical_margin",
                "unit": "accounts per CPU second",
                "accounts": options.accounts,
                "positions": options.positions,
                "instruments": options.instruments,
                "scenarios": SCENARIOS,
                "ours": round(ours),
                "reference": round(reference),
                "ratio": round(ours / reference, 2),
                "loop": round(loop),
                "loop_ratio": round(ours / loop, 2),
                "ours_us_per_account": round(1e6 / ours, 2),
                "reference_us_per_account": round(1e6 / reference, 2),
                "loop_us_per_account": round(1e6 / loop, 2),
                "revaluation_ms": round(1e3 * revaluation, 1),
                "accounts_per_chunk": CHUNK_ACCOUNTS,
                "working_memory_mb": round(working_bytes / 1e6, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
