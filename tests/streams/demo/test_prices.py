from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

import pytest

from engine.events import VolatilityNode
from schemas.codec import decode_record, encode, key_of
from streams.demo.prices import (
    DEPEG_MINUTE,
    FEEDS,
    FUTURE,
    INDEX,
    MINUTE_US,
    MINUTES_RECORDED,
    PERPETUAL,
    TICKS,
    USDC,
    USDT,
    Minute,
    Sources,
    load_minutes,
    term_volatility,
    window,
)
from streams.translate import to_quote


@pytest.fixture(scope="module")
def minutes() -> Iterator[tuple[Minute, ...]]:
    yield load_minutes()


def test_every_recorded_minute_is_there(minutes: tuple[Minute, ...]) -> None:
    assert MINUTES_RECORDED == len(minutes)
    assert {MINUTE_US} == {after.time_us - before.time_us for before, after in pairwise(minutes)}


def test_usdc_is_cheapest_in_the_morning_of_11_march(minutes: tuple[Minute, ...]) -> None:
    cheapest = min(minutes, key=lambda minute: minute.price[USDC])

    assert minutes[DEPEG_MINUTE] == cheapest
    assert Decimal("0.87") < cheapest.price[USDC] < Decimal("0.88")
    assert all(Decimal("0.99") < minute.price[USDT] < Decimal("1.02") for minute in minutes)


def test_bitcoin_falls_to_the_tenth_and_rallies_to_the_fourteenth(minutes: tuple[Minute, ...]) -> None:
    index = [minute.price[INDEX] for minute in minutes]

    assert (Decimal("19594.56"), Decimal("26455.47")) == (min(index), max(index))
    assert index.index(min(index)) < DEPEG_MINUTE < index.index(max(index))


def test_every_price_is_on_its_tick_and_derivatives_stay_near_the_index(minutes: tuple[Minute, ...]) -> None:
    for minute in minutes[::97]:
        assert all(minute.price[feed] % TICKS[feed] == 0 for feed in FEEDS)
        assert abs(minute.price[PERPETUAL] / minute.price[INDEX] - 1) < Decimal("0.0021")
        assert abs(minute.price[FUTURE] / minute.price[INDEX] - 1) < Decimal("0.01")
        assert abs(minute.funding_rate) < Decimal("0.003")


def test_volatility_rises_through_the_week_and_reverts_with_the_tenor(minutes: tuple[Minute, ...]) -> None:
    def at_the_money(minute: Minute) -> list[float]:
        return [float(node.volatility) for node in minute.surface if node.log_moneyness == "0"]

    assert at_the_money(minutes[0])[0] < at_the_money(minutes[-1])[0]
    assert abs(term_volatility(1.2, 1) - 1.2) < 0.1 < abs(term_volatility(1.2, 30) - 1.2)


def test_a_shorter_run_plays_the_same_minutes(minutes: tuple[Minute, ...]) -> None:
    part = window(minutes, 120)

    assert 120 == len(part)
    assert minutes[DEPEG_MINUTE] in part
    assert part == minutes[minutes.index(part[0]) :][:120]
    assert minutes == window(minutes, MINUTES_RECORDED)


def test_quotes_keep_the_contract_and_can_be_translated(minutes: tuple[Minute, ...]) -> None:
    sources = Sources(seed=1)
    for at in range(0, 150):
        for quote in sources.quotes(at, minutes[at]):
            assert quote == decode_record("prices", key_of(quote), encode(quote))
            nodes = to_quote(quote).volatility
            assert (quote.feed == INDEX) == bool(nodes)
            assert all(isinstance(node, VolatilityNode) for node in nodes)


def test_quotes_are_the_same_for_the_same_seed(minutes: tuple[Minute, ...]) -> None:
    def first_hours(seed: int) -> list[object]:
        sources = Sources(seed)
        return [sources.quotes(at, minutes[at]) for at in range(200)]

    assert first_hours(1) == first_hours(1)
    assert first_hours(1) != first_hours(2)


def test_the_third_source_is_sometimes_wrong_and_once_silent(minutes: tuple[Minute, ...]) -> None:
    sources = Sources(seed=1)
    wrong, silent = [], []
    for at in range(600):
        said = {quote.source: Decimal(quote.price) for quote in sources.quotes(at, minutes[at]) if quote.feed == INDEX}
        if "charlie" not in said:
            silent.append(at)
        elif abs(said["charlie"] / said["alpha"] - 1) > Decimal("0.05"):
            wrong.append(at)

    assert 0 < len(wrong) < 60
    assert list(range(90, 135)) == silent
