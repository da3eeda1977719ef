"""The table, row by row, and its hysteresis: what lets an account out is harder than what let it in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.liquidation.status import TRANSITIONS, conditions, in_liquidation, next_status
from engine.outcomes import MarginStatus
from tests.builders import parameters

H, C, L, B = MarginStatus.HEALTHY, MarginStatus.MARGIN_CALL, MarginStatus.LIQUIDATING, MarginStatus.BANKRUPT
PARAMETERS = parameters(liquidation_target_ppm=1_100_000, release_buffer_ppm=1_050_000)


def walk(before: MarginStatus, equity: float, commands_open: bool = False, held: bool = False) -> MarginStatus:
    """The status after a recomputation with initial margin 100 and maintenance margin 80 (target 88, release 105)."""
    return next_status(before, conditions(equity, 100.0, 80.0, PARAMETERS, commands_open, held))


@pytest.mark.parametrize(
    ("before", "equity", "after"),
    [
        (H, 100.0, H),
        (H, 99.9, C),
        (H, 80.0, C),
        (H, 79.9, L),
        (H, 0.0, L),
        (H, -0.1, B),
        (C, 104.9, C),  # above initial margin, below the release buffer
        (C, 105.0, H),
        (C, 80.0, C),
        (C, 79.9, L),
        (C, -0.1, B),
        (L, 80.0, L),  # above maintenance margin, below the target
        (L, 87.9, L),
        (L, 88.0, C),
        (L, 104.9, C),
        (L, 105.0, H),
        (L, -0.1, B),
        (B, -0.1, B),
        (B, 0.0, B),
        (B, 87.9, B),
        (B, 88.0, C),
        (B, 105.0, H),
    ],
)
def test_transition(before: MarginStatus, equity: float, after: MarginStatus) -> None:
    assert after is walk(before, equity)


@pytest.mark.parametrize(("before", "equity", "after"), [(L, 105.0, L), (L, 88.0, L), (B, 105.0, B), (L, -0.1, B)])
def test_nobody_leaves_liquidation_with_a_command_open(
    before: MarginStatus, equity: float, after: MarginStatus
) -> None:
    assert after is walk(before, equity, commands_open=True)


@pytest.mark.parametrize(
    ("before", "equity", "after"),
    [
        (H, 99.0, C),
        (H, 79.0, C),
        (H, -1.0, C),
        (C, 79.0, C),
        (C, -1.0, C),
        (C, 105.0, H),
        (L, 105.0, L),
        (L, 88.0, L),
        (L, -1.0, L),
        (B, 105.0, B),
    ],
)
def test_held_account_neither_enters_nor_leaves_liquidation(
    before: MarginStatus, equity: float, after: MarginStatus
) -> None:
    assert after is walk(before, equity, held=True)


def test_account_without_requirement_and_without_equity_is_at_ease() -> None:
    nothing = conditions(0.0, 0.0, 0.0, PARAMETERS, commands_open=False, held=False)
    assert [H] * 4 == [next_status(before, nothing) for before in MarginStatus]


def test_every_status_has_rules_and_no_rule_leads_to_itself() -> None:
    assert set(MarginStatus) == set(TRANSITIONS)
    assert all(after is not before for before, rules in TRANSITIONS.items() for _, after in rules)


@given(
    before=st.sampled_from(MarginStatus),
    equity=st.floats(-1e9, 1e9),
    initial=st.floats(0, 1e9),
    share=st.floats(0, 1),
    commands_open=st.booleans(),
    held=st.booleans(),
)
def test_a_second_look_at_the_same_figures_moves_nobody(
    before: MarginStatus, equity: float, initial: float, share: float, commands_open: bool, held: bool
) -> None:
    found = conditions(equity, initial, initial * share, PARAMETERS, commands_open, held)
    after = next_status(before, found)
    assert after is next_status(after, found)


@given(st.lists(st.floats(99.0, 104.9), min_size=2))
def test_price_trembling_at_a_threshold_changes_the_status_once_at_most(path: list[float]) -> None:
    seen, status = [], H
    for equity in path:
        status = walk(status, equity)
        seen.append(status)
    assert 1 >= sum(one is not two for one, two in zip([H, *seen], seen, strict=False))


def test_liquidation_is_the_last_two_statuses() -> None:
    assert [False, False, True, True] == [in_liquidation(status) for status in (H, C, L, B)]
