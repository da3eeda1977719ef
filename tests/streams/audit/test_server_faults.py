"""A real server killed, frozen and damaged while the writer works: every record ends up stored once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from streams.audit.connect import open_store
from streams.audit.errors import AuditRefused
from streams.audit.migrations import Migrator
from streams.audit.store import AuditStore
from streams.audit.writer import AuditWriter
from tests.servers.clickhouse import ClickHouseProcess
from tests.streams.audit.records import fills, margin_events, stored

PARTITIONS = 3
RECORDS = 400
CHUNK = 25


async def short_sleep(seconds: float) -> None:
    """The writer's pauses, shortened: the server is back within a second."""
    await asyncio.sleep(min(seconds, 0.05))


def opened(server: ClickHouseProcess) -> AuditStore:
    store = open_store(server.url("crossmargin") + "?send_receive_timeout=1&connect_timeout=1")
    Migrator(store).apply()
    return store


async def deliver(writer: AuditWriter, partition: int, progress: list[int]) -> None:
    """What an agent does: add, and go on only when it is stored."""
    for first in range(0, RECORDS, CHUNK):
        await writer.add("margin-events", partition, margin_events(first, CHUNK))
        await writer.add("fills", partition, fills(first, CHUNK))
        progress[0] += CHUNK


async def run_with_faults(store: AuditStore, faults: dict[int, Callable[[], None]]) -> AuditWriter:
    """Deliver everything; when the total passes a key of ``faults``, that fault happens."""
    writer = AuditWriter(store, rows_max=50, linger_s=0.01, sleep=short_sleep)
    progress = [0]
    agents = [asyncio.create_task(deliver(writer, partition, progress)) for partition in range(PARTITIONS)]
    due = sorted(faults)
    while due:
        await asyncio.sleep(0.002)
        if progress[0] >= due[0]:
            await asyncio.to_thread(faults[due.pop(0)])
    await asyncio.wait_for(asyncio.gather(*agents), timeout=60)
    await writer.close()
    return writer


def check_everything_once(store: AuditStore) -> None:
    for partition in range(PARTITIONS):
        for topic in ("fills", "margin-events"):
            assert list(range(RECORDS)) == stored(store, topic, partition, final=True)
            assert list(range(RECORDS)) == stored(store, topic, partition)


async def test_a_killed_and_restarted_server_has_every_record_once(own_clickhouse: ClickHouseProcess) -> None:
    store = opened(own_clickhouse)

    def kill_and_start() -> None:
        own_clickhouse.kill()
        own_clickhouse.start()

    writer = await run_with_faults(store, {200: kill_and_start, 500: kill_and_start, 900: kill_and_start})
    check_everything_once(store)
    assert writer.retries >= 1
    store.close()


async def test_a_frozen_server_is_waited_for(own_clickhouse: ClickHouseProcess) -> None:
    store = opened(own_clickhouse)
    loop = asyncio.get_running_loop()

    def freeze() -> None:
        own_clickhouse.pause()
        loop.call_soon_threadsafe(loop.call_later, 2.5, own_clickhouse.resume)

    writer = await run_with_faults(store, {300: freeze})
    for partition in range(PARTITIONS):
        for topic in ("fills", "margin-events"):
            assert list(range(RECORDS)) == stored(store, topic, partition, final=True)
    assert writer.retries >= 1
    store.close()


async def test_a_dropped_table_stops_the_writer_with_its_name(own_clickhouse: ClickHouseProcess) -> None:
    store = opened(own_clickhouse)
    writer = AuditWriter(store, rows_max=5)
    await writer.add("fills", 0, fills(0, 5))
    store.execute("DROP TABLE fills")
    with pytest.raises(AuditRefused, match="fills"):
        await writer.add("fills", 0, fills(5, 5))
    await writer.close()
    store.close()
