"""Calm: which recomputed accounts are far enough from every threshold for a guard band to describe them.

Owns that classification and the slack of each calm account: how far its equity less the weighted requirement may fall,
or where it is two-sided also rise, before its status or its commands could change. Refuses to guard (``engine.guard``)
and to change a status (``engine.liquidation.status``, whose conditions these are, taken over arrays).

Calm are: an account at large, between the thresholds of its status; and one in a liquidation case that has a command
open or rests between two rounds, whose next turn is an event of its own or a deadline, unless it is cured meanwhile
(and has not been told so) or, while it is being closed, falls below the backstop's threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.columns.arrays import Int32s, UInt8s
from engine.liquidation.status import ACTIVE, clear_level_ppm
from engine.outcomes import MarginStatus
from engine.pricing.axes import Bools, Floats
from engine.reference.parameters import RiskParameters
from engine.risk.verdicts import Verdicts
from engine.units import PPM

_ACTIVE = np.zeros(len(MarginStatus), dtype=np.bool_)
_ACTIVE[[int(status) for status in ACTIVE]] = True


@dataclass(frozen=True, slots=True)
class Calm:
    """``calm`` is a mask over the accounts asked about; ``slack`` (numeraire, >= 0) and ``two_sided`` have one entry
    per calm account, in order."""

    calm: Bools
    slack: Floats
    two_sided: Bools


class Waiting(NamedTuple):
    """Where cases stand: who has a command open or rests between two rounds; who was told to be cured; whose book was
    offered to everybody, so that falling further changes nothing. One entry per account asked about."""

    waiting_N: Bools
    released_N: Bools
    offered_N: Bools


def weight_max(parameters: RiskParameters) -> float:
    """The largest weight on a requirement at which slack is measured."""
    return max(clear_level_ppm(parameters), parameters.release_buffer_ppm, parameters.liquidation_target_ppm) / PPM


def calm(numbers: Int32s, status_A: UInt8s, cases: Waiting, verdicts: Verdicts, parameters: RiskParameters) -> Calm:
    """Classify the accounts ``numbers`` by their ``verdicts`` and ``cases``, both in the same order."""
    status_N = status_A[numbers]
    # By products with rates in ppm, as the table compares, so that both draw the line at the same bit.
    equity, initial, maintenance = verdicts.equity_A * PPM, verdicts.initial_margin_A, verdicts.maintenance_margin_A
    low_N, high_N = np.full(numbers.size, -np.inf), np.full(numbers.size, np.inf)
    known_N = np.zeros(numbers.size, dtype=np.bool_)
    levels = {
        MarginStatus.HEALTHY: (parameters.policy.watch_buffer_ppm * initial, high_N),
        MarginStatus.WATCH: (PPM * initial, clear_level_ppm(parameters) * initial),
        MarginStatus.MARGIN_CALL: (PPM * maintenance, parameters.release_buffer_ppm * initial),
    }
    for status, (low, high) in levels.items():
        at = status_N == status
        known_N |= at
        low_N[at], high_N[at] = low[at], high[at]
    active = _ACTIVE[status_N] & cases.waiting_N
    known_N |= active
    rests = status_N == MarginStatus.COOLDOWN
    closing = active & ((status_N == MarginStatus.LIQUIDATING) | (rests & ~cases.offered_N))
    low_N[closing] = (parameters.policy.backstop_at_ppm * maintenance)[closing]
    # A cured account leaves its rest, released or not.
    waiting = active & (~cases.released_N | rests)
    high_N[waiting] = (parameters.liquidation_target_ppm * maintenance)[waiting]
    with np.errstate(invalid="ignore"):
        found = verdicts.priced_A & known_N & (equity >= low_N) & (equity < high_N)
        slack = np.minimum(equity - low_N, high_N - equity) / PPM
    return Calm(found, np.maximum(slack[found], 0.0), np.isfinite(high_N[found]))
