"""Intake: whether an account has seen an event before.

Owns the offset watermark and the memory of recent event ids. The watermark makes replay of the log harmless; the
memory catches a producer's retry, which arrives at a new offset, and a second event that wrongly reuses an id.
"""

from __future__ import annotations

from engine.books.account import RECENT_EVENTS_MAX, AccountBook
from engine.events import CollateralEvent, Fill, LiquidationAck, Source
from engine.ids import event_key
from engine.outcomes import DUPLICATE, Outcome, Rejection, rejected


def advance(book: AccountBook, source: Source) -> bool:
    """Move the watermark up to ``source``; False if the account was past it already."""
    if source.offset <= book.applied.get(source.topic, -1):
        return False
    book.applied[source.topic] = source.offset
    return True


def repeat_of(book: AccountBook, event: Fill | CollateralEvent | LiquidationAck) -> Outcome | None:
    """DUPLICATE if the same event was applied recently, a rejection if another one under its id was, else None."""
    known = book.recent.get(event.source.topic, {}).get(event_key(event.event_id))
    if known is None:
        return None
    if known == event.body_digest:
        return DUPLICATE
    return rejected(Rejection.EVENT_ID_CONFLICT, "event_id", event.event_id)


def remember(book: AccountBook, event: Fill | CollateralEvent | LiquidationAck) -> None:
    """Note an applied event, and forget the oldest beyond the limit. A rejected one is not noted: once its cause is
    mended it may come again under its own id."""
    recent = book.recent.setdefault(event.source.topic, {})
    recent[event_key(event.event_id)] = event.body_digest
    if len(recent) > RECENT_EVENTS_MAX:
        del recent[next(iter(recent))]
