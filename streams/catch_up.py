"""Catching up: nobody is judged on half of the past.

Topics have no mutual order, so a book in the middle of a backlog is a book that never was: fills without the deposits
that backed them look like a breach. Two rules, each with a deadline, because a book that is never judged is worse:

* after taking partitions over, a worker judges nobody until it has read the account topics of these partitions to
  their ends as of the takeover, at most ``TAKEOVER_S``;
* a batch of fills waits until the collateral of its partition is applied as far as the broker is known to have it, at
  most ``COLLATERAL_S``.

Owns the positions read and awaited. Pure but for the clock it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

Position = tuple[str, int]
"""Topic and partition."""

TAKEOVER_S = 10.0
COLLATERAL_S = 1.0


class CatchUp:
    """What has been read of each partition, and what must be read before accounts are judged."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._read: dict[Position, int] = {}
        self._awaited: dict[Position, int] = {}
        self._deadline = 0.0

    def take_over(self, ends: Mapping[Position, int]) -> None:
        """Await the offsets ``ends`` (of the next record); what was read of these partitions before is void."""
        for position in ends:
            self._read.pop(position, None)
        self._awaited.update(ends)
        self._deadline = self._clock() + TAKEOVER_S

    def give_up(self, partition: int) -> None:
        """Await nothing of a partition that went to another worker."""
        for position in [position for position in self._awaited if position[1] == partition]:
            del self._awaited[position]
        for position in [position for position in self._read if position[1] == partition]:
            del self._read[position]

    def read(self, topic: str, partition: int, end: int) -> None:
        """Everything before ``end`` has been applied."""
        self._read[topic, partition] = end

    def position(self, topic: str, partition: int, committed: int | None) -> int:
        """The next offset to be applied; ``committed`` is where reading began."""
        return self._read.get((topic, partition), committed or 0)

    def is_over(self, committed: Callable[[Position], int | None]) -> bool:
        """Whether accounts may be judged: everything awaited was read, or the deadline has passed."""
        if not self._awaited:
            return True
        self._awaited = {
            position: end
            for position, end in self._awaited.items()
            if self.position(*position, committed(position)) < end
        }
        if self._awaited and self._clock() >= self._deadline:
            self._awaited.clear()
        return not self._awaited
