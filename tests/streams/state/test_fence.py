"""The zombie fence: readers of one log agree whose rows count, whatever order writers were scheduled in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import PoisonChangelog
from streams.state.fence import EPOCH_KEY, Fence, Kind, seal
from streams.state.memory_store import MemoryPartition
from streams.state.replica import Replica
from tests.streams.state.changelog_log import TOPIC, ChangelogLog


def test_row_of_a_replaced_owner_is_outdated() -> None:
    fence = Fence("here")
    kinds = [
        fence.admit(key, seal(epoch, b""), 0).kind
        for key, epoch in [(EPOCH_KEY, 1), (b"a", 1), (EPOCH_KEY, 2), (b"a", 1), (b"a", 2), (EPOCH_KEY, 1)]
    ]
    row, epoch, outdated = Kind.ROW, Kind.EPOCH, Kind.OUTDATED
    assert kinds == [epoch, row, epoch, outdated, row, outdated]


def test_row_testifies_to_an_epoch_whose_record_was_compacted_away() -> None:
    fence = Fence("here")
    assert fence.admit(b"a", seal(7, b""), 0).kind is Kind.ROW
    assert fence.admit(b"b", seal(6, b""), 0).kind is Kind.OUTDATED


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (None, seal(1, b""), "no key"),
        (b"a", None, "tombstone"),
        (b"a", b"", "0 bytes"),
        (b"a", seal(1, b"")[:-1], "8 bytes"),
        (b"a", b"\x02" + seal(1, b"")[1:], "format 2"),
        (b"a", b'{"some": "json"}', "format 123"),
        (b"a", seal(0, b""), "epoch 0"),
        (b"\x00other", seal(1, b""), "reserved"),
    ],
)
def test_record_that_no_owner_wrote_is_named_and_refused(key: bytes | None, value: bytes | None, why: str) -> None:
    with pytest.raises(PoisonChangelog, match=why) as caught:
        Fence("app-rows-changelog-3").admit(key, value, 17)
    assert "app-rows-changelog-3 offset 17" in str(caught.value)


def test_poison_in_a_batch_leaves_the_replica_as_it_was() -> None:
    log = ChangelogLog()
    log.foreign_claim(1)
    log.foreign_row(1, b"a", b"1")
    replica = Replica(TOPIC, 0, MemoryPartition())
    replica.replay(log.records)
    log.foreign_row(1, b"a", b"2")
    log.append(b"b", b"garbage")
    with pytest.raises(PoisonChangelog):
        replica.replay(log.records)
    assert (replica.offset, replica.store.get(b"a")) == (1, b"1")


def test_replay_skips_what_it_knows_and_notes_buried_rows() -> None:
    log = ChangelogLog()
    log.foreign_claim(1)
    log.foreign_row(1, b"a", b"old")
    replica = Replica(TOPIC, 0, MemoryPartition())
    replica.replay(log.records)
    log.foreign_claim(2)
    log.foreign_row(2, b"a", b"new")
    log.foreign_row(1, b"a", b"zombie")
    replica.replay(log.records)
    replica.replay(log.records)
    assert (replica.store.get(b"a"), replica.offset, replica.buried) == (b"new", 4, {b"a"})
    log.foreign_row(2, b"a", b"again")
    replica.replay(log.records)
    assert (replica.store.get(b"a"), replica.buried) == (b"again", set())


@dataclass
class Writer:
    """A worker that may be scheduled at any time, knowing only what it last read."""

    name: bytes
    known: int = 0
    """the highest epoch it has read"""
    epoch: int = 0
    """the epoch it believes to hold, 0 for none"""
    read: int = 0

    def claim(self, log: ChangelogLog) -> None:
        """The protocol of ``takeover.claim``, in one go."""
        while True:
            self._read_to(log, len(log.records))
            wanted = self.known + 1
            log.append(EPOCH_KEY, seal(wanted, self.name))
            self.read = len(log.records)
            if self.known < wanted:
                self.known = self.epoch = wanted
                return

    def claim_blindly(self, log: ChangelogLog) -> None:
        """Paused between reading and claiming: the number may be taken by now, which the stretch between shows."""
        wanted = self.known + 1
        seen = self.read
        log.append(EPOCH_KEY, seal(wanted, self.name))
        self._read_to(log, len(log.records) - 1, start=seen)
        self.epoch = wanted if self.known < wanted else 0
        self.known = max(self.known, wanted)
        self.read = len(log.records)

    def _read_to(self, log: ChangelogLog, end: int, start: int | None = None) -> None:
        fence = Fence("log", self.known)
        for record in log.records[self.read if start is None else start : end]:
            fence.admit(record.key, record.value, record.offset)
        self.known = fence.epoch
        self.read = end


ACTS = st.tuples(st.integers(0, 2), st.sampled_from(["claim", "claim_blindly", "row", "row", "row"]), st.integers(0, 3))


@given(st.lists(ACTS, max_size=60))
@settings(max_examples=300, deadline=None)
def test_readers_accept_exactly_the_rows_of_whoever_held_the_partition_when_they_were_written(
    acts: list[tuple[int, str, int]],
) -> None:
    log = ChangelogLog()
    writers = [Writer(b"w%d" % number) for number in range(3)]
    holder: Writer | None = None
    truth: dict[bytes, bytes] = {}
    for serial, (index, act, key_number) in enumerate(acts):
        writer = writers[index]
        if act == "row":
            if writer.epoch:
                key, row = b"k%d" % key_number, b"%d" % serial
                log.foreign_row(writer.epoch, key, row)
                if writer is holder:
                    truth[key] = row
        else:
            getattr(writer, act)(log)
            if writer.epoch == max(other.epoch for other in writers):
                holder = writer
    for split in {0, len(log.records) // 2, len(log.records)}:
        replica = Replica(TOPIC, 0, MemoryPartition())
        replica.replay(log.records[:split])
        replica.replay(log.records[split:])
        assert dict(replica.store) == truth
