"""The row table: keyed rows of bytes, durable in a changelog, owned by partition.

Owns the life of partitions across rebalances (open, follow, take over, give up) and the application's view of them.
Rows are written by ``flush`` to the changelog and only then to the local store. Refuses to know what a row contains.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from time import monotonic
from typing import Any, cast

import faust
from aiokafka.errors import KafkaError
from faust.tables.table import Table
from faust.types import TP, EventT
from mode import Service

from streams.errors import (
    FatalStreamError,
    LeaseExpired,
    NotOwner,
    OwnershipLost,
    RecoveryGap,
    RecoveryStalled,
    StaleGeneration,
)
from streams.state.changelog import BatchProducer, range_reader
from streams.state.checks import check_changelog_bounds, check_partition_counts
from streams.state.fence import RESERVED_PREFIX
from streams.state.replica import Replica
from streams.state.row_store import PartitionRows, RowStore
from streams.state.takeover import claim
from streams.state.tenure import Encode, Tenure, WriterParts
from streams.transport.coalescing import coalesce, coalescing_transport
from streams.transport.heap import settle_heap
from streams.transport.record_batch import RecordBatch

PartitionRecovered = Callable[[int, Mapping[bytes, bytes]], Awaitable[None] | None]
PartitionLost = Callable[[int], Awaitable[None] | None]

_LEASE_POLL_S = 0.05
_COMPACTION_LAG = timedelta(days=1)
_RECOVERY_BUFFER_BATCHES = 2
_STANDBY_BUFFER_BATCHES = 1


class RowTable(Table[bytes, bytes]):
    """A Faust table of rows; see ``streams.state`` for its use."""

    def __init__(
        self,
        app: faust.App,
        *,
        name: str,
        partitions: int,
        row_store: RowStore,
        sources: Iterable[str] = (),
        encode: Encode | None = None,
        on_partition_recovered: PartitionRecovered | None = None,
        on_partition_lost: PartitionLost | None = None,
        compaction_lag: timedelta = _COMPACTION_LAG,
        recovery_stall_s: float = 120.0,
        audit_interval_s: float = 60.0,
        **options: Any,
    ) -> None:
        super().__init__(
            app,
            name=name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            recovery_buffer_size=_RECOVERY_BUFFER_BATCHES,
            standby_buffer_size=_STANDBY_BUFFER_BATCHES,
            extra_topic_configs={"min.compaction.lag.ms": str(int(compaction_lag.total_seconds() * 1000))},
            **options,
        )
        self.row_store = row_store
        self.sources = tuple(sources)
        self.recovery_stall_s = recovery_stall_s
        self.audit_interval_s = audit_interval_s
        self._on_recovered = on_partition_recovered
        self._on_lost = on_partition_lost
        self._replicas: dict[int, Replica] = {}
        self._tenures: dict[int, Tenure] = {}
        self._rebalance_lock = asyncio.Lock()
        self._failure: BaseException | None = None
        self._background: set[asyncio.Future[object]] = set()
        self._progress_at = monotonic()
        self._transport = coalescing_transport(app)
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{app.conf.consumer_group_instance_id or ''}"
        coalesce(app, [self.changelog_topic_name])
        self._parts = WriterParts(
            producer=self._producer,
            gate=self._transport.gate,
            read_range=range_reader(app, self.changelog_topic_name),
            encode=encode,
            right=self._check_right,
            verdict=self._await_right,
            request_bytes_max=app.conf.producer_max_request_size,
            rewrite=self._rewrite,
        )

    # What the application uses.

    def owned(self) -> frozenset[int]:
        """Partitions whose rows this worker may write now."""
        return frozenset(p for p, tenure in self._tenures.items() if not (tenure.suspended or tenure.closed))

    def epoch(self, partition: int) -> int:
        """The fencing number under which this worker owns a partition, above that of every owner before it; 0 for a
        partition that it does not own."""
        tenure = self._tenures.get(partition)
        return 0 if tenure is None or tenure.closed else tenure.epoch

    def row(self, partition: int, key: bytes) -> bytes | None:
        """The durable row of ``key``, of an owned or a standby partition; without what is dirty or in flight."""
        replica = self._replicas.get(partition)
        return replica.store.get(key) if replica is not None else None

    def rows(self, partition: int) -> Mapping[bytes, bytes]:
        """The durable rows of an owned or a standby partition, as a view."""
        return PartitionRows(self._replica(partition).store)

    def source_offsets(self, partition: int) -> Mapping[str, int]:
        """Per source topic the offset told to ``flush`` with the last durable rows."""
        return self._replica(partition).store.position.sources

    def put(self, partition: int, key: bytes, row: bytes) -> None:
        """Set a row and mark it dirty. Raises ``NotOwner``."""
        self._tenure(partition).mark(_checked(key), row)

    def mark_dirty(self, partition: int, key: bytes) -> None:
        """Mark a row dirty; the table's encoder renders it when it is flushed. Raises ``NotOwner``."""
        self._tenure(partition).mark(_checked(key))

    def mark_many_dirty(self, partition: int, keys: Iterable[bytes]) -> None:
        """As ``mark_dirty`` for many rows; the keys are taken to be sound. Raises ``NotOwner``."""
        self._tenure(partition).mark_many(keys)

    def dirty(self, partition: int) -> frozenset[bytes]:
        """Keys changed and not yet handed to the producer."""
        return self._tenure(partition).dirty

    async def flush(
        self, partition: int, *, generation: int | None = None, sources: Mapping[str, int] | None = None
    ) -> asyncio.Future[None]:
        """Write the dirty rows of a partition to its changelog.

        ``generation`` is that of the batch which changed them (``RecordBatch.generation``), ``sources`` the offsets
        per source topic which they explain. Returns, once the producer has the rows, a future that is done when they
        and everything written before them are durable; the commit gate waits for it by itself. Raises
        ``OwnershipLost``: the rows stay dirty, the batch must not be acknowledged.
        """
        return await self._tenure(partition).flush(generation, sources or {})

    async def wait_durable(self) -> None:
        """Wait until everything flushed so far is durable."""
        await asyncio.gather(*(tenure.durable() for tenure in self._tenures.values()))

    # Ownership.

    def _tenure(self, partition: int) -> Tenure:
        tenure = self._tenures.get(partition)
        if tenure is None or tenure.closed:
            raise NotOwner(f"partition {partition} of table {self.name} belongs to another worker")
        return tenure

    def _replica(self, partition: int) -> Replica:
        replica = self._replicas.get(partition)
        if replica is None:
            raise NotOwner(f"partition {partition} of table {self.name} is not assigned to this worker")
        return replica

    def _check_right(self, generation: int | None) -> None:
        current = self.app.consumer_generation_id
        if self._failure is not None:
            raise NotOwner(f"the worker is stopping: {self._failure}")
        if generation is not None and generation != current:
            raise StaleGeneration(f"the batch is of generation {generation}, the group is at {current}")
        lease = self._transport.lease
        if lease.expired:
            raise LeaseExpired(f"no heartbeat was answered for {lease.age_s:.1f} s (session {lease.timeout_s:.1f} s)")

    async def _await_right(self, generation: int | None, *, taking_over: bool = False) -> None:
        """As ``_check_right``; an expired lease is a question, which the next heartbeat answers: renewed, or a
        rebalance. A batch given up while the group stays as it is would never come again. (While partitions are taken
        over, the group is rebalancing by definition; then a new generation is the answer.)"""
        while True:
            try:
                return self._check_right(generation)
            except LeaseExpired:
                if self.app.should_stop or (self.app.rebalancing and not taking_over):
                    raise
            await asyncio.sleep(_LEASE_POLL_S)

    def _producer(self) -> BatchProducer:
        return cast(BatchProducer, self.app.producer._ensure_producer())  # type: ignore[attr-defined]

    # What Faust calls.

    async def on_start(self) -> None:
        """Declare the changelog where this worker may; nothing of Faust's own store is started."""
        if self.app.conf.topic_allow_declare:
            await self.changelog_topic.maybe_declare()

    async def on_stop(self) -> None:
        """Release the local stores."""
        for future in self._background:
            future.cancel()
        for tenure in self._tenures.values():
            tenure.close()
        for replica in self._replicas.values():
            replica.close()
        self._tenures.clear()
        self._replicas.clear()

    def persisted_offset(self, tp: TP) -> int | None:
        """Where recovery may start."""
        replica = self._replicas.get(tp.partition)
        return replica.offset if replica is not None and replica.offset >= 0 else None

    async def need_active_standby_for(self, tp: TP) -> bool:
        """Standbys are always useful."""
        return True

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Give up what went to others, suspend the rest until it is recovered, open what came."""
        async with self._rebalance_lock:
            topic = self.changelog_topic_name
            mine = {tp.partition for tp in assigned if tp.topic == topic}
            active = {tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == topic}
            for partition, tenure in list(self._tenures.items()):
                tenure.suspended = True
                if partition not in mine & active:
                    await self._give_up(partition)
            for partition in self._replicas.keys() - mine:
                self._replicas.pop(partition).close()
            for partition in sorted(mine - self._replicas.keys()):
                self._replicas[partition] = Replica(topic, partition, self.row_store.open(partition))
            self._progress_at = monotonic()
            await check_partition_counts(self.app.consumer, topic, self.sources, self.partitions)
            await check_changelog_bounds(self.app.consumer, self._replicas)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Apply what recovery or a standby read. Recovery logs errors and goes on, so a bad record stops the worker
        from here."""
        for event in batch:
            message = event.message
            replica = self._replicas.get(message.partition)
            # Recovery hands records of partitions that it no longer knows to whichever table came before.
            if message.topic != self.changelog_topic_name or replica is None or self._failure is not None:
                continue
            try:
                records = cast(RecordBatch, message.value)
                if records.start > replica.offset + 1 and replica.offset >= 0:
                    where = f"{message.topic}-{message.partition}"
                    raise RecoveryGap(
                        f"{where}: read offset {records.start}, the store ends at {replica.offset}: records between "
                        "were fetched and lost in a rebalance. Restart the worker."
                    )
                replica.replay(records)
                self._progress_at = monotonic()
            except FatalStreamError as error:
                self._fail(error)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Take over the active partitions: claim each one, then hand its rows to the application.

        Faust swallows what is raised here, so every error stops the worker explicitly."""
        generation = self.app.consumer_generation_id
        partitions = sorted(tp.partition for tp in active_tps if tp.topic == self.changelog_topic_name)
        try:
            async with self._rebalance_lock:
                takeovers = [self._take_over(partition, generation) for partition in partitions]
                for outcome in await asyncio.gather(*takeovers, return_exceptions=True):
                    if outcome is not None:
                        raise outcome
                if partitions:
                    settle_heap()
        except OwnershipLost as lost:
            self.log.info("Takeover abandoned: %s", lost)
            if generation == self.app.consumer_generation_id and not self.app.should_stop:
                self._fail(lost)  # no other takeover would follow
        except Exception as error:
            self._fail(error)

    async def _take_over(self, partition: int, generation: int) -> None:
        replica = self._replica(partition)
        held = self._tenures.get(partition)
        if held is not None:
            await held.drained()
        owner = f"{self._owner}:{generation}"
        known_epoch = held.epoch if held is not None else 0
        epoch = replica.fence.epoch

        async def check() -> None:
            nonlocal epoch
            epoch = replica.fence.epoch
            await self._await_right(generation, taking_over=True)

        claimed = await claim(replica, self._producer(), self._parts.read_range, check, owner)
        if held is not None and not held.closed and epoch == known_epoch:
            held.resume(claimed, replica.offset + 1)
        else:
            if held is not None:
                await self._give_up(partition)
            tenure = self._tenures[partition] = Tenure(replica, self._parts, claimed, replica.offset + 1)
            tenure.suspended = True
            if self._on_recovered is not None:
                await _call(self._on_recovered(partition, PartitionRows(replica.store)))
            tenure.suspended = generation != self.app.consumer_generation_id
        if self._tenures[partition].mark_buried():
            self._rewrite(partition)

    async def _give_up(self, partition: int) -> None:
        self._tenures.pop(partition).close()
        if self._on_lost is not None:
            await _call(self._on_lost(partition))

    # What goes on by itself.

    def _rewrite(self, partition: int) -> None:
        self.log.warning("Rows of partition %s were buried by an outdated writer; writing them again", partition)
        self._spawn(self._flush_quietly(partition))

    async def _flush_quietly(self, partition: int) -> None:
        try:
            await self.flush(partition)
        except OwnershipLost as lost:
            self.log.info("Rewriting abandoned: %s", lost)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self._spawn(self.app.crash(error))

    def _spawn(self, work: Awaitable[object]) -> None:
        future = asyncio.ensure_future(work)
        self._background.add(future)
        future.add_done_callback(self._background.discard)

    @Service.task
    async def _watch_recovery(self) -> None:
        """A recovery that waits for records which do not exist must stop, not hang."""
        async for _ in self.itertimer(1.0, name="watch_recovery"):
            recovery = self.app.tables.recovery  # type: ignore[attr-defined]
            if not self.app.in_recovery or recovery.active_remaining_total() <= 0:
                self._progress_at = monotonic()
            elif monotonic() - self._progress_at > self.recovery_stall_s:
                remaining = {str(tp): left for tp, left in recovery.active_remaining().items() if left > 0}
                self._fail(
                    RecoveryStalled(
                        f"table {self.name}: nothing was recovered for {self.recovery_stall_s:.0f} s, remaining "
                        f"{remaining}. If the broker is up, the changelog lost its end: delete the local store."
                    )
                )

    @Service.task
    async def _audit(self) -> None:
        """Look for foreign writers where nothing is written that would meet them."""
        async for _ in self.itertimer(self.audit_interval_s, name="audit"):
            for partition in sorted(self.owned()):
                await self._audit_partition(partition)

    async def _audit_partition(self, partition: int) -> None:
        tp = TP(self.changelog_topic_name, partition)

        async def end_offset() -> int:
            return int((await self.app.consumer.highwaters(tp))[tp])

        tenure = self._tenures.get(partition)
        try:
            if tenure is not None and not self.app.rebalancing:
                await tenure.audit(end_offset)
        except OwnershipLost as lost:
            self.log.info("Audit abandoned: %s", lost)
        except FatalStreamError as error:
            self._fail(error)
        except KafkaError as error:
            self.log.warning("Audit of %s put off: %r", tp, error)


def row_table(app: faust.App, name: str, **options: Any) -> RowTable:
    """Declare a ``RowTable`` on ``app`` and let Faust manage it; options as for ``RowTable``."""
    return cast(RowTable, app.tables.add(RowTable(app, name=name, beacon=app.beacon, **options)))


def _checked(key: bytes) -> bytes:
    if not key or key.startswith(RESERVED_PREFIX):
        raise ValueError(f"row key {key!r}: must not be empty and not begin with a zero byte")
    return key


async def _call(result: Awaitable[None] | None) -> None:
    if inspect.isawaitable(result):
        await result
