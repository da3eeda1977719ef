from __future__ import annotations

from dataclasses import replace

from engine.books.account import RECENT_EVENTS_MAX, AccountBook
from engine.books.intake import advance, remember, repeat_of
from engine.outcomes import DUPLICATE, Rejection
from tests.builders import deposit, fill, source


def test_watermark_is_per_topic_and_only_rises() -> None:
    book = AccountBook("a")
    assert [True, True, False, False, True] == [
        advance(book, source(topic, offset))
        for topic, offset in (("fills", 3), ("collateral", 0), ("fills", 3), ("fills", 1), ("fills", 4))
    ]
    assert {"fills": 4, "collateral": 0} == book.applied


def test_retry_is_a_duplicate_and_another_body_under_its_id_a_conflict() -> None:
    book = AccountBook("a")
    event = fill("a", "BTC-PERP", 1, 20_000, 0)
    assert repeat_of(book, event) is None
    remember(book, event)
    assert DUPLICATE == repeat_of(book, replace(event, source=source("fills", 9)))
    conflict = repeat_of(book, replace(event, body_digest=b"other"))
    assert conflict is not None
    assert (Rejection.EVENT_ID_CONFLICT, "event_id") == (conflict.rejection, conflict.field)


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    book = AccountBook("a")
    events = [deposit("a", "USD", 1, offset) for offset in range(RECENT_EVENTS_MAX + 1)]
    for event in events:
        remember(book, event)
    remember(book, fill("a", "BTC-PERP", 1, 20_000, 0))
    assert {"collateral": RECENT_EVENTS_MAX, "fills": 1} == {topic: len(seen) for topic, seen in book.recent.items()}
    assert repeat_of(book, events[0]) is None
    assert DUPLICATE == repeat_of(book, events[1])
