"""What can be a reference: confirmed, or waited for, or the oldest there is."""

from __future__ import annotations

from engine.books.mark_history import HISTORY_US_MAX, MarkHistory
from tests.builders import START_US, mark

SECOND_US = 1_000_000


def history(*seen: tuple[int, int, int | None]) -> MarkHistory:
    """(second, price, sources that agreed)."""
    made = MarkHistory()
    for second, price, agreeing in seen:
        made.note(mark("BTC", price, second, agreeing=agreeing), START_US + second * SECOND_US)
    return made


def reference(made: MarkHistory, second: int, waited: int = 2) -> int | None:
    found = made.reference("BTC", waited * SECOND_US, START_US + second * SECOND_US)
    return None if found is None else found.price_e8 // 10**8


def test_without_a_mark_there_is_none() -> None:
    assert (None, None) == (MarkHistory().newest("BTC"), reference(MarkHistory(), 0))


def test_the_first_price_is_the_reference_until_another_has_waited() -> None:
    made = history((0, 100, 1), (1, 90, 1), (2, 80, 1))
    assert [100, 90, 90, 80] == [reference(made, second) for second in (3, 4, 4, 5)]


def test_a_confirmed_price_is_the_reference_at_once_and_ends_what_was() -> None:
    made = history((0, 100, 1), (1, 90, 2), (2, 80, 1))
    assert 90 == reference(made, 2)
    assert 80 == reference(history((0, 100, 1), (1, 80, 1), (1, 80, 2)), 1), "a second source came to the same price"


def test_who_does_not_count_sources_confirms() -> None:
    assert 90 == reference(history((0, 100, None), (0, 90, None)), 0)


def test_an_unchanged_price_has_stood_since_it_first_came() -> None:
    made = history((0, 100, 1), (1, 90, 1), (2, 90, 1), (3, 90, 1))
    newest = made.newest("BTC")
    assert newest is not None
    assert (1, 3) == tuple((at_us - START_US) // SECOND_US for at_us in (newest.since_us, newest.until_us))
    assert 90 == reference(made, 4)


def test_the_next_reference_comes_when_the_oldest_that_waits_has_waited() -> None:
    made = history((0, 100, 1), (1, 90, 1), (2, 80, 1))
    at_us = [made.next_reference_us("BTC", 2 * SECOND_US, START_US + second * SECOND_US) for second in (2, 3, 4, 5)]
    assert [START_US + second * SECOND_US for second in (3, 3, 4)] == at_us[:3]
    assert at_us[3] is None


def test_memory_ends() -> None:
    seconds = 4 * HISTORY_US_MAX // SECOND_US
    made = history(*((second, 100 + second, 1) for second in range(seconds)))
    assert seconds - 61 + 100 - 1 == reference(made, seconds - 1, waited=10_000)
