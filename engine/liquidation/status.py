"""Margin status: every transition an account can make, in one table.

Owns the table and the conditions it is made of. Refuses to compute equity (``engine.risk``) and to act on a status
(``engine.margin_engine``).

How to read it. An account has one status; after a recomputation the rules of that status are tried in order, and the
first whose condition holds names the next status. If none holds, the status stays. A step makes one transition.

Hysteresis: what lets an account out is always harder to meet than what let it in, so that a price trembling at a
threshold moves nobody to and fro.

    in                                          out
    MARGIN_CALL   equity < initial margin       equity >= release buffer x initial margin
    LIQUIDATING   equity < maintenance margin   equity >= liquidation target x maintenance margin, no command open
    BANKRUPT      equity < 0                    the same; positions are still closed, what is lacking is reported

Holds. While a mark that the account depends on is older than ``mark_age_us_max``, the account is held: it may be
called and released from a call, but it neither enters liquidation nor leaves it, nor goes bankrupt, and gets no new
commands. A hold ends when the mark is refreshed or at ``HOLD_AGE_FACTOR`` times that age, whichever comes first; from
then on the last mark is acted upon. An account without figures, because a mark has never been seen, stays as it is.

Comparisons are by products with rates in ppm, never by ratios, so that a requirement of zero needs no special case.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from engine.outcomes import MarginStatus
from engine.reference.parameters import RiskParameters
from engine.units import PPM

HOLD_AGE_FACTOR = 4
"""A hold ends when the mark is this many times as old as the parameters allow."""


class Condition(StrEnum):
    """What can hold of an account after a recomputation."""

    NEGATIVE_EQUITY = "negative equity"
    BELOW_MAINTENANCE = "below maintenance margin"
    BELOW_INITIAL = "below initial margin"
    RELEASED = "above the release buffer"
    CURED = "cured, no command open"
    CURED_AND_RELEASED = "cured, no command open, above the release buffer"


TRANSITIONS: Mapping[MarginStatus, tuple[tuple[Condition, MarginStatus], ...]] = {
    MarginStatus.HEALTHY: (
        (Condition.NEGATIVE_EQUITY, MarginStatus.BANKRUPT),
        (Condition.BELOW_MAINTENANCE, MarginStatus.LIQUIDATING),
        (Condition.BELOW_INITIAL, MarginStatus.MARGIN_CALL),
    ),
    MarginStatus.MARGIN_CALL: (
        (Condition.NEGATIVE_EQUITY, MarginStatus.BANKRUPT),
        (Condition.BELOW_MAINTENANCE, MarginStatus.LIQUIDATING),
        (Condition.RELEASED, MarginStatus.HEALTHY),
    ),
    MarginStatus.LIQUIDATING: (
        (Condition.NEGATIVE_EQUITY, MarginStatus.BANKRUPT),
        (Condition.CURED_AND_RELEASED, MarginStatus.HEALTHY),
        (Condition.CURED, MarginStatus.MARGIN_CALL),
    ),
    MarginStatus.BANKRUPT: (
        (Condition.CURED_AND_RELEASED, MarginStatus.HEALTHY),
        (Condition.CURED, MarginStatus.MARGIN_CALL),
    ),
}


def in_liquidation(status: MarginStatus) -> bool:
    """Whether positions are being closed in this status."""
    return status >= MarginStatus.LIQUIDATING


def conditions(
    equity: float,
    initial_margin: float,
    maintenance_margin: float,
    parameters: RiskParameters,
    commands_open: bool,
    held: bool,
) -> frozenset[Condition]:
    """The conditions that hold of an account with these figures (numeraire units)."""
    released = equity * PPM >= parameters.release_buffer_ppm * initial_margin
    found = set()
    if equity < initial_margin:
        found.add(Condition.BELOW_INITIAL)
    if released:
        found.add(Condition.RELEASED)
    if held:
        return frozenset(found)
    if equity < 0:
        found.add(Condition.NEGATIVE_EQUITY)
    if equity < maintenance_margin:
        found.add(Condition.BELOW_MAINTENANCE)
    if not commands_open and is_cured(equity, maintenance_margin, parameters):
        found.add(Condition.CURED)
        if released:
            found.add(Condition.CURED_AND_RELEASED)
    return frozenset(found)


def is_cured(equity: float, maintenance_margin: float, parameters: RiskParameters) -> bool:
    """Whether equity reaches the liquidation target."""
    return equity * PPM >= parameters.liquidation_target_ppm * maintenance_margin


def next_status(status: MarginStatus, found: frozenset[Condition]) -> MarginStatus:
    """Where the table leads from ``status``; ``status`` itself if no rule applies."""
    for condition, after in TRANSITIONS[status]:
        if condition in found:
            return after
    return status
