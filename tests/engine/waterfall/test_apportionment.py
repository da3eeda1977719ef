"""Exact shares: sums, capacities, and a level that is the same for everybody who is not full."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.waterfall.apportionment import in_proportion, up_to_capacity

AMOUNTS = st.integers(0, 10**15)


def test_remainders_go_to_the_largest_then_to_the_first() -> None:
    assert in_proportion(10, [1, 1, 1]) == [4, 3, 3]
    assert in_proportion(7, [6, 3, 1]) == [4, 2, 1]
    assert in_proportion(0, [0, 0]) == [0, 0]


def test_the_full_ones_leave_theirs_to_the_others() -> None:
    assert up_to_capacity(100, [1, 1, 2], [10, 50, 100]) == [10, 30, 60]
    assert up_to_capacity(1000, [1, 1, 0], [10, 50, 100]) == [10, 50, 0]


@pytest.mark.parametrize(
    ("total", "weights"), [(5, [0, 0]), (-1, [1]), (5, [1, -1])], ids=["nobody", "negative", "negative weight"]
)
def test_impossible_splits_are_refused(total: int, weights: list[int]) -> None:
    with pytest.raises(InvalidReference):
        in_proportion(total, weights)


@given(total=AMOUNTS, weights=st.lists(AMOUNTS, min_size=1, max_size=9).filter(any))
def test_proportional_parts_sum_and_are_within_one_of_their_share(total: int, weights: list[int]) -> None:
    parts = in_proportion(total, weights)
    whole = sum(weights)
    assert sum(parts) == total
    assert all(abs(part * whole - total * weight) < whole for part, weight in zip(parts, weights, strict=True))


@given(
    total=AMOUNTS,
    rows=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**15)), min_size=1, max_size=9),
)
def test_filling_is_exact_and_level(total: int, rows: list[tuple[int, int]]) -> None:
    weights, capacities = [row[0] for row in rows], [row[1] for row in rows]
    parts = up_to_capacity(total, weights, capacities)
    room = sum(capacity for weight, capacity in rows if weight)
    assert sum(parts) == min(total, room)
    assert all(0 <= part <= capacity for part, capacity in zip(parts, capacities, strict=True))
    levels = [(part, row[0]) for part, row in zip(parts, rows, strict=True) if part < row[1] and row[0]]
    for part, weight in levels:
        # nobody with room lies more than a unit below anybody else's level
        for other, (other_weight, _) in zip(parts, rows, strict=True):
            if other_weight:
                assert (other - 1) * weight <= (part + 1) * other_weight
