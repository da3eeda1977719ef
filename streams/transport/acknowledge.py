"""Acknowledging a batch: the last act of an agent.

Owns one rule: the records are let go before the message is, since the ledger holds messages until they are committed.
"""

from __future__ import annotations

from typing import Any

from faust.types import EventT, StreamT


async def acknowledge(stream: StreamT[Any], event: EventT[Any]) -> None:
    """Mark the batch of ``event`` as processed and free its records."""
    event.message.value = None
    await stream.ack(event)
