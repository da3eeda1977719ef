"""The pace of the sweep: how many accounts the worker recomputes and reports beside its work.

Owns the size of the next slice, so that a slice takes about ``BUDGET_S`` whatever machine and portfolios. A worker that
is behind its topics sweeps nothing: snapshots are what overload sheds first, events and decisions never.
"""

from __future__ import annotations

BUDGET_S = 0.005
FIRST_SLICE = 16
SLICE_MAX = 4096
LAG_S_MAX = 1.0
"""A worker further behind than this has no time for snapshots."""


class SweepPace:
    """Learns from how long slices took."""

    def __init__(self) -> None:
        self._accounts = float(FIRST_SLICE)

    def slice(self, lag_s: float) -> int:
        """How many accounts to sweep now, by a worker that is ``lag_s`` seconds behind."""
        return 0 if lag_s > LAG_S_MAX else int(self._accounts)

    def note(self, accounts: int, took_s: float) -> None:
        """A step that swept ``accounts`` took that long, the rest of the step included."""
        if accounts:
            wanted = self._accounts * BUDGET_S / max(took_s, BUDGET_S / 8)
            self._accounts = min(max((self._accounts + wanted) / 2, 1.0), float(SLICE_MAX))
