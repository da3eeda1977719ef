"""Agents: the loops between Kafka and the three roles, ten lines each.

Owns when a batch counts as processed: after its handler returned, and never because something failed. A batch whose
partition went to another worker is left unacknowledged, for that worker repeats it; any other failure stops this
process with the offsets where they were. Refuses money, rows and contracts.

Trail: before it the coalescing transport (one fetch of one partition), after it ``streams.worker``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import faust
from faust.streams import Stream
from faust.types import EventT, StreamT

from streams.errors import OwnershipLost
from streams.transport import RecordBatch, abandon, acknowledge, coalesced_topic

Handle = Callable[[RecordBatch], Awaitable[None]]

IN_FLIGHT_MAX = 64
"""Batches that a concurrent agent may have under way; Kafka holds the rest."""


def ordered_agent(app: faust.App, topic: str, partitions: int, handle: Handle) -> None:
    """Declare an agent that handles the batches of ``topic`` one after another."""

    @app.agent(coalesced_topic(app, topic, partitions), name=topic)
    async def agent(stream: StreamT[Any]) -> None:
        async for event in _events(stream):
            try:
                await handle(_batch(event))
            except OwnershipLost as lost:
                app.log.info("%s batch left to its next owner: %s", topic, lost)
                abandon(stream, event)
            except Exception as error:
                await app.crash(error)
                raise
            else:
                await acknowledge(stream, event)


def concurrent_agent(app: faust.App, topic: str, partitions: int, handle: Handle) -> None:
    """Declare an agent that hands batches of ``topic`` on without waiting; each is acknowledged when it is done.

    For handlers whose effects do not depend on order. Offsets are committed up to the first batch still under way.
    """
    slots = asyncio.Semaphore(IN_FLIGHT_MAX)
    tasks: set[asyncio.Task[None]] = set()

    async def process(stream: StreamT[Any], event: EventT[Any]) -> None:
        try:
            await handle(_batch(event))
            await acknowledge(stream, event)
        except Exception as error:
            await app.crash(error)
        finally:
            slots.release()

    @app.agent(coalesced_topic(app, topic, partitions), name=topic)
    async def agent(stream: StreamT[Any]) -> None:
        async for event in _events(stream):
            await slots.acquire()
            task = asyncio.create_task(process(stream, event))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


def _events(stream: StreamT[Any]) -> AsyncIterator[EventT[Any]]:
    """The events of a stream that acknowledges nothing by itself."""
    events: AsyncIterator[EventT[Any]] = cast(Stream[Any], stream).noack().events()
    return events


def _batch(event: EventT[Any]) -> RecordBatch:
    return cast(RecordBatch, event.message.value)
