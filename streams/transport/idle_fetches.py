"""A pause after a fetch that brought nothing, for brokers that answer such a fetch at once.

Kafka holds an empty fetch back until something arrives or ``fetch.max.wait`` is over. Small stand-ins answer
immediately, and aiokafka asks again immediately: two processes spin for every idle consumer. Owns that pause; where the
broker has waited already there is none. Refuses to touch fetches that bring records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

PAUSE_S = 0.025
"""The most that a record can be late on such a broker: short beside a commit, long beside a fetch."""


def pace_empty_fetches(fetcher: Any, pause_s: float = PAUSE_S) -> None:
    """Make ``fetcher`` (aiokafka's, started) wait after an empty answer that came sooner than ``pause_s``."""
    process: Callable[..., Awaitable[bool]] = fetcher._proc_fetch_request

    async def paced(*arguments: Any) -> bool:
        asked = monotonic()
        has_new_data = await process(*arguments)
        remaining = pause_s - (monotonic() - asked)
        if not has_new_data and remaining > 0:
            try:
                # The node counts as busy meanwhile, so nothing else is fetched from it either.
                await asyncio.sleep(remaining)
            except asyncio.CancelledError:
                # The assignment changed; aiokafka ends its fetches the same way.
                return False
        return has_new_data

    fetcher._proc_fetch_request = paced
