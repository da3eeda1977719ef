"""The ladder, rule by rule, and its hysteresis: what lets an account out is harder than what let it in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.liquidation.status import ACTIVE, TRANSITIONS, Circumstances, conditions, in_liquidation, next_status
from engine.outcomes import MarginStatus
from engine.reference.liquidation_policy import LiquidationPolicy
from engine.reference.parameters import RiskParameters
from tests.builders import AT_ONCE, parameters

S = MarginStatus
PARAMETERS = parameters(liquidation_target_ppm=1_100_000, release_buffer_ppm=1_050_000)
WATCHED = replace(PARAMETERS, policy=replace(AT_ONCE, watch_buffer_ppm=1_200_000))
WITH_ORDERS = replace(PARAMETERS, policy=LiquidationPolicy())
BACKSTOPPED = replace(PARAMETERS, policy=replace(AT_ONCE, backstop_at_ppm=500_000))
AT_REST = Circumstances()
OPEN = Circumstances(commands_open=True)
STALE = Circumstances(stale=True)
OVER = Circumstances(round_made=True)


def walk(
    before: MarginStatus, equity: float, at: Circumstances = AT_REST, terms: RiskParameters = PARAMETERS
) -> MarginStatus:
    """The status after a recomputation with initial margin 100 and maintenance margin 80 (target 88, release 105)."""
    return next_status(before, conditions(equity, 100.0, 80.0, terms, at))


@pytest.mark.parametrize(
    ("before", "equity", "after"),
    [
        (S.HEALTHY, 100.0, S.HEALTHY),
        (S.HEALTHY, 99.9, S.MARGIN_CALL),
        (S.HEALTHY, 80.0, S.MARGIN_CALL),
        (S.HEALTHY, 79.9, S.LIQUIDATING),
        (S.HEALTHY, 0.0, S.LIQUIDATING),
        (S.HEALTHY, -0.1, S.BACKSTOP),
        (S.MARGIN_CALL, 104.9, S.MARGIN_CALL),  # above initial margin, below the release buffer
        (S.MARGIN_CALL, 105.0, S.HEALTHY),
        (S.MARGIN_CALL, 80.0, S.MARGIN_CALL),
        (S.MARGIN_CALL, 79.9, S.LIQUIDATING),
        (S.MARGIN_CALL, -0.1, S.BACKSTOP),
        (S.LIQUIDATING, 80.0, S.LIQUIDATING),  # above maintenance margin, below the target
        (S.LIQUIDATING, 87.9, S.LIQUIDATING),
        (S.LIQUIDATING, 88.0, S.MARGIN_CALL),
        (S.LIQUIDATING, 104.9, S.MARGIN_CALL),
        (S.LIQUIDATING, 105.0, S.HEALTHY),
        (S.LIQUIDATING, -0.1, S.BACKSTOP),
        (S.COOLDOWN, 87.9, S.LIQUIDATING),
        (S.COOLDOWN, 88.0, S.MARGIN_CALL),
        (S.BACKSTOP, -0.1, S.BACKSTOP),
        (S.BACKSTOP, 87.9, S.BACKSTOP),
        (S.BACKSTOP, 88.0, S.MARGIN_CALL),
        (S.AUCTION, 105.0, S.HEALTHY),
        (S.DELEVERAGING, 88.0, S.MARGIN_CALL),
        (S.HELD, 79.9, S.LIQUIDATING),
        (S.HELD, 80.0, S.MARGIN_CALL),
        (S.HELD, 105.0, S.HEALTHY),
        (S.SUSPECT, 80.0, S.MARGIN_CALL),
        (S.SUSPECT, 79.9, S.LIQUIDATING),
        (S.CLOSED, 105.0, S.HEALTHY),
        (S.CLOSED, 79.0, S.LIQUIDATING),  # it came back with a new position
    ],
)
def test_by_figures(before: MarginStatus, equity: float, after: MarginStatus) -> None:
    assert after is walk(before, equity)


@pytest.mark.parametrize(
    ("before", "equity", "at", "after"),
    [
        (S.CANCELLING, 79.0, OPEN, S.CANCELLING),
        (S.CANCELLING, 79.0, AT_REST, S.LIQUIDATING),
        (S.CANCELLING, 88.0, AT_REST, S.MARGIN_CALL),  # cured by cancelling alone
        (S.CANCELLING, -1.0, AT_REST, S.BACKSTOP),
        (S.LIQUIDATING, 79.0, OVER, S.COOLDOWN),
        (S.LIQUIDATING, 79.0, Circumstances(fruitless=True, round_made=True), S.BACKSTOP),
        (S.LIQUIDATING, -1.0, OPEN, S.BACKSTOP),
        (S.COOLDOWN, 79.0, Circumstances(rested=False), S.COOLDOWN),
        (S.COOLDOWN, -1.0, Circumstances(rested=False), S.BACKSTOP),
        (S.COOLDOWN, -1.0, Circumstances(rested=False, offered=True), S.COOLDOWN),
        (S.COOLDOWN, -1.0, Circumstances(offered=True), S.BACKSTOP),
        (S.BACKSTOP, 10.0, OVER, S.AUCTION),
        (S.BACKSTOP, 10.0, OPEN, S.BACKSTOP),
        (S.BACKSTOP, 0.5, Circumstances(round_made=True, flat=True), S.MARGIN_CALL),
        (S.BACKSTOP, -0.5, Circumstances(round_made=True, flat=True), S.CLOSED),
        (S.AUCTION, 10.0, OVER, S.DELEVERAGING),
        (S.DELEVERAGING, 10.0, OVER, S.COOLDOWN),
        (S.DELEVERAGING, -10.0, Circumstances(round_made=True, flat=True), S.CLOSED),
        (S.MARGIN_CALL, 79.0, Circumstances(doubtful=True), S.SUSPECT),
        (S.SUSPECT, 79.0, Circumstances(doubtful=True), S.SUSPECT),
        (S.HEALTHY, 79.0, Circumstances(halted=True), S.HELD),
        (S.SUSPECT, 79.0, Circumstances(halted=True), S.HELD),
        (S.HELD, 79.0, Circumstances(halted=True), S.HELD),
        (S.LIQUIDATING, 79.0, Circumstances(halted=True), S.HELD),
        (S.LIQUIDATING, 79.0, Circumstances(halted=True, commands_open=True), S.LIQUIDATING),
        (S.HEALTHY, -1.0, Circumstances(flat=True), S.CLOSED),
        (S.CLOSED, -1.0, Circumstances(flat=True), S.CLOSED),
    ],
)
def test_by_circumstances(before: MarginStatus, equity: float, at: Circumstances, after: MarginStatus) -> None:
    assert after is walk(before, equity, at)


@pytest.mark.parametrize(
    ("before", "equity", "after"),
    [
        (S.HEALTHY, 120.0, S.HEALTHY),
        (S.HEALTHY, 119.0, S.WATCH),
        (S.HEALTHY, 99.0, S.MARGIN_CALL),
        (S.WATCH, 100.0, S.WATCH),
        (S.WATCH, 125.9, S.WATCH),
        (S.WATCH, 126.0, S.HEALTHY),
        (S.WATCH, 99.0, S.MARGIN_CALL),
        (S.MARGIN_CALL, 105.0, S.WATCH),
        (S.MARGIN_CALL, 126.0, S.HEALTHY),
        (S.LIQUIDATING, 106.0, S.WATCH),
    ],
)
def test_watch(before: MarginStatus, equity: float, after: MarginStatus) -> None:
    assert after is walk(before, equity, terms=WATCHED)


def test_orders_are_cancelled_first() -> None:
    assert [S.CANCELLING] * 4 == [
        walk(before, equity, terms=WITH_ORDERS)
        for before, equity in [(S.HEALTHY, 79.0), (S.MARGIN_CALL, 79.0), (S.SUSPECT, 79.0), (S.HEALTHY, -1.0)]
    ]


def test_the_backstop_takes_over_before_nothing_is_left() -> None:
    assert [S.LIQUIDATING, S.BACKSTOP] == [walk(S.HEALTHY, equity, terms=BACKSTOPPED) for equity in (40.0, 39.9)]
    assert S.BACKSTOP is walk(S.LIQUIDATING, 39.9, OPEN, BACKSTOPPED)


@pytest.mark.parametrize("before", sorted(ACTIVE))
@pytest.mark.parametrize("equity", [88.0, 105.0])
def test_nobody_leaves_a_case_with_a_command_open(before: MarginStatus, equity: float) -> None:
    assert before is walk(before, equity, OPEN) or (before, S.LIQUIDATING) == (S.COOLDOWN, walk(before, equity, OPEN))


@pytest.mark.parametrize("before", sorted(set(MarginStatus) - {S.HEALTHY, S.WATCH, S.MARGIN_CALL}))
@pytest.mark.parametrize("equity", [-1.0, 79.0, 88.0, 105.0])
def test_with_a_stale_mark_nobody_enters_leaves_or_moves_in_liquidation(before: MarginStatus, equity: float) -> None:
    assert before is walk(before, equity, STALE)


@pytest.mark.parametrize(
    ("before", "equity", "after"),
    [
        (S.HEALTHY, 99.0, S.MARGIN_CALL),
        (S.HEALTHY, -1.0, S.MARGIN_CALL),
        (S.MARGIN_CALL, -1.0, S.MARGIN_CALL),
        (S.MARGIN_CALL, 105.0, S.HEALTHY),
    ],
)
def test_with_a_stale_mark_calls_are_made_and_lifted(before: MarginStatus, equity: float, after: MarginStatus) -> None:
    assert after is walk(before, equity, STALE)


def test_account_without_requirement_and_without_equity_is_at_ease() -> None:
    nothing = conditions(0.0, 0.0, 0.0, PARAMETERS, Circumstances(flat=True))
    assert {S.HEALTHY} == {next_status(before, nothing) for before in MarginStatus if before is not S.SUSPECT}


def test_every_status_has_rules() -> None:
    assert set(MarginStatus) == set(TRANSITIONS)


@given(
    before=st.sampled_from(MarginStatus),
    equity=st.floats(-1e9, 1e9),
    initial=st.floats(0, 1e9),
    share=st.floats(0, 1),
    at=st.builds(Circumstances, *[st.booleans()] * 9),
    terms=st.sampled_from([PARAMETERS, WATCHED, WITH_ORDERS, BACKSTOPPED]),
)
def test_looking_again_at_the_same_figures_goes_down_the_ladder_or_out_but_never_round_in_circles(
    before: MarginStatus, equity: float, initial: float, share: float, at: Circumstances, terms: RiskParameters
) -> None:
    """But for rounds of closing with a rest after each, which are meant to go on."""
    found = conditions(equity, initial, initial * share, terms, at)
    seen, status = [before], next_status(before, found)
    while status is not seen[-1]:
        if status in seen:
            assert {S.LIQUIDATING, S.COOLDOWN} & {*seen[seen.index(status) :]}
            break
        seen.append(status)
        status = next_status(status, found)


@given(st.lists(st.floats(99.0, 104.9), min_size=2))
def test_price_trembling_at_a_threshold_changes_the_status_once_at_most(path: list[float]) -> None:
    seen, status = [], S.HEALTHY
    for equity in path:
        status = walk(status, equity)
        seen.append(status)
    assert 1 >= sum(one is not two for one, two in zip([S.HEALTHY, *seen], seen, strict=False))


def test_nothing_is_withdrawn_from_an_account_that_is_acted_upon() -> None:
    free = {status for status in MarginStatus if not in_liquidation(status)}
    assert {S.HEALTHY, S.WATCH, S.MARGIN_CALL, S.CLOSED} == free
