"""Names as numbers: account, instrument and asset ids, interned without one Python object per name.

Owns a table from bytes to small numbers and back: the bytes of all names in one pool, found by open addressing. A
released number is given out again. Refuses to know what a name means and what text it encodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from engine.columns.arrays import Int32s, Int64s, UInt8s, UInt64s
from engine.compiled import allocation_free

UNKNOWN = -1
"""What stands for a name that has no number."""

FREE = -1  # in ``length_N``: a number that is not in use; in ``number_H``: an empty slot

USED, WASTED, NUMBERED, LIVE, FREE_HEAD = range(5)
"""Entries of ``counts``: bytes used, bytes of them that belong to released names, numbers ever given out, numbers in
use, and the released number to give out next (-1 for none), which names the one after it in ``start_N``."""

WASTE_MIN = 1 << 16
"""Fewer bytes than this are never worth compacting."""

_SEED = np.uint64(0x9E3779B97F4A7C15)
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
_BYTE = np.uint64(8)


class NameArrays(NamedTuple):
    """Axis N runs over numbers, H over the slots of the table (a power of two)."""

    start_N: Int64s
    length_N: Int32s  # -1 for a number that is not in use
    hash_N: UInt64s
    number_H: Int32s  # -1 for an empty slot
    text: UInt8s
    counts: Int64s


@allocation_free
def hash_of(buffer: UInt8s, start: int, stop: int) -> np.uint64:
    """A 64-bit hash of ``buffer[start:stop]``: eight bytes at a time, multiplied and folded (the finalizer of
    Ettinger's rrmxmx family), so that low bits depend on all bytes."""
    mixed = _SEED ^ np.uint64(stop - start)
    # Unsigned indices spare the test for one from the end, which a negative index would mean.
    at = start
    while at + 8 <= stop:
        word = np.uint64(0)
        for offset in range(8):
            word |= np.uint64(buffer[np.uintp(at + offset)]) << (np.uint64(offset) * _BYTE)
        mixed = (mixed ^ word) * _FACTOR
        mixed ^= mixed >> _HALF
        at += 8
    word = np.uint64(0)
    for offset in range(stop - at):
        word |= np.uint64(buffer[np.uintp(at + offset)]) << (np.uint64(offset) * _BYTE)
    mixed = (mixed ^ word) * _FACTOR
    mixed ^= mixed >> _HALF
    mixed *= _FACTOR
    return mixed ^ (mixed >> _HALF)


@allocation_free
def _is_same(names: NameArrays, number: int, buffer: UInt8s, start: int, stop: int) -> bool:
    if names.length_N[number] != stop - start:
        return False
    at = names.start_N[number]
    for offset in range(stop - start):  # noqa: SIM110 -- a loop compiles, a generator does not
        if names.text[np.uintp(at + offset)] != buffer[np.uintp(start + offset)]:
            return False
    return True


@allocation_free
def _slot(names: NameArrays, hashed: np.uint64, buffer: UInt8s, start: int, stop: int) -> int:
    """The slot that holds the name, or the empty one where it would go."""
    mask = len(names.number_H) - 1
    slot = int(np.int64(hashed & np.uint64(mask)))
    while True:
        number = names.number_H[slot]
        if number == FREE:
            return slot
        if names.hash_N[number] == hashed and _is_same(names, number, buffer, start, stop):
            return slot
        slot = (slot + 1) & mask


@allocation_free
def find(names: NameArrays, buffer: UInt8s, start: int, stop: int) -> int:
    """The number of the name ``buffer[start:stop]``, or ``UNKNOWN``."""
    return int(names.number_H[_slot(names, hash_of(buffer, start, stop), buffer, start, stop)])


@allocation_free
def add(names: NameArrays, buffer: UInt8s, start: int, stop: int) -> int:
    """The number of the name ``buffer[start:stop]``, a new one if it has none; ``UNKNOWN`` if there is no space."""
    hashed = hash_of(buffer, start, stop)
    slot = _slot(names, hashed, buffer, start, stop)
    if names.number_H[slot] != FREE:
        return int(names.number_H[slot])
    counts = names.counts
    length = stop - start
    number = int(counts[FREE_HEAD])
    fresh = number == FREE
    if fresh:
        number = int(counts[NUMBERED])
    if counts[USED] + length > len(names.text) or number >= len(names.length_N):
        return UNKNOWN
    if fresh:
        counts[NUMBERED] += 1
    else:
        counts[FREE_HEAD] = names.start_N[number]
    begin = int(counts[USED])
    for offset in range(length):
        names.text[begin + offset] = buffer[start + offset]
    names.start_N[number] = begin
    names.length_N[number] = length
    names.hash_N[number] = hashed
    names.number_H[slot] = number
    counts[USED] += length
    counts[LIVE] += 1
    return number


@allocation_free
def _vacate(names: NameArrays, slot: int) -> None:
    """Empty a slot and move up the names after it that would no longer be found: no tombstones."""
    mask = len(names.number_H) - 1
    empty = slot
    while True:
        slot = (slot + 1) & mask
        number = names.number_H[slot]
        if number == FREE:
            break
        home = np.int64(names.hash_N[number] & np.uint64(mask))
        if (slot - home) & mask >= (slot - empty) & mask:
            names.number_H[empty] = number
            empty = slot
    names.number_H[empty] = FREE


@allocation_free
def remove(names: NameArrays, numbers: Int32s) -> int:
    """Release ``numbers``; returns how many of them were in use."""
    mask = len(names.number_H) - 1
    counts = names.counts
    released = 0
    for number in numbers:
        if number < 0 or number >= counts[NUMBERED] or names.length_N[number] == FREE:
            continue
        slot = int(np.int64(names.hash_N[number] & np.uint64(mask)))
        while names.number_H[slot] != number:
            slot = (slot + 1) & mask
        _vacate(names, slot)
        counts[WASTED] += names.length_N[number]
        counts[LIVE] -= 1
        names.length_N[number] = FREE
        names.start_N[number] = counts[FREE_HEAD]
        counts[FREE_HEAD] = number
        released += 1
    return released


@allocation_free
def _fill_table(names: NameArrays) -> None:
    """Enter every number in use into an empty table."""
    mask = len(names.number_H) - 1
    for number in range(names.counts[NUMBERED]):
        if names.length_N[number] != FREE:
            slot = int(np.int64(names.hash_N[number] & np.uint64(mask)))
            while names.number_H[slot] != FREE:
                slot = (slot + 1) & mask
            names.number_H[slot] = number


@allocation_free
def _compact(names: NameArrays, text: UInt8s) -> None:
    """Copy the bytes of the names in use to the front of ``text``."""
    used = 0
    for number in range(names.counts[NUMBERED]):
        length = names.length_N[number]
        if length != FREE:
            begin = names.start_N[number]
            for offset in range(length):
                text[used + offset] = names.text[begin + offset]
            names.start_N[number] = used
            used += length
    names.counts[USED] = used
    names.counts[WASTED] = 0


@allocation_free
def _find_all(names: NameArrays, buffer: UInt8s, stops: Int64s, found: Int32s) -> None:
    """Find texts that lie one after another."""
    start = 0
    for at in range(stops.size):
        found[at] = find(names, buffer, start, stops[at])
        start = stops[at]


@allocation_free
def _join(names: NameArrays, numbers: Int32s, joined: UInt8s) -> None:
    """The names of ``numbers``, one after another."""
    at = 0
    for number in numbers:
        start = names.start_N[number]
        for place in range(start, start + names.length_N[number]):
            joined[at] = names.text[place]
            at += 1


def _slots(capacity: int) -> int:
    """Slots of a table of ``capacity`` names: at most two thirds are taken."""
    return 1 << max(4, (capacity * 3 // 2 - 1).bit_length())


class Names:
    """A growing table of names. ``arrays`` is replaced whenever it grows: take it anew for each kernel call."""

    def __init__(self, capacity: int = 16, text_capacity: int = 256) -> None:
        self.arrays = NameArrays(
            start_N=np.zeros(capacity, np.int64),
            length_N=np.full(capacity, FREE, np.int32),
            hash_N=np.zeros(capacity, np.uint64),
            number_H=np.full(_slots(capacity), FREE, np.int32),
            text=np.zeros(text_capacity, np.uint8),
            counts=np.array([0, 0, 0, 0, FREE], np.int64),
        )

    def __len__(self) -> int:
        return int(self.arrays.counts[LIVE])

    @property
    def numbered(self) -> int:
        """One more than the highest number ever given out."""
        return int(self.arrays.counts[NUMBERED])

    def number(self, name: bytes) -> int:
        """The number of ``name``, or ``UNKNOWN``."""
        return int(find(self.arrays, np.frombuffer(name, np.uint8), 0, len(name)))

    def numbers(self, names: Sequence[bytes]) -> Int32s:
        """The number of each of ``names``, or ``UNKNOWN``."""
        found = np.empty(len(names), np.int32)
        stops = np.cumsum(np.fromiter(map(len, names), np.int64, len(names)))
        _find_all(self.arrays, np.frombuffer(b"".join(names), np.uint8), stops, found)
        return found

    def intern(self, name: bytes) -> int:
        """The number of ``name``, which gets one if it has none."""
        buffer = np.frombuffer(name, np.uint8)
        number = int(add(self.arrays, buffer, 0, len(name)))
        if number == UNKNOWN:
            self.reserve(1, len(name))
            number = int(add(self.arrays, buffer, 0, len(name)))
        return number

    def name(self, number: int) -> bytes:
        """The name that has ``number``; ``KeyError`` if none has."""
        if not 0 <= number < self.numbered or self.arrays.length_N[number] == FREE:
            raise KeyError(number)
        start = int(self.arrays.start_N[number])
        return self.arrays.text[start : start + int(self.arrays.length_N[number])].tobytes()

    def texts(self, numbers: Int32s) -> list[bytes]:
        """The names of ``numbers``, all of which must be in use."""
        stops = np.cumsum(self.arrays.length_N[numbers])
        joined = np.empty(int(stops[-1]) if stops.size else 0, np.uint8)
        _join(self.arrays, numbers, joined)
        text, starts = joined.tobytes(), [0, *stops.tolist()]
        return [text[start:stop] for start, stop in pairwise(starts)]

    def release(self, number: int) -> None:
        """Forget a name; its number will be given out again. ``KeyError`` if none has it."""
        if not self.release_all(np.array([number], np.int32)):
            raise KeyError(number)

    def release_all(self, numbers: Int32s) -> int:
        """Forget the names of ``numbers``, skipping those not in use; returns how many were."""
        released = int(remove(self.arrays, numbers))
        if self.arrays.counts[WASTED] > max(WASTE_MIN, self.arrays.counts[USED] // 2):
            self._replace_text(len(self.arrays.text))
        return released

    def reserve(self, more: int, more_bytes: int) -> None:
        """Make room for ``more`` further names of ``more_bytes`` altogether."""
        arrays = self.arrays
        needed = len(self) + more
        if needed > len(arrays.length_N):
            self._grow_numbers(max(needed, len(arrays.length_N) * 3 // 2))
        if arrays.counts[USED] + more_bytes > len(arrays.text):
            live = int(arrays.counts[USED] - arrays.counts[WASTED]) + more_bytes
            length = len(arrays.text)
            self._replace_text(length if live <= length * 2 // 3 else max(live, length * 3 // 2))

    def memory_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays)

    def _grow_numbers(self, capacity: int) -> None:
        old = self.arrays
        added = capacity - len(old.length_N)
        self.arrays = old._replace(
            start_N=np.append(old.start_N, np.zeros(added, np.int64)),
            length_N=np.append(old.length_N, np.full(added, FREE, np.int32)),
            hash_N=np.append(old.hash_N, np.zeros(added, np.uint64)),
            number_H=np.full(_slots(capacity), FREE, np.int32),
        )
        _fill_table(self.arrays)

    def _replace_text(self, capacity: int) -> None:
        text = np.zeros(capacity, np.uint8)
        _compact(self.arrays, text)
        self.arrays = self.arrays._replace(text=text)
