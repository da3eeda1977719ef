"""The consumer between fetch and commit: stale batches turned away, commits behind the gate, failures not swallowed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.errors import DurabilityLost, LedgerHole, NotOwner
from streams.transport import abandon, acknowledge, durability_gate
from streams.transport import consumer as consumer_module
from tests.streams.transport.bench_consumer import FILLS, Bench, batch


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(ours=True)
    monkeypatch.setattr(bench.consumer._thread, "is_current", lambda tp, version: version == 1)
    return bench


async def test_acknowledged_prefix_is_committed(bench: Bench) -> None:
    first, second, third = (bench.deliver(batch(start, start + 10)) for start in (0, 10, 20))
    bench.acknowledge(third)
    bench.acknowledge(first)
    assert await bench.consumer.commit()
    assert bench.commits == [{FILLS: 10}]
    bench.acknowledge(second)
    assert await bench.consumer.commit()
    assert bench.commits[-1] == {FILLS: 30}
    assert not await bench.consumer.commit(), "nothing new"


@pytest.mark.parametrize("stale", [batch(0, 10, generation=6), batch(0, 10, version=0)])
async def test_batch_of_an_earlier_generation_or_of_before_a_seek_is_not_delivered(bench: Bench, stale: Any) -> None:
    assert bench.deliver(stale) is None
    assert bench.consumer.ledger.position(FILLS) is None


async def test_batch_that_was_fetched_but_never_delivered_is_not_committed_over(bench: Bench) -> None:
    bench.deliver(batch(0, 10))
    with pytest.raises(LedgerHole):
        bench.deliver(batch(20, 30))


async def test_commit_waits_for_what_was_registered_before_it(bench: Bench) -> None:
    write: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    durability_gate(bench.app).register(write, "changelog")
    bench.acknowledge(bench.deliver(batch(0, 10)))
    committing = asyncio.ensure_future(bench.consumer.commit())
    await asyncio.sleep(0.05)
    assert bench.commits == []
    write.set_result(None)
    assert await committing
    assert bench.commits == [{FILLS: 10}]


async def test_failed_write_stops_the_worker_and_commits_nothing(bench: Bench) -> None:
    write: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    durability_gate(bench.app).register(write, "changelog")
    write.set_exception(RuntimeError("no broker"))
    bench.acknowledge(bench.deliver(batch(0, 10)))
    assert not await bench.consumer.commit()
    assert bench.commits == []
    assert {type(crash) for crash in bench.crashes} == {DurabilityLost}


async def test_write_refused_to_a_replaced_worker_commits_nothing_until_it_joined_anew(bench: Bench) -> None:
    write: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    durability_gate(bench.app).register(write, "changelog")
    write.set_exception(NotOwner("given up"))
    bench.acknowledge(bench.deliver(batch(0, 10)))
    for _ in range(2):
        assert not await bench.consumer.commit()
    assert (bench.commits, bench.crashes) == ([], [])


async def test_refused_commit_is_tried_again(bench: Bench) -> None:
    bench.broker_accepts = False
    bench.acknowledge(bench.deliver(batch(0, 10)))
    assert not await bench.consumer.commit()
    bench.broker_accepts = True
    assert await bench.consumer.commit()
    assert bench.commits == [{FILLS: 10}, {FILLS: 10}]


async def test_generation_that_changed_while_waiting_commits_nothing(bench: Bench) -> None:
    write: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    durability_gate(bench.app).register(write, "changelog")
    bench.acknowledge(bench.deliver(batch(0, 10)))
    committing = asyncio.ensure_future(bench.consumer.commit())
    await asyncio.sleep(0)
    bench.app.consumer_generation_id = 8
    write.set_result(None)
    assert not await committing
    assert bench.commits == []


async def test_seek_forgets_what_was_delivered_before_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def committed() -> dict[TP, int | None]:
        return {FILLS: None}

    monkeypatch.setattr(bench.consumer, "seek_to_committed", committed)
    old = bench.deliver(batch(0, 10))
    bench.consumer._committed_offset[FILLS] = 5
    await bench.consumer.perform_seek()
    bench.acknowledge(old)
    assert bench.consumer._committed_offset[FILLS] is None
    assert not await bench.consumer.commit()


async def test_late_delivery_does_not_make_faust_drop_what_was_sought(bench: Bench) -> None:
    bench.consumer._read_offset[FILLS] = 1_000_000
    bench.consumer._read_offset[TP("leader", 0)] = 5
    assert bench.consumer._read_offset[FILLS] is None
    assert bench.consumer._read_offset[TP("leader", 0)] == 5


async def test_task_error_commits_nothing(bench: Bench) -> None:
    bench.acknowledge(bench.deliver(batch(0, 10)))
    await bench.consumer.on_task_error(ValueError("agent"))
    assert bench.commits == []


async def test_changelog_batches_of_before_a_seek_never_reach_recovery(bench: Bench) -> None:
    queue = bench.app.tables.changelog_queue  # type: ignore[attr-defined]
    for version in (0, 1):
        event = SimpleNamespace(message=SimpleNamespace(value=batch(0, 10, version=version)))
        queue.put_nowait(event)
    assert (await queue.get()).message.value.version == 1
    assert queue.empty()


async def test_abandoned_batch_is_neither_waited_for_nor_committed(bench: Bench) -> None:
    message = bench.deliver(batch(0, 10))
    bench.acknowledge(bench.deliver(batch(10, 20)))
    abandon(SimpleNamespace(app=bench.app), SimpleNamespace(message=message))  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        await bench.consumer.wait_empty()
    assert {offset for commit in bench.commits for offset in commit.values()} <= {0}


async def test_batch_given_up_without_a_rebalance_stops_the_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = bench.deliver(batch(0, 10))
    assert message is not None
    monkeypatch.setattr(type(bench.app.conf), "broker_session_timeout", 0.1)
    monkeypatch.setattr(type(bench.app.conf), "broker_rebalance_timeout", 0.1)

    async def ticks(interval: float, name: str) -> Any:
        while True:
            await asyncio.sleep(0.02)
            yield interval

    monkeypatch.setattr(bench.consumer, "itertimer", ticks)
    watching = asyncio.ensure_future(bench.consumer._watch_abandoned.fun(bench.consumer))
    await asyncio.sleep(0.3)
    assert not watching.done()
    bench.consumer.abandon(message)
    with pytest.raises(LedgerHole, match="no rebalance followed"):
        await asyncio.wait_for(watching, timeout=10)


async def test_acknowledging_frees_the_records(bench: Bench) -> None:
    message = bench.deliver(batch(0, 10))
    assert message is not None

    class Stream:
        app = bench.app

        async def ack(self, event: Any) -> bool:
            return bool(event.message.ack(bench.consumer))

    await acknowledge(Stream(), SimpleNamespace(message=message))  # type: ignore[arg-type]
    assert (message.acked, message.value) == (True, None)


@pytest.mark.parametrize("event", ["on_buffer_drop", "resume_partitions"])
async def test_fetching_goes_on_when_a_stream_has_room_and_not_at_the_end_of_a_second(
    bench: Bench, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "_NOTHING_ACTIVE_S", 1000.0)
    consumer = bench.consumer
    consumer.on_buffer_full(FILLS)
    assert not consumer._get_active_partitions()
    waiting = asyncio.create_task(consumer._wait_next_records(1.0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    getattr(consumer, event)(FILLS if event == "on_buffer_drop" else {FILLS})
    async with asyncio.timeout(10):
        assert await waiting == ({}, set())
    assert consumer._get_active_partitions() == {FILLS}
