"""The fetch thread over aiokafka's real buffers: fair, bounded, stamped, and alarmed when a position jumps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import TopicAuthorizationFailedError
from faust.types import TP

from streams.errors import ChangelogTruncated, SourceJumped
from streams.transport.fetch import FetchBudget, FetchThread
from streams.transport.record_batch import RecordBatch
from tests.streams.transport.wire import response, wire_batch

CHANGELOG = "app-rows-changelog"


class Thread(FetchThread):
    """A fetch thread without a thread: real buffers and positions, no broker."""

    def __init__(self, *tps: TP, budget: FetchBudget | None = None) -> None:
        self.budget = budget or FetchBudget()
        self.coalesced = {"fills", CHANGELOG}
        self._cursors = {}
        self._versions = itertools.count(1)
        self._rotation = 0
        self._deferred = None
        self.app: Any = SimpleNamespace(tables=SimpleNamespace(changelog_topics={CHANGELOG}))
        subscriptions = SubscriptionState()
        subscriptions.assign_from_user({TopicPartition(*tp) for tp in tps})
        self.fetcher = Fetcher.__new__(Fetcher)
        self.fetcher.__dict__.update(_records={}, _subscriptions=subscriptions, _wait_consume_future=None, _closed=True)
        self.kafka: Any = SimpleNamespace(
            _fetcher=self.fetcher,
            _subscription=subscriptions,
            _coordinator=SimpleNamespace(generation=7),
            seek=self.fetcher.seek_to,
        )
        for tp in tps:
            self.move(tp, 0)

    def __hash__(self) -> int:
        return id(self)

    def state(self, tp: TP) -> Any:
        return self.fetcher._subscriptions.subscription.assignment.state_value(TopicPartition(*tp))

    def move(self, tp: TP, position: int) -> None:
        """Put the position somewhere, as an assignment or a reset does."""
        self.state(tp).seek(position)

    def buffer(self, tp: TP, offsets: Sequence[int], *, end: int | None = None, size: int = 10) -> None:
        """A fetch response has arrived."""
        key = TopicPartition(*tp)
        start = self.state(tp).position
        data = wire_batch(offsets[0], offsets, end=end, content=lambda _offset: (b"k", bytes(size), []))
        records = response(key, start, data)
        assignment = self.fetcher._subscriptions.subscription.assignment
        self.fetcher._records[key] = FetchResult(key, assignment=assignment, partition_records=records, backoff=0)

    async def drain(self, *tps: TP) -> dict[TP, list[Any]]:
        return await self._drain(self.kafka, set(tps))


@pytest.fixture(autouse=True)
def quiet_notify(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fetcher, "_notify", lambda self, future: None)


A, B, C = TP("fills", 0), TP("fills", 1), TP("fills", 2)


async def test_one_fetch_of_a_partition_is_one_batch_with_its_stamp() -> None:
    thread = Thread(A)
    thread.buffer(A, range(5))
    [batch] = (await thread.drain(A))[A]
    assert isinstance(batch, RecordBatch)
    assert (batch.start, batch.end, batch.first, batch.offset, len(batch)) == (0, 5, 0, 4, 5)
    assert (batch.generation, batch.size, batch.value) == (7, 55, batch)
    assert thread.is_current(A, batch.version)


async def test_topics_that_did_not_opt_in_pass_through_record_by_record() -> None:
    other = TP("leader", 0)
    thread = Thread(other)
    thread.buffer(other, range(3))
    assert [record.offset for record in (await thread.drain(other))[other]] == [0, 1, 2]


async def test_deep_backlog_of_one_partition_does_not_starve_the_others() -> None:
    thread = Thread(A, B, C, budget=FetchBudget(records=300))
    thread.buffer(A, range(100_000))
    thread.buffer(B, range(10))
    thread.buffer(C, range(10))
    drained = await thread.drain(A, B, C)
    assert {tp: len(batches[0]) for tp, batches in drained.items()} == {A: 100, B: 10, C: 10}


async def test_first_place_rotates_over_partitions() -> None:
    thread = Thread(A, B, C, budget=FetchBudget(records=3))
    for tp in (A, B, C):
        thread.buffer(tp, range(100))
    firsts = [next(iter(await thread.drain(A, B, C))) for _ in range(6)]
    assert sorted(firsts) == [A, A, B, B, C, C]


async def test_bytes_are_bounded_as_well_as_records() -> None:
    thread = Thread(A, budget=FetchBudget(records=100_000, bytes=1_000_000))
    thread.buffer(A, range(50_000), size=1000)
    [batch] = (await thread.drain(A))[A]
    assert 1_000_000 <= batch.size < 1_000_000 + 2 * 1001


async def test_batches_of_a_partition_join_without_holes_across_compacted_records() -> None:
    thread = Thread(A, budget=FetchBudget(records=2))
    thread.buffer(A, [3, 4, 9, 12], end=20)
    batches = [(await thread.drain(A))[A][0] for _ in range(2)]
    assert [(batch.start, batch.end) for batch in batches] == [(0, 5), (5, 13)]
    assert await thread.drain(A) == {}
    thread.buffer(A, [21])
    assert [(batch.start, batch.end) for batch in (await thread.drain(A))[A]] == [(13, 22)]


async def test_position_that_moves_forward_by_itself_is_a_loss() -> None:
    thread = Thread(A)
    thread.buffer(A, range(5))
    await thread.drain(A)
    thread.move(A, 1000)
    thread.buffer(A, [1000])
    with pytest.raises(SourceJumped, match="continue at offset 5 and continued at 1000"):
        await thread.drain(A)


async def test_position_that_moves_back_by_itself_means_offsets_are_used_twice() -> None:
    thread = Thread(A)
    thread.buffer(A, range(5))
    await thread.drain(A)
    thread.move(A, 0)
    thread.buffer(A, [0])
    with pytest.raises(SourceJumped, match="lost the end of its log"):
        await thread.drain(A)


async def test_new_assignment_forgets_positions_and_old_batches() -> None:
    thread = Thread(A)
    thread.buffer(A, range(5))
    [old] = (await thread.drain(A))[A]
    thread.fetcher._subscriptions.assign_from_user({TopicPartition(*A)})
    thread.move(A, 100)
    thread.buffer(A, [100])
    [new] = (await thread.drain(A))[A]
    assert (new.start, thread.is_current(A, old.version)) == (100, False)


async def test_seek_starts_a_new_version_at_its_target() -> None:
    thread = Thread(A)
    thread.buffer(A, range(5))
    [old] = (await thread.drain(A))[A]
    thread._seek_now(thread.kafka, A, 2)
    assert not thread.is_current(A, old.version)
    thread.buffer(A, [2, 3])
    [new] = (await thread.drain(A))[A]
    assert (new.start, new.end) == (2, 4)


async def test_seek_to_what_was_deleted_is_a_loss() -> None:
    thread = Thread(A)
    thread._seek_now(thread.kafka, A, 10)
    thread.move(A, 50)
    thread.buffer(A, [50])
    with pytest.raises(SourceJumped):
        await thread.drain(A)


async def test_changelog_may_begin_right_after_the_last_record_recovery_has() -> None:
    changelog = TP(CHANGELOG, 0)
    thread = Thread(changelog)
    thread._seek_now(thread.kafka, changelog, 10)
    thread.move(changelog, 11)
    thread.buffer(changelog, [11])
    assert [batch.start for batch in (await thread.drain(changelog))[changelog]] == [11]
    thread._seek_now(thread.kafka, changelog, 10)
    thread.move(changelog, 12)
    thread.buffer(changelog, [12])
    with pytest.raises(ChangelogTruncated, match="stop all workers"):
        await thread.drain(changelog)


async def test_error_of_one_partition_waits_until_the_records_of_others_are_delivered() -> None:
    thread = Thread(A, B)
    thread._rotation = 1
    thread.buffer(A, range(3))
    thread.fetcher._records[TopicPartition(*B)] = FetchError(error=TopicAuthorizationFailedError("fills"), backoff=0)
    assert list(await thread.drain(A, B)) == [A]
    with pytest.raises(TopicAuthorizationFailedError):
        await thread.drain(A, B)
    assert await thread.drain(A, B) == {}


async def test_partitions_that_are_not_active_are_left_alone() -> None:
    thread = Thread(A, B)
    thread.buffer(A, range(3))
    thread.buffer(B, range(3))
    assert list(await thread.drain(B)) == [B]
    assert thread.state(A).position == 0
