"""Liquidation through the step: entry, rounds, cure, silence, holds. One account, long bitcoin."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from engine import MarginEngine
from engine.books.account import AccountBook, Position
from engine.commands import (
    CommandKind,
    CommandReason,
    ExecutionAnomaly,
    LiquidationCommand,
    LiquidationDecision,
    StatusChanged,
    StepResult,
)
from engine.events import AckState, Event, ParametersSet, VolatilityNode
from engine.liquidation.decision import decide
from engine.outcomes import Anomaly, MarginStatus
from engine.state import book_from_text
from engine.units import DAY_US
from tests.builders import EXPIRY_US, MINUTE_US, START_US, ack, deposit, e8, engine, fill, mark, parameters

SECOND_US = 1_000_000
TTL_US = parameters().command_ttl_us


class World:
    """An account with 10,000 USD and 2 BTC-PERP bought at 20,000; maintenance margin 2,560 per BTC."""

    def __init__(self) -> None:
        self.engine = engine()
        self.version, self.offset, self.time_us = 100, 10, START_US
        self.step(deposit("a", "USD", 10_000, 0), fill("a", "BTC-PERP", 2, 20_000, 0))

    def step(self, *events: Event) -> StepResult:
        return self.engine.step(events)

    def mark(self, price: int, feed: str = "BTC-PERP", after_us: int = SECOND_US) -> StepResult:
        self.version += 1
        self.time_us += after_us
        return self.step(mark(feed, price, self.version, self.time_us))

    def fill(self, command: LiquidationCommand, quantity_e8: int, price: int) -> Event:
        self.offset += 1
        quantity = quantity_e8 / 10**8
        return fill("a", command.instrument, quantity, price, self.offset, command_id=command.command_id)

    def ack(self, command: LiquidationCommand, state: AckState, filled_e8: int) -> Event:
        self.offset += 1
        return ack("a", command.command_id, state, filled_e8 / 10**8, self.offset)

    @property
    def book(self) -> AccountBook:
        book = self.engine.book("a")
        assert book is not None
        return book


def moves(result: StepResult) -> list[tuple[MarginStatus, MarginStatus]]:
    return [(made.before, made.after) for _, made in result.commands if isinstance(made, StatusChanged)]


def commands(result: StepResult) -> list[LiquidationCommand]:
    """Legs to trade."""
    return [made for _, made in result.commands if isinstance(made, LiquidationCommand) and made.kind.is_leg]


def told(result: StepResult) -> list[CommandKind]:
    """What is commanded about the whole account."""
    made = [made for _, made in result.commands if isinstance(made, LiquidationCommand)]
    return [command.kind for command in made if not command.kind.is_leg]


H, C, L, B = MarginStatus.HEALTHY, MarginStatus.MARGIN_CALL, MarginStatus.LIQUIDATING, MarginStatus.BACKSTOP
CLOSED = MarginStatus.CLOSED


def test_fall_calls_then_liquidates() -> None:
    world = World()
    assert [] == moves(world.mark(19_000))
    assert [(H, C)] == moves(world.mark(17_500))
    result = world.mark(17_200)
    assert [(C, L)] == moves(result)
    kinds = [type(made) for _, made in result.commands]
    assert [StatusChanged, LiquidationDecision, LiquidationCommand] == kinds
    (command,) = commands(result)
    assert ("BTC-PERP", 1, 1, 0) == (
        command.instrument,
        command.liquidation_sequence,
        command.round,
        command.leg,
    )
    assert -e8(2) <= command.quantity_e8 < 0
    assert ("a",) == result.touched
    assert {command.command_id} == set(world.book.open_commands)


def test_mark_of_a_feed_nobody_holds_moves_nobody() -> None:
    world = World()
    result = world.mark(100, feed="ETH-PERP")
    assert ((), ()) == (result.touched, result.commands)


def test_no_second_round_while_a_command_is_open() -> None:
    world = World()
    world.mark(17_200)
    assert [] == commands(world.mark(17_100))


@pytest.mark.parametrize("fills_first", [True, False])
def test_cure_by_fills_releases_the_account(fills_first: bool) -> None:
    world = World()
    (command,) = commands(world.mark(17_200))
    events = [
        world.fill(command, command.quantity_e8, 17_200),
        world.ack(command, AckState.FILLED, -command.quantity_e8),
    ]
    events = events if fills_first else events[::-1]
    first, second = world.step(events[0]), world.step(events[1])
    released = first if fills_first else second
    assert ([(L, C)], [CommandKind.RELEASE]) == (moves(released), told(released))
    assert [] == commands(first) + commands(second)
    assert ({}, 1) == (world.book.open_commands, world.book.liquidation_sequence)


def test_partial_fill_and_cancel_leads_to_the_next_round() -> None:
    world = World()
    (command,) = commands(world.mark(17_200))
    result = world.step(world.fill(command, -e8("0.1"), 17_200), world.ack(command, AckState.CANCELLED, e8("0.1")))
    assert [] == moves(result)
    (following,) = commands(result)
    assert (1, 2) == (following.liquidation_sequence, following.round)
    assert -following.quantity_e8 < -command.quantity_e8


def test_silence_leads_to_the_next_round_by_time_alone() -> None:
    world = World()
    (command,) = commands(world.mark(17_200))
    world.mark(17_200, after_us=SECOND_US)
    quiet = world.mark(1_500, feed="ETH-PERP", after_us=2 * TTL_US - SECOND_US)
    assert [] == commands(quiet)
    world.version += 1
    again = world.mark(1_500, feed="ETH-PERP", after_us=1)
    assert [2] == [made.round for made in commands(again)]
    late = world.step(world.fill(command, command.quantity_e8, 17_200), world.ack(command, AckState.FILLED, 0))
    assert ["applied", "applied"] == [outcome.disposition.value for outcome in late.outcomes]


def test_silence_is_noticed_though_no_mark_of_the_account_moves_meanwhile() -> None:
    made = engine(parameters(mark_age_us_max=10 * TTL_US))
    made.step([deposit("a", "USD", 10_000, 0), fill("a", "BTC-PERP", 4, 20_000, 0)])
    deadline_us = START_US + 2 * TTL_US
    assert [] == commands(made.step([mark("ETH-PERP", 1_500, 900, deadline_us)]))
    assert [2] == [late.round for late in commands(made.step([mark("ETH-PERP", 1_500, 901, deadline_us + 1)]))]


def test_time_alone_moves_who_holds_options() -> None:
    # A long call bought with a little borrowed money: its value runs out while every price rests. No command is open
    # that would call for a look by itself.
    made = engine(parameters(mark_age_us_max=40 * DAY_US))
    made.step([deposit("a", "USD", 680, 0), fill("a", "BTC-CALL", 1, 700, 0)])
    book = made.book("a")
    assert book is not None
    assert (H, {}) == (book.status, book.open_commands)
    assert [(H, B)] == moves(made.step([mark("ETH-PERP", 1_500, 900, EXPIRY_US - DAY_US // 10)]))


def test_surface_of_the_underlying_moves_who_holds_options() -> None:
    made = engine()
    made.step([deposit("a", "USD", 350, 0), fill("a", "BTC-CALL", 1, 700, 0)])
    calm = replace(mark("BTC", 20_000, 900), volatility=(VolatilityNode(30.0, 0.0, 0.2),))
    assert [(L, B)] == moves(made.step([calm]))


def test_price_of_the_settlement_asset_moves_who_will_be_paid_in_it() -> None:
    # No coin is held yet: the gain of the inverse contract, in coin, outweighs the debt in dollars.
    made = engine()
    made.step([fill("a", "BTC-INVERSE", 500, 10_000, 0)])
    made.step([deposit("a", "USD", 1, 1), fill("a", "BTC-PERP", "0.01", 20_000, 1, fee=30_000)])
    book = made.book("a")
    assert book is not None
    assert (H, {"USD": -e8(29_999)}) == (book.status, book.balances)
    assert [(H, B)] == moves(made.step([mark("BTC", 11_000, 900)]))


def test_deposit_during_a_command_cures_only_when_the_command_has_ended() -> None:
    world = World()
    (command,) = commands(world.mark(17_200))
    paid = world.step(deposit("a", "USD", 50_000, 1))
    assert ([], [CommandKind.RELEASE]) == (moves(paid), told(paid))
    (release,) = [made for _, made in paid.commands if isinstance(made, LiquidationCommand)]
    assert ((command.command_id,), command.sequence + 1) == (release.supersedes, release.sequence)
    ended = world.step(world.ack(command, AckState.CANCELLED, 0))
    assert ([(L, H)], []) == (moves(ended), told(ended)), "executors were told before"


def test_second_case_has_the_next_number_and_starts_at_round_one() -> None:
    world = World()
    (first,) = commands(world.mark(17_200))
    world.step(deposit("a", "USD", 5_000, 1), world.ack(first, AckState.REJECTED, 0))
    (second,) = commands(world.mark(14_300))
    assert (2, 1) == (second.liquidation_sequence, second.round)
    assert first.command_id != second.command_id


def test_gap_through_zero_hands_the_book_over_at_a_price_that_leaves_no_debt() -> None:
    world = World()
    result = world.mark(14_000)
    assert [(H, B)] == moves(result)
    (command,) = commands(result)
    handed = (CommandKind.TRANSFER_TO_BACKSTOP, -e8(2), e8(15_000), CommandReason.NEGATIVE_EQUITY)
    assert handed == (command.kind, command.quantity_e8, command.limit_price_e8, command.reason)
    assert [(B, H)] == moves(world.step(world.fill(command, -e8(2), 15_000)))
    assert ({}, {}) == (world.book.positions, world.book.balances)


def test_what_is_handed_over_for_too_little_leaves_a_debt_until_it_is_paid() -> None:
    world = World()
    (command,) = commands(world.mark(14_000))
    sold = world.step(world.fill(command, -e8(2), 14_000))
    assert [(B, CLOSED)] == moves(sold)
    assert [Anomaly.BEYOND_LIMIT] == [made.anomaly for _, made in sold.commands if isinstance(made, ExecutionAnomaly)]
    assert [] == moves(world.step(deposit("a", "USD", "1999.99", 1)))
    assert [(CLOSED, H)] == moves(world.step(deposit("a", "USD", "0.01", 2)))


def test_changes_are_numbered() -> None:
    world = World()
    numbers = [
        made.change
        for price in (17_500, 19_900, 17_500)
        for _, made in world.mark(price).commands
        if isinstance(made, StatusChanged)
    ]
    assert [1, 2, 3] == numbers


def test_decision_of_a_step_can_be_repeated_from_its_evidence() -> None:
    world = World()
    world.mark(17_500)
    result = world.mark(17_200)
    (decision,) = [made for _, made in result.commands if isinstance(made, LiquidationDecision)]
    again = decide(book_from_text(decision.book), world.engine.market(), parameters(), decision.versions)
    assert again == (decision, tuple(commands(result)))
    assert {"collateral": 0, "fills": 0} == decision.versions.offsets
    assert (world.version, world.time_us) == (decision.versions.mark_version, decision.versions.time_us)


def with_coin() -> World:
    """The account holds 0.01 BTC too, so it depends on the feed BTC, whose mark is now a second over its age."""
    world = World()
    world.step(deposit("a", "BTC", "0.01", 1))
    world.mark(19_900, after_us=MINUTE_US + SECOND_US)
    return world


def test_stale_mark_holds_the_account_at_a_call() -> None:
    world = with_coin()
    result = world.mark(17_000)
    assert [(H, C)] == moves(result)
    assert [] == commands(result)


def test_fresh_mark_ends_the_hold() -> None:
    world = with_coin()
    world.mark(17_000)
    result = world.mark(20_000, feed="BTC")
    assert [(C, L)] == moves(result)
    assert commands(result)


def test_hold_ends_at_its_deadline_on_the_last_mark() -> None:
    world = with_coin()
    world.mark(17_000)
    deadline_us = START_US + 4 * MINUTE_US
    quiet = world.mark(1_500, feed="ETH-PERP", after_us=deadline_us - world.time_us - MINUTE_US // 2)
    assert [] == moves(quiet)
    world.mark(17_000, after_us=MINUTE_US // 2)
    assert deadline_us == world.time_us
    assert C is world.book.status
    acted = world.mark(1_500, feed="ETH-PERP", after_us=1)
    assert [(C, L)] == moves(acted)
    assert commands(acted)


def test_hold_stops_the_next_round() -> None:
    world = World()
    world.step(deposit("a", "BTC", "0.01", 1))
    (command,) = commands(world.mark(17_000))
    world.mark(17_000, after_us=MINUTE_US)
    assert [] == commands(world.step(world.ack(command, AckState.REJECTED, 0)))
    assert [2] == [made.round for made in commands(world.mark(20_000, feed="BTC"))]


def test_account_that_cannot_be_priced_stays_as_it_is() -> None:
    world = World()
    unknown = Position(e8(1), 0, 0)
    world.engine.load(AccountBook("z", {"USD": -e8(5)}, {"NONE": unknown}, status=L, liquidation_sequence=1))
    assert () == world.step().commands
    (book,) = [world.engine.book("z")]
    assert book is not None
    assert L is book.status


def test_changed_parameters_judge_everyone_again() -> None:
    world = World()
    result = world.step(ParametersSet(99, parameters(2, maintenance_factor_ppm=1_000_000, effective_us=START_US)))
    assert [] == moves(result)
    world.mark(18_500)
    stricter = parameters(3, release_buffer_ppm=1_000_000, price_steps_ppm=(-1_000_000, 0, 1_000_000))
    harsher = dict(stricter.underlyings)
    harsher["BTC"] = replace(harsher["BTC"], price_range_ppm=500_000)
    result = world.step(ParametersSet(100, replace(stricter, underlyings=harsher)))
    assert [(H, L)] == moves(result)


def test_engines_agree_whoever_adopted_the_account_in_between() -> None:
    world = World()
    world.mark(17_200)
    other: MarginEngine = engine()
    newer = mark("BTC-PERP", 17_100, 800, world.time_us + SECOND_US)
    world.step(newer)
    other.step([newer])
    other.load(deepcopy(world.book))
    assert () == other.step([]).commands
    late = mark("ETH-PERP", 1_500, 900, world.time_us + 2 * TTL_US + 1)
    assert world.step(late).commands == other.step([late]).commands != ()
