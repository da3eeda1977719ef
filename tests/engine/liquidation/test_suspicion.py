"""Suspicion through the step: who is doubted, for how long, and what it forbids meanwhile."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import MarginEngine
from engine.commands import LiquidationCommand, StatusChanged, StepResult, WithdrawalDecided
from engine.events import AckState, Event, ParametersSet, VolatilityNode
from engine.outcomes import MarginStatus, Refusal
from engine.reference.liquidation_policy import LiquidationPolicy
from engine.reference.parameters import RiskParameters
from engine.reference.trust_policy import TrustPolicy
from tests.builders import START_US, Amount, ack, deposit, engine, fill, mark, parameters, withdrawal

SECOND_US = 1_000_000
S = MarginStatus
POLICY = LiquidationPolicy(cancel_us_max=0, cooldown_us=0)
TERMS = parameters(policy=POLICY)


class World:
    """10,000 USD and 2 BTC-PERP bought at 20,000: short of maintenance margin (0.256 of the price) below
    17,201.83."""

    def __init__(self, terms: RiskParameters = TERMS) -> None:
        self.terms, self.engine = terms, engine(terms)
        self.version, self.offset = 100, 100
        self.step(deposit("a", "USD", 10_000, 0), fill("a", "BTC-PERP", 2, 20_000, 0))

    def step(self, *events: Event) -> StepResult:
        return self.engine.step(events)

    def mark(
        self, price: Amount, second: float, agreeing: int | None = None, confidence: Amount = 0, feed: str = "BTC-PERP"
    ) -> StepResult:
        self.version += 1
        time_us = START_US + round(second * SECOND_US)
        return self.step(mark(feed, price, self.version, time_us, confidence=confidence, agreeing=agreeing))

    @property
    def status(self) -> MarginStatus:
        book = self.engine.book("a")
        assert book is not None
        return book.status


def moves(result: StepResult) -> list[MarginStatus]:
    return [made.after for _, made in result.commands if isinstance(made, StatusChanged)]


def commands(result: StepResult) -> list[LiquidationCommand]:
    return [made for _, made in result.commands if isinstance(made, LiquidationCommand)]


# The box.


def test_an_ordinary_move_of_a_certain_price_is_acted_upon_at_once() -> None:
    assert [S.LIQUIDATING] == moves(World().mark(17_200, 1))
    assert [S.LIQUIDATING] == moves(World().mark(17_200, 1, agreeing=2))


@pytest.mark.parametrize(("confidence", "after"), [(1, S.LIQUIDATING), (2, S.SUSPECT)])
def test_a_breach_that_the_confidence_explains_is_suspected(confidence: int, after: MarginStatus) -> None:
    assert [after] == moves(World().mark(17_200, 1, confidence=confidence))


def test_it_is_acted_upon_at_the_deadline_and_not_before() -> None:
    world = World()
    assert [S.SUSPECT] == moves(world.mark(17_200, 1, confidence=100))
    assert [] == moves(world.mark(1_500, 3, feed="ETH-PERP"))
    late = world.mark(1_500, 3.000001, feed="ETH-PERP")
    assert [S.LIQUIDATING] == moves(late)
    assert commands(late)


def test_a_price_that_becomes_certain_is_acted_upon_at_once() -> None:
    world = World()
    world.mark(17_200, 1, confidence=100)
    assert [S.LIQUIDATING] == moves(world.mark(17_200, 1.5))


def test_who_is_sound_after_all_is_let_go() -> None:
    world = World()
    world.mark(17_200, 1, confidence=100)
    released = world.mark(17_500, 1.5, confidence=100)
    assert [S.MARGIN_CALL] == moves(released)
    assert [S.SUSPECT] == moves(world.mark(17_200, 9, confidence=100)), "another breach, another deadline"
    assert [] == moves(world.mark(17_190, 10.9, confidence=110))


def test_a_lone_jump_is_suspected_and_a_second_source_ends_it() -> None:
    world = World()
    world.mark(20_000, 0.5, agreeing=1)
    assert [S.SUSPECT] == moves(world.mark(17_200, 1, agreeing=1))
    assert [S.LIQUIDATING] == moves(world.mark(17_200, 1.1, agreeing=2))


def test_a_jump_is_over_before_the_suspicion_of_who_came_late() -> None:
    """The jump ends by time alone at 3, his own deadline would be 3.5; another feed moves the time."""
    world = World()
    assert [S.MARGIN_CALL] == moves(world.mark(17_205, 1, agreeing=1))
    world.mark(1_500, 1.5, feed="ETH-PERP")
    assert [S.SUSPECT] == moves(world.step(fill("a", "BTC-PERP", "0.01", 17_205, 50, fee=100)))
    assert [] == moves(world.mark(1_500, 3, feed="ETH-PERP"))
    assert [S.LIQUIDATING] == moves(world.mark(1_500, 3.1, feed="ETH-PERP"))


def test_an_old_mark_of_another_holding_can_explain_a_breach() -> None:
    world = World()
    world.step(deposit("a", "BTC", "0.5", 1))
    assert [S.MARGIN_CALL] == moves(world.mark(12_460, 59, agreeing=2))
    assert [S.SUSPECT] == moves(world.mark(12_447, 59.5, agreeing=2)), "the coins' mark is a minute old"


def test_without_a_deadline_nothing_is_doubted() -> None:
    credulous = World(parameters(policy=replace(POLICY, suspect_us_max=0)))
    assert [S.LIQUIDATING] == moves(credulous.mark(17_200, 1, agreeing=1, confidence=5_000))


# What is forbidden meanwhile.


def answers(result: StepResult) -> list[Refusal | None]:
    return [made.refusal for _, made in result.commands if isinstance(made, WithdrawalDecided)]


def test_nothing_leaves_an_account_that_is_suspected() -> None:
    world = World()
    world.mark(17_200, 1, confidence=100)
    assert [Refusal.ACCOUNT_IN_LIQUIDATION] == answers(world.step(withdrawal("a", "USD", 1, 50)))


def test_nothing_leaves_on_a_price_that_may_be_another() -> None:
    """3,600 are free at 20,000; at 19,900 it is 264 less."""
    for confidence, refusal in ((0, None), (100, Refusal.PRICE_UNAVAILABLE)):
        world = World()
        world.mark(20_000, 1, confidence=confidence)
        assert [refusal] == answers(world.step(withdrawal("a", "USD", 3_500, 50)))
        assert [None] == answers(world.step(withdrawal("a", "USD", 10, 51)))


def test_a_profit_of_a_lone_jump_does_not_leave_until_it_has_stood() -> None:
    world = World()
    world.mark(20_000, 1, agreeing=1)
    world.mark(22_000, 2, agreeing=1)
    assert [Refusal.PRICE_UNAVAILABLE] == answers(world.step(withdrawal("a", "USD", 6_000, 50)))
    world.mark(1_500, 5, feed="ETH-PERP")
    assert [None] == answers(world.step(withdrawal("a", "USD", 6_000, 51)))


def test_who_has_nothing_at_stake_takes_what_is_his() -> None:
    world = World()
    world.step(deposit("b", "BTC", 1, 60))
    world.mark(20_000, 1, confidence=5_000, feed="BTC")
    assert [None] == answers(world.step(withdrawal("b", "BTC", 1, 61)))


# A case that is under way.


def in_case() -> tuple[World, LiquidationCommand]:
    world = World()
    (command,) = commands(world.mark(17_200, 0.5))
    return world, command


def test_a_lone_jump_hands_no_book_over() -> None:
    world, _ = in_case()
    assert [] == moves(world.mark(14_000, 1, agreeing=1))
    assert [] == moves(world.mark(1_500, 3, feed="ETH-PERP"))
    assert [S.BACKSTOP] == moves(world.mark(1_500, 3.1, feed="ETH-PERP"))


def test_a_confirmed_one_does_at_once() -> None:
    world, _ = in_case()
    assert [S.BACKSTOP] == moves(world.mark(14_000, 1, agreeing=2))


def test_while_it_waits_no_new_round_is_planned() -> None:
    world, command = in_case()
    world.mark(14_000, 1, agreeing=1)
    rejected = world.step(ack("a", command.command_id, AckState.REJECTED, 0, 70))
    assert ([], []) == (moves(rejected), commands(rejected))
    back = world.mark(17_150, 1.5, agreeing=1)
    assert [2] == [made.round for made in commands(back)]


# The coins of who has nothing to close.


def test_a_lone_jump_writes_nobody_off() -> None:
    world = World()
    world.step(deposit("b", "BTC", 1, 60), fill("b", "BTC-PERP", "0.01", 20_000, 60, fee=15_000))
    world.step(fill("b", "BTC-PERP", "-0.01", 20_000, 61))
    world.mark(20_000, 1, agreeing=1, feed="BTC")
    book = world.engine.book("b")
    assert book is not None and book.status in (S.HEALTHY, S.MARGIN_CALL)
    fallen = world.mark(10_000, 2, agreeing=1, feed="BTC")
    assert [S.SUSPECT] == moves(fallen)
    assert [S.HEALTHY] == moves(world.mark(20_000, 2.5, agreeing=1, feed="BTC"))
    world.mark(10_000, 10, agreeing=1, feed="BTC")
    assert [S.CLOSED] == moves(world.mark(1_500, 12.1, feed="ETH-PERP"))


# New parameters.


def harsher(version: int = 2, effective_us: int = 0, **trust: int) -> ParametersSet:
    """Core range 60 % instead of 16 %: maintenance margin 19,200."""
    made = parameters(version, effective_us=effective_us, policy=replace(POLICY, trust=TrustPolicy(**trust)))
    terms = dict(made.underlyings)
    terms["BTC"] = replace(terms["BTC"], price_range_ppm=600_000)
    return ParametersSet(100 + version, replace(made, underlyings=terms))


def test_who_falls_short_through_new_parameters_alone_is_suspected_for_their_shadow() -> None:
    world = World()
    assert [S.SUSPECT] == moves(world.step(harsher()))
    assert [] == moves(world.mark(20_000, 60))
    assert [S.LIQUIDATING] == moves(world.mark(20_000, 60.1))


def test_who_is_short_under_the_old_ones_too_is_not_spared() -> None:
    world = World()
    world.step(harsher())
    assert [S.LIQUIDATING] == moves(world.mark(17_200, 1))


def test_new_parameters_that_are_withdrawn_in_time_have_done_nothing() -> None:
    world = World()
    world.step(harsher())
    milder = ParametersSet(200, parameters(3, policy=POLICY))
    assert [S.HEALTHY] == moves(world.step(milder))
    assert [] == moves(world.mark(20_000, 61))


def test_the_shadow_begins_when_they_are_in_force() -> None:
    world = World()
    assert [] == moves(world.step(harsher(effective_us=START_US + 10 * SECOND_US)))
    assert [S.SUSPECT] == moves(world.mark(20_000, 10))
    assert [] == moves(world.mark(20_000, 70))
    assert [S.LIQUIDATING] == moves(world.mark(20_000, 70.1))


def test_without_a_shadow_they_are_acted_upon_at_once() -> None:
    assert [S.LIQUIDATING] == moves(World().step(harsher(shadow_us=0)))


# The breaker.

CROWD = [f"c{number}" for number in range(30)]


def crowd(**trust: int) -> MarginEngine:
    """Thirty accounts long calls, a little of it on credit: a debt is left when the surface collapses."""
    made = engine(parameters(policy=replace(POLICY, trust=TrustPolicy(**{"breaker_floor": 10, **trust}))))
    for number, account in enumerate(CROWD):
        made.step([deposit(account, "USD", 680, 100 + number), fill(account, "BTC-CALL", 1, 700, 100 + number)])
    return made


def surface(volatility: float, second: float, version: int, price: int = 20_000) -> Event:
    made = mark("BTC", price, version, START_US + round(second * SECOND_US))
    return replace(made, volatility=(VolatilityNode(30.0, 0.0, volatility),))


def test_a_wrong_surface_liquidates_nobody_for_the_time_of_the_breaker() -> None:
    made = crowd()
    tripped = made.step([surface(0.01, 1, 900)])
    assert [S.SUSPECT] * 30 == moves(tripped)
    assert [] == commands(tripped)
    repaired = made.step([surface(0.6, 2, 901)])
    assert S.SUSPECT not in {made.book(account).status for account in CROWD}  # type: ignore[union-attr]
    assert [] == commands(repaired)


def test_one_that_stays_is_acted_upon_when_the_breaker_closes() -> None:
    made = crowd()
    made.step([surface(0.01, 1, 900)])
    assert [] == moves(made.step([surface(0.01, 11, 901)]))
    acted = made.step([surface(0.01, 11.1, 902)])
    assert 30 == len(moves(acted)) and commands(acted)


def test_as_many_as_the_move_explains_are_acted_upon_at_once() -> None:
    """Ten per cent is two and a half standard deviations: more than everybody may fall short."""
    made = crowd(breaker_prior_ppm=1_000_000)
    assert commands(made.step([surface(0.01, 1, 900, price=18_000)]))


def test_fewer_than_the_floor_never_trip_it() -> None:
    made = crowd(breaker_floor=30)
    assert commands(made.step([surface(0.01, 1, 900)]))


# A worker that starts.


def test_the_first_tick_after_a_restart_is_measured_against_the_last_before_it() -> None:
    """An hour passed, in which four and a half per cent would not be unusual; fourteen are."""
    before = World()
    last = mark("BTC-PERP", 20_000, 500, START_US + SECOND_US, agreeing=1)
    before.step(last)
    book = before.engine.book("a")
    assert book is not None
    for price, after in ((17_190, S.SUSPECT), (19_300, S.HEALTHY)):
        made = engine(TERMS)
        made.step([last])
        made.load(deepcopy(book))
        made.step([])
        made.step([mark("BTC-PERP", price, 501, START_US + 3_600 * SECOND_US, agreeing=1)])
        judged = made.book("a")
        assert judged is not None and after is judged.status


def test_who_fell_short_in_crowds_while_nobody_looked_waits_once() -> None:
    made = crowd()
    books = [made.book(account) for account in CROWD]
    late = engine(made.parameters)
    late.step([surface(0.01, 1, 900)])
    for book in books:
        assert book is not None
        late.load(deepcopy(book))
    assert [S.SUSPECT] * 30 == moves(late.step([]))
    assert 30 == len(moves(late.step([surface(0.01, 11.1, 901)])))


# Never for ever.


@given(
    st.lists(
        st.tuples(
            st.integers(100, 1_500), st.integers(15_100, 17_200), st.integers(0, 3_000), st.sampled_from((1, 1, 2))
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=40, deadline=None)
def test_who_stays_short_is_acted_upon_at_the_deadline_whatever_the_prices_do(
    rows: list[tuple[int, int, int, int]],
) -> None:
    world, second = World(), 0.0
    since: float | None = None
    for after_ms, price, confidence, agreeing in [*rows, (2_100, 17_000, 3_000, 1), (2_100, 16_000, 3_000, 1)]:
        second += after_ms / 1_000
        world.mark(price, second, agreeing=agreeing, confidence=confidence)
        since = second if since is None else since
        assert world.status in (S.SUSPECT, S.LIQUIDATING, S.BACKSTOP)
        assert S.SUSPECT is not world.status or second - since <= POLICY.suspect_us_max / SECOND_US
    assert S.SUSPECT is not world.status
