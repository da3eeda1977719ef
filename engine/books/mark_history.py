"""The recent marks of every feed: which of them have been confirmed or have stood long enough to be a reference.

Owns that memory, a function of the marks alone, so that a replay has the same. Refuses to know how far a price may
move (``engine.trust.price_box``).

A mark is confirmed when at least ``CONFIRMING`` sources agreed on it, or when whoever made it does not count sources.
What came before a confirmed mark is forgotten; so is what is older than ``HISTORY_US_MAX``, but for the newest of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.events import MarkPrice

CONFIRMING = 2
"""Sources that make a price more than the word of one."""

HISTORY_US_MAX = 60_000_000
"""No mark has to stand longer than this to be a reference."""


@dataclass(slots=True)
class SeenMark:
    """A price of a feed: engine time when it came (``since_us``) and when it was last repeated (``until_us``)."""

    price_e8: int
    since_us: int
    until_us: int
    is_confirmed: bool


class MarkHistory:
    """Recent prices by feed, oldest first; the first of a feed is always one that can be a reference."""

    def __init__(self) -> None:
        self._seen: dict[str, list[SeenMark]] = {}

    def note(self, mark: MarkPrice, time_us: int) -> None:
        """Take the newest mark of its feed; engine time is ``time_us`` and includes it."""
        is_confirmed = mark.agreeing is None or mark.agreeing >= CONFIRMING
        seen = self._seen.setdefault(mark.feed, [])
        if seen and seen[-1].price_e8 == mark.price_e8:
            seen[-1].until_us = time_us
            seen[-1].is_confirmed |= is_confirmed
        else:
            seen.append(SeenMark(mark.price_e8, time_us, time_us, is_confirmed))
        if seen[-1].is_confirmed:
            del seen[:-1]
        while len(seen) > 1 and seen[1].since_us < time_us - HISTORY_US_MAX:
            del seen[0]

    def newest(self, feed: str) -> SeenMark | None:
        """The price in force; None before the first. For reading only."""
        seen = self._seen.get(feed)
        return seen[-1] if seen else None

    def reference(self, feed: str, waited_us: int, time_us: int) -> SeenMark | None:
        """The newest price that is confirmed, or came more than ``waited_us`` ago, or has no predecessor; None before
        the first mark. For reading only."""
        for seen in reversed(self._seen.get(feed, ())):
            if seen.is_confirmed or time_us - seen.since_us > waited_us:
                return seen
        held = self._seen.get(feed)
        return held[0] if held else None

    def next_reference_us(self, feed: str, waited_us: int, time_us: int) -> int | None:
        """After which engine time a newer price becomes the reference, if no mark comes before; None: never."""
        reference, found = self.reference(feed, waited_us, time_us), None
        for seen in reversed(self._seen.get(feed, ())):
            if seen is reference:
                break
            found = seen.since_us + waited_us
        return found
