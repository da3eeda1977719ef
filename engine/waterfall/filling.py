"""Progressive filling over several resources: everybody gives the same fraction until something is full.

Owns the level at which each party stops. Refuses to know what is filled. A party's row says how much of each resource
all of it would take; fractions are counted in parts of ``WHOLE``, and levels are rounded down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

WHOLE = 1 << 40
"""One, as fractions are counted."""


@dataclass
class _Filling:
    """Who still rises (``open``), where the others stopped; per resource what those take, and the slope of the rest."""

    rows: Sequence[Sequence[int]]
    open: list[bool]
    fractions: list[int] = field(init=False)
    taken: list[int] = field(init=False)
    slope: list[int] = field(init=False)

    def __post_init__(self) -> None:
        resources = len(self.rows[0]) if self.rows else 0
        rising = [row for row, is_open in zip(self.rows, self.open, strict=True) if is_open]
        self.fractions = [0] * len(self.rows)
        self.taken = [0] * resources
        self.slope = [sum(row[at] for row in rising) for at in range(resources)]

    def stop(self, number: int, level: int) -> None:
        """One party stays at ``level``."""
        self.open[number], self.fractions[number] = False, level
        for at, amount in enumerate(self.rows[number]):
            self.slope[at] -= amount
            self.taken[at] += amount * level

    def level_of(self, at: int, amount: int) -> int:
        """The level at which ``amount`` of a resource is taken."""
        return (amount * WHOLE - self.taken[at]) // self.slope[at]


def fill(
    room: Sequence[int],
    rows: Sequence[Sequence[int]],
    limits: Sequence[int],
    wanted: Sequence[int] | None = None,
) -> list[int]:
    """Fraction of its row that each party gives: a common level, lower for those who are stopped before.

    A party stops at its limit, or when a resource that it takes of has no ``room`` left. With ``wanted`` (per resource,
    at most its room) it stops also when no resource that it takes of wants more.
    """
    wants = None if wanted is None else {at for at, amount in enumerate(wanted) if amount > 0}

    def useful(row: Sequence[int]) -> bool:
        return any(row) if wants is None else any(row[at] for at in wants)

    state = _Filling(rows, [limit > 0 and useful(row) for row, limit in zip(rows, limits, strict=True)])
    by_limit = sorted((number for number, is_open in enumerate(state.open) if is_open), key=lambda at: (limits[at], at))
    for following in by_limit:
        while state.open[following]:
            rising = [at for at, each in enumerate(state.slope) if each]
            events = [(state.level_of(at, room[at]), 0, at) for at in rising]
            if wanted is not None and wants is not None:
                events += [(state.level_of(at, wanted[at]), 1, at) for at in rising if at in wants]
            level, satisfied, resource = min(events)
            if limits[following] <= level:
                state.stop(following, limits[following])
                break
            if satisfied and wants is not None:
                wants.discard(resource)
            for number, row in enumerate(rows):
                if state.open[number] and (not useful(row) if satisfied else row[resource]):
                    state.stop(number, max(level, 0))
    return state.fractions
