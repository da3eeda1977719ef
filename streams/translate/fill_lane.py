"""Fills of a whole batch at once: bytes to columns of exact integers, without an object per record.

Owns the scan. A record is taken when it is a sound fill in ordinary spelling (``fill_text``) under its account's key;
everything else, sound or not, is left to the codec, which alone decides what is wrong with it: a poison record costs
only itself. Refuses state: whether an account or instrument is known is in the numbers.

Trail: before it ``streams.worker`` (a slice of a batch), after it ``streams.runner`` (the step).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engine.columns.fill_columns import FillColumns
from engine.columns.names import NameArrays, Names, find
from engine.compiled import compiled
from engine.siphash import digest
from streams.translate.fill_text import (
    ACCOUNT,
    COMMAND_ID,
    EVENT_ID,
    FEE,
    INSTRUMENT,
    MICROS_MAX,
    ODD,
    PRICE,
    QUANTITY,
    TRADE_TIME,
    VERSION,
    Int64s,
    Spans,
    UInt8s,
    is_identifier,
    new_spans,
    read_count,
    read_e8,
    read_object,
    read_side,
)

_MESSAGE_BYTES = 256
_UNKNOWN = -1


def scan(
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    offsets: Sequence[int] | npt.NDArray[np.int64],
    accounts: Names,
    instruments: Names,
) -> FillColumns:
    """Scan records of the fills topic. ``accounts`` and ``instruments`` give the numbers, -1 for what they do not
    know. Where ``lane_N`` is 0 only the offset has a meaning."""
    count = len(values)
    fills = FillColumns(
        lane_N=np.zeros(count, np.uint8),
        offset_N=np.asarray(offsets, np.int64),
        account_N=np.full(count, _UNKNOWN, np.int32),
        instrument_N=np.full(count, _UNKNOWN, np.int32),
        quantity_e8_N=np.zeros(count, np.int64),
        price_e8_N=np.zeros(count, np.int64),
        fee_e8_N=np.zeros(count, np.int64),
        trade_time_us_N=np.zeros(count, np.int64),
        event_key_N=np.zeros(count, np.uint64),
        body_digest_N=np.zeros(count, np.uint64),
        has_command_N=np.zeros(count, np.uint8),
    )
    key_text, key_stop_N = _joined(keys)
    text, stop_N = _joined(values)
    _scan(key_text, key_stop_N, text, stop_N, accounts.arrays, instruments.arrays, fills)
    return fills


def _joined(parts: Sequence[bytes | None]) -> tuple[UInt8s, Int64s]:
    """All parts in one buffer, and where each stops; None is as empty as nothing."""
    texts = [part or b"" for part in parts]
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return np.frombuffer(b"".join(texts), np.uint8), np.cumsum(lengths)


@compiled
def _scan(
    key_text: UInt8s,
    key_stop_N: Int64s,
    text: UInt8s,
    stop_N: Int64s,
    accounts: NameArrays,
    instruments: NameArrays,
    fills: FillColumns,
) -> None:
    spans, message = new_spans(), np.zeros(_MESSAGE_BYTES, np.uint8)
    key_start, start = 0, 0
    for at in range(stop_N.size):
        key_stop, stop = key_stop_N[at], stop_N[at]
        if read_object(text, start, stop, spans) and _is_keyed(key_text, key_start, key_stop, text, spans):
            _take(text, spans, at, fills, message)
            if fills.lane_N[at]:
                fills.account_N[at] = find(accounts, text, spans.start_F[ACCOUNT], spans.stop_F[ACCOUNT])
                fills.instrument_N[at] = find(instruments, text, spans.start_F[INSTRUMENT], spans.stop_F[INSTRUMENT])
        key_start, start = key_stop, stop


@compiled
def _is_keyed(key_text: UInt8s, key_start: int, key_stop: int, text: UInt8s, spans: Spans) -> bool:
    """Whether the record's key is its account, which is an identifier."""
    start, stop = spans.start_F[ACCOUNT], spans.stop_F[ACCOUNT]
    if not is_identifier(text, spans, ACCOUNT) or key_stop - key_start != stop - start:
        return False
    for place in range(stop - start):  # noqa: SIM110  a generator does not compile
        if key_text[key_start + place] != text[start + place]:
            return False
    return True


@compiled
def _take(text: UInt8s, spans: Spans, at: int, fills: FillColumns, message: UInt8s) -> None:
    """Read the members of an object into the columns of record ``at``, if every one of them is sound."""
    if not (is_identifier(text, spans, EVENT_ID) and is_identifier(text, spans, INSTRUMENT)):
        return
    has_command = bool(spans.seen[0] & (1 << COMMAND_ID)) and spans.stop_F[COMMAND_ID] > spans.start_F[COMMAND_ID]
    if has_command and not is_identifier(text, spans, COMMAND_ID):
        return
    if not has_command and spans.seen[0] & (1 << COMMAND_ID) and spans.is_text_F[COMMAND_ID]:
        return
    side = read_side(text, spans)
    quantity, is_short = read_e8(text, spans, QUANTITY)
    price, is_below = read_e8(text, spans, PRICE)
    fee, is_rebate = 0, False
    if spans.seen[0] & (1 << FEE):
        fee, is_rebate = read_e8(text, spans, FEE)
    time_us = read_count(text, spans, TRADE_TIME)
    if side == 0 or quantity <= 0 or is_short or price <= 0 or is_below or fee == ODD:
        return
    if time_us == ODD or time_us > MICROS_MAX or read_count(text, spans, VERSION) != 1:
        return
    fills.quantity_e8_N[at] = side * quantity
    fills.price_e8_N[at] = price
    fills.fee_e8_N[at] = -fee if is_rebate else fee
    fills.trade_time_us_N[at] = time_us
    fills.has_command_N[at] = 1 if has_command else 0
    fills.event_key_N[at] = digest(text, spans.start_F[EVENT_ID], spans.stop_F[EVENT_ID])
    fills.body_digest_N[at] = _body_digest(text, spans, has_command, at, fills, message)
    fills.lane_N[at] = 1


@compiled
def _body_digest(
    text: UInt8s, spans: Spans, has_command: bool, at: int, fills: FillColumns, message: UInt8s
) -> np.uint64:
    """What tells a repeat of this fill from another one under its id (``streams.translate.events.fill_digest``)."""
    size = _append(message, 0, text, spans.start_F[INSTRUMENT], spans.stop_F[INSTRUMENT])
    if has_command:
        size = _append(message, size, text, spans.start_F[COMMAND_ID], spans.stop_F[COMMAND_ID])
    else:
        size = _append(message, size, text, 0, 0)
    size = _append_number(message, size, fills.quantity_e8_N[at])
    size = _append_number(message, size, fills.price_e8_N[at])
    size = _append_number(message, size, fills.fee_e8_N[at])
    size = _append_number(message, size, fills.trade_time_us_N[at])
    return digest(message, 0, size)


@compiled
def _append(message: UInt8s, size: int, text: UInt8s, start: int, stop: int) -> int:
    """Add a text and a zero byte."""
    for place in range(start, stop):
        message[size] = text[place]
        size += 1
    message[size] = 0
    return size + 1


@compiled
def _append_number(message: UInt8s, size: int, number: int) -> int:
    """Add a number as 8 bytes, little endian."""
    for place in range(8):
        message[size + place] = (number >> (8 * place)) & 0xFF
    return size + 8
