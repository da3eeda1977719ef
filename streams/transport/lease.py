"""The group lease: how long ago the broker last confirmed that this worker is a member.

Owns one timestamp, written by the consumer thread and read by everybody. An expired lease does not prove that another
worker took over, and a fresh one does not prove the contrary (the changelog's epochs do); it stops a worker that wakes
from a pause before it writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# Where the system has it, this clock also counts time spent in suspend, where a lease certainly ends.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _boot_clock() -> float:
    return time.clock_gettime(_CLOCK)


class GroupLease:
    """Renewed by each answered heartbeat and each completed join; expires after ``timeout_s`` without one."""

    def __init__(self, timeout_s: float, clock: Callable[[], float] = _boot_clock) -> None:
        self.timeout_s = timeout_s
        self._clock = clock
        self._renewed = clock()

    def now(self) -> float:
        """The lease's own clock."""
        return self._clock()

    def renew(self, sent_at: float) -> None:
        """The broker answered a request that was sent at ``sent_at``; later news is never overwritten by older."""
        self._renewed = max(self._renewed, sent_at)

    @property
    def age_s(self) -> float:
        """Seconds since the last confirmed sign of membership."""
        return self._clock() - self._renewed

    @property
    def expired(self) -> bool:
        """Whether the broker may have given the partitions to somebody else."""
        return self.age_s > self.timeout_s
