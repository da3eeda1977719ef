"""Which actions wait for better prices: one table, asked by whoever is about to act.

Owns the table. Refuses to find out what is doubtful (``engine.trust.doubt``) and how long it may be (the parameters).

    what is wrong with the prices an account depends on
    STALE       one is older than ``mark_age_us_max``, and not yet given up
    UNCERTAIN   another price inside the boxes would undo the reason for the action
    VOLATILE    the same, by an unconfirmed jump alone
    UNTRIED     the reason is new parameters alone
    CROWDED     far more accounts than forecast have a reason at once

    answers
    ACT         go on: the action is right at the mark, or can be taken back
    WAIT        not now; a deadline ends the wait whatever the prices do then
    REFUSE      decline, the asker may ask again

Why so: entering a case is what a wrong price must never bring about; going on with one that was entered on sound
prices is not. Where orders are cancelled first, that is the entry. Handing a whole book over cannot be taken back, so
no lonely jump may cause it; it has no deadline of its own but that of the jump. A release is only a word. Money that
has left does not come back. Calls, and releases from them, never wait and are not in the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, auto


class PriceDoubt(Enum):
    """What is wrong with the prices."""

    STALE = auto()
    UNCERTAIN = auto()
    VOLATILE = auto()
    UNTRIED = auto()
    CROWDED = auto()


class Action(Enum):
    """What may have to wait."""

    ENTER = auto()
    CANCEL_ORDERS = auto()
    CONTINUE = auto()
    HAND_OVER = auto()
    RELEASE = auto()
    WITHDRAW = auto()


class Answer(Enum):
    """What the table says."""

    ACT = auto()
    WAIT = auto()
    REFUSE = auto()


_ACT, _WAIT, _REFUSE = Answer.ACT, Answer.WAIT, Answer.REFUSE

ANSWERS: Mapping[Action, Mapping[PriceDoubt, Answer]] = {
    action: dict(zip(PriceDoubt, answers, strict=True))
    for action, answers in {
        #                      stale    uncertain volatile untried crowded
        Action.ENTER:         (_WAIT,   _WAIT,    _WAIT,   _WAIT,  _WAIT),
        Action.CANCEL_ORDERS: (_WAIT,   _WAIT,    _WAIT,   _WAIT,  _WAIT),
        Action.CONTINUE:      (_WAIT,   _ACT,     _ACT,    _ACT,   _ACT),
        Action.HAND_OVER:     (_WAIT,   _ACT,     _WAIT,   _ACT,   _ACT),
        Action.RELEASE:       (_WAIT,   _ACT,     _ACT,    _ACT,   _ACT),
        Action.WITHDRAW:      (_REFUSE, _REFUSE,  _REFUSE, _ACT,   _ACT),
    }.items()
}  # fmt: skip


def answer(action: Action, doubts: Iterable[PriceDoubt]) -> Answer:
    """The strictest answer to ``action`` under ``doubts``; without any it is ACT."""
    return max((ANSWERS[action][doubt] for doubt in doubts), key=lambda given: given.value, default=Answer.ACT)


def waiting(doubts: Iterable[PriceDoubt]) -> frozenset[Action]:
    """The actions that must not be taken now."""
    held = tuple(doubts)
    return frozenset(action for action in Action if held and answer(action, held) is not Answer.ACT)
