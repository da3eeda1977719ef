"""Many callers, few inserts; patience with an outage, none with a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from streams.audit.errors import AuditError, AuditRefused
from streams.audit.rows import Row
from streams.audit.store import AuditStore
from streams.audit.tables import FILLS, Table
from streams.audit.writer import AuditWriter
from tests.streams.audit.crashing import CrashingStore, outage
from tests.streams.audit.records import fills, margin_events, stored


class CountingStore(CrashingStore):
    """Remembers the size of every insert of fills."""

    def __init__(self, store: AuditStore) -> None:
        super().__init__(store, 0, after=False)
        self.sizes: list[int] = []

    def insert(self, table: Table, rows: Sequence[Row], token: str = "") -> None:
        if table is FILLS:
            self.sizes.append(len(rows))
        super().insert(table, rows, token)


class Timer:
    """Sleeping that ends when the test says so, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.ring = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.ring.wait()


@pytest.fixture
async def timer() -> Timer:
    return Timer()


@pytest.fixture
async def counting(chdb_store: AuditStore) -> CountingStore:
    return CountingStore(chdb_store)


@pytest.fixture
async def writer(counting: CountingStore, timer: Timer) -> AsyncIterator[AuditWriter]:
    made = AuditWriter(counting, rows_max=20, linger_s=0.5, clock=lambda: 0.0, sleep=timer.sleep)
    yield made
    await made.close()


async def test_what_several_agents_add_becomes_one_insert(
    writer: AuditWriter, counting: CountingStore, timer: Timer
) -> None:
    adding = [asyncio.create_task(writer.add("fills", partition, fills(0, 3))) for partition in range(4)]
    await asyncio.sleep(0)
    assert 12 == writer.rows_waiting
    timer.ring.set()
    await asyncio.gather(*adding)
    assert ([12], 0, 12) == (counting.sizes, writer.rows_waiting, writer.rows_stored)
    assert [0.5] == timer.asked


async def test_enough_rows_do_not_wait_for_the_timer(writer: AuditWriter, counting: CountingStore) -> None:
    few = asyncio.create_task(writer.add("fills", 0, fills(0, 5)))
    await asyncio.sleep(0)
    await writer.add("fills", 1, fills(0, 15))
    await few
    assert [20] == counting.sizes


async def test_a_backlog_is_cut_into_bounded_batches(writer: AuditWriter, counting: CountingStore) -> None:
    await asyncio.gather(*(writer.add("fills", partition, fills(0, 90)) for partition in range(5)))
    assert [180, 180, 90] == counting.sizes


async def test_an_add_larger_than_a_batch_goes_whole(writer: AuditWriter, counting: CountingStore) -> None:
    await writer.add("fills", 0, fills(0, 300))
    assert [300] == counting.sizes


async def test_when_add_returns_the_rows_are_stored(writer: AuditWriter, chdb_store: AuditStore) -> None:
    await writer.add("margin-events", 0, margin_events(0, 25))
    assert list(range(25)) == stored(chdb_store, "margin-events")
    assert {("margin-events", 0): 24} == await writer.progress()


async def test_an_empty_add_returns_at_once(writer: AuditWriter, counting: CountingStore) -> None:
    await writer.add("fills", 0, [])
    assert [] == counting.sizes


async def test_a_topic_that_is_not_audited_is_refused_to_its_caller_alone(writer: AuditWriter) -> None:
    with pytest.raises(KeyError):
        await writer.add("changelog", 0, fills(0, 1))
    await writer.add("fills", 0, fills(0, 20))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
async def test_an_outage_is_waited_out_and_doubles_nothing(store: AuditStore, at: int, after: bool) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    failing = CrashingStore(store, at, after=after, failure=outage())
    writer = AuditWriter(failing, rows_max=10, sleep=sleep)
    await writer.add("fills", 0, fills(0, 10))
    await writer.close()
    assert list(range(10)) == stored(store, "fills")
    assert (1, [0.1]) == (writer.retries, pauses)


async def test_pauses_grow_to_a_limit(chdb_store: AuditStore) -> None:
    pauses: list[float] = []

    class Away(CrashingStore):
        def _before(self) -> None:
            if len(pauses) < 12:
                raise outage()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    writer = AuditWriter(Away(chdb_store, 0, after=False), rows_max=1, sleep=sleep)
    await writer.add("fills", 0, fills(0, 1))
    await writer.close()
    assert sorted(pauses) == pauses
    assert (0.1, 10.0) == (pauses[0], pauses[-1])
    assert [0] == stored(chdb_store, "fills")


async def test_a_refusal_reaches_every_caller_and_ends_the_writer(chdb_store: AuditStore, timer: Timer) -> None:
    refusal = AuditRefused("no such table", 60)
    writer = AuditWriter(CrashingStore(chdb_store, 2, after=False, failure=refusal), rows_max=6, sleep=timer.sleep)
    outcomes = await asyncio.gather(
        *(writer.add("fills", partition, fills(0, 3)) for partition in range(3)), return_exceptions=True
    )
    assert [refusal, refusal, refusal] == outcomes
    with pytest.raises(AuditRefused, match="no such table"):
        await writer.add("fills", 0, fills(0, 3))
    await writer.close()


async def test_a_cancelled_add_disturbs_nobody(writer: AuditWriter, chdb_store: AuditStore) -> None:
    cancelled = asyncio.create_task(writer.add("fills", 0, fills(0, 5)))
    await asyncio.sleep(0)
    cancelled.cancel()
    await writer.add("fills", 1, fills(0, 20))
    assert cancelled.cancelled()
    assert list(range(20)) == stored(chdb_store, "fills", 1)


async def test_closing_gives_up_what_waits(counting: CountingStore, timer: Timer) -> None:
    writer = AuditWriter(counting, rows_max=20, sleep=timer.sleep)
    waiting = asyncio.create_task(writer.add("fills", 0, fills(0, 5)))
    await asyncio.sleep(0)
    await writer.close()
    with pytest.raises(AuditError, match="closed"):
        await waiting
    with pytest.raises(AuditError, match="closed"):
        await writer.add("fills", 0, fills(0, 5))


async def test_a_partition_that_came_back_is_stored_in_order(writer: AuditWriter, chdb_store: AuditStore) -> None:
    await asyncio.gather(writer.add("fills", 0, fills(10, 10)), writer.add("fills", 0, fills(5, 10)))
    assert list(range(5, 20)) == stored(chdb_store, "fills")
