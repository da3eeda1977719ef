"""What a stress run says: figures ready for JSON, and the series as CSV.

Owns their names and units. Refuses to compute what the engine computes. Money is in the numeraire, shares are of 1.
"""

from __future__ import annotations

import numpy as np

from engine.cascade.books import CascadeBooks
from engine.cascade.density import liquidation_map
from engine.cascade.impact import ImpactState
from engine.cascade.moments import index, time_to_quiet
from engine.cascade.simulation import Run
from engine.pricing.axes import Floats
from streams.stress import StressRun

MAP_STEPS, MAP_STEP = 40, 0.01
TOP = 10


def run_report(stress: StressRun) -> dict[str, object]:
    """Outcomes, moments and the state of the run's end."""
    return {"outcome": outcome(stress.run), "moments": moment_report(stress), "map": map_report(stress)}


def outcome(run: Run) -> dict[str, float | int | None]:
    """The figures that runs are compared by."""
    totals, log_T = run.totals, index(run)
    touched = int(run.touched_A.sum())
    adl = np.sort(totals.adl_A)[::-1]
    sampled = run.branching_T[~np.isnan(run.branching_T)]
    return {
        "accounts": int(run.touched_A.size),
        "touched": touched,
        "forced_volume": float(run.forced_T.sum()),
        "netted": run.netted,
        "taken_over": totals.taken,
        "bad_debt": totals.bad_debt,
        "fund_draw": max(0.0, float(run.fund_T[0] - run.fund_T.min())),
        "fund_end": float(run.fund_T[-1]),
        "auctioned": totals.auctioned,
        "adl": totals.adl,
        "adl_haircut": totals.adl_haircut,
        "adl_overshoot": totals.overshoot,
        "adl_accounts": int(np.count_nonzero(totals.adl_A)),
        "adl_top_10_share": float(adl[:TOP].sum()) / totals.adl if totals.adl > 0.0 else 0.0,
        "loss_allocated": totals.loss_allocated,
        "judged": run.judged,
        "wrong_share": run.wrong / run.judged if run.judged else None,
        "wrong_notional_share": run.wrong_notional / run.judged_notional if run.judged_notional > 0.0 else None,
        "time_to_quiet_s": time_to_quiet(run),
        "index_low": float(np.expm1(log_T.min())),
        "index_end": float(np.expm1(log_T[-1])),
        "branching_start": float(sampled[0]) if sampled.size else None,
        "branching_max": float(sampled.max()) if sampled.size else None,
    }


def moment_report(stress: StressRun) -> list[dict[str, object]]:
    """Every moment with its band, and whether it lies in it."""
    return [
        {
            "name": moment.name,
            "what": moment.what,
            "value": moment.value,
            "low": moment.low,
            "high": moment.high,
            "lands": moment.lands,
        }
        for moment in stress.moments
    ]


def liquidation_ladder(stress: StressRun, sign: float = -1.0) -> tuple[Floats, Floats]:
    """Log falls of the factor (rises for ``sign`` 1), [B], and what lies between each and the one before, [B, K]:
    bought less sold, before anything happened. Each underlying moves by its beta."""
    market, policy = stress.preset.market(), stress.preset.venue
    step_B: Floats = np.linspace(0.0, MAP_STEPS * MAP_STEP, MAP_STEPS + 1)
    books = CascadeBooks(stress.population, policy.fund)
    half_spread_K = ImpactState(market.law, market.depths, stress.preset.run.tick_s).half_spread_K
    start_K = np.ones(len(market.depths))
    return step_B[1:], liquidation_map(books, start_K, sign * step_B[:, None] * market.beta_K, policy, half_spread_K)


def map_report(stress: StressRun) -> list[dict[str, object]]:
    """The ladder from the deepest fall to the highest rise, with what each rung would trade by underlying."""
    names = stress.population.underlyings

    def rungs(sign: float) -> list[dict[str, object]]:
        move_B, planned_BK = liquidation_ladder(stress, sign)
        return [
            {"factor_move": sign * float(move), "planned": dict(zip(names, planned_K.tolist(), strict=True))}
            for move, planned_K in zip(move_B, planned_BK, strict=True)
        ]

    return [*reversed(rungs(-1.0)), *rungs(1.0)]


def series_csv(stress: StressRun) -> str:
    """One line per tick: seconds, prices and forced volume by underlying, ADL, fund, accounts short, branching."""
    run, names = stress.run, stress.population.underlyings
    heading = ["second", *(f"price {name}" for name in names), *(f"forced {name}" for name in names)]
    lines = [",".join([*heading, "adl", "fund", "short", "branching"])]
    for t in range(run.adl_T.size):
        branching = "" if np.isnan(run.branching_T[t]) else f"{run.branching_T[t]:.4f}"
        lines.append(
            ",".join(
                [
                    f"{t * run.tick_s:g}",
                    *(f"{price:.6f}" for price in run.price_TK[t]),
                    *(f"{forced:.2f}" for forced in run.forced_TK[t]),
                    f"{run.adl_T[t]:.2f}",
                    f"{run.fund_T[t]:.2f}",
                    str(int(run.short_T[t])),
                    branching,
                ]
            )
        )
    return "\n".join(lines) + "\n"
