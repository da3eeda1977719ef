"""Close-outs as conic programs, solved by Clarabel: x^1.5 as power cones. Run by ``bench.close_out``.

Needs only the packages of its own environment. Argument: a directory with one ``.npz`` per problem, whose arrays are
those of ``engine.unwind.problem.CloseOut``. Prints one JSON object: per problem the cost (null where the solver does
not call its answer solved) and CPU seconds of the solver alone.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import clarabel
import numpy as np
from scipy import sparse

POWER = 2.0 / 3.0


def program(p: dict[str, np.ndarray]) -> tuple[np.ndarray, sparse.csc_matrix, np.ndarray, list[object], float]:
    """Objective, rows, right-hand sides, cones and what to add to the objective. Variables: shares closed u, impact t
    with t^(2/3) >= pending / size + u, requirement z per group and w per option group."""
    size_I, count = p["size_I"], p["size_I"].size
    groups, scenarios = p["base_KS"].shape
    options = p["base_O"].size
    scale = abs(float(p["equity"])) or 1.0
    spent_V = np.concatenate([p["linear_I"] * size_I, p["impact_I"] * size_I**1.5, np.zeros(groups + options)])
    rows, right = [], []
    for k in range(groups):
        mine_I = np.where(p["group_I"] == k, size_I, 0.0)
        block = np.zeros((scenarios, spent_V.size))
        block[:, :count] = -(p["loss_IS"] * mine_I[:, None]).T
        block[:, 2 * count + k] = -scale
        rows.append(block / scale)
        right.append(-(p["base_KS"][k] + mine_I @ p["loss_IS"]) / scale)
    for o in range(options):
        mine_I = np.where(p["option_group_I"] == o, size_I * p["short_I"], 0.0)
        row = np.zeros((1, spent_V.size))
        row[0, :count], row[0, 2 * count + groups + o] = -mine_I, -scale
        rows.append(row / scale)
        right.append(-(p["base_O"][o : o + 1] + mine_I.sum()) / scale)
    already = float((p["impact_I"] * p["pending_I"] ** 1.5).sum())
    budget = spent_V[None, :] / scale
    budget[0, 2 * count : 2 * count + groups] = p["target"] * p["weight"]
    budget[0, 2 * count + groups :] = p["target"]
    eye = np.eye(spent_V.size)
    bounded = [budget, eye[:count], -eye[:count], -eye[2 * count :]]
    limits = [np.array([(p["equity"] + already) / scale]), np.ones(count), np.zeros(count + groups + options)]
    linear_rows = np.vstack(rows + bounded)
    cones_I = np.zeros((3 * count, spent_V.size))
    cones_right = np.tile([0.0, 1.0, 0.0], count)
    cones_I[0::3] = -eye[count : 2 * count]
    cones_I[2::3] = -eye[:count]
    cones_right[2::3] = p["pending_I"] / size_I
    cones = [clarabel.NonnegativeConeT(linear_rows.shape[0])] + [clarabel.PowerConeT(POWER)] * count
    matrix = sparse.csc_matrix(np.vstack([linear_rows, cones_I]))
    return spent_V, matrix, np.concatenate([*right, *limits, cones_right]), cones, already


def main() -> None:
    """Solve all and print."""
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    costs, seconds = [], []
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        spent_V, matrix, right, cones, already = program(dict(np.load(path)))
        unit = spent_V.sum() or 1.0
        started = time.process_time()
        nothing = sparse.csc_matrix((spent_V.size, spent_V.size))
        solved = clarabel.DefaultSolver(nothing, spent_V / unit, matrix, right, cones, settings).solve()
        seconds.append(time.process_time() - started)
        sound = str(solved.status) in ("Solved", "SolverStatus.Solved", "AlmostSolved")
        costs.append(float(spent_V @ np.array(solved.x)) - already if sound else None)
    print(json.dumps({"costs": costs, "cpu_seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
