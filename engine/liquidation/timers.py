"""Timers: accounts that must be looked at again when engine time passes an instant, whatever prices do.

Owns when. Open commands run out and holds end by time alone; everything else that moves an account is an event.
"""

from __future__ import annotations

import heapq
from collections.abc import Set


class Timers:
    """At most one deadline per account number; setting another replaces it."""

    def __init__(self) -> None:
        self._deadlines: dict[int, int] = {}
        self._queue: list[tuple[int, int]] = []

    def put(self, account: int, deadline_us: int | None) -> None:
        """Look at ``account`` once engine time is past ``deadline_us``; None: no need."""
        if deadline_us is None:
            self._deadlines.pop(account, None)
        elif self._deadlines.get(account) != deadline_us:
            self._deadlines[account] = deadline_us
            heapq.heappush(self._queue, (deadline_us, account))

    def due(self, time_us: int) -> list[int]:
        """Remove and return the accounts whose deadline is past."""
        found = []
        while self._queue and self._queue[0][0] < time_us:
            deadline, account = heapq.heappop(self._queue)
            # A replaced deadline is still queued; only the one that stands counts.
            if self._deadlines.get(account) == deadline:
                del self._deadlines[account]
                found.append(account)
        return found

    def members(self) -> Set[int]:
        """The accounts with a deadline."""
        return self._deadlines.keys()
