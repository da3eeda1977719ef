"""The broadcast reader: topics that every worker reads in full, in order, without a group.

Owns one consumer over all partitions of its topics: from the beginning to the end as of the start, then ``ready``, then
whatever comes. Nothing is committed; a restart reads everything again. Refuses to know what the records mean, and to
go on when the callback fails or the log is no longer the one it was reading.
"""

from __future__ import annotations

import asyncio
import inspect
import select
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import aiokafka
import faust
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError
from mode import Service

from streams.errors import BroadcastFailed
from streams.transport.groupless import groupless_consumer
from streams.transport.record_batch import Record

OnBatch = Callable[[str, int, Sequence[Record]], Awaitable[None] | None]
"""topic, partition, records in offset order."""

_POLL_MS = 500
_BATCH_RECORDS_MAX = 4096
_RETRY_S = 0.5
_TOPICS_DEADLINE_S = 30.0
_TURNS_TO_BUFFER = 6
"""Turns of the event loop within which bytes in the socket are records in aiokafka's buffer: it takes four, and another
answer on the same connection may come first."""


class BroadcastReader(Service):
    """Reads ``topics`` and hands every record to ``on_batch``, partition by partition in offset order.

    At the start the topics are read one after another in the order given. ``built_on`` names topics whose records
    refer to another's (settlements to instruments): before they are handed over, the other one is read to its end.

    Add it to a Faust app as a service; ``ready`` is set when everything that was there at the start has been handed
    over. An error in ``on_batch``, a missing topic, or a log that was truncated under the reader crashes the service
    (and with it the app it belongs to). A broker that is away is waited for.
    """

    def __init__(
        self,
        app: faust.App,
        topics: Sequence[str],
        on_batch: OnBatch,
        built_on: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.app = app
        self.topics = tuple(topics)
        self.ready = asyncio.Event()
        self._on_batch = on_batch
        self._built_on = built_on or {}
        self._consumer: aiokafka.AIOKafkaConsumer | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._moved = asyncio.Condition()
        self._step_over = asyncio.Event()
        self._is_handing = False

    def positions(self) -> Mapping[tuple[str, int], int]:
        """Per topic and partition the offset of the next record to be handed over."""
        return {(tp.topic, tp.partition): position for tp, position in self._positions.items()}

    async def wait_ready(self) -> None:
        """Wait for ``ready``; returns early when the service stops."""
        await self.wait_for_stopped(self.ready.wait())

    async def catch_up(self) -> None:
        """Wait until everything that the broker has now was handed over; returns early when the service stops."""
        await self.wait_ready()
        if self.should_stop:
            return
        ends = await self._end_offsets(list(self._positions))
        async with self._moved:
            await self._moved.wait_for(lambda: self.should_stop or self._reached(ends))

    def pending(self) -> bool:
        """Whether records were fetched and not yet handed over completely."""
        return self._is_handing or (self._consumer is not None and bool(self._consumer._fetcher._records))

    async def turn(self) -> None:
        """Let what has arrived overtake: returns when records that were in the socket at the call have been handed over
        (those of one fetch; more that came meanwhile wait for the next turn), or the service stops.

        For a task that works through a backlog on the same event loop, between two slices of it; must not be awaited
        from ``on_batch``. When nothing is there it costs a system call, and does not yield to other tasks.
        """
        if not self.pending():
            if not self._has_arrived():
                return
            for _ in range(_TURNS_TO_BUFFER):
                await asyncio.sleep(0)
                if self.pending():
                    break
        if self.pending() and not self.should_stop:
            self._step_over.clear()
            await self._step_over.wait()

    def _has_arrived(self) -> bool:
        """Whether a broker has answered and the event loop has not read it yet."""
        if self._consumer is None:
            return False
        sockets = select.poll()
        for connection in self._consumer._client._conns.values():
            if connection._writer is not None and not connection._writer.is_closing():
                sockets.register(connection._writer.get_extra_info("socket"), select.POLLIN)
        return bool(sockets.poll(0))

    async def on_stop(self) -> None:
        """Release whoever waits, and the connection."""
        self._step_over.set()
        async with self._moved:
            self._moved.notify_all()
        if self._consumer is not None:
            await self._consumer.stop()

    @Service.task
    async def _read(self) -> None:
        consumer = self._consumer = groupless_consumer(self.app)
        await self._start(consumer)
        tps = await self._partitions(consumer)
        if self.should_stop:
            return
        beginnings: dict[TopicPartition, int] = await self._patiently(lambda: consumer.beginning_offsets(tps))
        # Assigned and sought in one step: without a position of its own aiokafka would look for a committed one.
        consumer.assign(tps)
        for tp, offset in beginnings.items():
            consumer.seek(tp, offset)
        self._positions = dict(beginnings)
        ends = await self._end_offsets(tps)
        for topic in self.topics:
            await self._read_to(consumer, {tp: end for tp, end in ends.items() if tp.topic == topic})
        self.ready.set()
        while not self.should_stop:
            await self._step(consumer, tps)

    async def _read_to(self, consumer: aiokafka.AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        while not (self.should_stop or self._reached(ends)):
            await self._step(consumer, list(ends))

    async def _step(self, consumer: aiokafka.AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> None:
        """Hand over what one fetch brings of ``tps``."""
        is_inner = self._is_handing
        try:
            batches = await self._fetch(consumer, tps)
            self._is_handing = is_inner or bool(batches)
            await self._hand_over(consumer, tps, batches)
            # Compacted records at the end of a log move the position without a batch.
            reached = self._positions | {tp: await consumer.position(tp) for tp in tps}
        finally:
            if not is_inner:
                self._is_handing = False
                self._step_over.set()
        if reached != self._positions:
            async with self._moved:
                self._positions = reached
                self._moved.notify_all()

    async def _fetch(
        self, consumer: aiokafka.AIOKafkaConsumer, tps: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        try:
            batches: Mapping[TopicPartition, Sequence[Record]] = await consumer.getmany(
                *tps, timeout_ms=_POLL_MS, max_records=_BATCH_RECORDS_MAX
            )
        except KafkaError as error:
            raise BroadcastFailed(
                f"{', '.join(self.topics)}: {error!r}. If the log was truncated or replaced, restart the worker: it "
                "reads the topics from their beginning."
            ) from error
        return batches

    async def _hand_over(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        tps: Sequence[TopicPartition],
        batches: Mapping[TopicPartition, Sequence[Record]],
    ) -> None:
        for tp in sorted(batches, key=lambda tp: (self.topics.index(tp.topic), tp.partition)):
            if (basis := self._built_on.get(tp.topic)) is not None and self.ready.is_set():
                await self._read_to(consumer, await self._end_offsets([tp for tp in tps if tp.topic == basis]))
            result = self._on_batch(tp.topic, tp.partition, batches[tp])
            if inspect.isawaitable(result):
                await result

    def _reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        return all(self._positions[tp] >= end for tp, end in ends.items())

    async def _start(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        while not self.should_stop:
            try:
                await consumer.start()
                return
            except KafkaConnectionError as error:
                self.log.warning("Waiting for the broker: %s", error)
                await self.sleep(_RETRY_S)

    async def _partitions(self, consumer: aiokafka.AIOKafkaConsumer) -> list[TopicPartition]:
        client = consumer._client
        for topic in self.topics:
            client.add_topic(topic)
        deadline = monotonic() + _TOPICS_DEADLINE_S
        while not self.should_stop:
            await self._patiently(client.force_metadata_update)
            found = {topic: sorted(consumer.partitions_for_topic(topic) or ()) for topic in self.topics}
            missing = [topic for topic, partitions in found.items() if not partitions]
            if not missing:
                return [TopicPartition(topic, number) for topic, numbers in found.items() for number in numbers]
            if monotonic() > deadline:
                raise BroadcastFailed(f"topics {', '.join(missing)} do not exist: create the topics first")
            await self.sleep(_RETRY_S)
        return []

    async def _end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        consumer = self._consumer
        assert consumer is not None, "end offsets are asked of a started reader"
        ends: dict[TopicPartition, int] = await self._patiently(lambda: consumer.end_offsets(list(tps)))
        return ends

    async def _patiently(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask until the broker answers; a broker that restarts is away for a while."""
        while True:
            try:
                return await ask()
            except KafkaError as error:
                if self.should_stop or not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    raise
                self.log.warning("Asking again: %r", error)
                await self.sleep(_RETRY_S)
