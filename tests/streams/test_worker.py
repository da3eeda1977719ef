"""The risk worker between its parts: marks overtake a backlog of fills, and what is shed when it is behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from schemas.codec import decode
from schemas.events.margin_events import StatusChangedV1
from streams import worker as worker_module
from streams.dead_letters import DeadLetterLimit
from streams.rows import OutboxEntry
from streams.runner import partition_of
from streams.sweep_pace import FIRST_SLICE, LAG_S_MAX, SweepPace
from streams.transport.record_batch import RecordBatch
from streams.worker import ACCOUNT_TOPICS, RiskWorker
from tests.faults.workload import Event, Workload, mark
from tests.streams.test_runner import deposit, fill

PARTITIONS = 4
HOME = partition_of(b"alice", PARTITIONS)


class Rows:
    """A table that owns everything and writes nothing."""

    def __init__(self) -> None:
        self.flushed: list[set[bytes]] = []
        self.marked: set[bytes] = set()

    def owned(self) -> frozenset[int]:
        return frozenset(range(PARTITIONS))

    def epoch(self, partition: int) -> int:
        return 0

    def mark_many_dirty(self, partition: int, keys: Iterable[bytes]) -> None:
        self.marked.update(keys)

    def dirty(self, partition: int) -> frozenset[bytes]:
        return frozenset(self.marked)

    async def flush(self, partition: int, **_: Any) -> asyncio.Future[None]:
        self.flushed.append(self.marked)
        self.marked = set()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Broadcast:
    """Marks that arrive while a worker works through a backlog: one at each turn."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.ready.set()
        self.turns = 0
        self.arriving: dict[int, Event] = {}
        self.worker: RiskWorker | None = None

    async def turn(self) -> None:
        self.turns += 1
        arrived = self.arriving.pop(self.turns, None)
        if arrived is not None:
            assert self.worker is not None
            await self.worker.on_broadcast("marks", 0, [wire(arrived, 1_000 + self.turns)])

    async def catch_up(self) -> None:
        raise AssertionError("every instrument is listed")


class Positions:
    """A broker that has nothing more than what was read."""

    def highwater(self, position: tuple[str, int]) -> int | None:
        return None

    def committed(self, position: tuple[str, int]) -> int | None:
        return 0

    async def ends(self, positions: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        return {}


class Sent:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[OutboxEntry] = []

    async def send(self, message: OutboxEntry) -> asyncio.Future[object]:
        self.messages.append(message)
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def send_dead_letter(self, letter: object) -> asyncio.Future[object]:
        raise AssertionError(f"no dead letters here: {letter}")


class Gate:
    """Waits for everything that was registered."""

    def __init__(self) -> None:
        self.waiting: list[Awaitable[object]] = []

    def register(self, future: Awaitable[object], what: str) -> None:
        del what
        self.waiting.append(future)


def wire(event: Event, offset: int) -> Any:
    return SimpleNamespace(
        topic=event.topic, partition=0, offset=offset, timestamp=1, timestamp_type=0, headers=(),
        key=event.key.encode(), value=orjson.dumps(event.value),
    )  # fmt: skip


def batch(events: Sequence[Event], first: int = 0) -> RecordBatch:
    raw = [wire(event, first + number) for number, event in enumerate(events)]
    return RecordBatch(
        raw, topic=events[0].topic, partition=HOME, start=first, end=first + len(raw), generation=1, version=1, size=1
    )


class World:
    """A worker with ten thousand dollars of alice's, and listed instruments."""

    def __init__(self, lag_s: float = 0.0) -> None:
        self.sent, self.gate, self.rows, self.broadcast = Sent(), Gate(), Rows(), Broadcast()
        limits = {topic: DeadLetterLimit(topic, consecutive_max=100, window=1000) for topic in ACCOUNT_TOPICS}
        self.worker = RiskWorker(
            self.sent, self.gate, PARTITIONS, limits, Positions(), lambda: lag_s  # type: ignore[arg-type]
        )  # fmt: skip
        self.worker.rows = self.rows  # type: ignore[assignment]
        self.worker.broadcast = self.broadcast  # type: ignore[assignment]
        self.broadcast.worker = self.worker

    async def open(self) -> None:
        market = next(phase for phase in Workload(1).phases() if phase.name == "market")
        for offset, event in enumerate(market.events):
            await self.worker.on_broadcast(event.topic, 0, [wire(event, offset)])
        await self.worker.on_batch(batch([deposit()]))

    def statuses(self) -> list[StatusChangedV1]:
        decoded = (decode(entry.topic, entry.value) for entry in self.worker.outbox.entries("alice"))
        return [event for event in decoded if isinstance(event, StatusChangedV1)]


def test_a_mark_that_arrives_during_a_backlog_overtakes_the_fills_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alice is long twenty; a mark below her requirement arrives after the second of five slices. She is judged on it
    there, although her later fills, which would cure her, are already in the same batch."""
    monkeypatch.setattr(worker_module, "SLICE_RECORDS", 10)
    bought = [fill(event_id=f"b-{number}", quantity="1") for number in range(20)]
    sold = [fill(event_id=f"s-{number}", quantity="1", side="sell") for number in range(20)]

    async def scenario() -> list[StatusChangedV1]:
        world = World()
        await world.open()
        world.broadcast.turns = 0
        world.broadcast.arriving[3] = mark("ETH-PERP", "1100", time_us=1_678_320_000_000_001)
        found: list[StatusChangedV1] = []
        turn = world.broadcast.turn

        async def watched() -> None:
            await turn()
            found.extend(status for status in world.statuses() if status not in found)

        world.broadcast.turn = watched  # type: ignore[method-assign]
        await world.worker.on_batch(batch(bought + sold))
        assert 4 == world.broadcast.turns
        return found

    found = asyncio.run(scenario())
    assert found, "the breach was seen in the middle of the batch"
    assert 19 == found[0].versions.offsets["fills"], "after the twenty fills before the mark, before the others"


def test_rows_of_a_batch_are_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "SLICE_RECORDS", 10)

    async def scenario() -> list[set[bytes]]:
        world = World()
        await world.open()
        world.rows.flushed.clear()
        await world.worker.on_batch(batch([fill(event_id=f"f-{number}") for number in range(35)]))
        return world.rows.flushed

    assert [{b"alice"}] == asyncio.run(scenario())


@pytest.mark.parametrize(("lag_s", "snapshots"), [(0.0, 1), (LAG_S_MAX + 1, 0)])
def test_a_worker_that_is_behind_sheds_snapshots(lag_s: float, snapshots: int) -> None:
    async def scenario() -> int:
        world = World(lag_s)
        await world.open()
        later = mark("ETH-PERP", "1500", time_us=1_678_320_000_000_001 + 10**12)
        await world.worker.on_broadcast("marks", 0, [wire(later, 5_000)])
        await world.worker.tidy()
        return sum(b'"margin_snapshot"' in message.value for message in world.sent.messages)

    assert snapshots == asyncio.run(scenario())


def test_the_sweep_takes_as_many_accounts_as_fit_its_time() -> None:
    pace = SweepPace()
    assert FIRST_SLICE == pace.slice(0.0)
    for _ in range(20):
        pace.note(pace.slice(0.0), 0.0001)
    fast = pace.slice(0.0)
    assert fast > 10 * FIRST_SLICE
    for _ in range(20):
        pace.note(pace.slice(0.0), 1.0)
    assert 1 <= pace.slice(0.0) < FIRST_SLICE
    assert 0 == pace.slice(LAG_S_MAX + 0.1)
