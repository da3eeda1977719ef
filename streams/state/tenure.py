"""A tenure: the time during which this worker owns one partition, and the writing half of its rows.

Owns the dirty rows, the one writer at a time, the order in which deliveries count, and the watch for foreign writers:
while the tenure lasts nobody else may append to the partition's changelog, so each delivery must begin where the last
one ended. If it does not, the stretch between is read: a higher epoch there means that this worker was replaced, an
outdated one that a good row was buried and must be written again. Refuses to know Faust and its rebalances.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.errors import ChangelogBehindStore, DurabilityLost, Fenced, NotOwner, OwnershipLost
from streams.state.changelog import BatchProducer, Delivery, ReadRange, pack
from streams.state.fence import EPOCH_KEY, Fence, Kind
from streams.state.replica import Replica
from streams.transport.durability import DurabilityGate

Encode = Callable[[int, Sequence[bytes]], Sequence[bytes]]
"""partition, keys -> their rows as they stand now."""

Right = Callable[[int | None], None]
"""Raises ``OwnershipLost`` unless this worker may write; the argument is the generation of the batch, None for any."""

Verdict = Callable[[int | None], Awaitable[None]]
"""The same, after waiting while it is unknown whether the right still exists."""


@dataclass(frozen=True, slots=True)
class WriterParts:
    """What a tenure writes with; the same for all partitions of a table."""

    producer: Callable[[], BatchProducer]
    gate: DurabilityGate
    read_range: ReadRange
    encode: Encode | None
    right: Right
    verdict: Verdict
    request_bytes_max: int
    rewrite: Callable[[int], object]
    """Called with the partition after buried rows were marked dirty: somebody has to flush."""


def _error_of(future: asyncio.Future[Any]) -> BaseException | None:
    # A future must not fail with CancelledError itself: whoever awaits it would take that for its own cancellation.
    return DurabilityLost("cancelled before it was confirmed") if future.cancelled() else future.exception()


@dataclass(slots=True)
class _Sent:
    rows: dict[bytes, bytes]
    sources: Mapping[str, int]
    delivery: asyncio.Future[Delivery]
    durable: asyncio.Future[None]


class Tenure:
    """Ownership of one partition. ``epoch`` is its number in the changelog, ``next_offset`` where the next delivery
    must begin. A suspended tenure (the group is rebalancing) refuses to write, and may be resumed; a closed one not."""

    def __init__(self, replica: Replica, parts: WriterParts, epoch: int, next_offset: int) -> None:
        self.replica = replica
        self.epoch = epoch
        self.next_offset = next_offset
        self.suspended = False
        self.closed = False
        self.foreign_records = 0
        self._parts = parts
        self._dirty: dict[bytes, bytes | None] = {}
        self._sending: dict[bytes, bytes] = {}
        self._sent: deque[_Sent] = deque()
        self._lock = asyncio.Lock()
        self._inspection: asyncio.Future[None] | None = None
        self._tail: asyncio.Future[None] | None = None

    @property
    def dirty(self) -> frozenset[bytes]:
        """Keys whose newest row is not yet handed to the producer."""
        return frozenset(self._dirty)

    def mark(self, key: bytes, row: bytes | None = None) -> None:
        """Remember that ``key`` changed; without ``row`` it is encoded when it is written."""
        self._dirty[key] = row

    def mark_many(self, keys: Iterable[bytes]) -> None:
        """Remember that ``keys`` changed; they are encoded when they are written."""
        self._dirty.update(dict.fromkeys(keys))

    async def flush(self, generation: int | None, sources: Mapping[str, int]) -> asyncio.Future[None]:
        """Hand the dirty rows to the producer, in order with earlier flushes.

        Returns a future that is done when everything written so far is durable. Raises ``OwnershipLost`` with the
        rows still dirty; a flush that fails or is cancelled keeps what it did not hand over dirty, too.
        """
        async with self._lock:
            await self._parts.verdict(generation)
            self._check(generation)
            if self._dirty:
                await self._write(sources)
        return self.durable()

    def durable(self) -> asyncio.Future[None]:
        """Done when everything handed over so far is durable; cancelling it cancels nothing else."""
        if self._tail is None:
            self._tail = asyncio.get_running_loop().create_future()
            self._tail.set_result(None)
        return asyncio.shield(self._tail)

    async def drained(self) -> None:
        """Wait until nothing is in flight, whatever became of it."""
        while self._sent:
            await asyncio.wait([self._sent[-1].durable])

    async def audit(self, end_offset: Callable[[], Awaitable[int]]) -> None:
        """Look for foreign records behind one's own last: an idle partition would not notice them otherwise."""
        async with self._lock:
            await self.drained()
            end = await end_offset()
            if not (self.suspended or self.closed) and end > self.next_offset:
                await self._inspect(end)

    def close(self) -> None:
        """End the tenure: nothing is written or applied to the store any more."""
        self.closed = True
        self._dirty.clear()

    def _check(self, generation: int | None) -> None:
        if self.closed or self.suspended:
            state = "given up" if self.closed else "being rebalanced"
            raise NotOwner(f"{self.replica.topic}-{self.replica.partition} is {state}")
        self._parts.right(generation)

    async def _write(self, sources: Mapping[str, int]) -> None:
        parts, partition = self._parts, self.replica.partition
        markers, self._dirty = self._dirty, {}
        try:
            # The snapshot comes before any suspension: rows that change later are dirty again.
            self._sending = self._rendered(partition, markers)
            producer = parts.producer()
            for batch, rows in pack(producer, self._sending, self.epoch, parts.request_bytes_max):
                delivery = await producer.send_batch(batch, self.replica.topic, partition=partition)
                for key in rows:
                    del markers[key]
                self._expect(rows, sources, delivery)
        finally:
            for key, row in markers.items():
                self._dirty.setdefault(key, row)
            self._sending = {}

    def _rendered(self, partition: int, markers: Mapping[bytes, bytes | None]) -> dict[bytes, bytes]:
        """The rows of ``markers``, those without bytes as the encoder renders them."""
        keys = [key for key, row in markers.items() if row is None]
        rows = {key: row for key, row in markers.items() if row is not None}
        if keys:
            assert self._parts.encode is not None, "rows are marked without bytes, but the table has no encoder"
            rows.update(zip(keys, self._parts.encode(partition, keys), strict=True))
        return rows

    def _expect(self, rows: dict[bytes, bytes], sources: Mapping[str, int], delivery: asyncio.Future[Delivery]) -> None:
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tail = durable
        self._sent.append(_Sent(rows, sources, delivery, durable))
        what = f"{self.replica.topic}-{self.replica.partition}: a changelog write of {len(rows)} rows"
        self._parts.gate.register(durable, what)
        delivery.add_done_callback(lambda _: self._settle())

    def _settle(self) -> None:
        """Let deliveries count, in the order in which they were sent."""
        while self._sent and self._sent[0].delivery.done() and self._inspection is None:
            sent = self._sent[0]
            if (error := _error_of(sent.delivery)) is not None:
                self._fail_all(error)
                return
            base = sent.delivery.result().offset
            if base > self.next_offset:
                self._inspection = asyncio.ensure_future(self._inspect(base))
                self._inspection.add_done_callback(self._inspected)
            elif base < self.next_offset:
                where = f"{self.replica.topic}-{self.replica.partition}"
                self._fail_all(
                    ChangelogBehindStore(
                        f"{where}: the broker assigned offset {base}, {self.next_offset} was expected: it lost the end "
                        "of its log. Restart the workers to recover from what is left."
                    )
                )
            else:
                self._confirm(self._sent.popleft(), base)

    def _confirm(self, sent: _Sent, base: int) -> None:
        self.next_offset = base + len(sent.rows)
        if not self.closed:
            self.replica.advance(self.next_offset - 1, self.epoch, sent.rows, sent.sources)
        sent.durable.set_result(None)

    def _inspected(self, inspection: asyncio.Future[None]) -> None:
        self._inspection = None
        if (error := _error_of(inspection)) is not None:
            self._fail_all(error)
        else:
            self._settle()

    async def _inspect(self, end: int) -> None:
        """Read what others appended between one's own last record and ``end``."""
        replica = self.replica
        for record in await self._parts.read_range(replica.partition, self.next_offset, end):
            where = f"{replica.fence.where} offset {record.offset}"
            entry = Fence(replica.fence.where, self.epoch).admit(record.key, record.value, record.offset)
            self.foreign_records += 1
            if entry.kind is not Kind.OUTDATED:
                raise self._replaced(f"{where}: another worker wrote under epoch {entry.epoch}, ours is {self.epoch}")
            if entry.key != EPOCH_KEY:
                self._mark_buried(entry.key)
        self.next_offset = end
        if self._dirty:
            self._parts.rewrite(replica.partition)

    def _mark_buried(self, key: bytes) -> None:
        # Whatever is dirty, being sent or in flight is newer than the foreign record and will lie on top of it.
        if key in self._dirty or key in self._sending or any(key in sent.rows for sent in self._sent):
            return
        if (row := self.replica.store.get(key)) is not None:
            self._dirty[key] = row

    def mark_buried(self) -> bool:
        """Mark the rows that were found buried while the changelog was replayed; whether there were any."""
        for key in self.replica.buried:
            self._mark_buried(key)
        self.replica.buried.clear()
        return bool(self._dirty)

    def resume(self, epoch: int, next_offset: int) -> None:
        """Go on after a rebalance, under a new epoch: nobody else wrote in between."""
        self.epoch, self.next_offset, self.suspended = epoch, next_offset, False

    def _replaced(self, why: str) -> Fenced | OwnershipLost:
        """An error for having been replaced: expected when the right to write is gone anyway, else alarming."""
        try:
            self._check(None)
        except OwnershipLost as lost:
            return lost
        return Fenced(f"{why}. Two workers believe to own this partition; restart this one.")

    def _fail_all(self, error: BaseException) -> None:
        self.closed = True
        while self._sent:
            durable = self._sent.popleft().durable
            if not durable.done():
                durable.set_exception(error)
