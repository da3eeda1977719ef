"""A tenure: rows stay dirty until handed over, count in order, and survive foreign writers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.errors import (
    ChangelogBehindStore,
    DurabilityLost,
    Fenced,
    LeaseExpired,
    NotOwner,
    RowTooLarge,
    StaleGeneration,
)
from streams.state.memory_store import MemoryPartition
from streams.state.replica import Replica
from streams.state.takeover import claim
from streams.state.tenure import Tenure, WriterParts
from streams.transport.durability import DurabilityGate
from tests.streams.state.changelog_log import TOPIC, ChangelogLog


@dataclass
class World:
    """One partition, one worker."""

    log: ChangelogLog = field(default_factory=ChangelogLog)
    rows: dict[bytes, bytes] = field(default_factory=dict)
    generation: int = 5
    lease_expired: bool = False
    rewrites: list[int] = field(default_factory=list)
    crashes: list[DurabilityLost] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate = DurabilityGate(self.crashes.append)
        self.replica = Replica(TOPIC, 0, MemoryPartition())
        self.parts = WriterParts(
            producer=lambda: self.log,
            gate=self.gate,
            read_range=self.log.read_range,  # type: ignore[arg-type]
            encode=lambda _, keys: [self.rows[key] for key in keys],
            right=self.check,
            verdict=self.verdict,
            request_bytes_max=1000,
            rewrite=self.rewrites.append,
        )

    def check(self, generation: int | None) -> None:
        if generation is not None and generation != self.generation:
            raise StaleGeneration("stale")
        if self.lease_expired:
            raise LeaseExpired("expired")

    async def verdict(self, generation: int | None) -> None:
        self.check(generation)

    async def take_over(self) -> Tenure:
        auto, self.log.auto = self.log.auto, True
        epoch = await claim(self.replica, self.log, self.log.read_range, lambda: self.verdict(None), "me")  # type: ignore[arg-type]
        self.log.auto = auto
        return Tenure(self.replica, self.parts, epoch, self.replica.offset + 1)

    def recovered(self) -> dict[bytes, bytes]:
        """What a worker that reads the log from its beginning finds."""
        replica = Replica(TOPIC, 0, MemoryPartition())
        replica.replay(self.log.records)
        return dict(replica.store)

    def stored(self) -> dict[bytes, bytes]:
        return dict(self.replica.store)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    yield World()


async def test_flushed_rows_reach_the_store_only_after_the_log(world: World) -> None:
    world.log.auto = False
    tenure = await world.take_over()
    tenure.mark(b"a", b"1")
    durable = await tenure.flush(5, {"fills": 9})
    assert (world.stored(), durable.done(), world.gate.pending) == ({}, False, 1)
    world.log.deliver()
    await durable
    assert world.stored() == world.recovered() == {b"a": b"1"}
    assert world.replica.store.position.sources == {"fills": 9}
    assert (world.gate.pending, world.replica.offset) == (0, 1)


async def test_rows_are_encoded_when_flushed_not_when_marked(world: World) -> None:
    tenure = await world.take_over()
    world.rows[b"a"] = b"1"
    tenure.mark(b"a")
    world.rows[b"a"] = b"2"
    await (await tenure.flush(5, {}))
    assert world.recovered() == {b"a": b"2"}
    assert tenure.dirty == frozenset()


async def test_nothing_dirty_flushes_nothing_and_waits_for_what_is_in_flight(world: World) -> None:
    world.log.auto = False
    tenure = await world.take_over()
    assert (await tenure.flush(5, {})).done()
    tenure.mark(b"a", b"1")
    await tenure.flush(5, {})
    later = await tenure.flush(5, {})
    assert not later.done()
    world.log.deliver()
    await later
    assert len(world.log.records) == 2


@pytest.mark.parametrize("error", [StaleGeneration, LeaseExpired, NotOwner])
async def test_flush_without_the_right_is_refused_and_keeps_rows_dirty(world: World, error: type[Exception]) -> None:
    tenure = await world.take_over()
    tenure.mark(b"a", b"1")
    world.generation += error is StaleGeneration
    world.lease_expired = error is LeaseExpired
    tenure.suspended = error is NotOwner
    with pytest.raises(error):
        await tenure.flush(5, {})
    assert tenure.dirty == {b"a"}
    assert world.recovered() == {}


async def test_cancelled_flush_keeps_rows_dirty_with_their_newest_value(world: World) -> None:
    tenure = await world.take_over()
    world.log.stalled = asyncio.Event()
    tenure.mark(b"a", b"1")
    tenure.mark(b"b", b"1")
    flushing = asyncio.ensure_future(tenure.flush(5, {}))
    await asyncio.sleep(0)
    tenure.mark(b"b", b"2")
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    assert tenure.dirty == {b"a", b"b"}
    world.log.stalled.set()
    await (await tenure.flush(5, {}))
    assert world.recovered() == {b"a": b"1", b"b": b"2"}


async def test_failing_encoder_keeps_rows_dirty(world: World) -> None:
    tenure = await world.take_over()
    tenure.mark(b"absent")
    with pytest.raises(KeyError):
        await tenure.flush(5, {})
    assert tenure.dirty == {b"absent"}


async def test_concurrent_flushes_write_a_row_in_the_order_of_its_changes(world: World) -> None:
    tenure = await world.take_over()
    world.log.stalled = asyncio.Event()
    tenure.mark(b"a", b"1")
    first = asyncio.ensure_future(tenure.flush(5, {}))
    await asyncio.sleep(0)
    tenure.mark(b"a", b"2")
    second = asyncio.ensure_future(tenure.flush(5, {}))
    await asyncio.sleep(0)
    world.log.stalled.set()
    for durable in await asyncio.gather(first, second):
        await durable
    assert world.recovered() == world.stored() == {b"a": b"2"}


async def test_many_rows_are_split_into_batches(world: World) -> None:
    world.log.batch_limit = 3
    tenure = await world.take_over()
    for number in range(10):
        tenure.mark(b"k%d" % number, b"x")
    await (await tenure.flush(5, {}))
    assert len(world.recovered()) == 10
    assert tenure.next_offset == 11


async def test_row_too_large_for_a_request_is_refused_by_name(world: World) -> None:
    tenure = await world.take_over()
    tenure.mark(b"whale", bytes(2000))
    with pytest.raises(RowTooLarge, match="whale"):
        await tenure.flush(5, {})


async def test_refused_delivery_fails_the_future_and_stops_commits(world: World) -> None:
    world.log.auto = False
    tenure = await world.take_over()
    tenure.mark(b"a", b"1")
    durable = await tenure.flush(5, {})
    world.log.refuse(RuntimeError("not enough replicas"))
    with pytest.raises(RuntimeError):
        await durable
    with pytest.raises(DurabilityLost):
        await world.gate.wait()
    assert len(world.crashes) == 1
    with pytest.raises(NotOwner):
        await tenure.flush(5, {})
    assert world.stored() == {}


async def test_cancelling_a_waiter_does_not_cancel_the_write(world: World) -> None:
    world.log.auto = False
    tenure = await world.take_over()
    tenure.mark(b"a", b"1")
    (await tenure.flush(5, {})).cancel()
    world.log.deliver()
    await world.gate.wait()
    assert world.stored() == {b"a": b"1"}


async def test_row_buried_by_an_outdated_writer_is_written_again(world: World) -> None:
    world.log.foreign_claim(1)
    tenure = await world.take_over()
    tenure.mark(b"a", b"good")
    tenure.mark(b"b", b"good")
    await (await tenure.flush(5, {}))
    world.log.foreign_row(1, b"a", b"zombie")
    tenure.mark(b"b", b"better")
    await (await tenure.flush(5, {}))
    assert tenure.dirty == {b"a"}
    assert world.rewrites == [0]
    await (await tenure.flush(5, {}))
    assert world.recovered() == {b"a": b"good", b"b": b"better"}
    newest = dict(world.log.rows())
    assert newest[b"a"].endswith(b"good"), "what compaction keeps is the good row"


async def test_rows_in_flight_when_a_foreign_record_is_found_are_not_written_again(world: World) -> None:
    world.log.foreign_claim(1)
    world.log.auto = False
    tenure = await world.take_over()
    world.log.foreign_row(1, b"a", b"zombie")
    tenure.mark(b"a", b"good")
    durable = await tenure.flush(5, {})
    world.log.deliver()
    await durable
    assert (tenure.dirty, tenure.foreign_records, world.stored()) == (frozenset(), 1, {b"a": b"good"})


async def test_higher_epoch_of_another_worker_fences(world: World) -> None:
    tenure = await world.take_over()
    world.log.foreign_claim(2)
    tenure.mark(b"a", b"1")
    durable = await tenure.flush(5, {})
    with pytest.raises(Fenced, match="epoch 2, ours is 1"):
        await durable
    with pytest.raises(DurabilityLost):
        await world.gate.wait()
    assert world.stored() == world.recovered() == {}


async def test_worker_replaced_while_it_slept_gives_up_instead_of_stopping(world: World) -> None:
    world.log.auto = False
    tenure = await world.take_over()
    tenure.mark(b"a", b"1")
    durable = await tenure.flush(5, {})
    world.log.foreign_claim(2)
    world.log.foreign_row(2, b"a", b"theirs")
    world.lease_expired = True
    world.log.deliver()
    with pytest.raises(LeaseExpired):
        await durable
    with pytest.raises(LeaseExpired):
        await world.gate.wait()
    assert world.crashes == []
    assert world.recovered() == {b"a": b"theirs"}


async def test_audit_of_an_idle_partition_finds_foreign_records(world: World) -> None:
    world.log.foreign_claim(1)
    tenure = await world.take_over()
    tenure.mark(b"a", b"good")
    await (await tenure.flush(5, {}))

    async def end() -> int:
        return len(world.log.records)

    await tenure.audit(end)
    assert world.log.reads == [(0, 1)], "nothing but the claim's own catching up"
    world.log.foreign_row(1, b"a", b"zombie")
    await tenure.audit(end)
    assert (tenure.dirty, world.rewrites) == ({b"a"}, [0])
    world.log.foreign_claim(9)
    with pytest.raises(Fenced):
        await tenure.audit(end)


async def test_log_that_lost_its_end_is_noticed(world: World) -> None:
    tenure = await world.take_over()
    tenure.mark(b"a", b"1")
    await (await tenure.flush(5, {}))
    del world.log.records[1:]
    tenure.mark(b"a", b"2")
    with pytest.raises(ChangelogBehindStore, match="offset 1, 2 was expected"):
        await (await tenure.flush(5, {}))


async def test_closed_tenure_leaves_the_store_to_its_next_reader(world: World) -> None:
    world.log.auto = False
    tenure = await world.take_over()
    tenure.mark(b"a", b"1")
    durable = await tenure.flush(5, {})
    tenure.close()
    world.log.deliver()
    await durable
    assert (world.stored(), world.recovered()) == ({}, {b"a": b"1"})


async def test_claim_applies_what_was_written_after_recovery_read_to_the_end(world: World) -> None:
    world.log.foreign_claim(1)
    world.replica.replay(world.log.records)
    world.log.foreign_row(1, b"a", b"late")
    tenure = await world.take_over()
    assert (tenure.epoch, world.stored(), world.replica.offset) == (2, {b"a": b"late"}, 2)
    world.log.foreign_row(1, b"a", b"too late")
    assert world.recovered() == {b"a": b"late"}


async def test_claim_whose_number_is_taken_takes_the_next(world: World) -> None:
    racer = World(world.log)
    racer_claim = world.log.foreign_claim
    world.replica.replay([])
    racer_claim(1)
    tenure = await world.take_over()
    assert tenure.epoch == 2
    assert (await racer.take_over()).epoch == 3


async def test_claim_without_the_right_is_not_written(world: World) -> None:
    world.lease_expired = True
    with pytest.raises(LeaseExpired):
        await world.take_over()
    assert world.log.records == []


async def test_claim_on_a_replaced_topic_is_refused(world: World) -> None:
    world.replica.advance(100, 4, {}, {})
    with pytest.raises(ChangelogBehindStore, match="the store holds 100"):
        await world.take_over()


Acts = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "flush", "deliver", "zombie", "cancel"]), st.integers(0, 3), st.integers(0, 99)
    ),
    max_size=40,
)


@given(Acts)
@example([("put", 0, 0), ("flush", 0, 0), ("deliver", 0, 0), ("zombie", 0, 0)])
@settings(max_examples=150, deadline=None)
def test_any_schedule_ends_with_every_change_durable_and_on_top(acts: list[tuple[str, int, int]]) -> None:
    async def run() -> None:
        world = World()
        world.log.foreign_claim(1)
        world.log.auto = False
        tenure = await world.take_over()
        truth: dict[bytes, bytes] = {}
        for act, key_number, number in acts:
            key = b"k%d" % key_number
            if act == "put":
                truth[key] = b"%d" % number
                tenure.mark(key, truth[key])
            elif act == "flush":
                await tenure.flush(5, {})
            elif act == "deliver":
                world.log.deliver(1)
                await asyncio.sleep(0)
            elif act == "zombie":
                world.log.foreign_row(1, key, b"zombie")
            else:
                world.log.stalled = asyncio.Event()
                flushing = asyncio.ensure_future(tenure.flush(5, {}))
                await asyncio.sleep(0)
                flushing.cancel()
                await asyncio.wait([flushing])
                world.log.stalled = None
            assert set(world.stored().items()) <= set(world.recovered().items()) or world.gate.pending

        async def end_offset() -> int:
            return len(world.log.records)

        for _ in range(3):  # the second writes rows that were found buried by the first
            await tenure.flush(5, {})
            world.log.deliver()
            await world.gate.wait()
            await tenure.audit(end_offset)  # as workers do in quiet times: nothing else notices a foreign last record
        assert tenure.dirty == frozenset()
        assert world.recovered() == world.stored() == truth
        newest = dict(world.log.rows())
        touched = {record.key for record in world.log.records} & truth.keys()
        assert all(newest[key].endswith(truth[key]) for key in touched), "what compaction keeps"

    asyncio.run(run())
