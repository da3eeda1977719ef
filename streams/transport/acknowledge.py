"""The last act of an agent on a batch: it was processed, or it is left to whoever owns its partition now.

Owns two rules: records are let go before their message is, since the ledger holds messages until they are committed;
and what is given up must be said to be, since Faust waits for every batch in hand before it hands partitions over or
stops.
"""

from __future__ import annotations

from typing import Any, cast

import faust
from faust.types import EventT, StreamT

from streams.transport.coalescing import coalescing_transport
from streams.transport.record_batch import RecordBatch


async def acknowledge(stream: StreamT[Any], event: EventT[Any]) -> None:
    """Mark the batch of ``event`` as processed and free its records."""
    coalescing_transport(cast(faust.App, stream.app)).lag.applied(cast(RecordBatch, event.message.value))
    event.message.value = None
    await stream.ack(event)


def abandon(stream: StreamT[Any], event: EventT[Any]) -> None:
    """Give the batch of ``event`` up unprocessed: nothing from it on is committed, its next owner repeats it."""
    event.message.value = None
    stream.app.consumer.abandon(event.message)  # type: ignore[attr-defined]
