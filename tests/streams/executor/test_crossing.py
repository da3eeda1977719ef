"""Opposite forced flows meet at the mark before either reaches the market: exactly, for both, whatever the order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.risk.depth import Depth
from engine.units import E8
from schemas.codec import Record
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationCommandV1
from streams.executor import ExecutorOptions
from streams.executor.faults import Fault, FaultKind
from streams.translate import e8_text, to_e8
from tests.streams.executor.world import (
    NOW_US,
    World,
    at_version,
    command,
    fills_in,
    reasons,
    states,
    traded_e8,
    whole_account,
)

BUYER = command(command_id="c2", account="maker", side="buy", quantity="0.3", limit_price="21000")
SHALLOW = ExecutorOptions(depth=Depth(half_spread=0.001, daily_volatility=0.04, daily_volume=1_000_000.0))


def prices(records: Sequence[Record], account: str) -> list[str]:
    return [fill.price for fill in fills_in(records) if fill.account == account]


def test_what_matches_is_crossed_at_the_mark_and_the_rest_goes_to_the_market() -> None:
    world = World(SHALLOW)
    records = world.offer(command(), BUYER)
    assert ["20010"] == prices(records, "maker")
    crossed, rest = prices(records, "alice")
    assert "20010" == crossed
    assert float(rest) < 20010 * 0.999
    assert (-E8 // 2, 3 * E8 // 10) == (traded_e8(records), traded_e8(records, "maker"))
    assert ["accepted", "accepted", "filled", "filled"] == sorted(states(records))


def test_the_rest_meets_the_market_as_if_it_had_come_alone() -> None:
    rest = prices(World(SHALLOW).offer(command(), BUYER), "alice")[1]
    assert prices(World(SHALLOW).offer(command(quantity="0.2")), "alice") == [rest]
    assert prices(World(SHALLOW).offer(command()), "alice") < [rest]


def test_the_provider_between_them_ends_flat_but_for_the_rest() -> None:
    records = World(SHALLOW).offer(command(), BUYER)
    assert E8 // 5 == traded_e8(records, "backstop")
    at_mark = [fill for fill in fills_in(records) if fill.account == "backstop" and fill.price == "20010"]
    assert ["buy", "sell"] == sorted(fill.side for fill in at_mark)
    assert 1 == len({fill.quantity for fill in at_mark})


@pytest.mark.parametrize("limits", [("20011", "21000"), ("19000", "20009")], ids=["the seller's", "the buyer's"])
def test_a_limit_on_the_wrong_side_of_the_mark_is_not_crossed(limits: tuple[str, str]) -> None:
    seller, buyer = command(limit_price=limits[0]), replace(BUYER, limit_price=limits[1])
    records = World(SHALLOW).offer(seller, buyer)
    assert "20010" not in prices(records, "alice") + prices(records, "maker")
    assert ["limit_price"] == [reason for reason in reasons(records) if reason]


def test_the_newer_mark_counts() -> None:
    world = World(SHALLOW)
    world.pass_time(1_000, "20020")
    records = world.offer(command(), replace(BUYER, versions=replace(at_version(2), time_us=NOW_US + 1_000)))
    assert "20020" == prices(records, "maker")[0] == prices(records, "alice")[0]


def test_one_side_alone_and_one_account_alone_cross_nothing() -> None:
    both_sell = World(SHALLOW).offer(command(), command(command_id="c2", account="bob", quantity="0.3"))
    assert "20010" not in prices(both_sell, "alice") + prices(both_sell, "bob")
    hedge = command(command_id="c2", sequence=2, kind="hedge", side="buy", limit_price="21000", reduce_only=False)
    alone = World(SHALLOW).offer(command(), hedge)
    assert "20010" not in prices(alone, "alice")


def test_whoever_is_struck_by_a_fault_is_not_crossed() -> None:
    struck = ExecutorOptions(depth=SHALLOW.depth, faults=(Fault(FaultKind.OVERFILL),))
    records = World(struck).offer(command(), BUYER)
    assert "20010" not in prices(records, "alice") + prices(records, "maker")


def test_whoever_is_released_at_the_same_moment_trades_nothing() -> None:
    release = whole_account("release", command_id="c9", sequence=2, supersedes=("c1",))
    records = World(SHALLOW).offer(command(), release, BUYER)
    assert 0 == traded_e8(records)
    assert ["superseded"] == [reason for reason in reasons(records) if reason]
    assert "20010" not in prices(records, "maker")


def test_a_second_command_of_the_account_sees_what_the_first_has_traded() -> None:
    following = command(command_id="c3", sequence=2, quantity="0.6")
    records = World(SHALLOW).offer(command(), following)
    assert -E8 // 2 == traded_e8(records)
    assert ["not_reducing"] == [reason for reason in reasons(records) if reason]


def test_a_crash_between_the_two_fills_leaves_nobody_without_a_counterparty() -> None:
    world = World(SHALLOW)
    records = world.offer(command(quantity="0.3"), BUYER)
    own = [fill for fill in fills_in(records) if fill.account == "alice"]
    others = [fill for fill in fills_in(records) if fill.command_id is None]
    restarted = world.restarted(SHALLOW, [*others, *own])  # the buyer's own fill and all final answers are lost
    again = restarted.offer([command(quantity="0.3"), BUYER], replayed=True)
    stands = fills_in([*others, *own, *again])
    assert len(stands) == len({fill.event_id for fill in stands})
    assert 0 == sum(traded_e8(stands, account) for account in ("alice", "maker", "backstop"))
    assert 3 * E8 // 10 == traded_e8(stands, "maker")


HOLDERS = ("alice", "bob", "maker", "taker")


@st.composite
def crowds(draw: st.DrawFn) -> list[LiquidationCommandV1]:
    """Longs sell, shorts buy, each once."""
    made = []
    for account in draw(st.lists(st.sampled_from(HOLDERS), min_size=2, unique=True)):
        is_long = account in ("alice", "bob")
        limit = draw(st.integers(19_950, 20_070))
        made.append(
            command(
                command_id=f"c-{account}",
                account=account,
                side="sell" if is_long else "buy",
                quantity=e8_text(draw(st.integers(1, 1000)) * E8 // 1000),
                limit_price=str(limit),
            )
        )
    return made


def _positions(fills: Sequence[FillV1]) -> dict[str, int]:
    return {account: traded_e8(fills, account) for account in (*HOLDERS, "backstop")}


@settings(max_examples=60, deadline=None)
@given(crowds())
def test_crossing_is_exact_within_limits_and_independent_of_the_order_of_arrival(
    commands: list[LiquidationCommandV1],
) -> None:
    outcomes = []
    for order in list(permutations(commands))[:6]:
        records = World(SHALLOW).offer(*order)
        fills = fills_in(records)
        assert 0 == sum(_positions(fills).values())
        for each in commands:
            own = [fill for fill in fills if fill.command_id == each.command_id]
            assert sum(to_e8(fill.quantity, "") for fill in own) <= to_e8(str(each.quantity), "")
            for fill in own:
                assert fill.side == each.side
                beyond = to_e8(fill.price, "") - to_e8(str(each.limit_price), "")
                assert beyond >= 0 if each.side == "sell" else beyond <= 0
        outcomes.append(sorted(fills, key=lambda fill: fill.event_id))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    at_mark = {side: 0 for side in ("buy", "sell")}
    for fill in outcomes[0]:
        if fill.command_id is not None and fill.price == "20010":
            at_mark[fill.side] += to_e8(fill.quantity, "")
    wanted = {
        side: sum(
            to_e8(str(each.quantity), "")
            for each in commands
            if each.side == side and (float(str(each.limit_price)) <= 20_010) is (side == "sell")
        )
        for side in ("buy", "sell")
    }
    assert min(wanted.values()) == at_mark["buy"] == at_mark["sell"]
