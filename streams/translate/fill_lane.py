"""Fills of a whole batch from bytes to columns, in compiled code.

Owns a reader of the flat JSON objects that fills nearly always are. ``schemas.codec`` and ``to_fill`` stay the
definition: a record is taken only if they accept it, and then with the values they give it. What is in any way unusual
(escapes, members unknown or repeated, another version, odd numbers, a wrong key) is left to them and costs only itself.
Refuses to judge what it leaves, and books.

Trail: before it the bytes of a batch, after it the compiled lane of ``engine.columns``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from engine.columns.arrays import Int32s, Int64s, UInt8s
from engine.columns.fill_columns import FillColumns
from engine.columns.names import UNKNOWN, NameArrays, Names, find
from engine.compiled import allocation_free, inlined
from engine.siphash import digest
from schemas.codec import INPUT_BYTES_MAX

ACCOUNT, INSTRUMENT, EVENT_ID, COMMAND_ID, QUANTITY, PRICE, FEE, SIDE, TRADE_TIME, VERSION = range(10)

_MEMBERS: Final = (
    "account", "instrument", "event_id", "command_id", "quantity", "price", "fee", "side", "trade_time_us", "v",
)  # fmt: skip
_REQUIRED: Final = (1 << len(_MEMBERS)) - 1 - (1 << COMMAND_ID) - (1 << FEE)
_MEMBER_BYTES: Final = np.frombuffer("".join(_MEMBERS).encode(), np.uint8)
_MEMBER_START: Final = np.cumsum([0, *map(len, _MEMBERS)]).astype(np.int64)

_BY_FIRST_BYTE: Final = np.full(256, -1, np.int64)
"""The only member that begins with a byte: no two begin alike."""
_BY_FIRST_BYTE[[ord(name[0]) for name in _MEMBERS]] = np.arange(len(_MEMBERS))
assert len({name[0] for name in _MEMBERS}) == len(_MEMBERS)

_BYTES = np.arange(256)
_IS_LETTER: Final = np.array([chr(code).isascii() and chr(code).isalnum() for code in _BYTES])
_IS_IDENTIFIER: Final = _IS_LETTER | np.isin(_BYTES, [ord(sign) for sign in "._:/-"])
_IS_PLAIN: Final = (_BYTES >= 0x20) & (_BYTES < 0x80) & ~np.isin(_BYTES, [ord('"'), ord("\\")])
_IS_SPACE: Final = np.isin(_BYTES, [ord(sign) for sign in " \t\r\n"])

_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _POINT, _MINUS, _ZERO, _ONE = (ord(sign) for sign in '",:{}.-01')
_BUY: Final = np.frombuffer(b"buy", np.uint8)
_SELL: Final = np.frombuffer(b"sell", np.uint8)
_NULL: Final = np.frombuffer(b"null", np.uint8)

_IDENTIFIER_BYTES_MAX: Final = 64
_DECIMALS: Final = 8
_WHOLE_DIGITS_MAX: Final = 11  # 10^11 x 10^8 is beyond 64 bits
_E8: Final = 10**_DECIMALS
_WHOLE_MAX: Final = (2**63 - 1) // _E8
_FRACTION_OF_WHOLE_MAX: Final = (2**63 - 1) % _E8
_MICROS_DIGITS_MAX: Final = 16
_MICROS_MAX: Final = 4_102_444_800_000_000
_NO_NUMBER: Final = -(2**63)
_AMOUNTS: Final = 4
_DIGESTED_BYTES_MAX: Final = 2 * (_IDENTIFIER_BYTES_MAX + 1) + 8 * _AMOUNTS


class Texts(NamedTuple):
    """Byte strings one after another: number n is ``bytes[start_N[n] : start_N[n + 1]]``."""

    bytes: UInt8s
    start_N: Int64s


class Scratch(NamedTuple):
    """What one record needs while it is read: start and stop of each member's value (a string without its quotes),
    start equal to stop for ``null``, and the bytes to be digested. Start and stop of each instrument are kept."""

    span_MT: Int64s
    digested: UInt8s
    instrument_NT: Int64s


def scan(
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    offsets: Sequence[int] | Int64s,
    accounts: Names,
    instruments: Names,
) -> FillColumns:
    """The fills in the records of a batch of topic ``fills``; a name that has no number stays unknown."""
    count = len(values)
    columns = FillColumns(
        lane_N=np.zeros(count, np.uint8),
        offset_N=np.array(offsets, np.int64),
        account_N=np.full(count, UNKNOWN, np.int32),
        instrument_N=np.full(count, UNKNOWN, np.int32),
        quantity_e8_N=np.zeros(count, np.int64),
        price_e8_N=np.zeros(count, np.int64),
        fee_e8_N=np.zeros(count, np.int64),
        trade_time_us_N=np.zeros(count, np.int64),
        event_key_N=np.zeros(count, np.uint64),
        body_digest_N=np.zeros(count, np.uint64),
        has_command_N=np.zeros(count, np.uint8),
    )
    assert len(keys) == count == len(columns.offset_N), "a key, a value and an offset for each record"
    scratch = Scratch(
        span_MT=np.zeros((len(_MEMBERS), 2), np.int64),
        digested=np.zeros(_DIGESTED_BYTES_MAX, np.uint8),
        instrument_NT=np.zeros((count, 2), np.int64),
    )
    key_texts, value_texts = _joined(keys), _joined(values)
    _scan_all(key_texts, value_texts, scratch, columns)
    # The key of a record that was taken is its account.
    _number_all(
        accounts.arrays,
        key_texts.bytes,
        key_texts.start_N[:-1],
        key_texts.start_N[1:],
        columns.lane_N,
        columns.account_N,
    )
    _number_all(
        instruments.arrays,
        value_texts.bytes,
        scratch.instrument_NT[:, 0],
        scratch.instrument_NT[:, 1],
        columns.lane_N,
        columns.instrument_N,
    )
    return columns


def _joined(texts: Sequence[bytes | None]) -> Texts:
    """All texts in one buffer; nothing for a missing one, which no record is taken for."""
    present = [text or b"" for text in texts]
    start_N = np.zeros(len(present) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, present), np.int64, len(present)), out=start_N[1:])
    return Texts(np.frombuffer(b"".join(present), np.uint8), start_N)


@allocation_free
def _scan_all(keys: Texts, values: Texts, scratch: Scratch, into: FillColumns) -> None:
    text, span_MT = values.bytes, scratch.span_MT
    for row in range(len(into.lane_N)):
        first, end = int(values.start_N[row]), int(values.start_N[row + 1])
        if end - first > INPUT_BYTES_MAX or not _find_members(text, first, end, span_MT):
            continue
        if not _are_identifiers(text, span_MT) or not _is_key(keys, row, text, span_MT):
            continue
        if not _read_amounts(text, span_MT, row, into):
            continue
        scratch.instrument_NT[row, 0] = span_MT[INSTRUMENT, 0]
        scratch.instrument_NT[row, 1] = span_MT[INSTRUMENT, 1]
        into.has_command_N[row] = span_MT[COMMAND_ID, 1] > span_MT[COMMAND_ID, 0]
        into.event_key_N[row] = digest(text, span_MT[EVENT_ID, 0], span_MT[EVENT_ID, 1])
        into.body_digest_N[row] = _body_digest(text, scratch, row, into)
        into.lane_N[row] = 1


@allocation_free
def _number_all(
    names: NameArrays, text: UInt8s, start_N: Int64s, stop_N: Int64s, lane_N: UInt8s, number_N: Int32s
) -> None:
    """The numbers of one name of each record that was taken. A pass of its own, because to hand on the arrays of the
    names among all others takes longer than to find one."""
    for row in range(len(lane_N)):
        if lane_N[row]:
            number_N[row] = find(names, text, start_N[row], stop_N[row])


@allocation_free
def _find_members(text: UInt8s, first: int, end: int, span_MT: Int64s) -> bool:
    """Find the members of one object; false unless it has all it needs, each once, and nothing else."""
    at = _skip_space(text, first, end)
    if at >= end or text[at] != _OPEN:
        return False
    for member in (COMMAND_ID, FEE):
        span_MT[member, 0] = span_MT[member, 1] = first
    seen = 0
    while True:
        at = _skip_space(text, at + 1, end)
        stop = _string_stop(text, at, end)
        if stop < 0:
            return False
        member = _which_member(text, at + 1, stop)
        if member < 0 or seen >> member & 1:
            return False
        seen |= 1 << member
        at = _skip_space(text, stop + 1, end)
        if at >= end or text[at] != _COLON:
            return False
        at = _value_stop(text, _skip_space(text, at + 1, end), end, member, span_MT)
        if at < 0:
            return False
        at = _skip_space(text, at, end)
        if at >= end:
            return False
        if text[at] == _CLOSE:
            return seen & _REQUIRED == _REQUIRED and _skip_space(text, at + 1, end) == end
        if text[at] != _COMMA:
            return False


@allocation_free
def _skip_space(text: UInt8s, at: int, end: int) -> int:
    while at < end and _IS_SPACE[text[np.uintp(at)]]:
        at += 1
    return at


@allocation_free
def _string_stop(text: UInt8s, at: int, end: int) -> int:
    """Where the closing quote of the string at ``at`` is; -1 if it is none or not of plain ASCII without escapes."""
    if at >= end or text[at] != _QUOTE:
        return -1
    at += 1
    while at < end and _IS_PLAIN[text[np.uintp(at)]]:
        at += 1
    return at if at < end and text[at] == _QUOTE else -1


@allocation_free
def _which_member(text: UInt8s, start: int, stop: int) -> int:
    """The member of that name, or -1."""
    member = int(_BY_FIRST_BYTE[text[start]])  # of an empty name this is the quote, with which no member begins
    if member < 0 or stop - start != _MEMBER_START[member + 1] - _MEMBER_START[member]:
        return -1
    name = _MEMBER_START[member]
    for offset in range(stop - start):
        if text[np.uintp(start + offset)] != _MEMBER_BYTES[np.uintp(name + offset)]:
            return -1
    return member


@allocation_free
def _value_stop(text: UInt8s, at: int, end: int, member: int, span_MT: Int64s) -> int:
    """Note the span of the value at ``at``; returns where it ends, -1 if it has not the type of its member."""
    if member in (TRADE_TIME, VERSION):
        stop = at
        while stop < end and _is_digit(text[np.uintp(stop)]):
            stop += 1
        span_MT[member, 0], span_MT[member, 1] = at, stop
        return stop if stop > at else -1
    if member == COMMAND_ID and _equals(text, at, min(at + len(_NULL), end), _NULL):
        span_MT[member, 0] = span_MT[member, 1] = at
        return at + len(_NULL)
    stop = _string_stop(text, at, end)
    # An empty string is no value of any member, and would look like null.
    if stop < 0 or stop == at + 1:
        return -1
    span_MT[member, 0], span_MT[member, 1] = at + 1, stop
    return stop + 1


@allocation_free
def _is_digit(byte: int) -> bool:
    return _ZERO <= byte <= _ZERO + 9


@allocation_free
def _equals(text: UInt8s, start: int, stop: int, expected: UInt8s) -> bool:
    if stop - start != len(expected):
        return False
    for offset in range(len(expected)):  # noqa: SIM110 -- a loop compiles, a generator does not
        if text[np.uintp(start + offset)] != expected[np.uintp(offset)]:
            return False
    return True


@allocation_free
def _are_identifiers(text: UInt8s, span_MT: Int64s) -> bool:
    """Whether the ids have the form of ``schemas.fields.Identifier``."""
    for member in range(ACCOUNT, COMMAND_ID + 1):
        start, stop = span_MT[member, 0], span_MT[member, 1]
        if start == stop:
            continue  # no command id: nothing else can be empty
        if stop - start > _IDENTIFIER_BYTES_MAX or not _IS_LETTER[text[start]]:
            return False
        for at in range(start + 1, stop):
            if not _IS_IDENTIFIER[text[np.uintp(at)]]:
                return False
    return True


@inlined
def _is_key(keys: Texts, row: int, text: UInt8s, span_MT: Int64s) -> bool:
    """Whether the key of the record is its account."""
    start, key = span_MT[ACCOUNT, 0], keys.start_N[row]
    length = span_MT[ACCOUNT, 1] - start
    if keys.start_N[row + 1] - key != length:
        return False
    for offset in range(length):  # noqa: SIM110 -- a loop compiles, a generator does not
        if text[np.uintp(start + offset)] != keys.bytes[np.uintp(key + offset)]:
            return False
    return True


@inlined
def _read_amounts(text: UInt8s, span_MT: Int64s, row: int, into: FillColumns) -> bool:
    """Read the version and everything that is a number; false if it is not exactly a fill's."""
    version = span_MT[VERSION]
    if version[1] - version[0] != 1 or text[version[0]] != _ONE:
        return False
    side_start, side_stop = span_MT[SIDE, 0], span_MT[SIDE, 1]
    is_sell = _equals(text, side_start, side_stop, _SELL)
    if not is_sell and not _equals(text, side_start, side_stop, _BUY):
        return False
    quantity_e8 = _unsigned_e8(text, span_MT[QUANTITY, 0], span_MT[QUANTITY, 1])
    price_e8 = _unsigned_e8(text, span_MT[PRICE, 0], span_MT[PRICE, 1])
    fee_e8 = _fee_e8(text, span_MT[FEE, 0], span_MT[FEE, 1])
    trade_time_us = _micros(text, span_MT[TRADE_TIME, 0], span_MT[TRADE_TIME, 1])
    if quantity_e8 <= 0 or price_e8 <= 0 or fee_e8 == _NO_NUMBER or trade_time_us == _NO_NUMBER:
        return False
    into.quantity_e8_N[row] = -quantity_e8 if is_sell else quantity_e8
    into.price_e8_N[row] = price_e8
    into.fee_e8_N[row] = fee_e8
    into.trade_time_us_N[row] = trade_time_us
    return True


@allocation_free
def _fee_e8(text: UInt8s, start: int, stop: int) -> int:
    """A decimal that may be negative, times 10^8; an absent one is 0."""
    if start == stop:
        return 0
    if text[start] != _MINUS:
        return _unsigned_e8(text, start, stop)
    magnitude = _unsigned_e8(text, start + 1, stop)
    return magnitude if magnitude == _NO_NUMBER else -magnitude


@allocation_free
def _unsigned_e8(text: UInt8s, start: int, stop: int) -> int:
    """A decimal as ``schemas.fields`` spells it, times 10^8; ``_NO_NUMBER`` if it is none, has more than eight
    decimals or does not fit 64 bits."""
    at, whole = start, 0
    while at < stop and at - start <= _WHOLE_DIGITS_MAX and _is_digit(text[np.uintp(at)]):
        whole = whole * 10 + int(text[np.uintp(at)]) - _ZERO
        at += 1
    digits = at - start
    if digits == 0 or digits > _WHOLE_DIGITS_MAX or (digits > 1 and text[start] == _ZERO):
        return _NO_NUMBER
    fraction = 0
    if at < stop:
        decimals = stop - at - 1
        if text[at] != _POINT or decimals < 1 or decimals > _DECIMALS:
            return _NO_NUMBER
        for place in range(at + 1, stop):
            if not _is_digit(text[np.uintp(place)]):
                return _NO_NUMBER
            fraction = fraction * 10 + int(text[np.uintp(place)]) - _ZERO
        for _ in range(_DECIMALS - decimals):
            fraction *= 10
    if whole > _WHOLE_MAX or (whole == _WHOLE_MAX and fraction > _FRACTION_OF_WHOLE_MAX):
        return _NO_NUMBER
    return whole * _E8 + fraction


@allocation_free
def _micros(text: UInt8s, start: int, stop: int) -> int:
    """An instant from digits; ``_NO_NUMBER`` if it has zeros in front or is out of the bounds of ``Micros``."""
    if stop - start > _MICROS_DIGITS_MAX or (stop - start > 1 and text[start] == _ZERO):
        return _NO_NUMBER
    micros = 0
    for at in range(start, stop):
        micros = micros * 10 + int(text[np.uintp(at)]) - _ZERO
    return micros if micros <= _MICROS_MAX else _NO_NUMBER


@inlined
def _body_digest(text: UInt8s, scratch: Scratch, row: int, into: FillColumns) -> np.uint64:
    """The digest that ``to_fill`` takes: instrument and command id, a zero byte after each, and four int64."""
    digested, used = scratch.digested, 0
    for member in (INSTRUMENT, COMMAND_ID):
        for at in range(scratch.span_MT[member, 0], scratch.span_MT[member, 1]):
            digested[np.uintp(used)] = text[np.uintp(at)]
            used += 1
        digested[np.uintp(used)] = 0
        used += 1
    used = _append(digested, used, into.quantity_e8_N[row])
    used = _append(digested, used, into.price_e8_N[row])
    used = _append(digested, used, into.fee_e8_N[row])
    used = _append(digested, used, into.trade_time_us_N[row])
    return digest(digested, 0, used)


@allocation_free
def _append(digested: UInt8s, used: int, number: int) -> int:
    """Write ``number`` as eight little-endian bytes; returns where the next goes."""
    word = np.uint64(number)
    for byte in range(8):
        digested[np.uintp(used + byte)] = np.uint8((word >> np.uint64(8 * byte)) & np.uint64(0xFF))
    return used + 8
