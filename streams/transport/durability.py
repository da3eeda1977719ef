"""The durability gate: nothing is committed before every write it depends on has been confirmed by the broker.

Owns the set of unconfirmed writes (changelog, outbox, dead letters). Whoever sends something that committed offsets
rely on registers its future here before acknowledging the batch; the consumer waits here before it commits. Refuses to
know what was written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from streams.errors import DurabilityLost, OwnershipLost


class DurabilityGate:
    """Collects futures of unconfirmed writes.

    A write that fails, or is cancelled, closes the gate for ever and calls ``on_failure`` once: the worker must stop.
    A write that fails with ``OwnershipLost`` closes it only until ``reset``: the partitions have another owner, who
    repeats the work, so this worker has nothing to commit until it has joined the group anew.
    """

    def __init__(self, on_failure: Callable[[DurabilityLost], object] | None = None) -> None:
        self._on_failure = on_failure
        self._pending: set[asyncio.Future[Any]] = set()
        self._lost: DurabilityLost | None = None
        self._disowned: OwnershipLost | None = None
        self._era = 0

    @property
    def pending(self) -> int:
        """How many writes are unconfirmed."""
        return len(self._pending)

    @property
    def failure(self) -> DurabilityLost | None:
        """Why nothing will ever be committed again, if so."""
        return self._lost

    def register(self, future: asyncio.Future[Any], what: str) -> None:
        """Hold back commits until ``future`` is done; ``what`` names the write in the error of a failed one."""
        self._pending.add(future)
        era = self._era
        future.add_done_callback(lambda done: self._settle(done, what, era))

    async def wait(self) -> None:
        """Wait for every write registered before this call.

        Raises ``DurabilityLost`` when any write ever failed, ``OwnershipLost`` when writes were refused because the
        partitions belong to another worker.
        """
        if before := list(self._pending):
            await asyncio.wait(before)
        # Done callbacks are scheduled, not run, when a future resolves; let them speak before the verdict.
        await asyncio.sleep(0)
        if self._lost is not None:
            raise self._lost
        if self._disowned is not None:
            raise self._disowned

    def reset(self) -> None:
        """Open the gate again after partitions were revoked: no refusal of earlier writes matters any more. A failure
        that stops the worker is not forgotten."""
        self._disowned = None
        self._era += 1

    def _settle(self, future: asyncio.Future[Any], what: str, era: int) -> None:
        self._pending.discard(future)
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is None:
            return
        if isinstance(error, OwnershipLost):
            if era == self._era:
                self._disowned = error
        elif self._lost is None:
            self._lost = DurabilityLost(f"{what} was not confirmed by the broker: {error!r}; offsets stay uncommitted")
            self._lost.__cause__ = error
            if self._on_failure is not None:
                self._on_failure(self._lost)
