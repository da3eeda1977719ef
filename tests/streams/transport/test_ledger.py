"""The chain ledger: what is committed is always the end of the acknowledged prefix, never more."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.errors import LedgerHole
from streams.transport.ledger import ChainLedger

P = "fills-0"


@dataclass(eq=False)
class Message:
    acked: bool = False


def ledger_of(*spans: tuple[int, int]) -> tuple[ChainLedger[str], list[Message]]:
    ledger: ChainLedger[str] = ChainLedger()
    messages = [Message() for _ in spans]
    for (start, end), message in zip(spans, messages, strict=True):
        assert ledger.add(P, 1, start, end, message)
    return ledger, messages


def test_nothing_delivered_commits_nothing() -> None:
    assert ChainLedger[str]().position(P) is None


def test_second_of_two_batches_acked_commits_nothing_new() -> None:
    ledger, (_, second) = ledger_of((1001, 6000), (6000, 11000))
    second.acked = True
    assert ledger.position(P) == 1001


def test_gap_before_an_unacked_record_stops_the_commit_there() -> None:
    # Offsets 3, 5, 6 (4 was compacted away); 3 and 6 are done, 5 is in flight.
    ledger, (third, _, sixth) = ledger_of((3, 4), (4, 6), (6, 7))
    third.acked = sixth.acked = True
    assert ledger.position(P) == 4


def test_position_stays_known_after_it_was_asked_for() -> None:
    ledger, (only,) = ledger_of((0, 10))
    only.acked = True
    assert [ledger.position(P), ledger.position(P)] == [10, 10], "a failed commit is tried again"


def test_hole_between_batches_is_refused() -> None:
    ledger, _ = ledger_of((0, 10))
    with pytest.raises(LedgerHole, match="10 to 11"):
        ledger.add(P, 1, 12, 20, Message())


def test_batch_of_before_a_seek_is_refused_and_late_acks_do_not_count() -> None:
    ledger, (old,) = ledger_of((0, 10))
    assert ledger.add(P, 2, 0, 5, Message())
    old.acked = True
    assert not ledger.add(P, 1, 10, 20, Message())
    assert ledger.position(P) == 0


def test_forgotten_partition_commits_nothing() -> None:
    ledger, (only,) = ledger_of((0, 10))
    only.acked = True
    ledger.forget([P])
    assert ledger.position(P) is None


@dataclass
class Log:
    """A partition with holes, and a reader that may be sought about in it."""

    offsets: list[int]
    position: int = 0
    version: int = 1
    flying: list[tuple[int, int, Message]] = field(default_factory=list)
    """start, end, message of what was delivered in this version and is not known to be committed"""


class LedgerMachine(RuleBasedStateMachine):
    """Random batches over a log with holes, acknowledgements in any order, seeks, and commits that may fail."""

    @initialize(gaps=st.lists(st.integers(1, 5), min_size=5, max_size=60))
    def open_log(self, gaps: list[int]) -> None:
        offsets = [sum(gaps[: index + 1]) for index in range(len(gaps))]
        self.log = Log(offsets)
        self.ledger: ChainLedger[str] = ChainLedger()
        self.stale: list[Message] = []
        self.done: set[int] = set()
        self.committed = 0

    @rule(size=st.integers(1, 8), extra=st.integers(0, 2))
    def fetch(self, size: int, extra: int) -> None:
        """A batch of the next records; ``extra`` positions of control records may follow."""
        ahead = [offset for offset in self.log.offsets if offset >= self.log.position][:size]
        if not ahead:
            return
        following = [offset for offset in self.log.offsets if offset > ahead[-1]]
        end = min(ahead[-1] + 1 + extra, following[0] if following else ahead[-1] + 1)
        message = Message()
        assert self.ledger.add(P, self.log.version, self.log.position, end, message)
        self.log.flying.append((self.log.position, end, message))
        self.log.position = end

    @precondition(lambda self: self.log.flying)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        start, end, message = data.draw(st.sampled_from(self.log.flying))
        message.acked = True
        self.done.update(offset for offset in self.log.offsets if start <= offset < end)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def acknowledge_late(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.stale)).acked = True

    @rule(succeeds=st.booleans())
    def commit(self, succeeds: bool) -> None:
        position = self.ledger.position(P)
        if position is not None and succeeds:
            self.committed = max(self.committed, position)

    @rule()
    def seek_to_committed(self) -> None:
        """A rebalance: back to what is committed, a new version, what was in flight is stale."""
        self.stale += [message for _, _, message in self.log.flying if not message.acked]
        self.done = {offset for offset in self.done if offset < self.committed}
        self.log.flying = []
        self.log.position = self.committed
        self.log.version += 1
        self.ledger.forget()

    @invariant()
    def never_past_the_first_unacked_record(self) -> None:
        if not hasattr(self, "log"):
            return
        unacked = [offset for offset in self.log.offsets if offset not in self.done]
        limit = unacked[0] if unacked else self.log.offsets[-1] + 3
        assert self.committed <= limit
        assert (self.ledger.position(P) or 0) <= limit

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        while self.log.position <= self.log.offsets[-1]:
            self.fetch(size=8, extra=0)
        for _, _, message in self.log.flying:
            message.acked = True
        if self.log.flying:
            assert self.ledger.position(P) == self.log.position > self.log.offsets[-1], "it reaches the end"
            assert self.ledger.pending(P) == 0


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(order=st.permutations(list(range(12))))
@settings(deadline=None)
def test_acks_in_any_order_commit_exactly_the_done_prefix(order: list[int]) -> None:
    ledger, messages = ledger_of(*((n * 10, n * 10 + 10) for n in range(12)))
    done: set[int] = set()
    for index in order:
        messages[index].acked = True
        done.add(index)
        prefix = next((n for n in range(12) if n not in done), 12)
        assert ledger.position(P) == prefix * 10
