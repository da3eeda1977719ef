"""Every fault does what it is named for, to the share of commands it is meant for, again and again the same."""

from __future__ import annotations

import pytest

from engine.errors import InvalidReference
from engine.units import E8
from schemas.codec import Record
from streams.executor import ExecutorOptions
from streams.executor.faults import Fault, FaultKind, parse_fault, striking
from tests.streams.executor.world import (
    HOUR_US,
    MINUTE_US,
    NOW_US,
    World,
    answers_in,
    command,
    fills_in,
    reasons,
    states,
    traded_e8,
    whole_account,
)


def struck(kind: str, **options: object) -> World:
    return World(ExecutorOptions(faults=(Fault(FaultKind(kind)),), **options))  # type: ignore[arg-type]


def test_reject_answers_with_the_reason_asked_for() -> None:
    records = struck("reject", reject_reason="capacity").offer(command())

    assert (["rejected"], ["capacity"], []) == (states(records), reasons(records), fills_in(records))


def test_silence_answers_nothing_not_even_a_repetition() -> None:
    world = struck("silence")

    assert [] == world.offer(command(), command())
    assert [] == world.offer(command())
    assert 1 == world.executor.working


def test_duplicate_publishes_every_record_twice() -> None:
    once, twice = World().offer(command()), struck("duplicate").offer(command())

    def ids(records: list[Record]) -> list[str]:
        return sorted(record.event_id for record in [*answers_in(records), *fills_in(records)])

    assert sorted(2 * ids(once)) == ids(twice)


def test_out_of_order_gives_the_final_answer_first() -> None:
    assert ["filled", "accepted"] == states(struck("out_of_order").offer(command()))


def test_late_executes_after_the_expiry() -> None:
    world = struck("late")
    assert [] == world.offer(command())
    world.pass_time(HOUR_US + MINUTE_US)
    records = world.offer()

    assert ["accepted", "filled"] == states(records)
    assert {True} == {each.trade_time_us > command().expires_us for each in fills_in(records)}


@pytest.mark.parametrize(
    ("kind", "traded"), [("overfill", -E8), ("wrong_side", E8 // 2), ("partial_then_silence", -E8 // 4)]
)
def test_the_wrong_quantity_is_traded(kind: str, traded: int) -> None:
    records = struck(kind).offer(command())

    assert traded == traded_e8(records) == -traded_e8(records, "backstop")


def test_overfill_is_admitted_in_the_answer() -> None:
    assert "1" == answers_in(struck("overfill").offer(command()))[-1].filled_quantity


def test_the_wrong_instrument_is_traded() -> None:
    assert {"BTC-C"} == {each.instrument for each in fills_in(struck("wrong_instrument").offer(command()))}


def test_partial_then_silence_never_comes_to_a_final_answer_by_itself() -> None:
    world = struck("partial_then_silence")
    assert ["accepted", "partially_filled"] == states(world.offer(command()))
    world.pass_time(2 * HOUR_US)
    assert [] == world.offer()


def test_what_was_filled_in_silence_is_told_to_whoever_takes_it_back() -> None:
    world = World(ExecutorOptions(faults=(Fault(FaultKind.PARTIAL_THEN_SILENCE),)))
    world.offer(command())
    records = world.offer(whole_account("release", command_id="r", sequence=2, supersedes=("c1",)))

    voided = answers_in(records)[0]
    assert ("cancelled", "superseded", "0.25") == (voided.state, voided.reason, voided.filled_quantity)


def test_crash_leaves_fills_without_an_answer_and_the_next_life_makes_it_up() -> None:
    world = struck("crash")
    records = world.offer(command())
    assert (["accepted"], 2, True) == (states(records), len(fills_in(records)), world.executor.crashed)
    world.restarted(world.options)
    resumed = world.offer(command(), replayed=True)

    assert (["filled"], []) == (states(resumed), fills_in(resumed))
    assert ["filled"] == states(world.offer(command()))


@pytest.mark.parametrize("lost", [0, 1])
def test_a_trade_of_which_one_side_was_lost_in_the_crash_gets_it_again(lost: int) -> None:
    world = struck("crash")
    records = world.offer(command())
    pair = fills_in(records)
    world.restarted(topics=[record for record in records if record is not pair[lost]])
    resumed = world.offer(command(), replayed=True)

    assert [pair[lost]] == fills_in(resumed)
    assert ["filled"] == states(resumed)


def test_what_was_begun_is_finished_even_when_it_has_expired_or_its_epoch_has() -> None:
    world = struck("crash")
    world.offer(command())
    world.pass_time(2 * HOUR_US)
    world.restarted()
    live = command(command_id="b1", account="bob", epoch=4, expires_us=NOW_US + 3 * HOUR_US)
    world.offer(live)
    (answer,) = answers_in(world.offer(command(), replayed=True))

    assert ("filled", "0.5") == (answer.state, answer.filled_quantity)


def test_what_a_partial_execution_left_is_not_traded_by_the_next_life() -> None:
    world = struck("partial_then_silence")
    world.offer(command())
    world.restarted()
    (answer,) = answers_in(records := world.offer(command(), replayed=True))

    assert ("cancelled", "venue", "0.25") == (answer.state, answer.reason, answer.filled_quantity)
    assert [] == fills_in(records)


def test_a_delay_is_waited_for_and_all_checks_hold_at_its_end() -> None:
    world = World(ExecutorOptions(delay_us=MINUTE_US))
    assert [] == world.offer(command())
    world.pass_time(MINUTE_US)
    assert ["accepted", "filled"] == states(world.offer())

    slow = World(ExecutorOptions(delay_us=2 * HOUR_US))
    slow.offer(command())
    slow.pass_time(2 * HOUR_US)
    assert ["expired"] == states(slow.offer())


def test_a_fault_strikes_its_share_of_commands_and_always_the_same_ones() -> None:
    faults = (parse_fault("silence:0.25"), parse_fault("reject:0.5"))
    found = [striking(f"id-{number}", faults) for number in range(2000)]

    assert 0.25 == pytest.approx(found.count(FaultKind.SILENCE) / 2000, abs=0.04)
    assert 0.375 == pytest.approx(found.count(FaultKind.REJECT) / 2000, abs=0.04)
    assert found == [striking(f"id-{number}", faults) for number in range(2000)]


@pytest.mark.parametrize("text", ["sloth", "late:2", "late:-1", "late:x"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        parse_fault(text)
