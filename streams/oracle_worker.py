"""The oracle worker: moves bytes between Kafka and the oracle role.

Owns the order of its effects: marks and dead letters are registered with the commit gate before quotes are
acknowledged. Refuses to judge prices (``streams.oracle``, ``engine.oracle``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.broadcast import BroadcastReader
from streams.dead_letters import DeadLetterLimit
from streams.oracle import BroadcastChecker, OracleRunner
from streams.transport import DurabilityGate, Record, RecordBatch
from streams.worker import Publisher, observe


class OracleWorker:
    """Drives ``OracleRunner`` and ``BroadcastChecker`` with what Kafka delivers."""

    def __init__(self, publisher: Publisher, gate: DurabilityGate, limits: Mapping[str, DeadLetterLimit]) -> None:
        self._publisher = publisher
        self._gate = gate
        self._limits = limits
        self._runner = OracleRunner()
        self._checker = BroadcastChecker()
        self.broadcast: BroadcastReader | None = None

    async def on_broadcast(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        """Read the broadcast topics along, as every risk worker does; marks up to the start resume the guard."""
        assert self.broadcast is not None, "the worker is wired by streams.app"
        del partition  # Broadcast topics have one.
        self._checker.observe(topic, records)
        if topic == "marks" and not self.broadcast.ready.is_set():
            self._runner.resume(records)

    async def on_prices(self, batch: RecordBatch) -> None:
        """Guard a batch of quotes and publish the marks it makes."""
        assert self.broadcast is not None, "the worker is wired by streams.app"
        await self.broadcast.ready.wait()
        marks, letters = self._runner.apply(batch.partition, batch.records)
        observe(self._limits[batch.topic], batch.offsets, {letter.offset: letter.reason for letter in letters})
        for letter in letters:
            self._gate.register(await self._publisher.send_dead_letter(letter), "a dead letter")
        for mark in marks:
            self._gate.register(await self._publisher.send(mark), "a mark")

    async def on_checked(self, batch: RecordBatch) -> None:
        """Report the bad records of a stretch of a broadcast topic."""
        assert self.broadcast is not None, "the worker is wired by streams.app"
        if self._checker.seen(batch.topic) < batch.offset:
            await self.broadcast.catch_up()
        letters = self._checker.take_letters(batch.topic, batch.first, batch.offset)
        observe(self._limits[batch.topic], batch.offsets, {letter.offset: letter.reason for letter in letters})
        for letter in letters:
            self._gate.register(await self._publisher.send_dead_letter(letter), "a dead letter")
