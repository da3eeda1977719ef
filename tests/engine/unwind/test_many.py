"""A batch of close-outs: every account's answer is that which it gets alone."""

from __future__ import annotations

import numpy as np
import pytest

from engine.unwind.least_cost import least_cost
from engine.unwind.many import joined, least_cost_of_each
from tests.engine.unwind.hedged_books import hedged_book


def test_bits_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(3)
    problems = [
        hedged_book(
            rng, int(rng.integers(1, 20)), 12, int(rng.integers(1, 4)), options=int(rng.integers(0, 3)),
            impact=bool(rng.random() < 0.7), pending=bool(rng.random() < 0.5),
        ).problem
        for _ in range(60)
    ]  # fmt: skip
    batch = joined(problems)
    solved = least_cost_of_each(batch)
    assert len(set(solved.status_A.tolist())) > 1
    for at, problem in enumerate(problems):
        alone = least_cost(problem)
        x_I = solved.x_I[batch.first_item_A[at] : batch.first_item_A[at + 1]]
        assert x_I.tobytes() == alone.x_I.tobytes()
        assert solved.status_A[at] == alone.status
        assert solved.cost_A[at] == alone.cost
        assert solved.lower_bound_A[at] == alone.lower_bound
        assert solved.requirement_before_A[at] == alone.requirement_before
        assert solved.requirement_after_A[at] == alone.requirement_after


def test_problems_of_different_numbers_of_scenarios_are_refused() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match="dimension"):
        joined([hedged_book(rng, 4, 8).problem, hedged_book(rng, 4, 9).problem])
