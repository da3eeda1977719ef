"""The checks in their order, and the memory they need."""

from __future__ import annotations

import pytest

from schemas.events.control import LiquidationControlV1
from streams.executor import ExecutorOptions, LiquidationExecutor
from streams.executor.positions import PositionView
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
    whole_account,
)


@pytest.fixture
def world() -> World:
    return World()


def hold(scope: str, mode: str, target: str | None = None, **changes: object) -> LiquidationControlV1:
    content: dict[str, object] = {"until_us": NOW_US + HOUR_US} | changes
    return LiquidationControlV1(
        v=1, event_id="h1", scope=scope, mode=mode, issued_by="ann", reason="drill", event_time_us=NOW_US,
        target=target, **content,
    )  # fmt: skip


WRONG_IN_EVERYTHING = {
    "epoch": 1, "sequence": 1, "expires_us": NOW_US, "account_version": 7, "command_id": "void", "side": "buy",
    "limit_price": "1000000",
}  # fmt: skip
MENDED = [
    ("halted", {}),
    ("epoch_stale", {"account": "alice"}),
    ("sequence_gap", {"epoch": 2}),
    ("expired", {"sequence": 3}),
    ("version_mismatch", {"expires_us": NOW_US + HOUR_US}),
    ("superseded", {"account_version": 9}),
    ("not_reducing", {"command_id": "new"}),
    ("price_band", {"reduce_only": False}),
    (None, {"limit_price": "21000"}),
]


@pytest.mark.parametrize("mended", range(len(MENDED)))
def test_the_first_check_that_fails_decides(mended: int) -> None:
    """A command wrong in everything; each step mends what the last one was refused for."""
    world = World(ExecutorOptions(holds={"instrument:BTC-C": "halt"}))
    world.offer(command(command_id="before", epoch=2, sequence=1, quantity="0.1"))
    world.offer(whole_account("release", command_id="r", epoch=2, sequence=2, supersedes=("void",), account_version=9))
    changes = dict(WRONG_IN_EVERYTHING) | ({"instrument": "BTC-C"} if mended == 0 else {})
    for _, change in MENDED[: mended + 1]:
        changes |= change
    records = world.offer(command(**changes))

    expected = MENDED[mended][0]
    assert ([expected] if expected else []) == [reason for reason in reasons(records) if reason]
    assert (expected is None) is bool(fills_in(records))


def test_a_hold_stops_what_its_mode_says_until_it_ends(world: World) -> None:
    world.executor.learn_hold(hold("account", "cancel_only", "alice"), 0)
    assert ["halted"] == reasons(world.offer(command()))
    assert ["filled"] == states(world.offer(whole_account("cancel_orders", command_id="c2", sequence=2)))
    world.pass_time(2 * HOUR_US)

    late = command(command_id="c3", sequence=3, expires_us=NOW_US + 3 * HOUR_US)
    assert ["accepted", "filled"] == states(world.offer(late))


@pytest.mark.parametrize(
    ("mode", "stopped"),
    [
        ("run", set()),
        ("reduce_only", {"hedge"}),
        ("cancel_only", {"hedge", "reduce"}),
        ("halt", {"hedge", "reduce", "cancel_orders", "release"}),
    ],
)
def test_each_mode_stops_its_kinds(mode: str, stopped: set[str]) -> None:
    made = {
        "hedge": command(kind="hedge", reduce_only=False),
        "reduce": command(),
        "cancel_orders": whole_account("cancel_orders"),
        "release": whole_account("release"),
    }
    found = set()
    for kind, each in made.items():
        records = World(ExecutorOptions(holds={"global": mode})).offer(each)  # type: ignore[dict-item]
        if "halted" in reasons(records):
            found.add(kind)

    assert stopped == found


def test_weakening_a_hold_takes_two_persons(world: World) -> None:
    assert world.executor.learn_hold(hold("global", "halt"), 0)
    assert not world.executor.learn_hold(hold("global", "reduce_only"), 1)
    assert not world.executor.learn_hold(hold("global", "halt", until_us=NOW_US + MINUTE_US), 2)
    assert ["halted"] == reasons(world.offer(command()))

    assert world.executor.learn_hold(hold("global", "run", until_us=None, approved_by="bea"), 3)
    assert ["accepted", "filled"] == states(world.offer(command(command_id="c2", sequence=2)))


def test_a_later_command_waits_for_those_before_it_and_both_are_executed_in_order(world: World) -> None:
    assert [] == world.offer(command(command_id="c2", sequence=2, quantity="0.1"))
    records = world.offer(command())

    assert ["c1", "c2"] == [each.command_id for each in answers_in(records) if each.state == "filled"]


def test_a_gap_that_is_never_filled_is_answered_at_expiry_and_the_count_goes_on(world: World) -> None:
    world.offer(command(command_id="c3", sequence=3))
    world.pass_time(HOUR_US)
    assert ["sequence_gap"] == reasons(world.offer())

    after = command(command_id="c4", sequence=4, expires_us=NOW_US + 2 * HOUR_US)
    assert ["accepted", "filled"] == states(world.offer(after))


def test_a_command_behind_its_successor_is_refused(world: World) -> None:
    world.offer(command())
    assert ["sequence_gap"] == reasons(world.offer(command(command_id="c0", sequence=1)))


def test_accounts_are_counted_apart(world: World) -> None:
    records = world.offer(command(), command(command_id="b1", account="bob"))

    assert ["c1", "b1"] == [each.command_id for each in answers_in(records) if each.state == "filled"]


def test_a_stale_command_uses_up_no_number(world: World) -> None:
    world.offer(command(command_id="b1", account="bob", epoch=3))
    stale = world.offer(command(command_id="zombie", epoch=2))
    assert (["epoch_stale"], [3]) == (reasons(stale), [each.epoch_seen for each in answers_in(stale)])

    assert ["accepted", "filled"] == states(world.offer(command(epoch=3)))
    assert ["filled"] == states(world.offer(command(epoch=3))), "and it is known from then on"


def test_the_new_owner_goes_on_behind_the_number_of_a_stale_command(world: World) -> None:
    world.offer(command(command_id="b1", account="bob", epoch=3), command(command_id="zombie", epoch=2))

    assert ["accepted", "filled"] == states(world.offer(command(command_id="c2", epoch=3, sequence=2)))


def test_an_id_refused_as_stale_is_executed_for_the_new_owner(world: World) -> None:
    world.offer(command(command_id="b1", account="bob", epoch=3))
    world.offer(command(epoch=2))

    assert ["accepted", "filled"] == states(world.offer(command(epoch=3)))


def test_what_waits_is_refused_when_a_later_epoch_is_seen(world: World) -> None:
    world.offer(command(command_id="c2", sequence=2))
    records = world.offer(command(command_id="b1", account="bob", epoch=2))

    assert [("c2", "epoch_stale")] == [(each.command_id, each.reason) for each in answers_in(records) if each.reason]


def test_epochs_are_counted_by_partition(world: World) -> None:
    world.executor.offer([command(command_id="b1", account="bob", epoch=9)], partition=1)

    assert ["accepted", "filled"] == states(world.offer(command(epoch=1)))


def test_a_release_voids_what_waits_and_what_has_not_come_yet(world: World) -> None:
    world.offer(command(command_id="c2", sequence=2))
    records = world.offer(whole_account("release", command_id="c3", sequence=3, supersedes=("c1", "c2")))
    assert [("c2", "cancelled", "superseded"), ("c3", "filled", None)] == [
        (each.command_id, each.state, each.reason) for each in answers_in(records)
    ]

    late = world.offer(command())
    assert [] == fills_in(late)
    assert ["rejected"] == states(late)


def test_a_stale_release_voids_nothing(world: World) -> None:
    world.offer(command(command_id="b1", account="bob", epoch=2))
    world.offer(whole_account("release", epoch=1, command_id="r", sequence=2, supersedes=("c1",)))

    assert ["accepted", "filled"] == states(world.offer(command(epoch=2)))


@pytest.mark.parametrize(
    ("changes", "refused"),
    [({"side": "buy"}, True), ({"quantity": "1.001"}, True), ({"quantity": "1"}, False), ({"account": "carl"}, True)],
)
def test_a_reducing_leg_stays_within_the_position_known_here(
    world: World, changes: dict[str, object], refused: bool
) -> None:
    assert refused is ("not_reducing" in reasons(world.offer(command(**changes, limit_price="15000"))))


def test_two_legs_may_not_close_the_same_position_twice(world: World) -> None:
    records = world.offer(command(quantity="0.7"), command(command_id="c2", sequence=2, quantity="0.7"))

    assert ["not_reducing"] == [reason for reason in reasons(records) if reason]


def test_without_all_fills_nothing_is_told_not_to_reduce(world: World) -> None:
    blind = LiquidationExecutor(world.history, "backstop", positions=PositionView(complete=False))

    assert ["accepted", "filled"] == states(blind.offer([command(quantity="5")]))


def test_when_the_head_of_the_topic_is_gone_an_account_may_begin_with_any_number(world: World) -> None:
    world.executor.open_partition(0, complete=False)

    assert ["accepted", "filled"] == states(world.offer(command(sequence=40)))
    assert [] == world.offer(command(command_id="c2", sequence=42, quantity="0.1"))
    assert 1 == world.executor.waiting


def test_a_restart_knows_the_epoch_and_repeats_no_refusal(world: World) -> None:
    stale = command(command_id="zombie", epoch=2)
    live = command(command_id="b1", account="bob", epoch=3)
    world.offer(live, stale)
    world.restarted()

    assert [] == world.offer(live, stale, replayed=True)
    assert ["epoch_stale"] == reasons(world.offer(command(command_id="other", epoch=2)))
    assert ["accepted", "filled"] == states(world.offer(command(epoch=3)))
