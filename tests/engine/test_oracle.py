"""The price guard believes a median, holds what it doubts, and never holds for ever."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine.events import VolatilityNode
from engine.oracle import FUNDING_PERIOD_US, GuardedPrice, GuardSettings, PriceGuard, Quote
from engine.units import E8, E12

MINUTE_US = 60_000_000


def quote(source: str, price: float, minute: float = 0, funding: float = 0.0, feed: str = "BTC") -> Quote:
    return Quote(feed, source, round(price * E8), 0, (), round(funding * E12), round(minute * MINUTE_US))


def offer(guard: PriceGuard, *quotes: Quote) -> list[GuardedPrice]:
    return [mark for mark in map(guard.offer, quotes) if mark is not None]


def test_mark_is_the_median_of_agreeing_sources() -> None:
    marks = offer(PriceGuard(), quote("a", 100), quote("b", 101), quote("c", 99))
    assert [100 * E8, 100 * E8 + E8 // 2, 100 * E8] == [mark.price_e8 for mark in marks]
    assert ("a", "b", "c") == marks[-1].sources


def test_one_wrong_source_of_three_moves_nothing() -> None:
    for factor in (0.95, 0.8, 0.1, 10.0):
        guard = PriceGuard()
        offer(guard, quote("a", 100), quote("b", 100), quote("c", 100))
        marks = offer(guard, quote("c", 100 * factor, 1), quote("a", 100, 1.1), quote("b", 100, 1.2))
        assert all(mark.price_e8 == 100 * E8 for mark in marks), factor
        assert "c" not in marks[-1].sources


def test_a_jump_is_held_until_it_persists_then_accepted() -> None:
    guard = PriceGuard(GuardSettings(hold_us_max=2 * MINUTE_US))
    offer(guard, quote("a", 100))
    assert [] == offer(guard, quote("a", 65, 1), quote("a", 65, 2))
    assert [65 * E8] == [mark.price_e8 for mark in offer(guard, quote("a", 65, 3))]


def test_a_jump_that_returns_is_never_published() -> None:
    guard = PriceGuard(GuardSettings(hold_us_max=2 * MINUTE_US))
    offer(guard, quote("a", 100))
    marks = offer(guard, quote("a", 65, 1), quote("a", 100, 2), quote("a", 65, 3), quote("a", 100, 5))
    assert {100 * E8} == {mark.price_e8 for mark in marks}


def test_after_a_restart_one_source_of_three_is_not_enough_until_the_deadline() -> None:
    guard = PriceGuard()
    last = offer(guard, quote("a", 100), quote("b", 100), quote("c", 100, 0.1))[-1]
    resumed = PriceGuard()
    resumed.resume(last)
    assert [] == offer(resumed, quote("c", 90, 1))
    assert [] != offer(resumed, quote("a", 100, 1.1), quote("b", 100, 1.2))
    lonely = PriceGuard()
    lonely.resume(last)
    assert [] == offer(lonely, quote("c", 99, 1), quote("c", 99, 2))
    assert [99 * E8] == [mark.price_e8 for mark in offer(lonely, quote("c", 99, 3.1))]


def test_a_replayed_quote_changes_nothing() -> None:
    guard = PriceGuard()
    assert 1 == len(offer(guard, quote("a", 100, 1)))
    assert [] == offer(guard, quote("a", 101, 1), quote("a", 102, 0.5))


def test_an_unchanged_price_is_repeated_at_its_interval() -> None:
    guard = PriceGuard(GuardSettings(mark_interval_us_max=MINUTE_US))
    marks = offer(guard, *(quote("a", 100, minute / 4) for minute in range(13)))
    assert [0, MINUTE_US, 2 * MINUTE_US, 3 * MINUTE_US] == [mark.mark_time_us for mark in marks]


def test_what_a_lone_source_has_moved_is_repeated_with_every_quote_until_it_has_stood() -> None:
    guard = PriceGuard(GuardSettings(mark_interval_us_max=MINUTE_US))
    offer(guard, quote("a", 100), quote("a", 101, 0.25))
    repeated = offer(guard, *(quote("a", 101, minute / 4) for minute in range(2, 10)))
    assert [2, 3, 4, 8] == [4 * mark.mark_time_us // MINUTE_US for mark in repeated]
    assert [] != offer(guard, quote("a", 102, 3)), "moved again"
    assert [] != offer(guard, quote("b", 102, 3.1)), "a second source is news"
    assert [] == offer(guard, quote("a", 102, 3.2), quote("b", 102, 3.3))


def test_a_price_that_becomes_less_certain_is_news_and_one_that_becomes_more_so_is_not() -> None:
    guard = PriceGuard()
    offer(guard, quote("a", 100), quote("b", 100, 0.01), quote("c", 100, 0.02))
    (wider,) = offer(guard, quote("c", 102, 0.03))
    assert (100 * E8, 2 * E8) == (wider.price_e8, wider.confidence_e8)
    assert [] == offer(guard, quote("c", 101, 0.04))


def test_confidence_spans_the_agreeing_quotes_and_their_own_intervals() -> None:
    guard = PriceGuard()
    quotes = [
        replace(quote(source, price), confidence_e8=E8 // 2) for source, price in (("a", 99), ("b", 100), ("c", 120))
    ]
    marks = offer(guard, *quotes, quote("d", 100, 0.1))
    assert (100 * E8, E8 + E8 // 2) == (marks[-1].price_e8, marks[-1].confidence_e8), "the outlier does not count"


def test_a_price_that_is_not_positive_is_none() -> None:
    guard = PriceGuard()
    offer(guard, quote("a", 100))
    assert [] == offer(guard, quote("b", 0, 1), quote("b", -100, 2))
    assert ("a",) == offer(guard, quote("a", 101, 3))[-1].sources


def test_funding_accrues_rate_times_price_over_eight_hours() -> None:
    guard = PriceGuard()
    offer(guard, quote("a", 20_000, 0, funding=0.0001))
    (mark,) = offer(guard, quote("a", 20_000, FUNDING_PERIOD_US / MINUTE_US, funding=0.0002))
    assert 2 * E12 == mark.funding_index_linear_e12
    assert round(0.0001 / 20_000 * E12) == mark.funding_index_inverse_e12


def test_volatility_comes_from_the_newest_agreeing_quote() -> None:
    nodes = (VolatilityNode(30.0, 0.0, 0.6),)
    (mark,) = offer(PriceGuard(), Quote("BTC", "a", E8, 0, nodes, 0, 0))
    assert nodes == mark.volatility


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 10**12), st.integers(0, 10**9), st.integers(-(10**8), 10**8)),
        max_size=40,
    )
)
def test_marks_advance_in_time_and_resuming_continues_funding(rows: list[tuple[str, int, int, int]]) -> None:
    quotes = [Quote("BTC", source, price, 0, (), rate, time) for source, price, time, rate in rows]
    marks = offer(PriceGuard(), *quotes)
    times = [mark.mark_time_us for mark in marks]
    assert sorted(times) == times
    for earlier, later in itertools.pairwise(marks):
        if earlier.funding_rate_e12 == 0:
            assert earlier.funding_index_linear_e12 == later.funding_index_linear_e12
