"""Partitions change hands on a real broker: callbacks, standbys, and writers that do not know they were replaced."""

from __future__ import annotations

import asyncio
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from streams.errors import DurabilityLost, Fenced, NotOwner, OwnershipLost, StaleGeneration
from streams.state.fence import EPOCH_KEY, seal
from streams.transport import coalescing_transport
from tests.servers.kafka import producer
from tests.streams.state.conftest import eventually, owning_all, running
from tests.streams.state.test_recovery import sums_in
from tests.streams.transport.cluster import Cluster, Worker
from tests.streams.transport.counting_worker import ROW, Counter

ALL = frozenset(range(4))


def other_worker(cluster: Cluster, tmp_path: Path, **options: object) -> Worker:
    """A second worker, in a process of its own."""
    worker = Worker("other", replace(cluster.workers[0].config, **options), tmp_path)  # type: ignore[arg-type]
    cluster.workers.append(worker)
    worker.start()
    return worker


def count_loads(counter: Counter) -> list[int]:
    """Note the partitions handed to the application from now on."""
    loads: list[int] = []
    load = counter.load

    def noting(partition: int, rows: object) -> None:
        loads.append(partition)
        load(partition, rows)  # type: ignore[arg-type]

    counter.table._on_recovered = noting
    return loads


async def append(cluster: Cluster, key: bytes, value: bytes, partition: int = 0) -> None:
    """Write to the changelog as some other process would."""

    def send() -> None:
        with producer(cluster.bootstrap) as client:
            client.send(cluster.changelog, key=key, value=value, partition=partition)

    await asyncio.to_thread(send)


@pytest.mark.faults
async def test_partitions_move_to_a_joining_worker_and_back_when_it_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    randomness = random.Random(3)
    await asyncio.to_thread(cluster.produce, 500, randomness)
    async with running(cluster, tmp_path / "here", standby_replicas=1) as counter:
        loads = count_loads(counter)
        await owning_all(counter)
        other = other_worker(cluster, tmp_path, standby_replicas=1)
        await eventually(lambda: len(counter.table.owned()) == 2, "half of the partitions to move")
        kept = counter.table.owned()
        assert frozenset(counter.rows) == kept
        assert sorted(loads) == sorted(ALL), "what stayed was not handed over again"
        with pytest.raises(NotOwner):
            counter.table.mark_dirty(min(ALL - kept), b"k0")
        await asyncio.to_thread(cluster.produce, 500, randomness)
        await eventually(lambda: other.log.exists() and counter.app.consumer_generation_id > 0, "the group")
        # This worker stands by for the other's partitions and follows them without being told to take over.
        await eventually(
            lambda: (
                {key: ROW.unpack(row)[:2] for p in ALL for key, row in counter.table.rows(p).items()}
                == cluster.expected
            ),
            "the standby copy to follow",
        )
        assert len(loads) == 4
        await asyncio.to_thread(other.end, signal.SIGKILL)
        await owning_all(counter)
        assert sorted(loads) == sorted([*ALL, *(ALL - kept)])
        await eventually(lambda: sums_in(counter) == cluster.expected, "everything to be counted once")
        await asyncio.to_thread(cluster.wait_consumed)
    assert await asyncio.to_thread(cluster.durable) == cluster.expected


async def test_claim_of_another_worker_stops_this_one_before_it_commits(cluster: Cluster, tmp_path: Path) -> None:
    async with running(cluster, tmp_path / "w") as counter:
        await owning_all(counter)
        await append(cluster, EPOCH_KEY, seal(9, b"somebody else"))
        await asyncio.to_thread(cluster.produce, 50, random.Random(3))
        await eventually(lambda: counter.app.crashed, "the worker to stop")
        assert isinstance(counter.app.crash_reason, DurabilityLost)
        assert isinstance(counter.app.crash_reason.__cause__, Fenced)
    assert (await asyncio.to_thread(cluster.committed))[0] == 0
    async with running(cluster, tmp_path / "w") as counter:
        await owning_all(counter)
        await eventually(lambda: sums_in(counter) == cluster.expected, "everything to be counted once")


async def test_row_of_an_outdated_writer_is_ignored_and_the_good_one_written_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    await asyncio.to_thread(cluster.produce, 200, random.Random(3), 20)
    async with running(cluster, tmp_path / "w", store="memory") as counter:
        await owning_all(counter)
        await eventually(lambda: sums_in(counter) == cluster.expected, "everything to be counted")
    zombie_row = seal(1, ROW.pack(-1, -1, 10**6))
    async with running(cluster, tmp_path / "w", store="memory") as counter:
        await owning_all(counter)
        assert counter.table._tenures[0].epoch == 2
        await append(cluster, b"k0", zombie_row)
        # Nothing is written in this partition any more: the audit finds it.
        await counter.table._audit_partition(0)
        await eventually(lambda: not counter.table.dirty(0), "the good row to be written again")
        await counter.table.wait_durable()
        assert counter.table._tenures[0].foreign_records == 1
        assert counter.table.row(0, b"k0") == ROW.pack(*counter.rows[0][b"k0"])
        await append(cluster, b"k4", zombie_row)
    # The last one arrived when nobody looked: the next recovery ignores it, and writes the good row again.
    assert await asyncio.to_thread(cluster.durable) == cluster.expected
    async with running(cluster, tmp_path / "w", store="memory") as counter:
        await owning_all(counter)
        assert sums_in(counter) == cluster.expected
        await eventually(lambda: not counter.table.dirty(0), "the good row to be written again")
        await counter.table.wait_durable()
        assert counter.table.row(0, b"k4") == ROW.pack(*counter.rows[0][b"k4"])


async def test_writing_under_an_old_generation_or_lease_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    async with running(cluster, tmp_path / "w") as counter:
        await owning_all(counter)
        table, generation = counter.table, counter.app.consumer_generation_id
        counter.rows[0][b"k0"] = (1, 1, -1)
        table.mark_dirty(0, b"k0")
        with pytest.raises(StaleGeneration):
            await table.flush(0, generation=generation - 1)
        lease = coalescing_transport(counter.app).lease
        lease.timeout_s = -1.0
        counter.app.rebalancing = True
        with pytest.raises(OwnershipLost, match="no heartbeat"):
            await table.flush(0, generation=generation)
        counter.app.rebalancing = False
        assert table.dirty(0) == {b"k0"}
        # While the group stands, an expired lease is waited out: the batch would not be delivered again.
        flushing = asyncio.ensure_future(table.flush(0, generation=generation))
        await asyncio.sleep(0.2)
        assert not flushing.done()
        lease.timeout_s = 30.0
        await (await flushing)
        assert table.row(0, b"k0") == ROW.pack(1, 1, -1)


async def test_lease_is_renewed_by_heartbeats(cluster: Cluster, tmp_path: Path) -> None:
    async with running(cluster, tmp_path / "w") as counter:
        await owning_all(counter)
        lease = coalescing_transport(counter.app).lease
        renewed = lease.now() - lease.age_s
        await eventually(lambda: lease.now() - lease.age_s > renewed, "a heartbeat")
        assert not lease.expired


async def test_keys_that_the_table_needs_itself_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    async with running(cluster, tmp_path / "w") as counter:
        await owning_all(counter)
        for key in (b"", b"\x00epoch"):
            with pytest.raises(ValueError, match="row key"):
                counter.table.put(0, key, b"")
