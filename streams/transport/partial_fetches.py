"""Short waits for fetches that leave partitions out, so that those are not left out for long.

aiokafka has one fetch under way per broker, and asks for a partition only when everything fetched of it was taken. When
records lie in its buffer for a while (a stream's buffer is full, the main thread is busy), it asks for the other
partitions alone, and Kafka holds that answer back until one of them has something, or ``fetch.max.wait`` is over:
Faust's 1.5 s. The partition that was left out is taken a moment later and has to wait for that answer: 1.3 s measured,
with records of it in the broker. Owns how long such a partial fetch may wait, and how soon it is sent. Refuses to touch
fetches of everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WAIT_S = 0.025
"""How long a partial fetch waits at the broker, and how long records lie in the buffer before one is sent. Not less
than the pause after empty answers, which would follow it otherwise."""


def shorten_partial_fetches(fetcher: Any, wait_s: float = WAIT_S) -> None:
    """Make ``fetcher`` (aiokafka's, started, nothing fetched yet) send fetches of some of its partitions soon and with
    a short wait."""
    actions: Callable[[Any], Any] = fetcher._get_actions_per_node
    wait_ms: int = fetcher._fetch_max_wait_ms

    def with_wait(assignment: Any) -> Any:
        fetcher._fetch_max_wait_ms = min(wait_ms, round(wait_s * 1000)) if fetcher._records else wait_ms
        return actions(assignment)

    fetcher._prefetch_backoff = min(fetcher._prefetch_backoff, wait_s)
    fetcher._get_actions_per_node = with_wait
