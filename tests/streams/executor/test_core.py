"""What is executed, when, and what it looks like; that a repetition and a restart repeat nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.units import E8
from streams.executor.history import fair_price
from tests.streams.executor.world import (
    HOUR_US,
    MINUTE_US,
    NOW_US,
    PERPETUAL,
    World,
    answers_in,
    at_version,
    command,
    fill,
    fills_in,
    mark,
    reasons,
    states,
)


@pytest.fixture
def world() -> World:
    return World()


def test_a_command_is_accepted_filled_on_both_sides_and_answered(world: World) -> None:
    records = world.offer(command())

    accepted, counterparty, account, filled = records
    assert [counterparty, account] == fills_in(records), "counterparties first, the final answer last"
    assert ["accepted", "filled"] == states(records) == [accepted.state, filled.state]  # type: ignore[union-attr]
    assert ("alice", "sell", "0.5", "c1") == (account.account, account.side, account.quantity, account.command_id)  # type: ignore[union-attr]
    assert ("backstop", "buy", "0.5", None) == (
        counterparty.account, counterparty.side, counterparty.quantity, counterparty.command_id,  # type: ignore[union-attr]
    )  # fmt: skip
    assert {"19999.9"} == {each.price for each in fills_in(records)}
    assert {NOW_US} == {each.trade_time_us for each in fills_in(records)}
    assert ["0", "0.5"] == [each.filled_quantity for each in answers_in(records)]
    assert {("reference", 1)} == {(each.executor, each.epoch_seen) for each in answers_in(records)}


def test_a_repeated_command_gets_its_answer_again_and_nothing_else(world: World) -> None:
    final = world.offer(command())[-1]

    assert [final, final] == world.offer(command(), command())


def test_a_repeated_command_is_answered_again_whatever_epoch_and_halt_say() -> None:
    world = World()
    final = world.offer(command())[-1]
    world.offer(command(command_id="c2", account="bob", epoch=5))

    assert [final] == world.offer(command())


def test_an_id_with_other_content_is_refused_as_duplicate(world: World) -> None:
    world.offer(command())
    records = world.offer(command(quantity="0.4"))

    assert (["rejected"], ["duplicate"]) == (states(records), reasons(records))
    assert ["filled"] == states(world.offer(command())), "the command itself keeps its answer"


def test_a_command_answered_before_a_restart_is_not_even_answered(world: World) -> None:
    world.offer(command())
    world.restarted()

    assert [] == world.offer(command(), command(), replayed=True)
    assert ["filled"] == states(world.offer(command()))


def test_after_a_restart_the_count_goes_on_where_it_was(world: World) -> None:
    world.offer(command())
    world.restarted()
    world.offer(command(), replayed=True)

    assert [] == world.offer(command(command_id="c3", sequence=3, quantity="0.1"))
    records = world.offer(command(command_id="c2", sequence=2, quantity="0.1"))
    assert ["c2", "c3"] == [each.command_id for each in answers_in(records) if each.state == "filled"]


def test_an_execution_repeated_after_a_crash_repeats_its_records_though_marks_have_moved(world: World) -> None:
    before = world.offer(command())
    world.pass_time(MINUTE_US, "15000")
    world.restarted(topics=[])

    assert before == world.offer(command(), replayed=True)


def test_an_expired_command_is_answered_and_not_executed(world: World) -> None:
    world.pass_time(HOUR_US)
    records = world.offer(command())

    assert (["expired"], ["expired"], []) == (states(records), reasons(records), fills_in(records))


def test_a_command_waits_for_the_marks_it_was_decided_on(world: World) -> None:
    assert [] == world.offer(command(versions=at_version(2)))
    assert 1 == world.executor.waiting
    world.history.learn(mark("BTC-PERP", "20020"), 2)

    assert ["20009.9", "20009.9"] == [each.price for each in fills_in(world.offer())]
    assert 0 == world.executor.waiting


def test_a_command_waits_for_the_fills_it_was_decided_on(world: World) -> None:
    bought = replace(command().versions, offsets={"fills": 4})
    assert [] == world.offer(command(quantity="1.5", versions=bought))
    world.executor.learn_fill(fill(9, "alice", "buy", "0.5"), 0, 4)

    assert ["accepted", "filled"] == states(world.offer())


def test_a_limit_beyond_the_fair_price_is_rejected(world: World) -> None:
    records = world.offer(command(limit_price="20010.1"))

    assert (["rejected"], ["limit_price"], []) == (states(records), reasons(records), fills_in(records))


def test_a_limit_far_off_the_mark_is_rejected(world: World) -> None:
    assert ["price_band"] == reasons(world.offer(command(limit_price="9000")))


def test_an_unknown_instrument_and_a_missing_mark_are_rejected(world: World) -> None:
    world.history.learn(replace(PERPETUAL, instrument="ETH-PERP", mark_feed="ETH-PERP"), 1)
    records = world.offer(
        command(command_id="a", instrument="XYZ"),
        command(command_id="b", instrument="ETH-PERP", reduce_only=False, sequence=2),
    )

    assert ["unknown_instrument", "no_mark"] == reasons(records)


def test_an_option_is_filled_near_its_model_value(world: World) -> None:
    records = world.offer(
        command(instrument="BTC-C", side="buy", limit_price="600", quantity="1", reduce_only=False, kind="hedge")
    )

    fair = fair_price(world.history.instruments["BTC-C"], world.history.as_of(1, NOW_US))
    price = float(fills_in(records)[0].price)
    assert fair is not None and fair < price <= fair * 1.001 + 0.5
    assert 0 == price % 0.5


def test_history_answers_as_of_a_version_and_clamps_to_the_oldest_it_has(world: World) -> None:
    world.history.learn(mark("BTC-PERP", "20020"), 5)

    assert 20_010 * E8 == world.history.as_of(4, NOW_US).marks["BTC-PERP"].price_e8
    assert 20_020 * E8 == world.history.as_of(5, NOW_US).marks["BTC-PERP"].price_e8
    assert 20_010 * E8 == world.history.as_of(0, NOW_US).marks["BTC-PERP"].price_e8
