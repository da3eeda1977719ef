"""Bytes of a row: how numbers and ids are written, and whether bytes that claim to be a row are one.

Owns the layout, byte for byte, and every check that makes later reading safe: rows come from a log that may be
damaged. Refuses to touch the columns (``rows`` fills them).

A row, all numbers little-endian: format (1 byte), length of the whole row (4), checksum of what follows (4); account
id; status (1); status changes, liquidation sequence, liquidation round, transfer sequence, bad records (8 each);
watermark by topic (8 each); number of positions (4), each with instrument id, quantity, cost, funding index (8 each);
number of balances (4), each with asset id, amount, six totals (8 each); by topic the number of remembered events (1),
each with key and digest (8 each), in order of arrival; length of the cold part (4) and its text. An id is its length
(2) and UTF-8. Positions and balances are in the order of their ids.
"""

from __future__ import annotations

import numpy as np

from engine.columns.arrays import MEMORY_MAX, TOPICS, Int64s, UInt8s
from engine.columns.names import hash_of
from engine.columns.pools import class_for
from engine.compiled import compiled

ROW_FORMAT = 2
HEADER_BYTES = 9
COUNTERS_BYTES = 1 + 5 * 8 + len(TOPICS) * 8
POSITION_BYTES = 3 * 8
BALANCE_BYTES = 7 * 8
EVENT_BYTES = 2 * 8
ID_BYTES_MAX = 2**16 - 1
STATUS_MAX = 3

FORMAT, CUT_OFF, TRAILING, CHECKSUM, TOO_SHORT, TEXT, STATUS, WATERMARK, ORDER, ZERO, MEMORY = range(1, 12)
"""What is wrong with a row; 0 is nothing."""

PROBLEMS = {
    FORMAT: f"is not of format {ROW_FORMAT}",
    CUT_OFF: "is cut off",
    TRAILING: "has bytes after its end",
    CHECKSUM: "does not match its checksum",
    TOO_SHORT: "ends inside a field",
    TEXT: "has an id that is not UTF-8",
    STATUS: "has an unknown status",
    WATERMARK: "has a watermark below -1",
    ORDER: "has positions or balances out of order",
    ZERO: "has a position of zero",
    MEMORY: "remembers more events than an account can",
}

POSITIONS, BALANCES, REMEMBERED, ACCOUNT_BYTES = range(4)
"""Entries of the space that rows need: of the pools, in blocks, and of account ids, in bytes."""

_BYTE = np.uint64(8)


@compiled
def read_u64(buffer: UInt8s, at: int) -> np.uint64:
    """The 8 bytes at ``at``."""
    value = np.uint64(0)
    for offset in range(8):
        value |= np.uint64(buffer[at + offset]) << (np.uint64(offset) * _BYTE)
    return value


@compiled
def read_i64(buffer: UInt8s, at: int) -> int:
    """The 8 bytes at ``at``, signed."""
    return int(np.int64(read_u64(buffer, at)))


@compiled
def read_u32(buffer: UInt8s, at: int) -> int:
    """The 4 bytes at ``at``."""
    return int(buffer[at]) | int(buffer[at + 1]) << 8 | int(buffer[at + 2]) << 16 | int(buffer[at + 3]) << 24


@compiled
def read_u16(buffer: UInt8s, at: int) -> int:
    """The 2 bytes at ``at``."""
    return int(buffer[at]) | int(buffer[at + 1]) << 8


@compiled
def write_u64(buffer: UInt8s, at: int, value: np.uint64) -> int:
    """Write 8 bytes; where the next go."""
    for offset in range(8):
        buffer[at + offset] = np.uint8((value >> (np.uint64(offset) * _BYTE)) & np.uint64(255))
    return at + 8


@compiled
def write_i64(buffer: UInt8s, at: int, value: int) -> int:
    """Write 8 bytes, signed; where the next go."""
    return write_u64(buffer, at, np.uint64(value))


@compiled
def write_u32(buffer: UInt8s, at: int, value: int) -> int:
    """Write 4 bytes; where the next go."""
    for offset in range(4):
        buffer[at + offset] = (value >> (8 * offset)) & 255
    return at + 4


@compiled
def write_text(buffer: UInt8s, at: int, text: UInt8s, start: int, length: int) -> int:
    """Copy ``length`` bytes of ``text``; where the next go."""
    for offset in range(length):
        buffer[at + offset] = text[start + offset]
    return at + length


@compiled
def write_id(buffer: UInt8s, at: int, text: UInt8s, start: int, length: int) -> int:
    """Write an id of ``length`` <= ``ID_BYTES_MAX`` bytes; where the next go."""
    buffer[at] = length & 255
    buffer[at + 1] = length >> 8
    return write_text(buffer, at + 2, text, start, length)


@compiled
def checksum(buffer: UInt8s, start: int, stop: int) -> int:
    """32 bits over what follows the header of the row ``buffer[start:stop]``."""
    return int(np.int64(hash_of(buffer, start + HEADER_BYTES, stop) >> np.uint64(32)))


@compiled
def _is_utf8(buffer: UInt8s, start: int, stop: int) -> bool:
    """Well-formed by table 3-7 of the Unicode standard: no overlong forms, no surrogates."""
    at = start
    while at < stop:
        lead = int(buffer[at])
        at += 1
        if lead < 0x80:
            continue
        if lead < 0xC2 or lead > 0xF4:
            return False
        following = 1 + int(lead >= 0xE0) + int(lead >= 0xF0)
        if at + following > stop:
            return False
        second = int(buffer[at])
        if (lead == 0xE0 and second < 0xA0) or (lead == 0xF0 and second < 0x90):
            return False
        if (lead == 0xED and second > 0x9F) or (lead == 0xF4 and second > 0x8F):
            return False
        for _ in range(following):
            if buffer[at] & 0xC0 != 0x80:
                return False
            at += 1
    return True


@compiled
def _is_before(buffer: UInt8s, first: int, second: int) -> bool:
    """Whether the id written at ``first`` is less than the one at ``second``."""
    first_length, second_length = read_u16(buffer, first), read_u16(buffer, second)
    for offset in range(2, 2 + min(first_length, second_length)):
        if buffer[first + offset] != buffer[second + offset]:
            return bool(buffer[first + offset] < buffer[second + offset])
    return first_length < second_length


@compiled
def _check_id(buffer: UInt8s, at: int, stop: int) -> int:
    """Where the id at ``at`` ends, or minus what is wrong."""
    if at + 2 > stop or at + 2 + read_u16(buffer, at) > stop:
        return -TOO_SHORT
    end = at + 2 + read_u16(buffer, at)
    return end if _is_utf8(buffer, at + 2, end) else -TEXT


@compiled
def _check_entries(buffer: UInt8s, at: int, stop: int, value_bytes: int, is_zero_wrong: bool, space: Int64s) -> int:
    """Where a list of positions or balances ends, or minus what is wrong; adds its block to ``space``, one entry."""
    if at + 4 > stop:
        return -TOO_SHORT
    count = read_u32(buffer, at)
    at += 4
    before = -1
    for _ in range(count):
        value = _check_id(buffer, at, stop)
        if value < 0:
            return value
        if value + value_bytes > stop:
            return -TOO_SHORT
        if before >= 0 and not _is_before(buffer, before, at):
            return -ORDER
        if is_zero_wrong and read_u64(buffer, value) == np.uint64(0):
            return -ZERO
        before = at
        at = value + value_bytes
    if count:
        space[0] += 1 << class_for(count)
    return at


@compiled
def _check_memory(buffer: UInt8s, at: int, stop: int, space: Int64s) -> int:
    """Where the remembered events end, or minus what is wrong; adds their blocks to ``space``, one entry."""
    for _ in range(len(TOPICS)):
        if at + 1 > stop:
            return -TOO_SHORT
        count = int(buffer[at])
        if count > MEMORY_MAX:
            return -MEMORY
        at += 1 + count * EVENT_BYTES
        if count:
            space[0] += 1 << class_for(count)
    return at


@compiled
def _check_header(buffer: UInt8s, start: int, stop: int) -> int:
    if stop == start or buffer[start] != ROW_FORMAT:
        return -FORMAT
    if stop - start < HEADER_BYTES or stop - start < read_u32(buffer, start + 1):
        return -CUT_OFF
    if stop - start > read_u32(buffer, start + 1):
        return -TRAILING
    if read_u32(buffer, start + 5) != checksum(buffer, start, stop):
        return -CHECKSUM
    return start + HEADER_BYTES


@compiled
def _check_counters(buffer: UInt8s, at: int, stop: int) -> int:
    if at + COUNTERS_BYTES > stop:
        return -TOO_SHORT
    if buffer[at] > STATUS_MAX:
        return -STATUS
    for topic in range(len(TOPICS)):
        if read_i64(buffer, at + 41 + topic * 8) < -1:
            return -WATERMARK
    return at + COUNTERS_BYTES


@compiled
def check_row(buffer: UInt8s, start: int, stop: int, space: Int64s) -> int:
    """Where the cold part of the row ``buffer[start:stop]`` begins (after its length), or minus what is wrong.

    Adds what the row needs to ``space``. A row that passes may be read without further checks.
    """
    at = _check_header(buffer, start, stop)
    if at < 0:
        return at
    account = at
    at = _check_id(buffer, at, stop)
    if at < 0:
        return at
    space[ACCOUNT_BYTES] += at - account - 2
    at = _check_counters(buffer, at, stop)
    if at >= 0:
        at = _check_entries(buffer, at, stop, POSITION_BYTES, True, space[POSITIONS:])
    if at >= 0:
        at = _check_entries(buffer, at, stop, BALANCE_BYTES, False, space[BALANCES:])
    if at >= 0:
        at = _check_memory(buffer, at, stop, space[REMEMBERED:])
    if at < 0:
        return at
    if at + 4 > stop or at + 4 + read_u32(buffer, at) > stop:
        return -TOO_SHORT
    if at + 4 + read_u32(buffer, at) < stop:
        return -TRAILING
    return at + 4
