"""Wrong prices move nobody, real ones everybody, within the delay that the settings add up to."""

from __future__ import annotations

from itertools import product

import pytest

from engine.oracle import GuardSettings
from engine.reference.liquidation_policy import LiquidationPolicy
from tests.builders import PRICES
from tests.engine.trust.venue import SECOND_US, Price, honest, run

ONE, TWO, THREE = ("a",), ("a", "b"), ("a", "b", "c")
FACTORS = {
    "5% down": 0.95,
    "5% up": 1.05,
    "20% down": 0.8,
    "20% up": 1.2,
    "90% down": 0.1,
    "zero": 0.0,
    "thousandfold": 1_000.0,
    "in cents": 100.0,
    "a hundredth": 0.01,
}


def wrong(factor: float, feed: str, second: int = 5) -> Price:
    """Source a is wrong about one feed in one quote."""

    def quoted(source: str, named: str, at: int, price: float) -> float | None:
        return price * factor if (source, named, at) == ("a", feed, second) else price

    return quoted


@pytest.mark.parametrize("sources", [ONE, TWO, THREE], ids=len)
@pytest.mark.parametrize("feed", ["BTC-PERP", "ETH-PERP", "BTC"])
@pytest.mark.parametrize("factor", list(FACTORS.values()), ids=list(FACTORS))
def test_a_source_that_is_wrong_once_liquidates_nobody(sources: tuple[str, ...], feed: str, factor: float) -> None:
    assert [] == run(sources, wrong(factor, feed), 12).commands


@pytest.mark.parametrize(("feed", "factor"), list(product(["BTC-PERP", "ETH-PERP"], [0.95, 1.05])))
def test_without_doubt_the_same_glitch_would_have(feed: str, factor: float) -> None:
    """Otherwise the tests above would show nothing."""
    credulous = LiquidationPolicy(suspect_us_max=0)
    assert run(ONE, wrong(factor, feed), 12, credulous).commands
    assert run(ONE, wrong(factor, feed), 12).suspected


@pytest.mark.parametrize("sources", [ONE, TWO, THREE], ids=len)
def test_swapped_symbols_liquidate_nobody(sources: tuple[str, ...]) -> None:
    """For a minute one source reports bitcoin as ether and ether as bitcoin."""
    other = {"BTC-PERP": "ETH-PERP", "ETH-PERP": "BTC-PERP"}

    def quoted(source: str, feed: str, second: int, price: float) -> float | None:
        is_wrong = source == "a" and feed in other and 5 <= second < 65
        return float(PRICES[other[feed]]) if is_wrong else price

    assert [] == run(sources, quoted, 70).commands


def test_a_source_that_stays_wrong_against_two_liquidates_nobody() -> None:
    def quoted(source: str, feed: str, second: int, price: float) -> float | None:
        return price * 0.95 if source == "a" and feed == "BTC-PERP" and second >= 5 else price

    assert [] == run(THREE, quoted, 150).commands


def test_a_source_that_froze_liquidates_nobody_who_is_sound_at_the_others() -> None:
    """The market rises by four and a half per cent and comes back; source a repeats an old price all the while."""

    def true(feed: str, second: int) -> float:
        return 1.0 + 0.003 * max(0, 15 - abs(second - 20))

    def quoted(source: str, feed: str, second: int, price: float) -> float | None:
        return float(PRICES[feed]) if source == "a" and second >= 5 else price

    froze, moved = run(THREE, quoted, 40, true=true), run(THREE, honest, 40, true=true)
    assert {"short", "ether-short"} == {account for _, account in moved.commands}
    assert {account for _, account in froze.commands} <= {"short", "ether-short"}


def test_a_source_that_falls_silent_liquidates_nobody() -> None:
    def quoted(source: str, feed: str, second: int, price: float) -> float | None:
        return None if source == "a" and feed == "BTC-PERP" and second >= 5 else price

    assert [] == run(ONE, quoted, 300).commands


# Real moves: the delay, in seconds.


def delay_s(policy: LiquidationPolicy, *, is_held: bool) -> float:
    """The guard's hold where it holds, the deadline of a suspicion, and a quote for each to pass in."""
    hold_us = GuardSettings().hold_us_max + SECOND_US if is_held else 0
    return (hold_us + policy.suspect_us_max) / SECOND_US + 1


@pytest.mark.parametrize("suspect_us_max", [0, 2 * SECOND_US, 10 * SECOND_US])
@pytest.mark.parametrize("sources", [ONE, TWO, THREE], ids=len)
@pytest.mark.parametrize(("factor", "account"), [(0.95, "long"), (1.05, "short"), (0.8, "long")])
def test_a_real_move_liquidates_within_the_stated_delay(
    sources: tuple[str, ...], factor: float, account: str, suspect_us_max: int
) -> None:
    policy = LiquidationPolicy(suspect_us_max=suspect_us_max)

    def true(feed: str, second: int) -> float:
        return factor if feed.startswith("BTC") and second >= 5 else 1.0

    at = run(sources, honest, 145, policy, true=true).first(account)
    assert at is not None
    assert at - 5 <= delay_s(policy, is_held=abs(factor - 1) > 0.15)


def test_what_two_sources_agree_on_is_not_delayed() -> None:
    def true(feed: str, second: int) -> float:
        return 0.95 if feed == "BTC-PERP" and second >= 5 else 1.0

    assert 5 == run(THREE, honest, 8, true=true).first("long")


def test_one_source_that_persists_is_believed_at_the_deadline() -> None:
    def true(feed: str, second: int) -> float:
        return 0.95 if feed == "BTC-PERP" and second >= 5 else 1.0

    seen = run(ONE, honest, 12, true=true)
    assert (5, "long") in seen.suspected
    assert 8 == seen.first("long"), "the first quote after the deadline at 7"


def test_small_steps_of_one_source_are_believed_at_once() -> None:
    """Two per cent in forty steps of what is usual in a second or less."""

    def true(feed: str, second: int) -> float:
        return 1.0 - 0.0005 * second if feed == "BTC-PERP" else 1.0

    seen = run(ONE, honest, 60, true=true)
    assert [] == [account for _, account in seen.suspected if account == "long"]
    assert seen.first("long") is not None
