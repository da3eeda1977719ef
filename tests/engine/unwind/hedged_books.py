"""Random hedged books as close-out problems, and rules of thumb to compare the planner with.

Owns the draw: mostly one direction, some against it, two of five positions with gamma, half of the scenarios moderate
and half wide, equity at 55 to 98 % of the requirement. Refuses to solve anything.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.pricing.axes import Floats
from engine.unwind.problem import CloseOut, empty_binding, requirement, shortfall

TARGET = 1.1
FIRST_SLICE = 0.1
"""The share of a leg that a rule of thumb closes first."""


class Book(NamedTuple):
    """A problem, and what one unit of each item is worth."""

    problem: CloseOut
    price_I: Floats


def hedged_book(
    rng: np.random.Generator,
    items: int,
    scenarios: int,
    groups: int = 1,
    *,
    impact: bool = True,
    options: int = 0,
    pending: bool = False,
) -> Book:
    """Draw a book. ``options`` groups have minima for what is short; ``pending`` adds forced flow of others."""
    group_I = np.sort(rng.integers(0, groups, items))
    sign_I = np.where(rng.random(items) < 0.7, 1.0, -1.0)
    price_I, size_I = np.exp(rng.normal(3.0, 1.0, items)), np.exp(rng.normal(3.0, 1.2, items))
    wide = scenarios - scenarios // 2
    moves_SK = np.concatenate([rng.normal(0.0, 0.06, (scenarios // 2, groups)), rng.normal(0.0, 0.18, (wide, groups))])
    beta_I = rng.uniform(0.7, 1.3, items)
    gamma_I = np.where(rng.random(items) < 0.4, rng.normal(0.0, 2.0, items), 0.0)
    move_IS = moves_SK[:, group_I].T * beta_I[:, None]
    linear_I = price_I * rng.uniform(2e-4, 2e-3, items)
    volume_I = size_I * rng.uniform(20.0, 400.0, items)
    impact_I = price_I * rng.uniform(0.5, 1.0) * 0.04 / np.sqrt(volume_I) if impact else np.zeros(items)
    option_group_I = np.where(rng.random(items) < 0.5, rng.integers(0, max(options, 1), items), -1)
    problem = CloseOut(
        loss_IS=-(sign_I * price_I)[:, None] * (move_IS + 0.5 * gamma_I[:, None] * move_IS**2),
        group_I=group_I.astype(np.int64),
        base_KS=np.zeros((groups, scenarios)),
        weight=1.0,
        short_I=-sign_I * price_I * rng.uniform(0.0, 0.03, items) if options else np.zeros(items),
        option_group_I=option_group_I.astype(np.int64) if options else np.full(items, -1, np.int64),
        base_O=rng.normal(0.0, 50.0, options),
        size_I=size_I,
        linear_I=linear_I,
        impact_I=impact_I,
        pending_I=size_I * rng.uniform(0.0, 3.0, items) if pending else np.zeros(items),
        equity=0.0,
        target=TARGET,
    )
    return Book(problem._replace(equity=required(problem) * float(rng.uniform(0.55, 0.98))), price_I)


def required(problem: CloseOut, x_I: Floats | None = None) -> float:
    """The requirement once ``x_I`` is closed; by default nothing is."""
    x = np.zeros(problem.size_I.size) if x_I is None else x_I
    return requirement(problem, x, empty_binding(problem), np.empty_like(problem.base_KS))


def missing(problem: CloseOut, x_I: Floats) -> float:
    """Target less equity once ``x_I`` is closed and paid for: at most zero where the target is reached."""
    return shortfall(problem, x_I, empty_binding(problem), np.empty_like(problem.base_KS))


def equal_share(problem: CloseOut) -> Floats:
    """The smallest equal share of every item that reaches the target (everything, if none does)."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        if missing(problem, middle * problem.size_I) > 0.0:
            low = middle
        else:
            high = middle
    return high * problem.size_I


def leg(problem: CloseOut, item: int, units: float) -> Floats:
    """``units`` of one item and nothing else."""
    x_I = np.zeros(problem.size_I.size)
    x_I[item] = units
    return x_I


def planned_first(problem: CloseOut, x_I: Floats) -> Floats:
    """The first slice of a plan: of its legs that which, closed alone, leaves the least missing."""
    items = np.flatnonzero(x_I).tolist()
    first = min(items, key=lambda item: (missing(problem, leg(problem, item, float(x_I[item]))), item))
    return leg(problem, first, FIRST_SLICE * float(x_I[first]))


def largest_first(book: Book) -> Floats:
    """The first slice of the rule of thumb: a tenth of the position of the largest notional."""
    largest = int(np.argmax(book.price_I * book.problem.size_I))
    return leg(book.problem, largest, FIRST_SLICE * float(book.problem.size_I[largest]))
