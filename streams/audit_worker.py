"""The audit worker: every record of every topic into the audit store, once.

Owns making the store ready before the first record: its schema is brought up to date, and what it holds is compared
with the log, so that a topic that was deleted and created anew is not taken for one already audited. A store that is
away is waited for; Kafka keeps everything meanwhile. Refuses SQL and rows (``streams.audit``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from mode import Service

from streams.audit.errors import AuditError
from streams.audit.inserter import Partition
from streams.audit.migrations import Migrator
from streams.audit.records import RecordColumns
from streams.audit.store import AuditStore
from streams.audit.writer import AuditWriter
from streams.transport import RecordBatch

log = logging.getLogger(__name__)

RETRY_S = 2.0


class AuditWorker(Service):
    """Hands the batches of all topics to one ``AuditWriter``."""

    def __init__(
        self, store: AuditStore, log_ends: Callable[[], Mapping[Partition, int]], *, rows_max: int, linger_s: float
    ) -> None:
        """``log_ends`` gives per topic and partition the offset of the next record; it may block."""
        super().__init__()
        self._store = store
        self._log_ends = log_ends
        self._writer = AuditWriter(store, rows_max=rows_max, linger_s=linger_s)
        self._preparing = asyncio.Lock()
        self._is_ready = False

    async def on_batch(self, batch: RecordBatch) -> None:
        """Store a batch; returns when its rows are in the store. Any error is final."""
        await self._prepare()
        records = RecordColumns(batch.offsets, batch.timestamps, batch.keys, batch.values)
        await self._writer.add(batch.topic, batch.partition, records)

    async def on_stop(self) -> None:
        """Give up what waits (it is delivered again) and release the store."""
        await self._writer.close()
        self._store.close()

    async def _prepare(self) -> None:
        async with self._preparing:
            while not self._is_ready:
                try:
                    await asyncio.to_thread(Migrator(self._store).apply)
                    await self._writer.check_log(dict(await asyncio.to_thread(self._log_ends)))
                    self._is_ready = True
                except AuditError as error:
                    if not error.retriable:
                        raise
                    log.warning("waiting for the audit store: %s", error)
                    await asyncio.sleep(RETRY_S)
