"""The pause after empty fetches, on a fetcher that answers as it is told."""

from __future__ import annotations

import asyncio

import pytest

from streams.transport import idle_fetches
from streams.transport.idle_fetches import pace_empty_fetches


class Fetcher:
    """aiokafka's fetcher as far as it is overridden."""

    def __init__(self, has_new_data: bool, answers_after_s: float = 0.0) -> None:
        self._has_new_data = has_new_data
        self._answers_after_s = answers_after_s
        self.asked: list[tuple[object, ...]] = []

    async def _proc_fetch_request(self, *arguments: object) -> bool:
        self.asked.append(arguments)
        clock.now += self._answers_after_s
        return self._has_new_data


class Clock:
    """Time that passes when told to; ``slept`` are the pauses that were asked for."""

    now = 100.0

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


clock = Clock()


@pytest.fixture(autouse=True)
def fresh_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.slept.clear()
    monkeypatch.setattr(idle_fetches, "monotonic", clock.monotonic)
    monkeypatch.setattr(idle_fetches.asyncio, "sleep", clock.sleep)


async def fetch(fetcher: Fetcher) -> bool:
    pace_empty_fetches(fetcher, pause_s=0.5)
    return await fetcher._proc_fetch_request("assignment", 0, "request")


async def test_an_empty_answer_at_once_is_followed_by_a_pause() -> None:
    fetcher = Fetcher(has_new_data=False)

    assert not await fetch(fetcher)
    assert [("assignment", 0, "request")] == fetcher.asked
    assert [0.5] == clock.slept


async def test_an_answer_with_records_is_passed_on_without_a_pause() -> None:
    assert await fetch(Fetcher(has_new_data=True))
    assert [] == clock.slept


async def test_a_broker_that_has_waited_itself_is_not_waited_for_again() -> None:
    assert not await fetch(Fetcher(has_new_data=False, answers_after_s=0.6))
    assert [] == clock.slept


async def test_a_pause_that_is_cancelled_ends_like_a_fetch_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cancelled(seconds: float) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(idle_fetches.asyncio, "sleep", cancelled)

    assert not await fetch(Fetcher(has_new_data=False))
