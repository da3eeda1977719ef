"""What of a run can be held against a recorded crash.

Owns five moments of 10 October 2025 with their bands, and what else a run is summarized by. Refuses to grade on
anything it cannot compute: a moment that never came about is None and misses its band.

Sources of the bands: amberdata.io (minute and hourly liquidations), arXiv 2512.01112 and the public recordings behind
it (times of deleveraging), arXiv 1412.4503 (return after uninformed flow).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.cascade.simulation import Run
from engine.pricing.axes import Floats

BURST_S, PEAK_S, WINDOW_S, ADL_PEAK_S, REBOUND_S = 2_400.0, 60.0, 2_700.0, 5.0, 1_800.0
QUIET_S = 300.0


@dataclass(frozen=True, slots=True)
class Moment:
    """A figure and the band it should lie in; ``value`` is None where the run has no such event."""

    name: str
    what: str
    value: float | None
    low: float
    high: float

    @property
    def lands(self) -> bool:
        """Whether it lies in its band."""
        return self.value is not None and self.low <= self.value <= self.high


def moments(run: Run) -> tuple[Moment, ...]:
    """The five, in the order of their numbers."""
    return (
        Moment("burst", "share of forced volume in its busiest 45 minutes", _burst(run), 0.70, 1.0),
        Moment("peak minute", "share of the busiest 40 minutes in their busiest minute", _peak(run), 0.30, 0.50),
        Moment("first ADL", "seconds from the first liquidation to the first ADL", _first_adl(run), 30.0, 120.0),
        Moment("ADL peak", "share of ADL in its busiest five seconds", _adl_peak(run), 0.50, 1.0),
        Moment("rebound", "share of the fall made good 30 minutes after the low", rebound(run), 0.20, 0.50),
    )


def busiest(series_T: Floats, window: int) -> tuple[int, float]:
    """First tick and sum of the ``window`` ticks with the largest sum; the earliest of equals."""
    window = min(max(window, 1), series_T.size)
    total_T = np.concatenate(([0.0], np.cumsum(series_T)))
    sum_T = total_T[window:] - total_T[:-window]
    at = int(np.argmax(sum_T))
    return at, float(sum_T[at])


def time_to_quiet(run: Run) -> float | None:
    """Seconds from the first forced trade until none follows for five minutes; None if it never falls quiet."""
    active = np.flatnonzero(run.forced_T > 0.0)
    if active.size == 0:
        return 0.0
    quiet = round(QUIET_S / run.tick_s)
    ends = np.append(active, run.forced_T.size + 1)
    gaps = np.flatnonzero(np.diff(ends) > quiet)
    if gaps.size == 0:
        return None
    end = int(active[gaps[0]])
    return (end - int(active[0])) * run.tick_s if end + quiet < run.forced_T.size else None


def index(run: Run) -> Floats:
    """The log price of all underlyings weighted by open positions at the start, [T]."""
    result: Floats = np.log(run.price_TK) @ run.weight_K
    return result


def rebound(run: Run) -> float | None:
    """Share of the largest fall of the index that is made good within 30 minutes of the low."""
    index_T = index(run)
    low = int(np.argmin(index_T))
    fall = float(index_T[0] - index_T[low])
    later = low + round(REBOUND_S / run.tick_s)
    if fall <= 0.0 or later >= index_T.size:
        return None
    return float(index_T[later] - index_T[low]) / fall


def _burst(run: Run) -> float | None:
    total = float(run.forced_T.sum())
    # Both are sums of the same terms in different orders.
    return min(busiest(run.forced_T, round(WINDOW_S / run.tick_s))[1] / total, 1.0) if total > 0.0 else None


def _peak(run: Run) -> float | None:
    width = round(BURST_S / run.tick_s)
    start, total = busiest(run.forced_T, width)
    if total <= 0.0:
        return None
    return busiest(run.forced_T[start : start + width], round(PEAK_S / run.tick_s))[1] / total


def _first_adl(run: Run) -> float | None:
    adl, forced = np.flatnonzero(run.adl_T > 0.0), np.flatnonzero(run.forced_T > 0.0)
    if adl.size == 0 or forced.size == 0:
        return None
    return float(adl[0] - forced[0]) * run.tick_s


def _adl_peak(run: Run) -> float | None:
    total = float(run.adl_T.sum())
    return min(busiest(run.adl_T, round(ADL_PEAK_S / run.tick_s))[1] / total, 1.0) if total > 0.0 else None
