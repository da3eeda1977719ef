"""The risk worker: moves bytes between Kafka and the runner, in the one order that survives a crash.

Owns that order. For a batch of account events: decode and step; mark the changed rows dirty; write them to the
changelog; when they are durable, publish what they owe (commands, decisions, dead letters); acknowledge. Every write is
registered with the commit gate, so source offsets are committed after all of it. For a broadcast batch the same,
without an acknowledgement: marks have no committed offset, decisions say which version they saw.

Trail: before it ``streams.agents`` (a coalesced batch), after it ``streams.runner``; then ``streams.outbox``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from aiokafka import AIOKafkaProducer

from engine.columns.arrays import Int64s
from schemas.codec import encode, key_of
from schemas.events.dead_letters import DeadLetterV1
from streams.broadcast import BroadcastReader
from streams.catch_up import COLLATERAL_S, CatchUp, Position
from streams.dead_letters import DeadLetterLimit
from streams.errors import NotOwner, OwnershipLost
from streams.outbox import Outbox
from streams.rows import OutboxEntry
from streams.runner import BatchEffects, RiskRunner, partition_of
from streams.state import RowTable
from streams.sweep_pace import SweepPace
from streams.transport import DurabilityGate, Record, RecordBatch

ACCOUNT_TOPICS = ("fills", "collateral", "liquidation-acks")
COLLATERAL_POLL_S = 0.002

SLICE_RECORDS = 1024
"""Records applied before marks get a turn: three to five milliseconds of work."""

log = logging.getLogger(__name__)


class Publisher:
    """Sends messages through one aiokafka producer to the partition their key asks for."""

    def __init__(self, producer: Callable[[], AIOKafkaProducer], partitions: Mapping[str, int]) -> None:
        self._producer = producer
        self._partitions = partitions

    async def send(self, message: OutboxEntry) -> asyncio.Future[object]:
        """Hand a message to the producer; the future resolves when the broker has confirmed it."""
        partition = partition_of(message.key, self._partitions[message.topic])
        future: asyncio.Future[object] = await self._producer().send(
            message.topic, message.value, key=message.key, partition=partition
        )
        return future

    async def send_dead_letter(self, letter: DeadLetterV1) -> asyncio.Future[object]:
        """Hand a dead letter to the producer."""
        return await self.send(OutboxEntry("dead-letters", key_of(letter), encode(letter)))


def observe(limit: DeadLetterLimit, offsets: Int64s, bad: Mapping[int, str]) -> None:
    """Count a batch toward the limit, in record order; ``bad`` has the reason by offset. Raises ``DeadLetterFlood``
    before anything of the batch is reported or acknowledged."""
    if not bad:
        limit.good(len(offsets))
        return
    for offset in offsets.tolist():
        if (reason := bad.get(offset)) is None:
            limit.good()
        else:
            limit.bad(reason)


class Positions(Protocol):
    """What the worker asks of the consumer."""

    def highwater(self, position: Position) -> int | None:
        """The offset after the newest record the broker was last seen to have; None before the first fetch."""

    def committed(self, position: Position) -> int | None:
        """Where reading began; None when nothing was ever committed."""

    async def ends(self, positions: Sequence[Position]) -> Mapping[Position, int]:
        """The offsets after the newest records, asked of the broker now."""


class RiskWorker:
    """Drives one ``RiskRunner`` with what Kafka delivers."""

    def __init__(
        self,
        publisher: Publisher,
        gate: DurabilityGate,
        partitions: int,
        limits: Mapping[str, DeadLetterLimit],
        positions: Positions,
        lag_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._lag_s = lag_s
        self._pace = SweepPace()
        self._publisher = publisher
        self._gate = gate
        self._limits = limits
        self._positions = positions
        self._catch_up = CatchUp()
        self.outbox = Outbox(publisher.send, self._on_delivered)
        self.runner = RiskRunner(self.outbox, partitions, self._epoch)
        self.rows: RowTable | None = None
        self.broadcast: BroadcastReader | None = None

    async def on_batch(self, batch: RecordBatch) -> None:
        """Apply one batch of account events; returns when every write it needs is registered with the gate.

        Slice by slice: marks that have arrived overtake the slices still to come, since a breach must not wait behind
        a backlog of fills. A mark judges everybody whom earlier slices touched; without one they are judged after the
        last, when what is decided can leave. Raises ``OwnershipLost`` when the partition is another worker's: the batch
        must not be acknowledged.
        """
        _, broadcast = self._parts()
        await broadcast.ready.wait()
        for records in batch.slices(SLICE_RECORDS):
            await asyncio.sleep(0)  # heartbeats, deliveries and the other topics have their turn, too
            await broadcast.turn()
            await self._apply(records, judge=records.end == batch.end)
        await self._flush(batch.partition, batch.generation, {batch.topic: batch.offset})

    async def _apply(self, records: RecordBatch, *, judge: bool) -> None:
        rows, broadcast = self._parts()
        if records.topic == "fills":
            await self._let_collateral_pass(records.partition)
        scanned = self.runner.scan(records)
        if scanned.lacks_reference:
            # A listing published before the fill is heard of before the fill is judged.
            await broadcast.catch_up()
            scanned = self.runner.scan(records)
        if records.partition not in rows.owned():
            raise NotOwner(f"partition {records.partition} is not taken over")
        self._look_around()
        effects = self.runner.apply(scanned, judge=judge)
        self._catch_up.read(records.topic, records.partition, records.end)
        # No await between a changed book and its dirty mark: a cancelled batch is a duplicate when it comes again.
        self._mark(effects)
        observe(self._limits[records.topic], records.offsets, effects.bad)
        for letter in effects.dead_letters:
            self._gate.register(await self._publisher.send_dead_letter(letter), "a dead letter")
        await self._send_snapshots(effects)

    async def on_broadcast(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        """Apply marks, reference data or settlements to every account of this worker."""
        del partition  # Broadcast topics have one.
        self._look_around()
        effects = self.runner.apply_broadcast(topic, records)
        self._mark(effects)
        await self._flush_all(effects.dirty)
        await self._send_snapshots(effects)

    async def on_recovered(self, partition: int, rows: Mapping[bytes, bytes]) -> None:
        """Adopt a partition and resend what its rows owe; its accounts are judged at the next step.

        Not before the broadcast topics were read to their end: nobody is judged on the prices of long ago.
        """
        _, broadcast = self._parts()
        await broadcast.ready.wait()
        self._catch_up.take_over(await self._positions.ends([(topic, partition) for topic in ACCOUNT_TOPICS]))
        self.runner.judging = False
        self.runner.load(partition, rows)
        for future in await self._publish(partition, self.outbox.serial):
            self._gate.register(future, "what a recovered row owed")

    def on_lost(self, partition: int) -> None:
        """Forget a partition."""
        self._catch_up.give_up(partition)
        self.runner.drop(partition)

    async def tidy(self) -> None:
        """Judge accounts adopted since the last step, and write what confirmed deliveries or a rebalance left dirty."""
        rows, broadcast = self._parts()
        self._look_around()
        if broadcast.ready.is_set():
            await self._sweep()
        await self._flush_all(partition for partition in sorted(rows.owned()) if rows.dirty(partition))

    async def _sweep(self) -> None:
        accounts = self._pace.slice(self._lag_s())
        started = time.perf_counter()
        effects = self.runner.evaluate(accounts)
        self._pace.note(len(effects.snapshots), time.perf_counter() - started)
        self._mark(effects)
        await self._send_snapshots(effects)

    def _look_around(self) -> None:
        self.runner.judging = self._catch_up.is_over(self._positions.committed)

    async def _let_collateral_pass(self, partition: int) -> None:
        """Deposits published before these fills back them; the broker is known to have what it has shown."""
        position = ("collateral", partition)
        deadline = time.monotonic() + COLLATERAL_S
        known = self._positions.highwater(position)
        while known is not None and self._catch_up.position(*position, self._positions.committed(position)) < known:
            if time.monotonic() > deadline:
                # Nothing up to there can be read (a log cut back, say): do not wait for the same again.
                self._catch_up.read(*position, known)
                return
            await asyncio.sleep(COLLATERAL_POLL_S)
            known = self._positions.highwater(position)

    def _epoch(self, partition: int) -> int:
        rows, _ = self._parts()
        return rows.epoch(partition)

    def _parts(self) -> tuple[RowTable, BroadcastReader]:
        assert self.rows is not None and self.broadcast is not None, "the worker is wired by streams.app"
        return self.rows, self.broadcast

    async def _send_snapshots(self, effects: BatchEffects) -> None:
        for message in (*effects.snapshots, *effects.reports):
            # Best effort by contract: a lost one is followed by the next.
            await self._publisher.send(message)

    def _mark(self, effects: BatchEffects) -> None:
        for partition, accounts in effects.dirty.items():
            self._mark_rows(partition, accounts)

    def _mark_rows(self, partition: int, accounts: Sequence[bytes]) -> None:
        rows, _ = self._parts()
        try:
            rows.mark_many_dirty(partition, accounts)
        except OwnershipLost:
            # Between giving a partition up and being told so: its next owner decides from the durable row.
            log.info("partition %s went to another worker while %d accounts changed", partition, len(accounts))

    async def _flush_all(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            try:
                await self._flush(partition, None, {})
            except OwnershipLost as lost:
                # The rows stay dirty while a rebalance keeps the partition here, and are void when it does not.
                log.info("partition %s not written: %s", partition, lost)

    async def _flush(self, partition: int, generation: int | None, sources: Mapping[str, int]) -> None:
        rows, _ = self._parts()
        serial = self.outbox.serial
        durable = await rows.flush(partition, generation=generation, sources=sources)
        if any(self.runner.home(account) == partition for account in self.outbox.owing()):
            publication = asyncio.ensure_future(self._publish_after(durable, partition, serial))
            self._gate.register(publication, "what rows owe")

    async def _publish_after(self, durable: asyncio.Future[None], partition: int, serial: int) -> object:
        await durable
        return await asyncio.gather(*await self._publish(partition, serial))

    async def _publish(self, partition: int, serial: int) -> list[asyncio.Future[object]]:
        futures = []
        for account in self.outbox.owing():
            if self.runner.home(account) == partition:
                futures += await self.outbox.publish(account, serial)
        return futures

    def _on_delivered(self, account: str) -> None:
        partition = self.runner.home(account)
        if partition is not None:
            self._mark_rows(partition, (account.encode(),))
