"""The risk worker: moves bytes between Kafka and the runner, in the one order that survives a crash.

Owns that order. For a batch of account events: decode and step; make its dead letters durable; write the dirty rows to
the changelog; only when those are durable publish what the rows owe; acknowledge. Every write is registered with the
commit gate, so source offsets are committed after all of it. For a broadcast batch the same, without an
acknowledgement: marks have no committed offset, the rows they change say which version they saw.

Trail: before it ``streams.agents`` (a coalesced batch), after it ``streams.runner``; then ``streams.outbox``.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from aiokafka import AIOKafkaProducer

from schemas.codec import encode, key_of
from schemas.events.dead_letters import DeadLetterV1
from streams.dead_letters import DeadLetterLimit
from streams.outbox import Outbox
from streams.rows import OutboxEntry
from streams.runner import BatchEffects, InputRecord, RiskRunner, partition_of
from streams.transport.durability import DurabilityGate


class Rows(Protocol):
    """What the worker needs of the row table."""

    def mark_dirty(self, partition: int, key: bytes) -> None: ...
    async def flush(self, partition: int, generation: int | None = None) -> asyncio.Future[object] | None: ...
    def dirty_partitions(self) -> Sequence[int]: ...


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


def observe(limit: DeadLetterLimit, records: Sequence[InputRecord], letters: Sequence[DeadLetterV1]) -> None:
    """Count a batch toward the limit, in record order; raises ``DeadLetterFlood`` before anything of it is reported."""
    if not letters:
        limit.good(len(records))
        return
    reasons = {letter.offset: letter.reason for letter in letters}
    for record in records:
        if (reason := reasons.get(record.offset)) is None:
            limit.good()
        else:
            limit.bad(reason)


class RiskWorker:
    """Drives one ``RiskRunner`` with what Kafka delivers."""

    def __init__(
        self,
        rows: Rows,
        publisher: Publisher,
        gate: DurabilityGate,
        partitions: int,
        limits: Mapping[str, DeadLetterLimit],
    ) -> None:
        self._rows = rows
        self._publisher = publisher
        self._gate = gate
        self._limits = limits
        self._locks: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.outbox = Outbox(publisher.send, self._on_delivered)
        self.runner = RiskRunner(self.outbox, partitions)
        self.catch_up: Callable[[], Awaitable[None]] | None = None

    async def on_batch(self, topic: str, partition: int, records: Sequence[InputRecord], generation: int) -> None:
        """Apply one batch of account events; returns when every write it needs is on its way and registered."""
        batch = self.runner.decode(topic, partition, records)
        if self.runner.lacks_reference(batch) and self.catch_up is not None:
            # A listing published before the fill is heard of before the fill is judged.
            await self.catch_up()
        async with self._locks[partition]:
            effects = self.runner.apply(batch)
            observe(self._limits[topic], records, effects.dead_letters)
            await self._report(effects.dead_letters)
            await self._write(effects, partition, generation)
        await self._write_elsewhere(effects, {partition})

    async def on_broadcast(self, topic: str, partition: int, records: Sequence[InputRecord]) -> None:
        """Apply marks, reference data or settlements to every account of this worker."""
        del partition
        await self._write_elsewhere(self.runner.apply_broadcast(topic, records), set())

    async def on_recovered(self, partition: int, rows: Mapping[bytes, bytes]) -> None:
        """Adopt a partition, resend what its rows owe, and judge its accounts on the market as it stands."""
        self.runner.load(partition, rows)
        for account in self.outbox.owing():
            if self.runner.home(account) == partition:
                await self._publish(account)
        await self._write_elsewhere(self.runner.evaluate(), set())

    def on_lost(self, partition: int) -> None:
        """Forget a partition."""
        self.runner.drop(partition)

    async def write_leftovers(self) -> None:
        """Write rows that were left dirty by confirmed deliveries or by a cancelled batch."""
        for partition in self._rows.dirty_partitions():
            async with self._locks[partition]:
                await self._flush(partition, (), None)

    async def _report(self, letters: Iterable[DeadLetterV1]) -> None:
        # Dead letters become durable before the rows whose watermarks would hide them from a replay.
        futures = [await self._publisher.send_dead_letter(letter) for letter in letters]
        for future in futures:
            self._gate.register(future, "a dead letter")
        if futures:
            await asyncio.gather(*futures)

    async def _write_elsewhere(self, effects: BatchEffects, written: set[int]) -> None:
        for partition in effects.dirty.keys() - written:
            async with self._locks[partition]:
                await self._write(effects, partition, None)
        for snapshot in effects.snapshots:
            # Best effort by contract: a lost snapshot is followed by the next.
            await self._publisher.send(snapshot)

    async def _write(self, effects: BatchEffects, partition: int, generation: int | None) -> None:
        accounts = effects.dirty.get(partition, [])
        for account in accounts:
            self._rows.mark_dirty(partition, account.encode())
        await self._flush(partition, accounts, generation)

    async def _flush(self, partition: int, accounts: Sequence[str], generation: int | None) -> None:
        durable = await self._rows.flush(partition, generation)
        owing = [account for account in accounts if self.outbox.entries(account)]
        if durable is not None and owing:
            self._gate.register(asyncio.ensure_future(self._publish_after(durable, owing)), "a command or decision")

    async def _publish_after(self, durable: asyncio.Future[None], accounts: Iterable[str]) -> object:
        await durable
        for account in accounts:
            await self._publish(account)
        return None

    async def _publish(self, account: str) -> None:
        for future in await self.outbox.publish(account):
            self._gate.register(future, "a command or decision")

    def _on_delivered(self, account: str) -> None:
        partition = self.runner.home(account)
        if partition is not None:
            self._rows.mark_dirty(partition, account.encode())
