"""Bytes of a row: what is where in it, and whether bytes that claim to be a row are one.

Owns the layout and every check that makes later reading safe: rows come from a log that may be damaged. Refuses to
touch the columns (``rows`` fills them).

A row is whole words of 8 bytes, little-endian, so that rows laid end to end are read and written a word at a time:

    word 0        format (bits 0-7), status (8-15), remembered events by topic (16-23, 24-31, 32-39), 0
    word 1        words of the row (bits 0-31), checksum of all else (32-63)
    word 2        number of positions (bits 0-31), number of balances (32-63)
    word 3        bytes of the account id (bits 0-31), bytes of the cold part (32-63)
    words 4-8     status changes, liquidation sequence, liquidation round, transfer sequence, bad records
    words 9-11    watermark by topic
    then          3 words a position (quantity, cost, funding index), 7 a balance (amount, totals),
                  2 an event (key, digest), by topic in order of arrival
    then, bytes   account id; per position and per balance 2 bytes of length and the id, positions and balances each in
                  the order of their ids; the cold part; zeros up to the next word
"""

from __future__ import annotations

import numpy as np

from engine.columns.arrays import MEMORY_MAX, TOPICS, Int64s, UInt8s
from engine.columns.pools import class_for
from engine.compiled import allocation_free

ROW_FORMAT = 3
COUNTERS = 4
WATERMARKS = COUNTERS + 5
HEADER_WORDS = WATERMARKS + len(TOPICS)
POSITION_WORDS = 3
BALANCE_WORDS = 7
EVENT_WORDS = 2
ID_BYTES_MAX = 2**16 - 1
STATUS_MAX = 11
LOW = 2**32 - 1

FORMAT, CUT_OFF, TRAILING, CHECKSUM, COUNTS, TEXT, STATUS, WATERMARK, ORDER, ZERO, MEMORY = range(1, 12)
"""What is wrong with a row; 0 is nothing."""

PROBLEMS = {
    FORMAT: f"is not of format {ROW_FORMAT}",
    CUT_OFF: "is cut off",
    TRAILING: "has bytes after its end",
    CHECKSUM: "does not match its checksum",
    COUNTS: "counts more entries or bytes than it has",
    TEXT: "has an id that is not UTF-8",
    STATUS: "has an unknown status",
    WATERMARK: "has a watermark below -1",
    ORDER: "has positions or balances out of order",
    ZERO: "has a position of zero",
    MEMORY: "remembers more events than an account can",
}

POSITIONS, BALANCES, REMEMBERED, ACCOUNT_BYTES, IDS_MAX = range(5)
"""Entries of the space that rows need: of the pools, in blocks; of account ids, in bytes; the most ids of one row."""

_SEED = np.uint64(0x9E3779B97F4A7C15)
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


@allocation_free
def low_half(word: int) -> int:
    """Bits 0-31."""
    return word & LOW


@allocation_free
def high_half(word: int) -> int:
    """Bits 32-63."""
    return (word >> 32) & LOW


@allocation_free
def remembered(first_word: int, topic: int) -> int:
    """Number of remembered events of ``topic``, from word 0."""
    return (first_word >> (16 + 8 * topic)) & 255


@allocation_free
def read_u16(buffer: UInt8s, at: int) -> int:
    """The 2 bytes at ``at``."""
    return int(buffer[np.uintp(at)]) | int(buffer[np.uintp(at + 1)]) << 8


@allocation_free
def write_text(buffer: UInt8s, at: int, text: UInt8s, start: int, length: int) -> int:
    """Copy ``length`` bytes of ``text``; where the next go."""
    # Unsigned indices spare the test for one from the end, which a negative index would mean.
    for offset in range(length):
        buffer[np.uintp(at + offset)] = text[np.uintp(start + offset)]
    return at + length


@allocation_free
def write_id(buffer: UInt8s, at: int, text: UInt8s, start: int, length: int) -> int:
    """Write an id of ``length`` <= ``ID_BYTES_MAX`` bytes; where the next go."""
    buffer[np.uintp(at)] = length & 255
    buffer[np.uintp(at + 1)] = length >> 8
    return write_text(buffer, at + 2, text, start, length)


@allocation_free
def checksum(words: Int64s, start: int, stop: int) -> int:
    """32 bits over the row ``words[start:stop]`` except over themselves. Each word is mixed in by a bijection of 64
    bits, so that no change within one word goes unnoticed before the last fold."""
    mixed = _SEED
    for word in range(start, stop):
        value = words[word] if word != start + 1 else low_half(words[word])
        mixed = (mixed ^ np.uint64(value)) * _FACTOR
        mixed ^= mixed >> _HALF
    return int(np.int64((mixed * _FACTOR) >> _HALF))


@allocation_free
def _is_utf8(buffer: UInt8s, start: int, stop: int) -> bool:
    """Well-formed by table 3-7 of the Unicode standard: no overlong forms, no surrogates."""
    at = start
    while at < stop:
        lead = int(buffer[np.uintp(at)])
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


@allocation_free
def _is_before(buffer: UInt8s, first: int, second: int) -> bool:
    """Whether the id written at ``first`` is less than the one at ``second``."""
    first_length, second_length = read_u16(buffer, first), read_u16(buffer, second)
    for offset in range(2, 2 + min(first_length, second_length)):
        one, other = buffer[np.uintp(first + offset)], buffer[np.uintp(second + offset)]
        if one != other:
            return bool(one < other)
    return first_length < second_length


@allocation_free
def _check_ids(buffer: UInt8s, at: int, stop: int, count: int) -> int:
    """Where ``count`` ids end that begin at ``at``, or minus what is wrong."""
    before = -1
    for _ in range(count):
        if at + 2 > stop:
            return -COUNTS
        end = at + 2 + read_u16(buffer, at)
        if end > stop:
            return -COUNTS
        if not _is_utf8(buffer, at + 2, end):
            return -TEXT
        if before >= 0 and not _is_before(buffer, before, at):
            return -ORDER
        before = at
        at = end
    return at


@allocation_free
def _check_header(words: Int64s, start: int, stop: int) -> int:
    """0, or what is wrong with the frame of the row: its format, length and checksum."""
    if stop == start or words[start] & 255 != ROW_FORMAT:
        return FORMAT
    if stop - start < HEADER_WORDS or stop - start < low_half(words[start + 1]):
        return CUT_OFF
    if stop - start > low_half(words[start + 1]):
        return TRAILING
    return 0 if high_half(words[start + 1]) == checksum(words, start, stop) else CHECKSUM


@allocation_free
def _check_values(words: Int64s, start: int) -> int:
    """0, or what is wrong with the values of a row that has as many words as it says."""
    if (words[start] >> 8) & 255 > STATUS_MAX:
        return STATUS
    for topic in range(len(TOPICS)):
        if words[start + WATERMARKS + topic] < -1:
            return WATERMARK
        if remembered(words[start], topic) > MEMORY_MAX:
            return MEMORY
    for position in range(low_half(words[start + 2])):
        if words[start + HEADER_WORDS + position * POSITION_WORDS] == 0:
            return ZERO
    return 0


@allocation_free
def text_start(words: Int64s, start: int) -> int:
    """The word where the texts of the row begin."""
    events = 0
    for topic in range(len(TOPICS)):
        events += remembered(words[start], topic)
    positions, balances = low_half(words[start + 2]), high_half(words[start + 2])
    return start + HEADER_WORDS + positions * POSITION_WORDS + balances * BALANCE_WORDS + events * EVENT_WORDS


@allocation_free
def _add_space(words: Int64s, start: int, space: Int64s) -> None:
    """Add what the row needs to ``space``."""
    positions, balances = low_half(words[start + 2]), high_half(words[start + 2])
    if positions:
        space[POSITIONS] += 1 << class_for(positions)
    if balances:
        space[BALANCES] += 1 << class_for(balances)
    for topic in range(len(TOPICS)):
        count = remembered(words[start], topic)
        if count:
            space[REMEMBERED] += 1 << class_for(count)
    space[ACCOUNT_BYTES] += low_half(words[start + 3])
    space[IDS_MAX] = max(space[IDS_MAX], positions + balances)


@allocation_free
def check_row(buffer: UInt8s, words: Int64s, start: int, stop: int, space: Int64s) -> int:
    """The byte where the cold part of the row ``words[start:stop]`` begins, or minus what is wrong. ``buffer`` are
    the same bytes. Adds what the row needs to ``space``. A row that passes may be read without further checks."""
    problem = _check_header(words, start, stop)
    if problem == 0 and text_start(words, start) > stop:
        problem = COUNTS
    if problem == 0:
        problem = _check_values(words, start)
    if problem:
        return -problem
    at, end = text_start(words, start) * 8, stop * 8
    account_stop = at + low_half(words[start + 3])
    if account_stop > end:
        return -COUNTS
    if not _is_utf8(buffer, at, account_stop):
        return -TEXT
    at = _check_ids(buffer, account_stop, end, low_half(words[start + 2]))
    if at >= 0:
        at = _check_ids(buffer, at, end, high_half(words[start + 2]))
    if at < 0:
        return at
    rest = at + high_half(words[start + 3])
    if rest > end or rest + 8 <= end:
        return -COUNTS if rest > end else -TRAILING
    _add_space(words, start, space)
    return at
