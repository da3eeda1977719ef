"""Replay of changelog batches against the fence's verdict on each record: most rows are never put before the fence."""

from __future__ import annotations

import random

import pytest

from streams.errors import PoisonChangelog
from streams.state.fence import EPOCH_KEY, Fence, Kind, seal
from streams.state.memory_store import MemoryPartition
from streams.state.replica import Replica
from streams.transport import RecordBatch
from tests.streams.transport.bench_consumer import record

TOPIC = "rows-changelog"
Entries = list[tuple[bytes | None, bytes | None]]


def batch(entries: Entries, first: int, topic: str = TOPIC) -> RecordBatch:
    raw = [record(first + number, topic, key, value) for number, (key, value) in enumerate(entries)]
    end = first + len(entries)
    stamp = {"generation": 7, "version": 1}
    return RecordBatch(raw, topic=topic, partition=0, start=first, end=end, size=0, **stamp)


def random_changelog(rng: random.Random) -> Entries:
    """Rows of owners that replace each other, and of replaced ones that go on writing."""
    entries: Entries = []
    epoch = 0
    for _ in range(rng.randrange(1, 60)):
        if epoch == 0 or rng.random() < 0.1:
            epoch += rng.choice([1, 1, 2])
            # An owner's epoch record may be compacted away.
            if rng.random() < 0.7:
                entries.append((EPOCH_KEY, seal(epoch, b"owner")))
                continue
        writer = rng.choice([epoch, epoch, epoch, max(1, epoch - 1)])
        entries.append((b"k%d" % rng.randrange(6), seal(writer, b"" if rng.random() < 0.1 else rng.randbytes(3))))
    return entries


@pytest.mark.parametrize("seed", range(100))
def test_batches_leave_what_the_fence_says_of_each_record(seed: int) -> None:
    rng = random.Random(seed)
    entries = random_changelog(rng)
    fence, rows, buried = Fence(TOPIC), dict[bytes, bytes](), set[bytes]()
    for offset, (key, value) in enumerate(entries):
        entry = fence.admit(key, value, offset)
        if entry.kind is Kind.ROW:
            rows[entry.key] = entry.payload
            buried.discard(entry.key)
        elif entry.kind is Kind.OUTDATED and entry.key != EPOCH_KEY:
            buried.add(entry.key)
    replica = Replica(TOPIC, 0, MemoryPartition())
    first = 0
    while first < len(entries):
        # Batches overlap: recovery begins at the last record it has.
        start = max(0, first - rng.randrange(3))
        end = min(len(entries), first + rng.randrange(1, 20))
        replica.replay(batch(entries[start:end], start))
        first = end
    assert (dict(replica.store), replica.buried, replica.fence.epoch) == (rows, buried, fence.epoch)
    assert replica.offset == len(entries) - 1


@pytest.mark.parametrize(
    "poison", [(b"k1", None), (None, seal(1, b"row")), (b"\x00new", seal(1, b"")), (b"k1", b"row")]
)
def test_poison_in_a_batch_leaves_the_store_as_it_was(poison: tuple[bytes | None, bytes | None]) -> None:
    replica = Replica(TOPIC, 0, MemoryPartition())
    replica.replay(batch([(b"k1", seal(1, b"good"))], 0))
    with pytest.raises(PoisonChangelog, match="offset 2"):
        replica.replay(batch([(b"k1", seal(1, b"newer")), poison], 1))
    assert (dict(replica.store), replica.offset) == ({b"k1": b"good"}, 0)


def test_row_before_any_owner_is_poison() -> None:
    replica = Replica(TOPIC, 0, MemoryPartition())
    with pytest.raises(PoisonChangelog, match="no owner has epoch 0"):
        replica.replay(batch([(b"k1", seal(0, b"row"))], 0))


def test_batch_of_another_topic_is_refused() -> None:
    replica = Replica(TOPIC, 0, MemoryPartition())
    with pytest.raises(PoisonChangelog, match="got a record of others"):
        replica.replay(batch([(b"k1", seal(1, b"row"))], 0, topic="others"))
