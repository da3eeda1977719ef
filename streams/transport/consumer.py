"""The consumer: Faust's own, with a chain ledger, a durability gate before each commit and stale batches turned away.

Owns what happens to a batch between the fetch thread and a stream, and what may be committed. Refuses to know rows and
records.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, Message
from faust.types.tuples import ack_lock
from mode import Service
from mode.utils.queues import ThrowableQueue

from streams.errors import DurabilityLost, LedgerHole, OwnershipLost
from streams.transport.fetch import FetchThread
from streams.transport.heap import settle_heap
from streams.transport.lag import Lag, lag_line
from streams.transport.ledger import ChainLedger
from streams.transport.record_batch import RecordBatch

if TYPE_CHECKING:
    from streams.transport.coalescing import CoalescingTransport

_NOTHING_ACTIVE_S = 1.0
_LAG_REPORT_S = 10.0
_LAG_WARNING_S = 5.0


class _ReadOffsets(defaultdict[TP, int | None]):
    """Faust's notion of what was read. It drops messages below it, and a message of before a seek that is delivered
    late raises it above what was sought. Coalesced topics have seek counts for that, so they read as unknown."""

    def __init__(self, coalesced: set[str]) -> None:
        super().__init__(lambda: None)
        self._coalesced = coalesced

    def __getitem__(self, tp: TP) -> int | None:
        return None if tp.topic in self._coalesced else super().__getitem__(tp)


class _CurrentChangelog(ThrowableQueue):  # type: ignore[type-arg]
    """The changelog queue without batches of before a seek.

    Recovery takes what it gets: a batch that was read ahead as a standby and slipped in after the seek back would make
    it believe that everything up to there had been applied.
    """

    consumer: CoalescingConsumer

    async def get(self) -> Any:
        """The next changelog event that was fetched after the last seek of its partition."""
        while True:
            event = await super().get()
            batch = event.message.value
            if not isinstance(batch, RecordBatch) or self.consumer.is_current(batch):
                return event


class CoalescingConsumer(driver.Consumer):
    """Faust's aiokafka consumer with one message per fetch and partition."""

    transport: CoalescingTransport
    _thread: FetchThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ledger: ChainLedger[TP] = ChainLedger()
        self._abandoned_at: float | None = None
        self._has_room = asyncio.Event()
        self._read_offset = _ReadOffsets(self.transport.coalesced)
        changelog = _CurrentChangelog(
            maxsize=self.app.conf.stream_buffer_maxsize, flow_control=self.app.flow_control, clear_on_resume=True
        )
        changelog.consumer = self
        self.app.tables._changelog_queue = changelog  # type: ignore[attr-defined]

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, loop=self.loop, beacon=self.beacon)

    def is_current(self, batch: RecordBatch) -> bool:
        """Whether a batch is from this generation of the group and from after the last seek of its partition."""
        return batch.generation == self.app.consumer_generation_id and self._thread.is_current(
            TP(batch.topic, batch.partition), batch.version
        )

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Faust's, without the batches that ``_to_message`` turned away."""
        async for tp, message in super().getmany(timeout):
            if message is not None:
                yield tp, message

    async def _wait_next_records(self, timeout: float) -> tuple[Any, set[TP] | None]:
        """Faust's, which sleeps for a second when no partition may be fetched. With every stream full that is a second
        of nothing to do once they are through, so here the wait ends when the first one has room."""
        if self.flow_active and not self.app.client_only and not self._get_active_partitions():
            self._has_room.clear()
            await self.wait(self._has_room.wait(), timeout=_NOTHING_ACTIVE_S)
            return {}, set()
        awaited: tuple[Any, set[TP] | None] = await super()._wait_next_records(timeout)
        return awaited

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage | None:  # type: ignore[override]
        """None for a batch that must not be delivered; ``getmany`` drops it."""
        if type(record) is not RecordBatch:
            return super()._to_message(tp, record)
        if not self.is_current(record):
            return None
        message: ConsumerMessage = super()._to_message(tp, record)
        message.generation_id = record.generation
        if self.app.topics.acks_enabled_for(tp.topic) and not self.ledger.add(
            tp, record.version, record.start, record.end, message
        ):
            return None
        return message

    async def perform_seek(self) -> None:
        """Go back to what is committed; nothing delivered before can be committed any more."""
        for tp in self.assignment():
            # Faust keeps what it knew of a partition that turns out to have no commit.
            self._committed_offset[tp] = None
        await super().perform_seek()
        self._forget_delivered()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust's (finish, commit), then forget: what was delivered belongs to the old assignment."""
        await super().on_partitions_revoked(revoked)
        self._forget_delivered()
        self.transport.lag.forget()
        self.transport.gate.reset()

    def abandon(self, message: Message) -> None:
        """Nobody will acknowledge ``message``: a rebalance is under way, or must be."""
        self._unacked_messages.discard(message)
        if self._abandoned_at is None:
            self._abandoned_at = monotonic()

    @Service.task
    async def _watch_abandoned(self) -> None:
        """A batch is given up because its partition has another owner; then the group must be rebalancing. If it is
        not, the batch would never be read again, and its partition never committed."""
        conf = self.app.conf
        patience = conf.broker_session_timeout + conf.broker_rebalance_timeout
        async for _ in self.itertimer(1.0, name="watch_abandoned"):
            if self._abandoned_at is not None and monotonic() - self._abandoned_at > patience:
                raise LedgerHole(
                    f"batches were given up {patience:.0f} s ago and no rebalance followed; restart the worker, it "
                    "resumes at the committed offset"
                )

    def lags(self) -> dict[TP, Lag]:
        """The lag of each assigned source partition, by what the last fetches showed."""
        sources = [tp for tp in self.assignment() if self.app.topics.acks_enabled_for(tp.topic)]
        ends = {tp: self.highwater(tp) for tp in sources if tp.topic in self.transport.coalesced}
        return self.transport.lag.lags(ends, self._committed_offset.__getitem__, time())

    @Service.task
    async def _report_lag(self) -> None:
        """A line in the log now and then; a warning when records wait for long."""
        async for _ in self.itertimer(_LAG_REPORT_S, name="report_lag"):
            if self.app.rebalancing or self.app.in_recovery:
                continue
            lags = self.lags()
            is_late = any(lag.seconds > _LAG_WARNING_S for lag in lags.values())
            self.log.log(logging.WARNING if is_late else logging.INFO, lag_line(lags))

    @Service.task
    async def _settle_heap(self) -> None:
        """Once, at the start; tables do it again whenever they have taken partitions over."""
        settle_heap()

    def _forget_delivered(self) -> None:
        self._abandoned_at = None
        self.ledger.forget()
        with ack_lock:
            for tp in [tp for tp in self._acked if tp.topic in self.transport.coalesced]:
                self._acked[tp].clear()
                self._acked_index[tp].clear()

    async def _seek(self, partition: TP, offset: int) -> None:
        # Faust's calls into aiokafka from the wrong thread.
        await self._thread.seek_wait({partition: offset})

    def resume_partitions(self, tps: Any) -> None:
        """Faust's, without waiting for the next fetch to notice."""
        super().resume_partitions(tps)
        self._has_room.set()
        self._thread.wake()

    def on_buffer_drop(self, tp: TP) -> None:
        """Faust's, without waiting for the next fetch to notice."""
        super().on_buffer_drop(tp)
        self._has_room.set()
        self._thread.wake()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self.transport.coalesced:
            await super()._add_gap(tp, offset_from, offset_to)

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.transport.coalesced:
            offset: int | None = super()._new_offset(tp)
            return offset
        with ack_lock:
            # Streams append here on every acknowledgement; the ledger reads the messages instead.
            self._acked[tp].clear()
            self._acked_index[tp].clear()
        return self.ledger.position(tp)

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """Commit ``offsets`` after everything they depend on is durable; False when nothing was committed."""
        if self.crashed:
            # Its thread may be gone; what is done and uncommitted is done again, and counted once.
            return False
        generation = self.app.consumer_generation_id
        try:
            await self.transport.gate.wait()
        except OwnershipLost as error:
            self.log.info("Nothing committed: %s", error)
            return False
        except DurabilityLost as error:
            await self.app.crash(error)
            return False
        await self.app.producer.flush()
        assignment = self.assignment()
        committable = {tp: offset for tp, offset in offsets.items() if tp in assignment}
        if not committable or generation != self.app.consumer_generation_id:
            return False
        if not await self._commit(committable):
            return False
        self.app.tables.on_commit(committable)
        self._committed_offset.update(committable)
        self.app.monitor.on_tp_commit(committable)
        return True

    async def on_task_error(self, exc: BaseException) -> None:
        """Do not commit because something failed: that is Faust's way to lose the failed event."""
        self.log.error("Not committing after %r", exc)
        if isinstance(exc, LedgerHole):
            await self.app.crash(exc)
