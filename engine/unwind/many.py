"""Many close-outs at once: the same kernel over a batch of accounts, without a call from Python for each.

Owns the layout, accounts one after another on every axis. Refuses to let one account's answer depend on the batch that
it is in: bits are those of ``least_cost``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.compiled import compiled
from engine.pricing.axes import Floats, Ints
from engine.unwind.cuts import Cuts
from engine.unwind.least_cost import CUTS_MAX, solve
from engine.unwind.problem import Binding, CloseOut


class Batch(NamedTuple):
    """Problems with equally many scenarios: item, group and option axes of all accounts joined (numbers of groups count
    from the account's first), where each account begins (A + 1 entries), and what is one number per account."""

    joined: CloseOut
    first_item_A: Ints
    first_group_A: Ints
    first_option_A: Ints
    weight_A: Floats
    equity_A: Floats
    target_A: Floats


class Solutions(NamedTuple):
    """Per account ``status_A``, and cost, lower bound and requirement before and after; units to close per item."""

    status_A: Ints
    x_I: Floats
    cost_A: Floats
    lower_bound_A: Floats
    requirement_before_A: Floats
    requirement_after_A: Floats


def joined(problems: Sequence[CloseOut]) -> Batch:
    """Lay ``problems`` side by side; at least one, all with the same number of scenarios (else ``ValueError``)."""
    arrays = {
        name: np.concatenate([getattr(problem, name) for problem in problems])
        for name in CloseOut._fields
        if name not in ("weight", "equity", "target")
    }
    return Batch(
        joined=CloseOut(**arrays, weight=1.0, equity=0.0, target=1.0),
        first_item_A=_starts([problem.size_I.size for problem in problems]),
        first_group_A=_starts([problem.base_KS.shape[0] for problem in problems]),
        first_option_A=_starts([problem.base_O.size for problem in problems]),
        weight_A=np.array([problem.weight for problem in problems], dtype=np.float64),
        equity_A=np.array([problem.equity for problem in problems], dtype=np.float64),
        target_A=np.array([problem.target for problem in problems], dtype=np.float64),
    )


def least_cost_of_each(batch: Batch) -> Solutions:
    """Solve every account of ``batch`` as ``least_cost`` does."""
    accounts = batch.equity_A.size
    status_A, x_I, figures_AF = (
        np.zeros(accounts, np.int64),
        np.zeros(batch.joined.size_I.size),
        np.zeros((accounts, 4)),
    )
    _solve_each(batch, status_A, x_I, figures_AF)
    return Solutions(status_A, x_I, *np.ascontiguousarray(figures_AF.T))


def _starts(counts: Sequence[int]) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(counts, dtype=np.int64))])


@compiled
def _solve_each(batch: Batch, status_A: Ints, x_I: Floats, figures_AF: Floats) -> None:
    every = batch.joined
    for a in range(status_A.size):
        begin, end = batch.first_item_A[a], batch.first_item_A[a + 1]
        groups, groups_end = batch.first_group_A[a], batch.first_group_A[a + 1]
        options, options_end = batch.first_option_A[a], batch.first_option_A[a + 1]
        problem = CloseOut(
            every.loss_IS[begin:end], every.group_I[begin:end], every.base_KS[groups:groups_end], batch.weight_A[a],
            every.short_I[begin:end], every.option_group_I[begin:end], every.base_O[options:options_end],
            every.size_I[begin:end], every.linear_I[begin:end], every.impact_I[begin:end], every.pending_I[begin:end],
            batch.equity_A[a], batch.target_A[a],
        )  # fmt: skip
        cuts = Cuts(np.zeros((CUTS_MAX, end - begin)), np.zeros(CUTS_MAX), np.zeros(CUTS_MAX))
        binding = Binding(np.empty(groups_end - groups, np.int64), np.empty(options_end - options, np.int64))
        scenario_TK = np.full((CUTS_MAX, groups_end - groups), -1, np.int64)
        option_TO = np.zeros((CUTS_MAX, options_end - options), np.int64)
        status_A[a], _ = solve(problem, cuts, binding, scenario_TK, option_TO, x_I[begin:end], figures_AF[a])
