"""The asynchronous face of the audit writer: many agents add records, few large inserts store them.

Owns waiting, batch limits, the thread that inserts, and patience: while the store is unavailable the batch is repeated
for ever with growing pauses, since Kafka keeps everything behind it. Any other failure is final: it reaches every
caller, and the writer takes nothing more. Refuses SQL and rows (``inserter``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from streams.audit.errors import AuditError
from streams.audit.inserter import BatchInserter, Partition
from streams.audit.records import AuditRecord, RecordColumns, columns_of
from streams.audit.store import AuditStore
from streams.audit.tables import tables_of

_logger = logging.getLogger(__name__)

PAUSE_S_MIN = 0.1
PAUSE_S_MAX = 10.0
_BATCH_ROWS_FACTOR = 10
BATCH_BYTES_MAX = 64 * 1024 * 1024


@dataclass(slots=True)
class _Waiting:
    """One ``add`` not yet stored."""

    partition: Partition
    records: RecordColumns
    size: int
    stored: asyncio.Future[None]
    since: float


class AuditWriter:
    """Coalesces ``add`` calls into batches: due at ``rows_max`` rows or ``linger_s`` after the oldest one arrived."""

    def __init__(
        self,
        store: AuditStore,
        *,
        rows_max: int = 5000,
        linger_s: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inserter = BatchInserter(store)
        self._rows_max = rows_max
        self._linger_s = linger_s
        self._clock = clock
        self._sleep = sleep
        self._waiting: deque[_Waiting] = deque()
        self._rows_waiting = 0
        self._full = asyncio.Event()
        self._drain: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        # One thread: batches are inserted one after another, over one connection.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self.rows_stored = 0
        self.retries = 0

    @property
    def rows_waiting(self) -> int:
        """Rows added and not yet stored: the backlog inside this process."""
        return self._rows_waiting

    async def add(self, topic: str, partition: int, records: Sequence[AuditRecord] | RecordColumns) -> None:
        """Store ``records`` (in the order of offsets); returns when they are stored, raises the final failure, or
        ``KeyError`` for a topic that is not audited.

        Cancelling the call does not take the records back: they may still be stored, which is harmless.
        """
        if self._failure is not None:
            raise self._failure
        tables_of(topic)
        if not records:
            return
        columns = columns_of(records)
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting((topic, partition), columns, columns.size(), stored, self._clock()))
        self._rows_waiting += len(records)
        if self._rows_waiting >= self._rows_max:
            self._full.set()
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._run())
        await stored

    async def progress(self) -> dict[Partition, int]:
        """Per partition the offset up to which every record is stored."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._inserter.progress)

    async def check_log(self, ends: dict[Partition, int]) -> None:
        """Raise ``LogReplaced`` where the audit holds offsets that the log (``ends``: next offsets) has not reached."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._inserter.check_log, ends)

    async def close(self) -> None:
        """Give up what waits: it was not acknowledged and will be delivered again. The store stays open."""
        if self._drain is not None:
            self._drain.cancel()
            await asyncio.gather(self._drain, return_exceptions=True)
        self._fail(AuditError("the audit writer was closed"))
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run(self) -> None:
        """Insert batches until nothing waits."""
        try:
            while self._waiting:
                await self._due()
                taken = self._next_batch()
                self.rows_stored += await self._insert(taken)
                for one in taken:
                    self._waiting.popleft()
                    self._rows_waiting -= len(one.records)
                    if not one.stored.done():
                        one.stored.set_result(None)
        except Exception as error:
            _logger.exception("the audit writer stops: %d rows are not stored", self._rows_waiting)
            self._fail(error)

    async def _due(self) -> None:
        """Wait until enough rows are there or the oldest has waited long enough."""
        if self._rows_waiting >= self._rows_max:
            return
        self._full.clear()
        left = self._waiting[0].since + self._linger_s - self._clock()
        if left <= 0:
            return
        timer = asyncio.ensure_future(self._sleep(left))
        full = asyncio.ensure_future(self._full.wait())
        try:
            await asyncio.wait((timer, full), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            full.cancel()

    def _next_batch(self) -> list[_Waiting]:
        """The oldest that wait, up to the batch limits and at least one. They go on waiting until they are stored."""
        taken: list[_Waiting] = []
        rows = size = 0
        for one in self._waiting:
            rows += len(one.records)
            size += one.size
            if taken and (rows > self._rows_max * _BATCH_ROWS_FACTOR or size > BATCH_BYTES_MAX):
                break
            taken.append(one)
        return taken

    async def _insert(self, taken: Sequence[_Waiting]) -> int:
        parts: dict[Partition, list[RecordColumns]] = {}
        for one in taken:
            parts.setdefault(one.partition, []).append(one.records)
        batch = {partition: RecordColumns.joined(columns) for partition, columns in parts.items()}
        pause = PAUSE_S_MIN
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await loop.run_in_executor(self._thread, self._inserter.insert, batch)
            except AuditError as error:
                if not error.retriable:
                    raise
                self.retries += 1
                _logger.warning("audit store unavailable, %d rows wait: %s", self._rows_waiting, error)
                await self._sleep(pause)
                pause = min(2 * pause, PAUSE_S_MAX)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        while self._waiting:
            stored = self._waiting.popleft().stored
            if not stored.done():
                stored.set_exception(error)
