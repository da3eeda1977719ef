"""Lag: how old the newest applied record of a partition is, while there are newer ones.

Owns one position and one timestamp per partition, and the words in which lag is logged. A partition at its end has no
lag, however long nothing came. Pure: no clock. Refuses to know consumers; timestamps are those of the producers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from faust.types import TP

from streams.transport.record_batch import RecordBatch


@dataclass(frozen=True, slots=True)
class Lag:
    """``seconds`` from the newest applied record to now and the ``records`` after it; both 0 at the end."""

    seconds: float
    records: int


@dataclass(slots=True)
class _Applied:
    position: int
    time_s: float


class LagMeter:
    """Positions and times of what was applied, per partition."""

    def __init__(self) -> None:
        self._applied: dict[TP, _Applied] = {}
        self._first_look: dict[TP, float] = {}

    def applied(self, batch: RecordBatch) -> None:
        """Everything up to the end of ``batch`` is applied; of batches under way at once the furthest counts."""
        tp = TP(batch.topic, batch.partition)
        before = self._applied.get(tp)
        if before is None or before.position < batch.end:
            self._applied[tp] = _Applied(batch.end, batch.timestamp / 1000)

    def lags(self, ends: Mapping[TP, int | None], starts: Callable[[TP], int | None], now_s: float) -> dict[TP, Lag]:
        """The lag of each partition of ``ends``: the offset after its newest record, None while unknown.

        ``starts`` says where reading began; a partition of which nothing was applied yet lags since it was first looked
        at here, which is the least it can be. ``now_s`` is in seconds since 1970.
        """
        found = {}
        for tp, end in ends.items():
            applied = self._applied.get(tp)
            if applied is None:
                applied = _Applied(starts(tp) or 0, self._first_look.setdefault(tp, now_s))
            if end is None or applied.position >= end:
                found[tp] = Lag(0.0, 0)
            else:
                found[tp] = Lag(max(0.0, now_s - applied.time_s), end - applied.position)
        return found

    def forget(self, tps: Iterable[TP] | None = None) -> None:
        """Partitions went to another worker (all of them when None)."""
        for tp in list(self._applied.keys() | self._first_look.keys()) if tps is None else list(tps):
            self._applied.pop(tp, None)
            self._first_look.pop(tp, None)


def lag_line(lags: Mapping[TP, Lag]) -> str:
    """One line for the log: ``lag topic=fills partition=0 seconds=1.234 records=56; ...``, only what lags."""
    parts = (
        f"topic={tp.topic} partition={tp.partition} seconds={lag.seconds:.3f} records={lag.records}"
        for tp, lag in sorted(lags.items())
        if lag.records
    )
    return "lag " + ("; ".join(parts) or "none")
