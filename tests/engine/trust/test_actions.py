"""The table says something about everything, and the strictest doubt decides."""

from __future__ import annotations

import pytest

from engine.trust.actions import ANSWERS, Action, Answer, PriceDoubt, answer, waiting


def test_the_table_is_complete() -> None:
    assert set(Action) == ANSWERS.keys()
    assert all(set(PriceDoubt) == answers.keys() for answers in ANSWERS.values())


@pytest.mark.parametrize("action", Action)
def test_without_doubt_everything_is_done(action: Action) -> None:
    assert Answer.ACT is answer(action, ())
    assert action not in waiting(())


def test_the_strictest_answer_counts() -> None:
    assert Answer.ACT is answer(Action.CONTINUE, [PriceDoubt.UNCERTAIN, PriceDoubt.VOLATILE])
    assert Answer.WAIT is answer(Action.CONTINUE, [PriceDoubt.UNCERTAIN, PriceDoubt.STALE])
    assert Answer.REFUSE is answer(Action.WITHDRAW, [PriceDoubt.UNTRIED, PriceDoubt.UNCERTAIN])


def test_a_stale_mark_stops_everything() -> None:
    assert set(Action) == waiting([PriceDoubt.STALE])


def test_no_doubt_lets_an_account_enter() -> None:
    for doubt in PriceDoubt:
        assert {Action.ENTER, Action.CANCEL_ORDERS} <= waiting([doubt])


def test_a_case_goes_on_but_does_not_hand_over_on_a_lonely_jump() -> None:
    assert Action.HAND_OVER in waiting([PriceDoubt.VOLATILE])
    assert not {Action.CONTINUE, Action.RELEASE} & waiting([PriceDoubt.VOLATILE])
