"""How fast, and who first: closed forms beside the functions."""

from __future__ import annotations

from math import erfc, inf, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fleet.pace import depth_share, round_quantity_e8, rounds_left
from engine.fleet.waiting import WaitingList, severity
from engine.units import DAY_US

ROUND_US = 60_000_000


@given(st.floats(0.01, 1.0), st.floats(1.0, 1e9))
def test_the_budget_is_used_up_at_the_horizon(share: float, maintenance: float) -> None:
    rounds = rounds_left(share * maintenance, maintenance, DAY_US, ROUND_US)
    left, beyond = (share - sqrt(count * ROUND_US / DAY_US) for count in (rounds, rounds + 1))
    assert left >= -1e-6 and beyond < 1e-6


@pytest.mark.parametrize("figures", [(0.0, 10.0), (-1.0, 10.0), (5.0, 0.0)])
def test_no_time_is_left_without_equity_or_where_nothing_is_required(figures: tuple[float, float]) -> None:
    assert 0 == rounds_left(*figures, DAY_US, ROUND_US)


def test_a_round_takes_what_depth_takes_but_no_less_than_an_even_part() -> None:
    assert 300 == round_quantity_e8(1000, 100, 300, 10)
    assert 100 == round_quantity_e8(1000, 10, 50, 10)
    assert 10 == round_quantity_e8(1000, 10**6, 3, 10), "one lot at least"
    assert 340 == round_quantity_e8(1000, 3, 0, 10), "an even part is rounded up to lots"
    assert 1000 == round_quantity_e8(1000, 100, 5000, 10)
    assert 1000 == round_quantity_e8(1000, 1, 50, 10), "there is no time"
    assert 1000 == round_quantity_e8(1000, 100, None, 10), "nobody knows the depth"


@given(st.integers(1, 500), st.integers(1, 50), st.integers(2, 400), st.integers(0, 9000))
def test_rounds_of_even_parts_are_done_in_time(lots: int, lot: int, rounds: int, depth: int) -> None:
    left, done = lots * lot, 0
    for remaining in range(rounds, 0, -1):
        if left:
            left -= round_quantity_e8(left, remaining, depth, lot)
            done += 1
    assert (0, True) == (left, done <= rounds)


def test_depth_takes_in_a_round_its_part_of_a_day() -> None:
    assert 0.05 * 2e9 / 1440 == pytest.approx(depth_share(0.05, 2e9, ROUND_US))


@given(st.floats(0.01, 2.0), st.floats(0.01, 2.0), st.floats(1.0, 1e6), st.floats(1.0, 1e6))
def test_who_is_served_first_is_the_likelier_to_go_bankrupt_within_any_time(
    one: float, other: float, volatility: float, another: float
) -> None:
    """Reflection principle; maintenance margin is three standard deviations of a day for everybody."""

    def bankrupt_within(equity: float, deviation: float, days: float) -> float:
        return erfc(equity / (deviation * sqrt(2 * days)))

    first, second = (one * 3 * volatility, volatility), (other * 3 * another, another)
    if severity(first[0], 3 * first[1]) > severity(second[0], 3 * second[1]):
        first, second = second, first
    for days in (0.01, 0.3, 5.0):
        assert bankrupt_within(*first, days) >= bankrupt_within(*second, days) * (1 - 1e-9)


def test_a_debt_is_urgent_even_where_nothing_is_required() -> None:
    assert [-inf, -2.0, 0.5, inf] == sorted(
        [severity(1.0, 0.0), severity(5.0, 10.0), severity(-20.0, 10.0), severity(-1.0, 0.0)]
    )


def test_who_waits_is_looked_at_when_its_partition_stirs_and_once() -> None:
    queue = WaitingList()
    queue.stir(0)
    queue.put(1, 0)
    assert set() == queue.take_stirred(), "it came later"
    queue.put(2, 1)
    queue.stir(0)
    assert [{1}, set()] == [queue.take_stirred(), queue.take_stirred()]
    queue.drop([1])
    queue.stir(0)
    queue.stir(1)
    assert {2} == queue.take_stirred()
