"""Progressive filling: common levels by hand, and that nobody could rise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.waterfall.filling import WHOLE, fill

HALF = WHOLE // 2


def test_everybody_rises_until_a_resource_is_full() -> None:
    # A is full at one half; then the party that takes only of B goes on to its limit
    assert fill([50, 100], [(100, 0), (0, 10), (0, 40)], [WHOLE, WHOLE, HALF]) == [HALF, WHOLE, HALF]
    assert fill([50, 100], [(60, 60), (40, 0)], [WHOLE, WHOLE]) == [HALF, HALF]


def test_a_party_without_a_limit_gives_nothing() -> None:
    assert fill([10], [(10,), (10,)], [0, WHOLE]) == [0, WHOLE]
    assert fill([10], [], []) == []


def test_filling_ends_when_nothing_more_is_wanted() -> None:
    # B wants 30: both give three tenths; the holder of A alone is not asked
    rows = [(100, 100), (100, 0)]
    assert fill([100, 100], rows, [WHOLE, WHOLE], [0, 30]) == [WHOLE * 3 // 10, 0]
    assert fill([100, 100], rows, [WHOLE, WHOLE], [0, 0]) == [0, 0]


@given(
    room=st.lists(st.integers(0, 1000), min_size=2, max_size=2),
    parties=st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, WHOLE)), min_size=1, max_size=7
    ),
)
def test_nobody_could_rise(room: list[int], parties: list[tuple[int, int, int]]) -> None:
    rows, limits = [each[:2] for each in parties], [each[2] for each in parties]
    fractions = fill(room, rows, limits)
    taken = [sum(row[at] * fraction for row, fraction in zip(rows, fractions, strict=True)) for at in (0, 1)]
    assert all(each <= most * WHOLE for each, most in zip(taken, room, strict=True))
    full = [
        most * WHOLE - each <= sum(row[at] for row in rows)
        for at, (each, most) in enumerate(zip(taken, room, strict=True))
    ]
    for row, fraction, limit in zip(rows, fractions, limits, strict=True):
        assert fraction <= limit
        assert fraction == limit or any(full[at] and row[at] for at in (0, 1)) or not any(row)
    assert all(fraction == 0 for row, fraction in zip(rows, fractions, strict=True) if not any(row))
