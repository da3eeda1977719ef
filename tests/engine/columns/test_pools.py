"""Blocks never overlap, never leave the pool, and come back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.columns.arrays import POOL_CLASSES
from engine.columns.pools import FULL, allocate, class_for, free

CAPACITY = 64


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 100)), max_size=80))
def test_blocks_do_not_overlap_and_all_space_is_given_out(steps: list[tuple[bool, int, int]]) -> None:
    used, heads, link = np.zeros(1, np.int64), np.full(POOL_CLASSES, -1, np.int64), np.zeros(CAPACITY, np.int64)
    given_out: list[tuple[int, int]] = []
    taken = np.zeros(CAPACITY, bool)
    for is_free, size_class, place in steps:
        if is_free and given_out:
            start, size_class = given_out.pop(place % len(given_out))
            free(heads, link, start, size_class)
            taken[start : start + (1 << size_class)] = False
            continue
        start = allocate(used, heads, link, size_class, CAPACITY)
        if start == FULL:
            # Only if every single entry fits nowhere is a pool full for blocks of one.
            assert size_class > 0 or taken.all()
            continue
        block = slice(start, start + (1 << size_class))
        assert block.stop <= CAPACITY and not taken[block].any()
        taken[block] = True
        link[block] = -99  # what an account writes into its block must not matter
        given_out.append((start, size_class))
    for start, size_class in given_out:
        free(heads, link, start, size_class)
    singles = {allocate(used, heads, link, 0, CAPACITY) for _ in range(CAPACITY)}
    assert singles == set(range(CAPACITY))


def test_a_class_is_the_smallest_that_holds_the_count() -> None:
    assert [class_for(count) for count in (1, 2, 3, 4, 5, 8, 9, 32, 33)] == [0, 1, 2, 2, 3, 3, 4, 5, 6]
