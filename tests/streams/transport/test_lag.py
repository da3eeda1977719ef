"""Lag in seconds: the age of the newest applied record while there are newer ones, and nothing at the end."""

from __future__ import annotations

from types import SimpleNamespace

from faust.types import TP

from streams.transport import acknowledge
from streams.transport.lag import Lag, LagMeter, lag_line
from streams.transport.record_batch import RecordBatch
from tests.streams.transport.bench_consumer import FILLS, Bench, batch


def at(start: int, end: int, time_ms: int) -> RecordBatch:
    found = batch(start, end)
    found.timestamp = time_ms
    return found


def nowhere(_tp: TP) -> None:
    return None


def test_partition_at_its_end_has_no_lag_however_old_its_records_are() -> None:
    meter = LagMeter()
    meter.applied(at(0, 5, 1000))
    assert meter.lags({FILLS: 5}, nowhere, 900.0) == {FILLS: Lag(0.0, 0)}


def test_partition_behind_lags_by_the_age_of_its_newest_applied_record() -> None:
    meter = LagMeter()
    meter.applied(at(0, 5, 1000))
    meter.applied(at(5, 7, 4500))
    assert meter.lags({FILLS: 12}, nowhere, 6.0) == {FILLS: Lag(1.5, 5)}


def test_batch_that_is_done_after_a_later_one_takes_nothing_back() -> None:
    meter = LagMeter()
    meter.applied(at(5, 7, 4500))
    meter.applied(at(0, 5, 1000))
    assert meter.lags({FILLS: 8}, nowhere, 6.0) == {FILLS: Lag(1.5, 1)}


def test_producer_with_a_clock_ahead_makes_no_negative_lag() -> None:
    meter = LagMeter()
    meter.applied(at(0, 5, 9000))
    assert meter.lags({FILLS: 6}, nowhere, 6.0) == {FILLS: Lag(0.0, 1)}


def test_partition_of_which_nothing_was_applied_lags_since_it_was_first_looked_at() -> None:
    meter = LagMeter()
    assert meter.lags({FILLS: 10}, lambda _tp: 4, 100.0) == {FILLS: Lag(0.0, 6)}
    assert meter.lags({FILLS: 10}, lambda _tp: 4, 103.0) == {FILLS: Lag(3.0, 6)}
    assert meter.lags({FILLS: 10}, lambda _tp: 10, 104.0) == {FILLS: Lag(0.0, 0)}


def test_end_that_no_fetch_has_shown_yet_is_no_lag() -> None:
    assert LagMeter().lags({FILLS: None}, nowhere, 1.0) == {FILLS: Lag(0.0, 0)}


def test_partition_that_comes_back_starts_over() -> None:
    meter = LagMeter()
    meter.applied(at(0, 5, 1000))
    meter.forget()
    assert meter.lags({FILLS: 9}, lambda _tp: 7, 50.0) == {FILLS: Lag(0.0, 2)}


def test_line_names_only_what_lags() -> None:
    lags = {TP("fills", 1): Lag(1.5, 20), TP("fills", 0): Lag(0.0, 0), TP("acks", 0): Lag(0.25, 3)}
    assert lag_line(lags) == (
        "lag topic=acks partition=0 seconds=0.250 records=3; topic=fills partition=1 seconds=1.500 records=20"
    )
    assert lag_line({}) == "lag none"


async def test_acknowledged_batch_is_applied() -> None:
    bench = Bench(ours=True)
    bench.consumer._thread.is_current = lambda tp, version: True
    message = bench.deliver(batch(0, 5))
    assert message is not None

    class Stream:
        app = bench.app

        async def ack(self, acknowledged: object) -> None:
            assert acknowledged is event

    event = SimpleNamespace(message=message)
    bench.consumer.highwater = lambda tp: 8
    await acknowledge(Stream(), event)  # type: ignore[arg-type]
    assert message.value is None
    assert bench.consumer.lags()[FILLS].records == 3
