"""What each kind of command does on the simulated venue."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.errors import InvalidReference
from engine.risk.depth import Depth
from engine.rules.auction import AuctionTerms
from engine.units import E8
from engine.waterfall.backstop import Participant
from schemas.events.liquidations import AuctionOfferV1, LiquidationCommandV1
from streams.executor import ExecutorOptions
from streams.executor.auction import Bidder, bid_seconds
from streams.executor.legs import UNLIMITED_E8
from tests.streams.executor.world import (
    HOUR_US,
    MINUTE_US,
    NOW_US,
    POSITIONS,
    World,
    answers_in,
    command,
    fill,
    fills_in,
    reasons,
    states,
    traded_e8,
    whole_account,
)

OFFER = AuctionOfferV1(
    mark_to_market=1000.0, margin=-500.0, buffer="0.15", start="0.95", fast_end="0.7", fast_us=15 * MINUTE_US,
    slow_us=HOUR_US,
)  # fmt: skip
EARLY, LATER = Bidder("early", 0.9, 0.25), Bidder("later", 0.7, 1.0)


def takeover(kind: str, **changes: object) -> LiquidationCommandV1:
    return replace(command(kind=kind, quantity="1", limit_price="19500"), **changes)


def auction(offer: AuctionOfferV1 = OFFER, **changes: object) -> LiquidationCommandV1:
    life = {"auction": offer, "expires_us": NOW_US + offer.fast_us + offer.slow_us}
    return whole_account("auction", **{**life, **changes})


def test_orders_are_cancelled_and_counted() -> None:
    world = World(ExecutorOptions(resting_orders={"alice": 3}))
    (first,) = answers_in(world.offer(whole_account("cancel_orders")))
    (second,) = answers_in(world.offer(whole_account("cancel_orders", command_id="c2", sequence=2)))

    assert ("filled", "0", "3 orders cancelled") == (first.state, first.filled_quantity, first.detail)
    assert "0 orders cancelled" == second.detail


def test_a_release_is_answered_at_once_even_before_its_marks() -> None:
    unseen = replace(command().versions, mark_version=99)
    (answer,) = answers_in(World().offer(whole_account("release", versions=unseen)))

    assert ("filled", "0") == (answer.state, answer.filled_quantity)


def test_a_hedge_may_open_a_position() -> None:
    records = World().offer(command(kind="hedge", account="carl", reduce_only=False))

    assert -E8 // 2 == traded_e8(records, "carl") == -traded_e8(records, "backstop")


def test_beyond_its_depth_the_book_fills_in_part_and_the_rest_is_cancelled() -> None:
    world = World(ExecutorOptions(depth=Depth(0.0005, 0.03, daily_volume=20_000.0)))
    records = world.offer(command(quantity="1", limit_price="19800"))
    accepted, partial, final = answers_in(records)

    assert ["accepted", "partially_filled", "cancelled"] == [accepted.state, partial.state, final.state]
    assert "limit_price" == final.reason
    assert 0 < float(final.filled_quantity) < 1
    assert -round(float(final.filled_quantity) * E8) == traded_e8(records)
    assert {True} == {float(each.price) >= 19_800 for each in fills_in(records)}


def test_the_backstop_takes_a_leg_at_exactly_its_price() -> None:
    records = World(ExecutorOptions(backstops=(Participant("fund", 1, UNLIMITED_E8),))).offer(
        takeover("transfer_to_backstop")
    )

    assert {("alice", "sell", "19500"), ("fund", "buy", "19500")} == {
        (each.account, each.side, each.price) for each in fills_in(records)
    }
    assert ["accepted", "filled"] == states(records)


def test_the_backstop_refuses_what_it_has_no_room_for_and_remembers_over_a_restart() -> None:
    world = World(ExecutorOptions(backstops=(Participant("backstop", 1, 25_000 * E8),)))
    world.offer(takeover("transfer_to_backstop"))
    options = world.options
    world.restarted(options)
    records = world.offer(takeover("transfer_to_backstop", command_id="b1", account="bob"))

    assert (["rejected"], ["capacity"], []) == (states(records), reasons(records), fills_in(records))


def test_backstops_share_a_leg_and_a_full_one_leaves_its_part_to_the_others() -> None:
    """A share of three against one; a book of 20,010 fits the second's limit of 4,000 by less than its quarter."""
    makers = (Participant("big", 3, UNLIMITED_E8), Participant("small", 1, 4_000 * E8))
    records = World(ExecutorOptions(backstops=makers)).offer(takeover("transfer_to_backstop"))

    assert -E8 == traded_e8(records)
    assert 20_000_000 == traded_e8(records, "small"), "its limit, to the nearest lot"
    assert E8 == traded_e8(records, "small") + traded_e8(records, "big")
    assert {"19500"} == {each.price for each in fills_in(records)}


def test_deleveraging_closes_against_those_who_win_first_at_exactly_the_price() -> None:
    """maker is short from 20500 and wins 490 at 20010; taker is short from 20000 and loses."""
    winner = replace(POSITIONS[1], price="20500")
    world = World(fills=(POSITIONS[0], winner, *POSITIONS[2:]))
    records = world.offer(takeover("adl", quantity="0.5", limit_price="20010"))

    assert {("alice", "sell", "20010"), ("maker", "buy", "20010")} == {
        (each.account, each.side, each.price) for each in fills_in(records)
    }
    assert ["accepted", "filled"] == states(records)


def test_deleveraging_that_exceeds_the_other_side_ends_cancelled() -> None:
    world = World(fills=(*POSITIONS, fill(2, "alice", "buy", "3"), fill(2, "far", "sell", "0.5")))
    records = world.offer(takeover("adl", quantity="3"))
    final = answers_in(records)[-1]

    assert ("cancelled", "capacity", "2.5") == (final.state, final.reason, final.filled_quantity)
    assert -250_000_000 == traded_e8(records)
    assert 0 == sum(traded_e8(records, account) for account in ("alice", "maker", "taker", "far"))


def test_deleveraging_without_another_side_is_rejected() -> None:
    world = World(fills=(fill(0, "alice", "buy", "1"),))

    assert ["capacity"] == reasons(world.offer(takeover("adl")))


def test_an_auction_sells_slices_when_its_price_has_come_down_to_the_bids() -> None:
    book = (*POSITIONS, fill(2, "alice", "sell", "2", "BTC-C"))
    world = World(ExecutorOptions(bidders=(LATER, EARLY)), fills=book)
    offered = replace(command().versions, offsets={"fills": -1})
    assert ["accepted"] == states(world.offer(auction(versions=offered)))
    world.pass_time(4 * MINUTE_US)
    first = world.offer()
    assert {("early", "BTC-PERP", "0.25"), ("early", "BTC-C", "0.5")} == {
        (each.account, each.instrument, each.quantity) for each in fills_in(first) if each.account != "alice"
    }, "the same share of every position"
    assert ["partially_filled"] == states(first)

    world.pass_time(16 * MINUTE_US)
    last = world.offer()
    assert {"later", "alice"} == {each.account for each in fills_in(last)}
    final = answers_in(last)[-1]
    assert "filled" == final.state
    own = [each for each in fills_in(world.published) if each.command_id == "c1"]
    assert float(final.filled_quantity) == pytest.approx(sum(float(each.quantity) for each in own))
    assert 0 == world.executor.working


def test_an_auctions_slice_gives_away_what_was_bid() -> None:
    """A quarter of a book worth 1000 at 0.9 of its worth costs the account 25, all of it on the one position."""
    world = World(ExecutorOptions(bidders=(EARLY,)))
    world.offer(auction())
    world.pass_time(4 * MINUTE_US)
    (sold,) = [each for each in fills_in(world.offer()) if each.account == "alice"]

    assert "0.25" == sold.quantity
    assert 25.0 == pytest.approx((20_010 - float(sold.price)) * 0.25, abs=0.03)


def test_a_book_worth_nothing_is_taken_for_a_rising_payment() -> None:
    """At half time half of the missing 600 - 100 is conceded on top of what the book is worth."""
    world = World(ExecutorOptions(bidders=(Bidder("risky", 0.5, 1.0),)))
    world.offer(auction(replace(OFFER, mark_to_market=-100.0, margin=-600.0)))
    world.pass_time(8 * MINUTE_US)
    records = world.offer()
    (sold,) = [each for each in fills_in(records) if each.account == "alice"]

    assert 250.0 == pytest.approx(20_010 - float(sold.price), abs=0.1)
    assert ["filled"] == states(records)


def test_without_further_bidders_an_auction_ends_and_says_what_was_sold() -> None:
    nobody = answers_in(World().offer(auction()))
    assert [("accepted", None), ("cancelled", "capacity")] == [(each.state, each.reason) for each in nobody]

    world = World(ExecutorOptions(bidders=(EARLY,)))
    world.offer(auction())
    world.pass_time(4 * MINUTE_US)
    final = answers_in(world.offer())[-1]
    assert ("cancelled", "capacity", "0.25") == (final.state, final.reason, final.filled_quantity)


def test_a_bid_that_is_due_only_after_the_expiry_is_not_made() -> None:
    world = World(ExecutorOptions(bidders=(EARLY, LATER)))
    world.offer(auction(expires_us=NOW_US + 10 * MINUTE_US))
    world.pass_time(20 * MINUTE_US)
    records = world.offer()

    assert [] == fills_in(records)
    assert ["cancelled"] == states(records)


def test_an_auction_taken_up_after_a_crash_repeats_no_slice_and_goes_on() -> None:
    world = World(ExecutorOptions(bidders=(EARLY, LATER)))
    whole = World(ExecutorOptions(bidders=(EARLY, LATER)))
    for each in (world, whole):
        each.offer(auction())
        each.pass_time(4 * MINUTE_US)
        each.offer()
    world.restarted(world.options)
    world.offer(auction(), replayed=True)
    for each in (world, whole):
        each.pass_time(16 * MINUTE_US)
        each.offer()

    assert fills_in(whole.published) == fills_in(world.published)
    assert answers_in(whole.published)[-1] == answers_in(world.published)[-1]


def test_a_running_auction_is_ended_by_a_release() -> None:
    world = World(ExecutorOptions(bidders=(EARLY, LATER)))
    world.offer(auction())
    world.pass_time(4 * MINUTE_US)
    world.offer()
    records = world.offer(whole_account("release", command_id="c2", sequence=2, supersedes=("c1",)))
    voided, released = answers_in(records)

    assert ("c1", "cancelled", "superseded", "0.25") == (
        voided.command_id, voided.state, voided.reason, voided.filled_quantity,
    )  # fmt: skip
    assert "filled" == released.state
    world.pass_time(16 * MINUTE_US)
    assert [] == world.offer()


def test_an_account_without_positions_has_nothing_to_auction() -> None:
    assert ["not_reducing"] == reasons(World().offer(auction(account="carl")))


@pytest.mark.parametrize(
    ("price", "is_solvent", "seconds"),
    [(1.0, True, 0.0), (0.95, True, 0.0), (0.8, True, 60.0), (0.7, True, 100.0), (0.35, True, 600.0),
     (0.0, True, 1100.0), (1.0, False, 0.0), (0.25, False, 75.0)],
)  # fmt: skip
def test_bids_come_when_the_price_has_come_down(price: float, is_solvent: bool, seconds: float) -> None:
    terms = AuctionTerms(start=0.95, fast_end=0.7, fast_seconds=100.0, slow_seconds=1000.0)

    expected = seconds if price != 0.8 else 100.0 * 0.15 / 0.25
    assert expected == pytest.approx(bid_seconds(price, terms, is_solvent))


@pytest.mark.parametrize(("price", "share"), [(1.1, 0.5), (-0.1, 0.5), (0.5, 0.0), (0.5, 1.1)])
def test_a_bidder_outside_the_range_is_refused(price: float, share: float) -> None:
    with pytest.raises(InvalidReference):
        Bidder("x", price, share)
