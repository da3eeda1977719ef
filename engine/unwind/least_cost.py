"""Least cost: the close-out that reaches its target most cheaply, with a certificate.

Owns the search, "cut, fill, certify":

1. Take the scenarios that bind now for a cut, fill to the price of margin at which it is met (exact for one cut).
2. If every scenario is met there, this is the optimum. If not, what is violated becomes another cut, and the cheapest
   close-out that meets all cuts in hand is found again, up to ``CUTS_MAX`` cuts.
3. Whatever is violated still is repaired by closing an equal share of all that is left: along that line the shortfall
   is convex, positive before and not positive at the end if closing everything is affordable, so it has one root.

The value of the relaxed problem bounds the cost of every plan from below; gap = (cost - bound) / cost. A close-out is
feasible whenever closing everything is. Refuses lots (``rounding``) and instruments.

Source of the statement: close-out as an optimization over scenarios, Avellaneda and Cont (2013), SSRN 2247493.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.compiled import compiled
from engine.pricing.axes import Floats, Ints
from engine.unwind.cuts import Cuts, add_cut, climb, dual_value, fill_one, new_cuts, traced_impact
from engine.unwind.problem import Binding, CloseOut, cost, empty_binding, requirement, shortfall

CUTS_MAX = 12
TOLERANCE = 1e-9
"""A shortfall below this share of equity and requirement is none."""

NONE_NEEDED, OPTIMAL, FEASIBLE, UNAFFORDABLE = range(4)
"""Nothing is missing; the gap is closed up to ``CERTAIN``; feasible with a known gap; no plan was found that reaches
the target."""

SHARES = 40
"""Bisections of a repair."""

CERTAIN = 1e-4
"""A gap below this is called optimal."""


class Solution(NamedTuple):
    """``x_I`` units to close, their ``cost``, the ``lower_bound`` of any plan's cost, the requirement before and after,
    and per cut (t) the scenarios it is made of and its share in the price of margin (they add up to at most 1)."""

    status: int
    x_I: Floats
    cost: float
    lower_bound: float
    requirement_before: float
    requirement_after: float
    scenario_TK: Ints
    option_TO: Ints
    share_T: Floats

    @property
    def gap(self) -> float:
        """How much cheaper another plan could be at most, as a share of the cost."""
        return max(0.0, 1.0 - self.lower_bound / self.cost) if self.cost > 0.0 else 0.0


def least_cost(problem: CloseOut) -> Solution:
    """Solve one problem. Sizes must be positive, rates not negative, the target at least 1."""
    items, groups, options = problem.size_I.size, problem.base_KS.shape[0], problem.base_O.size
    cuts = new_cuts(CUTS_MAX, items)
    scenario_TK, option_TO = np.full((CUTS_MAX, groups), -1, np.int64), np.zeros((CUTS_MAX, options), np.int64)
    x_I, figures = np.zeros(items), np.zeros(4)
    status, used = solve(problem, cuts, empty_binding(problem), scenario_TK, option_TO, x_I, figures)
    return Solution(
        status=status,
        x_I=x_I,
        cost=float(figures[0]),
        lower_bound=float(figures[1]),
        requirement_before=float(figures[2]),
        requirement_after=float(figures[3]),
        scenario_TK=scenario_TK[:used],
        option_TO=option_TO[:used],
        share_T=cuts.dual_T[:used] / (1.0 + cuts.dual_T[:used].sum()),
    )


@compiled
def solve(
    problem: CloseOut, cuts: Cuts, binding: Binding, scenario_TK: Ints, option_TO: Ints, plan_I: Floats, figures: Floats
) -> tuple[int, int]:
    """The kernel of ``least_cost``: returns status and number of cuts, writes the plan, and cost, bound and the
    requirement before and after into ``figures``."""
    items = problem.size_I.size
    net_KS = np.empty_like(problem.base_KS)
    price_I, impact_I, true_I = np.empty(items), np.empty(items), np.empty(items)
    x, tried = np.zeros(items), np.empty(items)
    for i in range(items):
        true_I[i] = max(problem.impact_I[i], 1e-300)
    plan_I[:] = 0.0
    figures[:2] = 0.0
    figures[2] = figures[3] = requirement(problem, x, binding, net_KS)
    scale = TOLERANCE * (abs(problem.equity) + problem.target * figures[2])
    if problem.target * figures[2] <= problem.equity:
        return NONE_NEEDED, 0
    bound, cheapest, used = 0.0, np.inf, 0
    while used < CUTS_MAX and not _is_known(binding, scenario_TK, option_TO, used):
        add_cut(problem, binding, cuts, used)
        scenario_TK[used], option_TO[used] = binding.scenario_K, binding.option_O
        used += 1
        if used == 1:
            traced_impact(problem, cuts, impact_I)
            fill_one(problem, impact_I, cuts, price_I, x)
        else:
            climb(problem, impact_I, cuts, used, price_I, x)
        bound = max(bound, dual_value(problem, true_I, cuts, used, price_I, tried))
        tried[:] = x
        if _repair(problem, tried, binding, net_KS, scale) and cost(problem, tried) < cheapest:
            cheapest = cost(problem, tried)
            plan_I[:] = tried
        if cheapest - bound <= CERTAIN * cheapest:
            break
        shortfall(problem, x, binding, net_KS)
    if cheapest == np.inf:
        plan_I[:] = problem.size_I
    figures[0] = cost(problem, plan_I)
    figures[1] = min(bound, figures[0])
    figures[3] = requirement(problem, plan_I, binding, net_KS)
    if cheapest == np.inf:
        return UNAFFORDABLE, used
    return OPTIMAL if cheapest - bound <= CERTAIN * cheapest else FEASIBLE, used


@compiled
def _repair(problem: CloseOut, x: Floats, binding: Binding, net_KS: Floats, scale: float) -> bool:
    """Close the least equal share of all that is left by which the target is reached; False if none does."""
    if shortfall(problem, x, binding, net_KS) <= scale:
        return True
    if shortfall(problem, problem.size_I, binding, net_KS) > scale:
        return False
    start, low, high = x.copy(), 0.0, 1.0
    for _ in range(SHARES):
        middle = 0.5 * (low + high)
        for i in range(x.size):
            x[i] = start[i] + middle * (problem.size_I[i] - start[i])
        if shortfall(problem, x, binding, net_KS) > scale:
            low = middle
        else:
            high = middle
    for i in range(x.size):
        x[i] = min(start[i] + high * (problem.size_I[i] - start[i]), problem.size_I[i])
    return True


@compiled
def _is_known(binding: Binding, scenario_TK: Ints, option_TO: Ints, used: int) -> bool:
    """Whether these rows are a cut in hand already: another look at it teaches nothing."""
    for t in range(used):
        same = True
        for k in range(binding.scenario_K.size):
            same &= binding.scenario_K[k] == scenario_TK[t, k]
        for o in range(binding.option_O.size):
            same &= binding.option_O[o] == option_TO[t, o]
        if same:
            return True
    return False
