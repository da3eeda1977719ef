"""Cuts: linear lower bounds on the requirement, and the cheapest close-out that meets a few of them.

Owns the relaxed problem: instead of every scenario only the combinations in hand (one scenario per group each) have to
be met. Its dual is concave in one multiplier per cut and has a closed form inside,

    D(l) = min over x of (1 + L) c(x) - sum l_t g_t . x + sum l_t (h_t - equity),    L = sum l_t,
    x_i(l) = clip( ((p_i - linear_i) / (1.5 impact_i))^2 - pending_i, 0, size_i ),   p_i = sum l_t g_ti / (1 + L),

and every D(l) bounds the cost of every plan from below, because a cut never exceeds the requirement. Costs without
impact make D a function with kinks; they are given a trace of impact to find the multipliers, and the bound is then
taken with the true costs. Refuses to choose cuts (``least_cost``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.compiled import compiled
from engine.pricing.axes import Floats
from engine.unwind.problem import Binding, CloseOut, cost_of

TRACE = 1e-5
"""Impact of closing all of an item at once that is added where there is less, as a share of its linear cost, ..."""

TRACE_FREED = 1e-9
"""... or of what closing it frees, where closing costs next to nothing."""

STEPS = 60
"""Newton steps on the dual at most; a dozen is usual."""

BISECTIONS = 64


class Cuts(NamedTuple):
    """``gradient_TI`` (what one unit of an item frees, times target) and ``level_T`` (the bound at x = 0, times
    target) of the cuts in use, with the multipliers ``dual_T``; room for more than are in use."""

    gradient_TI: Floats
    level_T: Floats
    dual_T: Floats


def new_cuts(most: int, items: int) -> Cuts:
    """Room for ``most`` cuts."""
    return Cuts(np.zeros((most, items)), np.zeros(most), np.zeros(most))


@compiled
def add_cut(problem: CloseOut, binding: Binding, cuts: Cuts, used: int) -> None:
    """Write the cut of the rows in ``binding`` as number ``used``, with multiplier 0."""
    target = problem.target
    level = 0.0
    for k in range(problem.base_KS.shape[0]):
        if binding.scenario_K[k] >= 0:
            level += problem.weight * problem.base_KS[k, binding.scenario_K[k]]
    for o in range(problem.base_O.size):
        if binding.option_O[o]:
            level += problem.base_O[o]
    for i in range(problem.size_I.size):
        freed, s, o = 0.0, binding.scenario_K[problem.group_I[i]], problem.option_group_I[i]
        if s >= 0:
            freed += problem.weight * problem.loss_IS[i, s]
        if o >= 0 and binding.option_O[o]:
            freed += problem.short_I[i]
        cuts.gradient_TI[used, i] = target * freed
        level += freed * problem.size_I[i]
    cuts.level_T[used] = target * level
    cuts.dual_T[used] = 0.0


@compiled
def traced_impact(problem: CloseOut, cuts: Cuts, impact_I: Floats) -> None:
    """Impact per item, with a trace where there is none; what is freed is taken from the first cut."""
    for i in range(impact_I.size):
        least = max(TRACE * problem.linear_I[i], TRACE_FREED * abs(cuts.gradient_TI[0, i]))
        impact_I[i] = max(problem.impact_I[i], least / np.sqrt(problem.size_I[i]), 1e-300)


@compiled
def respond(problem: CloseOut, impact_I: Floats, price_I: Floats, x: Floats) -> None:
    """x_i at which closing one more unit costs ``price_I``, within the size."""
    for i in range(x.size):
        margin = price_I[i] - problem.linear_I[i]
        if margin <= 0.0:
            x[i] = 0.0
            continue
        root = margin / (1.5 * impact_I[i])
        # With a trace of impact the square may overflow: that is beyond any size.
        wanted = root * root - problem.pending_I[i] if root < 1e150 else np.inf
        x[i] = min(max(wanted, 0.0), problem.size_I[i])


@compiled
def _prices(cuts: Cuts, used: int, price_I: Floats) -> float:
    """p_i and 1 + L."""
    whole = 1.0
    price_I[:] = 0.0
    for t in range(used):
        whole += cuts.dual_T[t]
        for i in range(price_I.size):
            price_I[i] += cuts.dual_T[t] * cuts.gradient_TI[t, i]
    for i in range(price_I.size):
        price_I[i] /= whole
    return whole


@compiled
def dual_value(problem: CloseOut, impact_I: Floats, cuts: Cuts, used: int, price_I: Floats, x: Floats) -> float:
    """D at the multipliers in ``cuts``; ``x`` receives x(l)."""
    whole = _prices(cuts, used, price_I)
    respond(problem, impact_I, price_I, x)
    value: float = 0.0
    for i in range(x.size):
        value += cost_of(problem.linear_I[i], impact_I[i], problem.pending_I[i], x[i]) - price_I[i] * x[i]
    value *= whole
    for t in range(used):
        value += cuts.dual_T[t] * (cuts.level_T[t] - problem.equity)
    return value


@compiled
def slack_of(problem: CloseOut, impact_I: Floats, cuts: Cuts, t: int, x: Floats) -> float:
    """How far cut ``t`` is missed at ``x``: its level less what is freed, plus cost, less equity."""
    missed: float = cuts.level_T[t] - problem.equity
    for i in range(x.size):
        missed += cost_of(problem.linear_I[i], impact_I[i], problem.pending_I[i], x[i]) - cuts.gradient_TI[t, i] * x[i]
    return missed


@compiled
def fill_one(problem: CloseOut, impact_I: Floats, cuts: Cuts, price_I: Floats, x: Floats) -> bool:
    """Water-fill for the first cut alone: raise the price of margin until it is just met. False if no price meets it.

    With m = l / (1 + l) the price of item i is m g_i; what is missed falls as m rises to 1.
    """
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        for i in range(x.size):
            price_I[i] = middle * cuts.gradient_TI[0, i]
        respond(problem, impact_I, price_I, x)
        if slack_of(problem, impact_I, cuts, 0, x) > 0.0:
            low = middle
        else:
            high = middle
        if high - low < 1e-15:
            break
    for i in range(x.size):
        price_I[i] = high * cuts.gradient_TI[0, i]
    respond(problem, impact_I, price_I, x)
    cuts.dual_T[0] = high / max(1.0 - high, 1e-12)
    return slack_of(problem, impact_I, cuts, 0, x) <= 0.0


@compiled
def climb(problem: CloseOut, impact_I: Floats, cuts: Cuts, used: int, price_I: Floats, x: Floats) -> None:
    """Raise the dual over all cuts in use by projected Newton steps with backtracking; ``x`` ends at x(l)."""
    scale = max(abs(problem.equity), 1.0)
    gradient, step, before = np.empty(used), np.empty(used), np.empty(used)
    value = dual_value(problem, impact_I, cuts, used, price_I, x)
    for _ in range(STEPS):
        whole = 1.0 + cuts.dual_T[:used].sum()
        worst = 0.0
        for t in range(used):
            gradient[t] = slack_of(problem, impact_I, cuts, t, x)
            free = cuts.dual_T[t] > 0.0 or gradient[t] > 0.0
            worst = max(worst, abs(gradient[t]) if free else 0.0)
        if worst <= 1e-10 * scale:
            return
        _newton_step(problem, impact_I, cuts, used, price_I, x, gradient, step, whole)
        before[:] = cuts.dual_T[:used]
        length, risen = 1.0, False
        for _ in range(40):
            for t in range(used):
                cuts.dual_T[t] = max(before[t] + length * step[t], 0.0)
            tried = dual_value(problem, impact_I, cuts, used, price_I, x)
            if tried > value:
                risen, value = True, tried
                break
            length *= 0.5
        if not risen:
            cuts.dual_T[:used] = before
            dual_value(problem, impact_I, cuts, used, price_I, x)
            return


@compiled
def _newton_step(
    problem: CloseOut, impact_I: Floats, cuts: Cuts, used: int, price_I: Floats, x: Floats, gradient: Floats,
    step: Floats, whole: float,
) -> None:  # fmt: skip
    """Direction -H^-1 gradient over the multipliers that are free to move, H being that of the items between 0 and
    their size; with a ridge, as cuts may agree on all of them."""
    hessian = np.zeros((used, used))
    for i in range(x.size):
        if not 0.0 < x[i] < problem.size_I[i]:
            continue
        flow = problem.pending_I[i] + x[i]
        marginal = problem.linear_I[i] + 1.5 * impact_I[i] * np.sqrt(flow)
        bend = 0.75 * impact_I[i] / np.sqrt(flow)
        for t in range(used):
            one = marginal - cuts.gradient_TI[t, i]
            for u in range(t + 1):
                hessian[t, u] += one * (marginal - cuts.gradient_TI[u, i]) / (whole * bend)
    most = 0.0
    for t in range(used):
        for u in range(t):
            hessian[u, t] = hessian[t, u]
        most = max(most, hessian[t, t])
    for t in range(used):
        if cuts.dual_T[t] <= 0.0 and gradient[t] <= 0.0:
            hessian[t, :] = 0.0
            hessian[:, t] = 0.0
            hessian[t, t] = 1.0
            gradient[t] = 0.0
        else:
            hessian[t, t] += 1e-9 * most + 1e-300
    if most == 0.0:
        # Nothing gives way to a small change of price: double the multipliers that are missed.
        for t in range(used):
            step[t] = (1.0 + cuts.dual_T[t]) * (1.0 if gradient[t] > 0.0 else -0.5)
        return
    _eliminate(hessian, gradient, step)


@compiled
def _eliminate(matrix: Floats, right: Floats, solution: Floats) -> None:
    """Solve a small positive definite system by elimination without pivots; both inputs are used up. Written out, so
    that the bits do not depend on which LAPACK a machine has."""
    size = right.size
    for column in range(size):
        for row in range(column + 1, size):
            factor = matrix[row, column] / matrix[column, column]
            for at in range(column, size):
                matrix[row, at] -= factor * matrix[column, at]
            right[row] -= factor * right[column]
    for row in range(size - 1, -1, -1):
        rest = right[row]
        for at in range(row + 1, size):
            rest -= matrix[row, at] * solution[at]
        solution[row] = rest / matrix[row, row]
