"""A counting application inside the test's own event loop, so that tests can look into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers.kafka import KafkaBroker, RunningKafka
from tests.streams.transport.cluster import Cluster
from tests.streams.transport.counting_worker import Counter


async def eventually(condition: Callable[[], bool], what: str, deadline_s: float = 30.0) -> None:
    """Poll ``condition`` on the event loop; fail with ``what`` was awaited."""
    try:
        async with asyncio.timeout(deadline_s):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"after {deadline_s:.0f} s still waiting: {what}")


@asynccontextmanager
async def running(cluster: Cluster, data_dir: Path, **options: object) -> AsyncIterator[Counter]:
    """A worker in this process, started but not necessarily recovered; stopped at the end, or as it crashed."""
    config = replace(cluster.workers[0].config, data_dir=str(data_dir), **options)  # type: ignore[arg-type]
    counter = Counter(config)
    starting = asyncio.ensure_future(counter.app.start())
    try:
        yield counter
    finally:
        starting.cancel()
        await asyncio.wait([starting])
        await counter.app.stop()


async def owning_all(counter: Counter, partitions: int = 4) -> None:
    """Wait until the worker has taken over every partition."""
    await eventually(lambda: counter.table.owned() == frozenset(range(partitions)), "ownership of all partitions")


async def crashed(counter: Counter) -> BaseException:
    """Wait until the application crashed; why."""
    await eventually(lambda: counter.app.crashed, "the application to crash")
    assert counter.app.crash_reason is not None
    return counter.app.crash_reason


@pytest.fixture
def cluster(kafka: KafkaBroker | RunningKafka, tmp_path: Path) -> Iterator[Cluster]:
    """Fresh topics; the workers of the cluster are not started."""
    with Cluster(kafka.bootstrap, tmp_path, workers=1) as cluster:
        yield cluster
