"""Names against a dictionary, through recycling, growth and compaction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.columns.names import UNKNOWN, USED, WASTE_MIN, WASTED, Names, find

NAMES = st.binary(max_size=20) | st.binary(max_size=1)


class NamesAgainstADictionary(RuleBasedStateMachine):
    """Small tables, so that they grow and their slots collide."""

    def __init__(self) -> None:
        super().__init__()
        self.names = Names(capacity=2, text_capacity=4)
        self.number_by_name: dict[bytes, int] = {}

    @rule(name=NAMES)
    def intern(self, name: bytes) -> None:
        number = self.names.intern(name)
        assert self.number_by_name.setdefault(name, number) == number

    @precondition(lambda self: self.number_by_name)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.number_by_name)))
        self.names.release(self.number_by_name.pop(name))
        assert self.names.number(name) == UNKNOWN

    @rule(more=st.integers(0, 20))
    def reserve(self, more: int) -> None:
        self.names.reserve(more, 5 * more)

    @invariant()
    def same(self) -> None:
        assert len(self.names) == len(self.number_by_name)
        assert len(set(self.number_by_name.values())) == len(self.number_by_name)
        for name, number in self.number_by_name.items():
            assert self.names.number(name) == number
            assert self.names.name(number) == name


TestNamesAgainstADictionary = NamesAgainstADictionary.TestCase
TestNamesAgainstADictionary.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(deadline=None)
@given(st.binary(max_size=12), st.binary(max_size=30), st.binary(max_size=12))
def test_a_name_is_found_inside_a_buffer(before: bytes, name: bytes, after: bytes) -> None:
    names = Names()
    number = names.intern(name)
    buffer = np.frombuffer(before + name + after, np.uint8)
    assert find(names.arrays, buffer, len(before), len(before) + len(name)) == number
    assert names.number(name + b"x") == UNKNOWN


def test_numbers_are_dense_and_released_ones_come_again() -> None:
    names = Names()
    assert [names.intern(b"a%d" % number) for number in range(100)] == list(range(100))
    names.release(7)
    names.release(40)
    assert {names.intern(b"new"), names.intern(b"newer")} == {7, 40}
    assert names.intern(b"newest") == 100
    assert names.numbered == 101


def test_a_number_that_is_not_in_use_has_no_name() -> None:
    names = Names()
    number = names.intern(b"a")
    names.release(number)
    for unknown in (number, 1, -1, 10**6):
        with pytest.raises(KeyError):
            names.name(unknown)
        with pytest.raises(KeyError):
            names.release(unknown)


def test_bytes_of_released_names_are_reclaimed() -> None:
    names = Names()
    kept = names.intern(b"kept")
    size = WASTE_MIN // 8
    for number in range(200):
        names.release(names.intern(b"%d" % number * size))
    assert names.arrays.counts[WASTED] <= 2 * max(WASTE_MIN, names.arrays.counts[USED] // 2)
    assert names.memory_bytes() < 40 * size
    assert names.number(b"kept") == kept


def test_many_are_released_at_once() -> None:
    names = Names()
    numbers = [names.intern(b"account-%d" % number) for number in range(3000)]
    gone = np.array([*numbers[::3], 5000, -1], np.int32)
    assert names.release_all(gone) == 1000
    assert names.release_all(gone) == 0
    assert [names.number(b"account-%d" % number) for number in range(3000)] == [
        UNKNOWN if number % 3 == 0 else number for number in range(3000)
    ]
