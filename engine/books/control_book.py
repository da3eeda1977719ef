"""The control book: the holds of every scope that have not ended.

Owns what may end a hold. Refuses what a hold means (``engine.controls``).

Ordering a hold takes one person: it is added to those of its scope, of which the strictest counts until it ends, so
that no hold ever weakens another. Ending, weakening or shortening one takes two: an approved record replaces
everything that was ordered for its scope before. What holds is a function of the topic's records in their order and of
engine time alone, so that every worker comes to the same book, whatever it has read of other topics so far; and as the
topic keeps every record longer than a hold may last, compaction takes nothing from it.
"""

from __future__ import annotations

from types import MappingProxyType

from engine.controls import NO_HOLDS, Controls, severity
from engine.events import ControlMode, ControlScope, ControlSet
from engine.outcomes import APPLIED, DUPLICATE, Outcome


class ControlBook:
    """``version`` is the offset of the newest record seen, -1 before the first."""

    def __init__(self) -> None:
        self.version = -1
        self._holds: dict[tuple[ControlScope, str], tuple[ControlSet, ...]] = {}
        self._in_force = NO_HOLDS
        self._changes_us: int | None = None

    def set(self, event: ControlSet) -> Outcome:
        """Take a record, unless it has been seen."""
        if event.version <= self.version:
            return DUPLICATE
        self.version = event.version
        key = (event.scope, event.target)
        kept = () if event.is_approved else self._holds.get(key, ())
        self._holds[key] = kept if event.mode is ControlMode.RUN else (*kept, event)
        self._changes_us = -1
        return APPLIED

    def in_force(self, time_us: int) -> Controls:
        """The strictest hold of each scope at ``time_us``, which never goes back: the same object until they change.
        A hold ends when engine time passes its end."""
        if self._changes_us is not None and time_us > self._changes_us:
            left = {
                key: tuple(hold for hold in holds if hold.until_us >= time_us)
                for key, holds in sorted(self._holds.items())
            }
            self._holds = {key: holds for key, holds in left.items() if holds}
            self._changes_us = min((hold.until_us for holds in left.values() for hold in holds), default=None)
            modes = {key: max((hold.mode for hold in holds), key=severity) for key, holds in self._holds.items()}
            self._in_force = Controls(MappingProxyType(modes))
        return self._in_force
