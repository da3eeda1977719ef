"""Calm: which recomputed accounts are far enough from every threshold for a guard band to describe them.

Owns that classification and the slack of each calm account: how far its equity less the requirement may fall, or for
an account on margin call also rise, before its status could change. Refuses to guard (``engine.guard``) and to change
a status (``engine.liquidation.status``, whose conditions these are, taken over arrays).

Calm are: a healthy account at or above initial margin; one on margin call at or above maintenance margin and not yet
above the release buffer; and one in liquidation that has a command open, whose next turn is an event of its own or the
end of the command, unless its equity becomes negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.columns.arrays import Int32s, UInt8s
from engine.outcomes import MarginStatus
from engine.pricing.axes import Bools, Floats
from engine.reference.parameters import RiskParameters
from engine.risk.verdicts import Verdicts
from engine.units import PPM


@dataclass(frozen=True, slots=True)
class Calm:
    """``calm`` is a mask over the accounts asked about; ``slack`` (numeraire, >= 0) and ``two_sided`` have one entry
    per calm account, in order."""

    calm: Bools
    slack: Floats
    two_sided: Bools


def calm(numbers: Int32s, status_A: UInt8s, open_N: Bools, verdicts: Verdicts, parameters: RiskParameters) -> Calm:
    """Classify the accounts ``numbers`` by their ``verdicts`` and by who of them has a command open, ``open_N``; all
    in the same order."""
    status_N = status_A[numbers]
    equity, initial, maintenance = verdicts.equity_A, verdicts.initial_margin_A, verdicts.maintenance_margin_A
    with np.errstate(invalid="ignore"):
        healthy = (status_N == MarginStatus.HEALTHY) & (equity >= initial)
        called = (status_N == MarginStatus.MARGIN_CALL) & (equity >= maintenance)
        called &= equity * PPM < parameters.release_buffer_ppm * initial
        closing = open_N & (status_N == MarginStatus.LIQUIDATING) & (equity >= 0.0)
        ruined = open_N & (status_N == MarginStatus.BANKRUPT)
    release = initial * (parameters.release_buffer_ppm / PPM)
    slack_N = np.where(called, np.minimum(equity - maintenance, release - equity), equity - initial)
    slack_N = np.where(closing, equity, np.where(ruined, np.inf, slack_N))
    found = verdicts.priced_A & (healthy | called | closing | ruined)
    return Calm(found, np.maximum(slack_N[found], 0.0), called[found])
