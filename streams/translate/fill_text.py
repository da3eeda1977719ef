"""The text of a fill, read by compiled code: one flat JSON object, member by member, into spans and then into numbers.

Owns how much of JSON and of the contract is read here: objects without escapes, plain ASCII, every member at most once,
amounts with at most 8 decimals that fit 64 bits. The codec (``schemas.codec``) and ``streams.translate`` are the
definition of a fill; whatever is taken here they take too, with the same values, and what is not taken goes to them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.compiled import compiled
from schemas.codec import INPUT_BYTES_MAX

UInt8s = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]

NAMES = (
    "v",
    "event_id",
    "account",
    "instrument",
    "side",
    "quantity",
    "price",
    "fee",
    "trade_time_us",
    "command_id",
)
VERSION, EVENT_ID, ACCOUNT, INSTRUMENT, SIDE, QUANTITY, PRICE, FEE, TRADE_TIME, COMMAND_ID = range(len(NAMES))
OPTIONAL = (1 << FEE) | (1 << COMMAND_ID)
REQUIRED = (1 << len(NAMES)) - 1 - OPTIONAL

IDENTIFIER_MAX = 64
WHOLE_DIGITS_MAX = 10
DECIMALS_MAX = 8
MICROS_MAX = 4_102_444_800_000_000
MICROS_DIGITS_MAX = 16

ODD = -1
"""Whatever this reader does not take."""

_TEXT = np.frombuffer("".join(NAMES).encode(), dtype=np.uint8)
_STOPS = np.cumsum([len(name) for name in NAMES])
_SPACE, _TAB, _LF, _CR = 0x20, 0x09, 0x0A, 0x0D
_QUOTE, _BACKSLASH, _COMMA, _COLON, _OPEN, _CLOSE = 0x22, 0x5C, 0x2C, 0x3A, 0x7B, 0x7D
_MINUS, _DOT, _ZERO, _NINE = 0x2D, 0x2E, 0x30, 0x39
_NULL = np.frombuffer(b"null", dtype=np.uint8)
_BUY, _SELL = np.frombuffer(b"buy", dtype=np.uint8), np.frombuffer(b"sell", dtype=np.uint8)


def _identifier_bytes() -> tuple[UInt8s, UInt8s]:
    """Which bytes may begin an identifier, and which may follow."""
    first, following = np.zeros(256, dtype=np.uint8), np.zeros(256, dtype=np.uint8)
    letters = b"abcdefghijklmnopqrstuvwxyz"
    first[list(letters + letters.upper() + b"0123456789")] = 1
    following[:] = first
    following[list(b"._:/-")] = 1
    return first, following


_FIRST, _FOLLOWING = _identifier_bytes()


class Spans(NamedTuple):
    """Where the members of one object lie: axis F runs over ``NAMES``, ``stop`` exclusive and without quotes.
    ``is_text_F`` is 1 for strings; null is a span of length 0 that is no text. ``seen`` is one bit per member."""

    start_F: Int64s
    stop_F: Int64s
    is_text_F: UInt8s
    seen: Int64s


@compiled
def new_spans() -> Spans:
    """Spans for a reader to write into."""
    count = _STOPS.size
    return Spans(np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.uint8), np.zeros(1, np.int64))


@compiled
def read_object(buffer: UInt8s, start: int, stop: int, spans: Spans) -> bool:
    """Read ``buffer[start:stop]`` as one object with members of a fill, each at most once; False if it is odd."""
    spans.seen[0] = 0
    if stop - start > INPUT_BYTES_MAX:
        return False
    at = _skip_space(buffer, start, stop)
    if at >= stop or buffer[at] != _OPEN:
        return False
    while True:
        at = _read_member(buffer, _skip_space(buffer, at + 1, stop), stop, spans)
        if at == ODD:
            return False
        at = _skip_space(buffer, at, stop)
        if at >= stop or (buffer[at] != _COMMA and buffer[at] != _CLOSE):
            return False
        if buffer[at] == _CLOSE:
            break
    return bool(_skip_space(buffer, at + 1, stop) == stop and spans.seen[0] & REQUIRED == REQUIRED)


@compiled
def _read_member(buffer: UInt8s, at: int, stop: int, spans: Spans) -> int:
    """Read a member that begins at ``at``; the place after it, or ``ODD``."""
    name_stop = _string_stop(buffer, at, stop)
    if name_stop == ODD:
        return ODD
    member = _member(buffer, at + 1, name_stop)
    if member == ODD or spans.seen[0] & (1 << member):
        return ODD
    spans.seen[0] |= 1 << member
    at = _skip_space(buffer, name_stop + 1, stop)
    if at >= stop or buffer[at] != _COLON:
        return ODD
    at = _skip_space(buffer, at + 1, stop)
    if at < stop and buffer[at] == _QUOTE:
        value_stop = _string_stop(buffer, at, stop)
        spans.start_F[member], spans.stop_F[member], spans.is_text_F[member] = at + 1, value_stop, 1
        return ODD if value_stop == ODD else value_stop + 1
    value_stop = at
    while value_stop < stop and _ZERO <= buffer[value_stop] <= _NINE:
        value_stop += 1
    if value_stop == at and is_equal(buffer, at, min(at + 4, stop), _NULL):
        spans.start_F[member], spans.stop_F[member], spans.is_text_F[member] = at, at, 0
        return at + 4
    spans.start_F[member], spans.stop_F[member], spans.is_text_F[member] = at, value_stop, 0
    return value_stop if value_stop > at else ODD


@compiled
def _skip_space(buffer: UInt8s, at: int, stop: int) -> int:
    while at < stop and (buffer[at] == _SPACE or buffer[at] == _TAB or buffer[at] == _LF or buffer[at] == _CR):
        at += 1
    return at


@compiled
def _string_stop(buffer: UInt8s, at: int, stop: int) -> int:
    """The closing quote of the string that opens at ``at``; ``ODD`` if none opens or anything but plain ASCII is in
    it."""
    if at >= stop or buffer[at] != _QUOTE:
        return ODD
    for place in range(at + 1, stop):
        byte = buffer[place]
        if byte == _QUOTE:
            return place
        if byte < _SPACE or byte > 0x7E or byte == _BACKSLASH:
            return ODD
    return ODD


@compiled
def is_equal(buffer: UInt8s, start: int, stop: int, text: UInt8s) -> bool:
    """Whether ``buffer[start:stop]`` is ``text``."""
    if stop - start != text.size:
        return False
    for place in range(text.size):  # noqa: SIM110  a generator does not compile
        if buffer[start + place] != text[place]:
            return False
    return True


@compiled
def _member(buffer: UInt8s, start: int, stop: int) -> int:
    """Which member has this name."""
    first = 0
    for member in range(_STOPS.size):
        if is_equal(buffer, start, stop, _TEXT[first : _STOPS[member]]):
            return member
        first = _STOPS[member]
    return ODD


@compiled
def is_identifier(buffer: UInt8s, spans: Spans, member: int) -> bool:
    """Whether the member is an identifier as the contract has it."""
    start, stop = spans.start_F[member], spans.stop_F[member]
    if not spans.is_text_F[member] or not 0 < stop - start <= IDENTIFIER_MAX or not _FIRST[buffer[start]]:
        return False
    for place in range(start + 1, stop):  # noqa: SIM110  a generator does not compile
        if not _FOLLOWING[buffer[place]]:
            return False
    return True


@compiled
def read_e8(buffer: UInt8s, spans: Spans, member: int) -> tuple[int, bool]:
    """The magnitude of a decimal string in 10^-8 and whether it has a minus; (``ODD``, False) for what is not taken."""
    start, stop = spans.start_F[member], spans.stop_F[member]
    negative = start < stop and buffer[start] == _MINUS
    at = start + 1 if negative else start
    whole, whole_stop = _digits(buffer, at, stop)
    digits = whole_stop - at
    if not spans.is_text_F[member] or not 0 < digits <= WHOLE_DIGITS_MAX or (digits > 1 and buffer[at] == _ZERO):
        return ODD, False
    scale = DECIMALS_MAX
    if whole_stop < stop:
        fraction, fraction_stop = _digits(buffer, whole_stop + 1, stop)
        decimals = fraction_stop - whole_stop - 1
        if buffer[whole_stop] != _DOT or fraction_stop != stop or not 0 < decimals <= DECIMALS_MAX:
            return ODD, False
        whole = whole * 10**decimals + fraction
        scale -= decimals
    return whole * 10**scale, negative


@compiled
def read_count(buffer: UInt8s, spans: Spans, member: int) -> int:
    """A JSON integer without sign, of at most ``MICROS_DIGITS_MAX`` digits; ``ODD`` for what is not taken."""
    start, stop = spans.start_F[member], spans.stop_F[member]
    if spans.is_text_F[member] or not 0 < stop - start <= MICROS_DIGITS_MAX:
        return ODD
    if stop - start > 1 and buffer[start] == _ZERO:
        return ODD
    value, _ = _digits(buffer, start, stop)
    return value


@compiled
def _digits(buffer: UInt8s, at: int, stop: int) -> tuple[int, int]:
    """The number that the digits from ``at`` on make, up to 18 of them, and where they end."""
    value, first = 0, at
    while at < stop and _ZERO <= buffer[at] <= _NINE and at - first < 18:
        value = value * 10 + (int(buffer[at]) - _ZERO)
        at += 1
    return value, at


@compiled
def read_side(buffer: UInt8s, spans: Spans) -> int:
    """1 for buy, -1 for sell, 0 for what is not taken."""
    start, stop = spans.start_F[SIDE], spans.stop_F[SIDE]
    if not spans.is_text_F[SIDE]:
        return 0
    if is_equal(buffer, start, stop, _BUY):
        return 1
    return -1 if is_equal(buffer, start, stop, _SELL) else 0
