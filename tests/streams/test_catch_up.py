"""Nobody is judged on half of the past, and nobody is left unjudged for ever."""

from __future__ import annotations

from streams.catch_up import TAKEOVER_S, CatchUp, Position


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def nothing_committed(position: Position) -> int | None:
    del position
    return None


def test_judging_waits_for_the_ends_as_of_the_takeover() -> None:
    catch_up = CatchUp(Clock())
    assert catch_up.is_over(nothing_committed)
    catch_up.take_over({("fills", 0): 10, ("collateral", 0): 5})
    assert not catch_up.is_over(nothing_committed)
    catch_up.read("fills", 0, 10)
    assert not catch_up.is_over(nothing_committed)
    catch_up.read("collateral", 0, 7)
    assert catch_up.is_over(nothing_committed)


def test_a_partition_without_backlog_is_not_waited_for() -> None:
    catch_up = CatchUp(Clock())
    catch_up.take_over({("fills", 0): 10, ("collateral", 0): 0})
    assert catch_up.is_over(lambda position: 10 if position == ("fills", 0) else None)


def test_the_wait_has_a_deadline() -> None:
    clock = Clock()
    catch_up = CatchUp(clock)
    catch_up.take_over({("fills", 0): 10})
    clock.now += TAKEOVER_S - 0.1
    assert not catch_up.is_over(nothing_committed)
    clock.now += 0.1
    assert catch_up.is_over(nothing_committed)


def test_what_was_read_before_a_takeover_is_void() -> None:
    catch_up = CatchUp(Clock())
    catch_up.read("fills", 0, 50)
    catch_up.take_over({("fills", 0): 40})
    assert not catch_up.is_over(lambda position: 30)


def test_a_partition_that_left_is_not_waited_for() -> None:
    catch_up = CatchUp(Clock())
    catch_up.take_over({("fills", 0): 10, ("fills", 1): 10})
    catch_up.give_up(0)
    assert not catch_up.is_over(nothing_committed)
    catch_up.read("fills", 1, 10)
    assert catch_up.is_over(nothing_committed)
