"""The queues of other venues: the published example, the scores by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.waterfall.queue_rule import Queued, bitmex_score, close_from_the_top, hyperliquid_score, indicator, ranked

# bitmex.com, autoDeleveragingExamples: six longs, and a short of 20 with a bankruptcy price of 650 is liquidated
PUBLISHED = [
    Queued(account, lots, Fraction(score))
    for account, lots, score in (("1", 10, 3), ("2", 10, 6), ("3", 20, 1), ("4", 30, 4), ("5", 20, 5), ("6", 10, 2))
]


def test_the_published_queue() -> None:
    assert [each.account for each in ranked(PUBLISHED)] == ["2", "5", "4", "1", "6", "3"]
    assert close_from_the_top(20, PUBLISHED) == ((("2", 10), ("5", 10)), 0)
    percentile = {account: 20 * (6 - lights) for account, lights in indicator(PUBLISHED).items()}
    assert percentile == {"2": 20, "5": 40, "4": 60, "1": 80, "6": 80, "3": 100}


def test_scores_of_values() -> None:
    # long 1 from 100 at 120, bankrupt at 90: 20 % at 4 times; in loss at 95: -5 % by 19 times
    assert bitmex_score(120, 100, 90) == Fraction(4, 5)
    assert bitmex_score(95, 100, 90) == Fraction(-1, 20) / 19
    # short 1 from 100 at 80, bankrupt at 110: values are negative
    assert bitmex_score(-80, -100, -110) == Fraction(1, 5) * Fraction(8, 3)
    assert hyperliquid_score(120, 100, 1200, 300) == Fraction(24, 5)
    assert hyperliquid_score(80, 100, 800, 200, side=-1) == 5


def test_a_position_without_value_has_no_score() -> None:
    for arguments in ((100, 0, 90), (100, 90, 100)):
        with pytest.raises(InvalidReference):
            bitmex_score(*arguments)
    with pytest.raises(InvalidReference):
        hyperliquid_score(100, 90, 100, 0)
    with pytest.raises(InvalidReference):
        close_from_the_top(-1, PUBLISHED)


@given(
    lots=st.integers(0, 100),
    queue=st.lists(
        st.builds(Queued, st.text("abc", min_size=1, max_size=3), st.integers(1, 30), st.fractions(-5, 5)),
        max_size=6,
        unique_by=lambda each: each.account,
    ),
)
def test_the_queue_closes_exactly_and_only_its_last_in_part(lots: int, queue: list[Queued]) -> None:
    closed, rest = close_from_the_top(lots, queue)
    assert sum(part for _, part in closed) + rest == lots
    held = {each.account: each.lots for each in queue}
    assert all(part == held[account] for account, part in closed[:-1])
