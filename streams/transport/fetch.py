"""The fetch thread: drains aiokafka's buffers into one batch per partition, fairly, and owns every seek.

Owns the budget of one fetch (records and bytes, split over the partitions that have something, starting with another
one each time), the stamp of each batch (generation and seek count, taken in this thread at the moment of draining) and
the watch over positions: a position that moved without a seek means lost records. Refuses to know what is done with a
batch.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import aiokafka
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faust.transport.consumer import RecordMap, ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from streams.errors import ChangelogTruncated, SourceJumped
from streams.transport.fetch_order import keep_order
from streams.transport.idle_fetches import pace_empty_fetches
from streams.transport.lease import GroupLease
from streams.transport.partial_fetches import shorten_partial_fetches
from streams.transport.record_batch import RecordBatch
from streams.transport.segments import RawRecord, Segment, limit_segments

if TYPE_CHECKING:
    from streams.transport.consumer import CoalescingConsumer

_FIRST_RECORDS = 64
_CHUNK_RECORDS = 1024
_COORDINATOR_CHECK_S = 1.0
_SWITCH_S = 0.001
"""How long this thread waits for the interpreter while the main thread computes; each step of a fetch waits anew, and
Python's own 5 ms made 10 of them at the 99th percentile of a round trip."""


@dataclass(slots=True)
class _Cursor:
    """Where the fetch of a partition stands. ``state`` is aiokafka's record of one assignment: a new assignment is a
    new object, and knows nothing of earlier positions. ``start`` is where the next batch begins, ``reached`` where the
    last fetch ended; they differ after a fetch of nothing but compacted or control records."""

    state: Any
    start: int
    reached: int
    version: int


@dataclass(frozen=True, slots=True)
class FetchBudget:
    """The most one fetch brings to the streams, over all partitions together."""

    records: int = 4096
    bytes: int = 4 * 1024 * 1024


class FetchThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with coalesced fetches."""

    consumer: CoalescingConsumer

    def __post_init__(self) -> None:
        super().__post_init__()
        self.budget: FetchBudget = self.consumer.transport.budget
        self.lease: GroupLease = self.consumer.transport.lease
        self.coalesced: set[str] = self.consumer.transport.coalesced
        self._cursors: dict[TP, _Cursor] = {}
        self._versions = itertools.count(1)
        self._rotation = 0
        self._deferred: BaseException | None = None
        self._wake: asyncio.Event | None = None

    async def on_start(self) -> None:
        """Start the consumer and listen to its heartbeats."""
        sys.setswitchinterval(_SWITCH_S)
        self._wake = asyncio.Event()
        await super().on_start()
        pace_empty_fetches(self._ensure_consumer()._fetcher)
        shorten_partial_fetches(self._ensure_consumer()._fetcher)
        keep_order(self._ensure_consumer()._fetcher, self.consumer.transport.follows)
        if not self.app.client_only:
            self._watch_heartbeats(self._ensure_consumer()._coordinator)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A completed join is a sign of membership like a heartbeat."""
        self.lease.renew(self.lease.now())
        await super().on_partitions_assigned(assigned, generation_id)

    @Service.task
    async def _watch_coordinator(self) -> None:
        """Stop on what the group coordinator refuses for good (a session timeout, an authorization). aiokafka tells
        it to whoever fetches, and Faust does not fetch before partitions are assigned: it would wait for ever."""
        async for _ in self.itertimer(_COORDINATOR_CHECK_S, name="watch_coordinator"):
            if not self.app.client_only:
                self._ensure_consumer()._coordinator.check_errors()

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has. Faust asks the coordinator, which only the group's leader keeps informed."""
        if self._consumer is None:
            return None
        partitions = self._consumer._client.cluster.partitions_for_topic(topic)
        return len(partitions) if partitions else None

    def wake(self) -> None:
        """Look at the buffers again now: a partition became fetchable. Callable from any thread."""
        if self._wake is not None and not self.thread_loop.is_closed():
            self.thread_loop.call_soon_threadsafe(self._wake.set)

    def is_current(self, tp: TP, version: int) -> bool:
        """Whether no seek happened since a batch with ``version`` was drained."""
        cursor = self._cursors.get(tp)
        return cursor is not None and cursor.version == version

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP] | None,
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> RecordMap:
        if active_partitions is None:
            records: RecordMap = await super()._fetch_records(
                consumer, cast("set[TP]", active_partitions), timeout, max_records
            )
            return records
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        deadline = monotonic() + (timeout or 0.0)
        with fetcher._subscriptions.fetch_context():
            while True:
                if consumer._closed or fetcher._closed:
                    raise ConsumerStoppedError()
                if fetcher._subscriptions.reassignment_in_progress:
                    await fetcher._subscriptions.wait_for_assignment()
                drained = await self._drain(consumer, active_partitions)
                remaining = deadline - monotonic()
                if drained or remaining <= 0:
                    return drained
                await self._wait_for_records(fetcher, remaining)

    async def _wait_for_records(self, fetcher: Any, timeout: float) -> None:
        assert self._wake is not None
        arrived: asyncio.Future[Any] = fetcher._create_fetch_waiter()
        woken: asyncio.Future[Any] = asyncio.ensure_future(self._wake.wait())
        await asyncio.wait([arrived, woken], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        self._wake.clear()
        woken.cancel()
        if arrived.done():
            arrived.result()  # raises what the broker refused, such as a missing authorization
        else:
            arrived.cancel()

    async def _drain(self, consumer: aiokafka.AIOKafkaConsumer, active: set[TP]) -> dict[TP, list[Any]]:
        """Take what is there, without waiting: nothing in here suspends while no reassignment is in progress, so the
        generation read here is the one these records were fetched under."""
        if (deferred := self._deferred) is not None:
            self._deferred = None
            raise deferred
        fetcher = consumer._fetcher
        ready = sorted(tp for tp in map(ensure_TP, fetcher._records) if tp in active)
        if not ready:
            return {}
        self._rotation = (self._rotation + 1) % len(ready)
        ready = ready[self._rotation :] + ready[: self._rotation]
        quota = FetchBudget(-(-self.budget.records // len(ready)), -(-self.budget.bytes // len(ready)))
        drained: dict[TP, list[Any]] = {}
        for tp in ready:
            try:
                if taken := await self._drain_partition(consumer, tp, quota):
                    drained[tp] = taken
            except KafkaError as error:
                if not drained:
                    raise
                # What other partitions gave is already past their positions and must be delivered first.
                self._deferred = error
                break
        return drained

    async def _drain_partition(self, consumer: aiokafka.AIOKafkaConsumer, tp: TP, quota: FetchBudget) -> list[Any]:
        fetcher = consumer._fetcher
        state = fetcher._subscriptions.subscription.assignment.state_value(tp)
        if state is None or not state.has_valid_position:
            return []
        cursor = self._cursor(tp, state)
        coalesced = tp.topic in self.coalesced
        take = self._take_segments if coalesced else self._take_records
        records, size = await take(fetcher, tp, quota)
        cursor.reached = state.position
        if not records:
            return []
        start, cursor.start = cursor.start, cursor.reached
        if not coalesced:
            return records
        return [
            RecordBatch(
                records,
                topic=tp.topic,
                partition=tp.partition,
                start=start,
                end=cursor.start,
                generation=consumer._coordinator.generation,
                version=cursor.version,
                size=size,
            )
        ]

    async def _take_records(self, fetcher: Any, tp: TP, quota: FetchBudget) -> tuple[list[Any], int]:
        """Records of one partition as aiokafka makes them; the size is not counted."""
        taken = await fetcher.fetched_records({tp}, timeout=0, max_records=quota.records)
        return list(taken.get(tp, ())), 0

    async def _take_segments(self, fetcher: Any, tp: TP, quota: FetchBudget) -> tuple[list[RawRecord], int]:
        """Raw records of one partition, up to the quota, and the bytes of their keys and values. The last segment may
        go over the quota of bytes by as much as its records are larger than those before."""
        records: list[RawRecord] = []
        size, limit = 0, _FIRST_RECORDS
        while len(records) < quota.records and size < quota.bytes:
            limit_segments(fetcher._records.get(tp), min(limit, quota.records - len(records)))
            taken: list[Segment] = (await fetcher.fetched_records({tp}, timeout=0, max_records=1)).get(tp, ())
            if not taken:
                break
            (segment,) = taken
            records += segment.records
            size += segment.size
            limit = min(_CHUNK_RECORDS, 1 + (quota.bytes - size) * len(records) // max(size, 1))
        return records, size

    def _cursor(self, tp: TP, state: Any) -> _Cursor:
        cursor = self._cursors.get(tp)
        if cursor is None or cursor.state is not state:
            return self._place(tp, state, state.position)
        if state.position != cursor.reached and tp.topic in self.coalesced:
            self._check_jump(tp, cursor.reached, state.position)
            cursor.start = cursor.reached = state.position
        return cursor

    def _place(self, tp: TP, state: Any, position: int) -> _Cursor:
        cursor = self._cursors[tp] = _Cursor(state, position, position, next(self._versions))
        return cursor

    def _check_jump(self, tp: TP, expected: int, found: int) -> None:
        where = f"{tp.topic}-{tp.partition}: the fetch was to continue at offset {expected} and continued at {found}"
        if tp.topic in self.app.tables.changelog_topics:
            # Recovery seeks to the last record it has instead of the one after it; that one may be gone.
            if found != expected + 1:
                raise ChangelogTruncated(
                    f"{where}: changelog records are gone. Restore the topic, or stop all workers, delete their "
                    "local stores and the changelog, reset the group to the earliest offsets and replay the sources."
                )
        elif found > expected:
            raise SourceJumped(
                f"{where}: the records between were deleted before they were read (retention?). "
                "Restore them, or commit the new offset for the group by hand to accept the loss."
            )
        else:
            raise SourceJumped(
                f"{where}: the broker lost the end of its log, and offsets will be used again for other records. "
                "Rows count records by offset: start a new application id with a replay plan."
            )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Put every partition where the group left it; one that the group never committed starts at its beginning.

        aiokafka leaves partitions without a commit wherever an earlier fetch, dropped in the rebalance, put them.
        """
        committed: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return committed

    async def _seek_to_committed(self) -> dict[TP, int | None]:
        consumer = self._ensure_consumer()
        committed: dict[TP, int | None] = {}
        for tp in sorted(self.assignment()):
            committed[tp] = await consumer.committed(driver.ensure_aiokafka_TP(tp))
        starts = {tp: offset for tp, offset in committed.items() if offset is not None}
        acknowledged = self.app.topics.acks_enabled_for
        fresh = [tp for tp, offset in committed.items() if offset is None and acknowledged(tp.topic)]
        if fresh:
            starts.update(await self._earliest(consumer, fresh))
        # All at once and without suspending, so that no drain sees half of it.
        for tp, offset in starts.items():
            self._seek_now(consumer, tp, offset)
        return committed

    async def _earliest(self, consumer: aiokafka.AIOKafkaConsumer, tps: Iterable[TP]) -> dict[TP, int]:
        offsets = await consumer.beginning_offsets([driver.ensure_aiokafka_TP(tp) for tp in tps])
        return {ensure_TP(tp): offset for tp, offset in offsets.items()}

    async def _seek_wait(self, consumer: aiokafka.AIOKafkaConsumer, partitions: Mapping[TP, int]) -> None:
        for tp, offset in partitions.items():
            self._seek_now(consumer, tp, offset)
        await super()._seek_wait(consumer, partitions)

    def _seek_now(self, consumer: aiokafka.AIOKafkaConsumer, tp: TP, offset: int) -> None:
        consumer.seek(driver.ensure_aiokafka_TP(tp), offset)
        self._place(tp, consumer._subscription.subscription.assignment.state_value(tp), offset)

    def _watch_heartbeats(self, coordinator: Any) -> None:
        beat = coordinator._do_heartbeat

        async def watched_beat() -> bool:
            sent_at = self.lease.now()
            answered: bool = await beat()
            if answered:
                self.lease.renew(sent_at)
            return answered

        coordinator._do_heartbeat = watched_beat
