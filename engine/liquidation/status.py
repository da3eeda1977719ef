"""The ladder: every transition an account can make on its way into liquidation, through it and out, in one table.

Owns the table and the conditions it is made of. Refuses to compute equity (``engine.risk``), to doubt prices
(``engine.trust``) and to act on a status (``engine.liquidation.watch``).

How to read it. An account has one status; after a recomputation the rules of that status are tried in order, and the
first whose condition holds names the next status. If none holds, the status stays.

    at large    HEALTHY, WATCH, MARGIN_CALL       a breach is answered, nothing else
    in doubt    SUSPECT                           a breach that the uncertainty of prices may explain; has a deadline
    active      CANCELLING                        resting orders are cancelled first
                LIQUIDATING <-> COOLDOWN          rounds of closing, a rest after each
                BACKSTOP, AUCTION, DELEVERAGING   the whole book is handed over, offered, taken by its counterparties
    stopped     HELD                              a person or a breaker has halted action; has a deadline of its own
    done        CLOSED                            nothing is left to close, and equity is negative: a loss to allocate

Hysteresis: what lets an account out is always harder to meet than what let it in, so that a price trembling at a
threshold moves nobody to and fro.

    in                                          out
    WATCH         equity < watch buffer x IM    equity >= watch buffer x release buffer x IM
    MARGIN_CALL   equity < initial margin (IM)  equity >= release buffer x initial margin
    active        equity < maintenance margin   equity >= liquidation target x maintenance margin, no command open

Stale marks. While a mark that the account depends on is older than ``mark_age_us_max``, the account may be called and
released from a call, but it neither enters liquidation nor moves in it. That ends when the mark is refreshed or at
``HOLD_AGE_FACTOR`` times that age, whichever comes first; from then on the last mark is acted upon. An account without
figures, because a mark has never been seen, stays as it is.

Comparisons are by products with rates in ppm, never by ratios, so that a requirement of zero needs no special case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.outcomes import MarginStatus
from engine.reference.parameters import RiskParameters
from engine.units import PPM

HOLD_AGE_FACTOR = 4
"""Stale marks are acted upon once they are this many times as old as the parameters allow."""


class Condition(StrEnum):
    """What can hold of an account after a recomputation."""

    LOST = "negative equity, nothing to close"
    BREACH_HALTED = "below maintenance margin, action halted"
    BREACH_WITH_ORDERS = "below maintenance margin, orders to be cancelled"
    BREACH_BEYOND_CLOSING = "below the backstop's threshold"
    BREACH = "below maintenance margin"
    BREACH_IN_DOUBT = "below maintenance margin by less than prices are uncertain"
    SOUND = "at or above maintenance margin"
    BELOW_INITIAL = "below initial margin"
    BELOW_WATCH = "below the watch buffer"
    CLEAR = "above all buffers"
    RELEASED = "above the release buffer"
    HALTED = "action halted, no command open"
    TARGET_REACHED = "at or above the liquidation target"
    CURED_AND_CLEAR = "cured, no command open, above all buffers"
    CURED_AND_RELEASED = "cured, no command open, above the release buffer"
    CURED = "cured, no command open"
    BEYOND_CLOSING = "negative equity, or below the backstop's threshold"
    FURTHER_BEYOND_CLOSING = "below the backstop's threshold, not offered to everybody yet"
    RESTED_BEYOND_CLOSING = "the rest is over, still below the backstop's threshold"
    READY_BEYOND_CLOSING = "no command open, below the backstop's threshold"
    READY = "no command open"
    FRUITLESS = "no command open, too many rounds without a fill"
    NO_PLAN = "nothing helps that the account can pay for"
    ROUND_OVER = "the round is over, no command open"
    RESTED = "the rest is over"
    RESUMED = "no longer halted"


_EXITS = (
    (Condition.CURED_AND_CLEAR, MarginStatus.HEALTHY),
    (Condition.CURED_AND_RELEASED, MarginStatus.WATCH),
    (Condition.CURED, MarginStatus.MARGIN_CALL),
)
_ENTRIES = (
    (Condition.LOST, MarginStatus.CLOSED),
    (Condition.BREACH_HALTED, MarginStatus.HELD),
    (Condition.BREACH_WITH_ORDERS, MarginStatus.CANCELLING),
    (Condition.BREACH_BEYOND_CLOSING, MarginStatus.BACKSTOP),
    (Condition.BREACH, MarginStatus.LIQUIDATING),
)
_DOUBT = (Condition.BREACH_IN_DOUBT, MarginStatus.SUSPECT)
_STOP = (Condition.HALTED, MarginStatus.HELD)
_END = (Condition.LOST, MarginStatus.CLOSED)

TRANSITIONS: Mapping[MarginStatus, tuple[tuple[Condition, MarginStatus], ...]] = {
    MarginStatus.HEALTHY: (
        *_ENTRIES,
        _DOUBT,
        (Condition.BELOW_INITIAL, MarginStatus.MARGIN_CALL),
        (Condition.BELOW_WATCH, MarginStatus.WATCH),
    ),
    MarginStatus.WATCH: (
        *_ENTRIES,
        _DOUBT,
        (Condition.BELOW_INITIAL, MarginStatus.MARGIN_CALL),
        (Condition.CLEAR, MarginStatus.HEALTHY),
    ),
    MarginStatus.MARGIN_CALL: (
        *_ENTRIES,
        _DOUBT,
        (Condition.CLEAR, MarginStatus.HEALTHY),
        (Condition.RELEASED, MarginStatus.WATCH),
    ),
    MarginStatus.SUSPECT: (*_ENTRIES, (Condition.SOUND, MarginStatus.MARGIN_CALL)),
    MarginStatus.CANCELLING: (
        _STOP,
        *_EXITS,
        (Condition.READY_BEYOND_CLOSING, MarginStatus.BACKSTOP),
        (Condition.READY, MarginStatus.LIQUIDATING),
    ),
    MarginStatus.LIQUIDATING: (
        _STOP,
        (Condition.BEYOND_CLOSING, MarginStatus.BACKSTOP),
        *_EXITS,
        (Condition.FRUITLESS, MarginStatus.BACKSTOP),
        (Condition.NO_PLAN, MarginStatus.BACKSTOP),
        (Condition.ROUND_OVER, MarginStatus.COOLDOWN),
    ),
    MarginStatus.COOLDOWN: (
        _STOP,
        (Condition.FURTHER_BEYOND_CLOSING, MarginStatus.BACKSTOP),
        *_EXITS,
        (Condition.RESTED_BEYOND_CLOSING, MarginStatus.BACKSTOP),
        (Condition.RESTED, MarginStatus.LIQUIDATING),
    ),
    MarginStatus.BACKSTOP: (
        _STOP,
        *_EXITS,
        _END,
        (Condition.ROUND_OVER, MarginStatus.AUCTION),
    ),
    MarginStatus.AUCTION: (
        _STOP,
        *_EXITS,
        _END,
        (Condition.ROUND_OVER, MarginStatus.DELEVERAGING),
    ),
    MarginStatus.DELEVERAGING: (_STOP, *_EXITS, _END, (Condition.ROUND_OVER, MarginStatus.COOLDOWN)),
    MarginStatus.CLOSED: (*_EXITS, *_ENTRIES),
    MarginStatus.HELD: (*_ENTRIES, *_EXITS, (Condition.RESUMED, MarginStatus.MARGIN_CALL)),
}

AT_LARGE = frozenset({MarginStatus.HEALTHY, MarginStatus.WATCH, MarginStatus.MARGIN_CALL})
"""The statuses in which nothing is done about the account."""

ACTIVE = frozenset(
    {
        MarginStatus.CANCELLING,
        MarginStatus.LIQUIDATING,
        MarginStatus.COOLDOWN,
        MarginStatus.BACKSTOP,
        MarginStatus.AUCTION,
        MarginStatus.DELEVERAGING,
    }
)
"""The statuses of a liquidation case."""

WAITING = frozenset({MarginStatus.SUSPECT, MarginStatus.COOLDOWN})
"""The statuses that end at an instant kept in the book."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What beside figures decides where an account goes.

    ``stale``: it depends on a mark too old to act upon. ``doubtful``: the uncertainty of prices alone may explain that
    equity is below maintenance margin, and there is time left to find out. ``halted``: commands for it are stopped.
    ``commands_open``, ``round_made`` (since it came to this status), ``offered`` (its book, to everybody), ``rested``,
    ``fruitless``: where its case stands.
    ``flat``: it has no position that can be traded.
    """

    stale: bool = False
    doubtful: bool = False
    halted: bool = False
    commands_open: bool = False
    round_made: bool = False
    offered: bool = False
    rested: bool = True
    fruitless: bool = False
    flat: bool = False


def in_liquidation(status: MarginStatus) -> bool:
    """Whether the account is the engine's to act upon, so that nothing may be withdrawn from it."""
    return MarginStatus.HELD <= status < MarginStatus.CLOSED


def conditions(
    equity: float, initial_margin: float, maintenance_margin: float, parameters: RiskParameters, at: Circumstances
) -> frozenset[Condition]:
    """The conditions that hold of an account with these figures (numeraire units)."""
    found = _buffers(equity, initial_margin, parameters)
    if at.stale:
        return frozenset(found)
    found |= _breach(equity, maintenance_margin, parameters, at)
    if equity >= maintenance_margin:
        found.add(Condition.SOUND)
    if is_beyond_closing(equity, maintenance_margin, parameters):
        found.add(Condition.BEYOND_CLOSING)
        if not at.offered:
            found.add(Condition.FURTHER_BEYOND_CLOSING)
        if at.rested:
            found.add(Condition.RESTED_BEYOND_CLOSING)
    if is_cured(equity, maintenance_margin, parameters):
        found.add(Condition.TARGET_REACHED)
    if at.rested:
        found.add(Condition.RESTED)
    if not at.halted:
        found.add(Condition.RESUMED)
    if not at.commands_open:
        found |= _with_nothing_open(equity, maintenance_margin, parameters, at, found)
    return frozenset(found)


def is_cured(equity: float, maintenance_margin: float, parameters: RiskParameters) -> bool:
    """Whether equity reaches the liquidation target."""
    return equity * PPM >= parameters.liquidation_target_ppm * maintenance_margin


def is_beyond_closing(equity: float, maintenance_margin: float, parameters: RiskParameters) -> bool:
    """Whether the account is too far gone to be closed at a price of the market."""
    return equity < 0 or equity * PPM < parameters.policy.backstop_at_ppm * maintenance_margin


def next_status(status: MarginStatus, found: frozenset[Condition]) -> MarginStatus:
    """Where the table leads from ``status``; ``status`` itself if no rule applies. At large it is followed to its end:
    there a second look at the same figures must find nothing left to do."""
    after = _rule(status, found)
    while after in AT_LARGE and (further := _rule(after, found)) in AT_LARGE - {after}:
        after = further
    return after


def clear_level_ppm(parameters: RiskParameters) -> int:
    """The multiple of initial margin above which an account is no longer watched, in ppm."""
    return parameters.policy.watch_buffer_ppm * parameters.release_buffer_ppm // PPM


def _rule(status: MarginStatus, found: frozenset[Condition]) -> MarginStatus:
    for condition, after in TRANSITIONS[status]:
        if condition in found:
            return after
    return status


def _buffers(equity: float, initial_margin: float, parameters: RiskParameters) -> set[Condition]:
    found = set()
    if equity < initial_margin:
        found.add(Condition.BELOW_INITIAL)
    if equity * PPM < parameters.policy.watch_buffer_ppm * initial_margin:
        found.add(Condition.BELOW_WATCH)
    if equity * PPM >= parameters.release_buffer_ppm * initial_margin:
        found.add(Condition.RELEASED)
    if equity * PPM >= clear_level_ppm(parameters) * initial_margin:
        found.add(Condition.CLEAR)
    return found


def _breach(equity: float, maintenance_margin: float, parameters: RiskParameters, at: Circumstances) -> set[Condition]:
    """The one way into liquidation that is open, if there is a breach."""
    if at.flat:
        return {Condition.LOST} if equity < 0 and not at.commands_open else set()
    if equity >= maintenance_margin:
        return set()
    if at.doubtful:
        return {Condition.BREACH_IN_DOUBT}
    if at.halted:
        return {Condition.BREACH_HALTED}
    if parameters.policy.cancel_us_max:
        return {Condition.BREACH_WITH_ORDERS}
    if is_beyond_closing(equity, maintenance_margin, parameters):
        return {Condition.BREACH_BEYOND_CLOSING}
    return {Condition.BREACH}


def _with_nothing_open(
    equity: float,
    maintenance_margin: float,
    parameters: RiskParameters,
    at: Circumstances,
    known: set[Condition],
) -> set[Condition]:
    found = {Condition.READY}
    if at.halted:
        found.add(Condition.HALTED)
    if is_beyond_closing(equity, maintenance_margin, parameters):
        found.add(Condition.READY_BEYOND_CLOSING)
    if at.round_made:
        found.add(Condition.ROUND_OVER)
    if at.fruitless:
        found.add(Condition.FRUITLESS)
    if Condition.TARGET_REACHED in known or (at.flat and equity >= 0):
        found.add(Condition.CURED)
        if Condition.RELEASED in known:
            found.add(Condition.CURED_AND_RELEASED)
        if Condition.CLEAR in known:
            found.add(Condition.CURED_AND_CLEAR)
    return found
