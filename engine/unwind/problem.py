"""The close-out problem: what closing each position frees, what it costs, and how much must be freed.

Owns the statement in arrays, its requirement and its costs. Refuses to solve it (``least_cost``) and to know
instruments: everything is per unit of an item, in numeraire.

    minimize   sum c_i(x_i)     subject to   target * M(x) + sum c_i(x_i) <= equity,   0 <= x_i <= size_i
    M(x)    =  weight * sum over groups k of max(0, max over scenarios s of  base_ks + sum of loss_is (size_i - x_i))
               + sum over option groups o of max(0, base_o + sum of short_i (size_i - x_i))
    c_i(x)  =  linear_i x + impact_i ((pending_i + x)^1.5 - pending_i^1.5)

M is convex, so the set of feasible x is: a maximum of linear functions plus a convex cost stays below a constant. The
square root in the cost is that of the depth model which margin uses (``engine.risk.depth``); ``pending`` is forced
flow of others in the same direction, which makes the next unit dearer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.compiled import compiled
from engine.pricing.axes import Floats, Ints

NO_GROUP = -1


class CloseOut(NamedTuple):
    """Items i, groups k (one per underlying), scenarios s, option groups o. ``loss_IS`` is what one unit of the item
    loses in each scenario (negative: gains), in the group ``group_I``; ``short_I`` its part in ``option_group_I``
    (-1: in none). ``base_KS`` and ``base_O`` are what cannot be closed. ``size_I`` are the units that can be."""

    loss_IS: Floats
    group_I: Ints
    base_KS: Floats
    weight: float
    short_I: Floats
    option_group_I: Ints
    base_O: Floats
    size_I: Floats
    linear_I: Floats
    impact_I: Floats
    pending_I: Floats
    equity: float
    target: float


class Binding(NamedTuple):
    """The scenario that binds in each group, and whether each option group does; -1 and 0 where nothing is required."""

    scenario_K: Ints
    option_O: Ints


def empty_binding(problem: CloseOut) -> Binding:
    """Room for the binding rows of ``problem``."""
    return Binding(np.empty(problem.base_KS.shape[0], np.int64), np.empty(problem.base_O.size, np.int64))


@compiled
def requirement(problem: CloseOut, x: Floats, binding: Binding, net_KS: Floats) -> float:
    """M(x); ``binding`` receives what binds, ``net_KS`` the net losses. Of equal scenarios the first binds."""
    net_KS[:] = problem.base_KS
    for i in range(x.size):
        left, k = problem.size_I[i] - x[i], problem.group_I[i]
        for s in range(net_KS.shape[1]):
            net_KS[k, s] += problem.loss_IS[i, s] * left
    total = 0.0
    for k in range(net_KS.shape[0]):
        worst, at = 0.0, -1
        for s in range(net_KS.shape[1]):
            if net_KS[k, s] > worst:
                worst, at = net_KS[k, s], s
        binding.scenario_K[k] = at
        total += worst
    total *= problem.weight
    for o in range(problem.base_O.size):
        short = problem.base_O[o]
        for i in range(x.size):
            if problem.option_group_I[i] == o:
                short += problem.short_I[i] * (problem.size_I[i] - x[i])
        binding.option_O[o] = short > 0.0
        total += max(short, 0.0)
    return total


@compiled
def cost(problem: CloseOut, x: Floats) -> float:
    """Cost of closing ``x``."""
    total = 0.0
    for i in range(x.size):
        total += cost_of(problem.linear_I[i], problem.impact_I[i], problem.pending_I[i], x[i])
    return total


@compiled
def cost_of(linear: float, impact: float, pending: float, x: float) -> float:
    """c(x) of one item."""
    if impact == 0.0 or x == 0.0:
        return linear * x
    flow = pending + x
    impacted: float = impact * (flow * np.sqrt(flow) - pending * np.sqrt(pending))
    return linear * x + impacted


@compiled
def shortfall(problem: CloseOut, x: Floats, binding: Binding, net_KS: Floats) -> float:
    """target * M(x) + cost - equity: at most zero where the target is reached."""
    return problem.target * requirement(problem, x, binding, net_KS) + cost(problem, x) - problem.equity
