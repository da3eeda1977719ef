"""Fills from bytes to typed columns, compiled: the one topic of which there are millions.

Owns a reader of the JSON objects that fills nearly always are. It takes a record only when ``schemas.codec`` would, and
then yields the same fields; whatever it is unsure of (escapes, repeated members, odd numbers, another key) it leaves,
and the caller decodes that record the ordinary way. Refuses to judge what it leaves and to know tables.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from streams.audit.amount_scan import Pool, scaled_amount

EVENT_ID, ACCOUNT, INSTRUMENT, SIDE, QUANTITY, PRICE, FEE, TRADE_TIME, COMMAND_ID, VERSION = range(10)
"""Positions of the members in the canonical order, the version last."""

_NAMES: Final = (
    "event_id", "account", "instrument", "side", "quantity", "price", "fee", "trade_time_us", "command_id", "v",
)  # fmt: skip
_MEMBERS: Final = len(_NAMES)
_NAME_BYTES: Final = np.frombuffer("".join(_NAMES).encode(), dtype=np.uint8)
_NAME_START_N: Final = np.cumsum([0, *map(len, _NAMES)]).astype(np.int64)
_REQUIRED: Final = (1 << _MEMBERS) - 1 - (1 << FEE) - (1 << COMMAND_ID)
_VALUE_BYTES_MAX: Final = 65_536
_MICROS_MAX: Final = 4_102_444_800_000_000

_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _MINUS = (ord(sign) for sign in '",:{}-')
_ZERO, _NINE = ord("0"), ord("9")
_SIDES: Final = np.frombuffer(b"buysell", dtype=np.uint8)
_NULL: Final = np.frombuffer(b"null", dtype=np.uint8)
_IS_LETTER: Final = np.array([chr(code).isascii() and chr(code).isalnum() for code in range(256)])
_IS_IDENTIFIER: Final = _IS_LETTER | np.isin(np.arange(256), [ord(sign) for sign in "._:/-"])


class FillColumns(NamedTuple):
    """What was read of each record; ``taken_R`` says of which records that holds.

    ``span_RFT`` is start and end of the nine members in the pool of values (both 0 for an absent one), ``scaled_RAL``
    quantity, price and fee times 10**18 as 128-bit two's complement, low half first.
    """

    taken_R: NDArray[np.bool_]
    span_RFT: NDArray[np.int64]
    scaled_RAL: NDArray[np.uint64]
    trade_time_us_R: NDArray[np.int64]


def empty_columns(count: int) -> FillColumns:
    """Room for ``count`` records."""
    return FillColumns(
        np.zeros(count, dtype=np.bool_),
        np.zeros((count, _MEMBERS, 2), dtype=np.int64),
        np.zeros((count, 3, 2), dtype=np.uint64),
        np.zeros(count, dtype=np.int64),
    )


@compiled
def scan_fills(keys: Pool, values: Pool, into: FillColumns) -> int:
    """Read every record; returns how many were taken."""
    taken = 0
    for row in range(len(into.taken_R)):
        span_FT = into.span_RFT[row]
        first, end = values.start_R[row], values.start_R[row + 1]
        if not _members(values.bytes_B, first, end, span_FT) or not _fields(values.bytes_B, span_FT, into, row):
            continue
        start, stop = span_FT[ACCOUNT, 0], span_FT[ACCOUNT, 1]
        key_start = keys.start_R[row]
        if keys.start_R[row + 1] - key_start != stop - start:
            continue
        if not _same(values.bytes_B, start, keys.bytes_B, key_start, stop - start):
            continue
        into.taken_R[row] = True
        taken += 1
    return taken


@compiled
def _members(text: NDArray[np.uint8], first: int, end: int, span_FT: NDArray[np.int64]) -> bool:
    """Find the members of one object; false unless it is an object of the known members, each at most once."""
    if end - first > _VALUE_BYTES_MAX:
        return False
    at = _skip(text, first, end)
    if at >= end or text[at] != _OPEN:
        return False
    seen, expected = 0, VERSION
    while True:
        at = _skip(text, at + 1, end)
        name_end = _string_end(text, at, end)
        if name_end < 0:
            return False
        member = _member(text, at + 1, name_end, expected)
        if member < 0 or seen >> member & 1:
            return False
        seen |= 1 << member
        expected = (member + 1) % _MEMBERS
        at = _skip(text, name_end + 1, end)
        if at >= end or text[at] != _COLON:
            return False
        at = _value(text, _skip(text, at + 1, end), end, member, span_FT[member])
        if at < 0:
            return False
        at = _skip(text, at, end)
        if at >= end:
            return False
        if text[at] == _CLOSE:
            return seen & _REQUIRED == _REQUIRED and _skip(text, at + 1, end) == end
        if text[at] != _COMMA:
            return False


@compiled
def _value(text: NDArray[np.uint8], at: int, end: int, member: int, span_T: NDArray[np.int64]) -> int:
    """The span of a value: text without its quotes, or digits; where it ends, or -1."""
    if member in (TRADE_TIME, VERSION):
        stop = at
        while stop < end and _ZERO <= text[stop] <= _NINE:
            stop += 1
        span_T[0], span_T[1] = at, stop
        return stop if stop > at else -1
    if member == COMMAND_ID and end - at >= len(_NULL) and _same(text, at, _NULL, 0, len(_NULL)):
        return at + len(_NULL)
    stop = _string_end(text, at, end)
    if stop < 0:
        return -1
    span_T[0], span_T[1] = at + 1, stop
    return stop + 1


@compiled
def _fields(text: NDArray[np.uint8], span_FT: NDArray[np.int64], into: FillColumns, row: int) -> bool:
    """Hold every member to its contract, and read the numbers."""
    for member in (EVENT_ID, ACCOUNT, INSTRUMENT):
        if not _is_identifier(text, span_FT[member, 0], span_FT[member, 1]):
            return False
    command = span_FT[COMMAND_ID]
    if command[0] > 0 and not _is_identifier(text, command[0], command[1]):
        return False
    side, length = span_FT[SIDE, 0], span_FT[SIDE, 1] - span_FT[SIDE, 0]
    is_buy = length == 3 and _same(text, side, _SIDES, 0, 3)
    if not is_buy and not (length == 4 and _same(text, side, _SIDES, 3, 4)):
        return False
    if span_FT[VERSION, 1] - span_FT[VERSION, 0] != 1 or text[span_FT[VERSION, 0]] != _ZERO + 1:
        return False
    time_us = _integer(text, span_FT[TRADE_TIME, 0], span_FT[TRADE_TIME, 1])
    if time_us < 0:
        return False
    into.trade_time_us_R[row] = time_us
    scaled_AL = into.scaled_RAL[row]
    for amount in range(2):
        if text[span_FT[QUANTITY + amount, 0]] == _MINUS:
            return False
        if not scaled_amount(text, span_FT[QUANTITY + amount, 0], span_FT[QUANTITY + amount, 1], scaled_AL[amount]):
            return False
        if scaled_AL[amount, 0] == 0 and scaled_AL[amount, 1] == 0:
            return False
    fee = span_FT[FEE]
    return fee[0] == 0 or scaled_amount(text, fee[0], fee[1], scaled_AL[2])


@compiled
def _integer(text: NDArray[np.uint8], at: int, end: int) -> int:
    """An instant; -1 unless it is spelled plainly and within its bounds."""
    if end - at > 16 or (end - at > 1 and text[at] == _ZERO):
        return -1
    number = 0
    for digit in range(at, end):
        number = number * 10 + int(text[digit]) - _ZERO
    return number if number <= _MICROS_MAX else -1


@compiled
def _is_identifier(text: NDArray[np.uint8], at: int, end: int) -> bool:
    if not 1 <= end - at <= 64 or not _IS_LETTER[text[at]]:
        return False
    for index in range(at + 1, end):  # noqa: SIM110 - compiled loops, not generators
        if not _IS_IDENTIFIER[text[index]]:
            return False
    return True


@compiled
def _member(text: NDArray[np.uint8], at: int, end: int, expected: int) -> int:
    """Which member a name is, trying the one after the last first; -1 for none."""
    for step in range(_MEMBERS):
        member = (expected + step) % _MEMBERS
        start, stop = _NAME_START_N[member], _NAME_START_N[member + 1]
        if stop - start == end - at and _same(text, at, _NAME_BYTES, start, end - at):
            return member
    return -1


@compiled
def _string_end(text: NDArray[np.uint8], at: int, end: int) -> int:
    """Where the quote that ends a string stands; -1 for anything but plain printable ASCII in quotes."""
    if at >= end or text[at] != _QUOTE:
        return -1
    for index in range(at + 1, end):
        byte = text[index]
        if byte == _QUOTE:
            return index
        if byte < 32 or byte > 126 or byte == 92:
            return -1
    return -1


@compiled
def _skip(text: NDArray[np.uint8], at: int, end: int) -> int:
    """Past JSON's white space."""
    while at < end and (text[at] == 32 or text[at] == 10 or text[at] == 13 or text[at] == 9):
        at += 1
    return at


@compiled
def _same(left: NDArray[np.uint8], at: int, right: NDArray[np.uint8], start: int, length: int) -> bool:
    for index in range(length):  # noqa: SIM110 - compiled loops, not generators
        if left[at + index] != right[start + index]:
            return False
    return True
