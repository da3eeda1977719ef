"""Rows: the durable form of accounts, from the columns and back, many at a time.

Owns filling rows from columns and columns from rows, and the text of what is cold. A row stands alone: its ids are
text, not numbers. Refuses to know what else a stored record carries and where it is stored (``streams``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from engine.books.record import command_from_plain, command_to_plain, ladder_from_plain, ladder_to_plain
from engine.columns.accounts import AccountColumns, Cold
from engine.columns.arrays import (
    MEMORY_MAX,
    TOPICS,
    AccountArrays,
    BalancePool,
    Int32s,
    Int64s,
    MemoryPool,
    PositionPool,
    UInt8s,
)
from engine.columns.names import LIVE, UNKNOWN, NameArrays, add
from engine.columns.pools import fit_balances, fit_memory, fit_positions
from engine.columns.row_bytes import (
    ACCOUNT_BYTES,
    BALANCE_WORDS,
    BALANCES,
    COUNTERS,
    CUT_OFF,
    EVENT_WORDS,
    HEADER_WORDS,
    ID_BYTES_MAX,
    IDS_MAX,
    POSITION_WORDS,
    POSITIONS,
    PROBLEMS,
    REMEMBERED,
    ROW_FORMAT,
    WATERMARKS,
    check_row,
    checksum,
    high_half,
    low_half,
    read_u16,
    remembered,
    text_start,
    write_id,
    write_text,
)
from engine.compiled import allocation_free
from engine.errors import InvariantBroken

CHUNK = 4096
"""Rows written or read at a time: their bytes stay in the cache between the kernel and the cutting or joining."""


class DamagedRow(ValueError):
    """Bytes that are no row. ``index`` is the row's place among those given."""

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(f"row {index} {problem}")
        self.index = index
        self.problem = problem


class _Bundles(NamedTuple):
    """All that the kernels touch."""

    accounts: AccountArrays
    positions: PositionPool
    balances: BalancePool
    memory: MemoryPool
    names: NameArrays
    instruments: NameArrays
    assets: NameArrays


def _bundles(columns: AccountColumns) -> _Bundles:
    return _Bundles(
        columns.accounts,
        columns.positions,
        columns.balances,
        columns.memory,
        columns.names.arrays,
        columns.instruments.names.arrays,
        columns.assets.names.arrays,
    )


# From columns to rows.


@allocation_free
def _words_of(held: _Bundles, number: int, cold_bytes: int) -> int:
    """Words of the row, or -1 if an id is too long for one."""
    account_bytes = int(held.names.length_N[number])
    longest = account_bytes
    positions, balances = int(held.positions.count_A[number]), int(held.balances.count_A[number])
    text_bytes = account_bytes + 2 * (positions + balances) + cold_bytes
    start = int(held.positions.start_A[number])
    for entry in range(start, start + positions):
        length = int(held.instruments.length_N[held.positions.instrument_P[entry]])
        longest = max(longest, length)
        text_bytes += length
    start = int(held.balances.start_A[number])
    for entry in range(start, start + balances):
        length = int(held.assets.length_N[held.balances.asset_C[entry]])
        longest = max(longest, length)
        text_bytes += length
    words = HEADER_WORDS + positions * POSITION_WORDS + balances * BALANCE_WORDS + (text_bytes + 7) // 8
    for topic in range(len(TOPICS)):
        words += int(held.memory.count_AT[number, topic]) * EVENT_WORDS
    return words if longest <= ID_BYTES_MAX else -1


@allocation_free
def _measure(held: _Bundles, numbers: Int32s, cold_stops: Int64s, stops: Int64s) -> int:
    """Put into ``stops`` the word where each row ends, after a 0; the place of a row that cannot be written, or the
    number of rows."""
    for row in range(len(numbers)):
        words = _words_of(held, numbers[row], cold_stops[row + 1] - cold_stops[row])
        if words < 0:
            return row
        stops[row + 1] = stops[row] + words
    return len(numbers)


@allocation_free
def _write_counters(accounts: AccountArrays, number: int, words: Int64s, start: int) -> None:
    words[start + COUNTERS] = accounts.status_changes_A[number]
    words[start + COUNTERS + 1] = accounts.liquidation_sequence_A[number]
    words[start + COUNTERS + 2] = accounts.liquidation_round_A[number]
    words[start + COUNTERS + 3] = accounts.transfer_sequence_A[number]
    words[start + COUNTERS + 4] = accounts.bad_records_A[number]
    for topic in range(len(TOPICS)):
        words[start + WATERMARKS + topic] = accounts.applied_AT[number, topic]


@allocation_free
def _write_holdings(positions: PositionPool, balances: BalancePool, number: int, words: Int64s, at: int) -> int:
    """Write the numbers of positions and balances; the word after them."""
    start = int(positions.start_A[number])
    for entry in range(start, start + positions.count_A[number]):
        words[at] = positions.quantity_e8_P[entry]
        words[at + 1] = positions.cost_e8_P[entry]
        words[at + 2] = positions.funding_index_e12_P[entry]
        at += POSITION_WORDS
    start = int(balances.start_A[number])
    for entry in range(start, start + balances.count_A[number]):
        words[at] = balances.amount_e8_C[entry]
        for total in range(balances.totals_CK.shape[1]):
            words[at + 1 + total] = balances.totals_CK[entry, total]
        at += BALANCE_WORDS
    return at


@allocation_free
def _write_memory(pool: MemoryPool, number: int, words: Int64s, at: int) -> int:
    """Write the remembered events; the word after them."""
    for topic in range(len(TOPICS)):
        start, oldest = int(pool.start_AT[number, topic]), int(pool.oldest_AT[number, topic])
        for arrival in range(oldest, oldest + pool.count_AT[number, topic]):
            entry = start + (arrival & (MEMORY_MAX - 1))
            words[at] = np.int64(pool.key_M[entry])
            words[at + 1] = np.int64(pool.digest_M[entry])
            at += EVENT_WORDS
    return at


@allocation_free
def _write_ids(held: _Bundles, number: int, out: UInt8s, at: int) -> int:
    """Write the ids of account, positions and balances; the byte after them."""
    names = held.names
    at = write_text(out, at, names.text, names.start_N[number], names.length_N[number])
    ids = held.instruments
    start = int(held.positions.start_A[number])
    for entry in range(start, start + held.positions.count_A[number]):
        instrument = held.positions.instrument_P[entry]
        at = write_id(out, at, ids.text, ids.start_N[instrument], ids.length_N[instrument])
    ids = held.assets
    start = int(held.balances.start_A[number])
    for entry in range(start, start + held.balances.count_A[number]):
        asset = held.balances.asset_C[entry]
        at = write_id(out, at, ids.text, ids.start_N[asset], ids.length_N[asset])
    return at


@allocation_free
def _write_rows(
    held: _Bundles, numbers: Int32s, cold: UInt8s, cold_stops: Int64s, stops: Int64s, out: UInt8s, words: Int64s
) -> None:
    """Write rows into ``out``, which is ``words`` as bytes and all zeros."""
    for row in range(len(numbers)):
        number = numbers[row]
        start, stop = stops[row], stops[row + 1]
        cold_bytes = cold_stops[row + 1] - cold_stops[row]
        first = ROW_FORMAT | int(held.accounts.status_A[number]) << 8
        for topic in range(len(TOPICS)):
            first |= int(held.memory.count_AT[number, topic]) << (16 + 8 * topic)
        words[start] = first
        words[start + 1] = stop - start
        words[start + 2] = int(held.positions.count_A[number]) | int(held.balances.count_A[number]) << 32
        words[start + 3] = int(held.names.length_N[number]) | cold_bytes << 32
        _write_counters(held.accounts, number, words, start)
        at = _write_holdings(held.positions, held.balances, number, words, start + HEADER_WORDS)
        at = _write_memory(held.memory, number, words, at)
        byte = _write_ids(held, number, out, at * 8)
        write_text(out, byte, cold, cold_stops[row], cold_bytes)
        words[start + 1] |= checksum(words, start, stop) << 32


def encode(columns: AccountColumns, numbers: Int32s) -> list[bytes]:
    """The rows of the accounts ``numbers``, in that order; ``KeyError`` if one is no account's, ValueError if an id is
    longer than a row can say."""
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(columns.accounts.shard_A)):
        raise KeyError(int(numbers.max()))
    unused = numbers[columns.accounts.shard_A[numbers] < 0]
    if len(unused):
        raise KeyError(int(unused[0]))
    rows: list[bytes] = []
    for first in range(0, len(numbers), CHUNK):
        rows += _encode_chunk(columns, numbers[first : first + CHUNK])
    return rows


def _encode_chunk(columns: AccountColumns, numbers: Int32s) -> list[bytes]:
    held = _bundles(columns)
    cold = {
        row: _cold_to_text(columns.cold[int(numbers[row])])
        for row in np.flatnonzero(columns.accounts.has_cold_A[numbers]).tolist()
    }
    cold_stops = np.zeros(len(numbers) + 1, np.int64)
    for row, text in cold.items():
        cold_stops[row + 1] = len(text)
    np.cumsum(cold_stops, out=cold_stops)
    stops = np.zeros(len(numbers) + 1, np.int64)
    written = _measure(held, numbers, cold_stops, stops)
    if written < len(numbers):
        raise ValueError(f"account {columns.name(int(numbers[written]))[:80]}: an id is over {ID_BYTES_MAX} bytes")
    words = np.zeros(int(stops[-1]), np.int64)
    cold_text = np.frombuffer(b"".join(cold.values()), np.uint8)
    _write_rows(held, numbers, cold_text, cold_stops, stops, words.view(np.uint8), words)
    data = words.tobytes()
    return [data[start:stop] for start, stop in pairwise((stops * 8).tolist())]


# From rows to columns.


@allocation_free
def _check_rows(buffer: UInt8s, words: Int64s, stops: Int64s, cold_starts: Int64s, space: Int64s) -> int:
    """Check all rows; the place of the first that is none, ``cold_starts`` then holding minus what is wrong."""
    for row in range(len(stops) - 1):
        cold_starts[row] = check_row(buffer, words, stops[row], stops[row + 1], space)
        if cold_starts[row] < 0:
            return row
    return len(stops) - 1


@allocation_free
def _number_ids(ids: NameArrays, buffer: UInt8s, at: int, numbers: Int32s) -> int:
    """Number as many ids as ``numbers`` has entries; the byte after them, or -1 if the table is full."""
    for entry in range(len(numbers)):
        stop = at + 2 + read_u16(buffer, at)
        numbers[entry] = add(ids, buffer, at + 2, stop)
        if numbers[entry] == UNKNOWN:
            return -1
        at = stop
    return at


@allocation_free
def _read_counters(accounts: AccountArrays, number: int, words: Int64s, start: int) -> None:
    accounts.status_A[number] = (words[start] >> 8) & 255
    accounts.status_changes_A[number] = words[start + COUNTERS]
    accounts.liquidation_sequence_A[number] = words[start + COUNTERS + 1]
    accounts.liquidation_round_A[number] = words[start + COUNTERS + 2]
    accounts.transfer_sequence_A[number] = words[start + COUNTERS + 3]
    accounts.bad_records_A[number] = words[start + COUNTERS + 4]
    for topic in range(len(TOPICS)):
        accounts.applied_AT[number, topic] = words[start + WATERMARKS + topic]


@allocation_free
def _read_positions(pool: PositionPool, number: int, instruments: Int32s, words: Int64s, at: int) -> int:
    """Read the numbers of positions in ``instruments``; the word after them."""
    count = len(instruments)
    if count:
        fit_positions(pool, number, count)
    start = int(pool.start_A[number])
    for place in range(count):
        pool.instrument_P[start + place] = instruments[place]
        pool.quantity_e8_P[start + place] = words[at]
        pool.cost_e8_P[start + place] = words[at + 1]
        pool.funding_index_e12_P[start + place] = words[at + 2]
        at += POSITION_WORDS
    pool.count_A[number] = count
    return at


@allocation_free
def _read_balances(pool: BalancePool, number: int, assets: Int32s, words: Int64s, at: int) -> int:
    """Read the amounts of balances in ``assets``; the word after them."""
    count = len(assets)
    if count:
        fit_balances(pool, number, count)
    start = int(pool.start_A[number])
    for place in range(count):
        pool.asset_C[start + place] = assets[place]
        pool.amount_e8_C[start + place] = words[at]
        for total in range(pool.totals_CK.shape[1]):
            pool.totals_CK[start + place, total] = words[at + 1 + total]
        at += BALANCE_WORDS
    pool.count_A[number] = count
    return at


@allocation_free
def _read_memory(pool: MemoryPool, number: int, first_word: int, words: Int64s, at: int) -> None:
    for topic in range(len(TOPICS)):
        count = remembered(first_word, topic)
        if count:
            fit_memory(pool, number, topic, count)
        start = int(pool.start_AT[number, topic])
        for entry in range(start, start + count):
            pool.key_M[entry] = np.uint64(words[at])
            pool.digest_M[entry] = np.uint64(words[at + 1])
            at += EVENT_WORDS
        pool.count_AT[number, topic] = count


@allocation_free
def _load_rows(
    held: _Bundles,
    buffer: UInt8s,
    words: Int64s,
    stops: Int64s,
    shard: int,
    ids: Int32s,
    numbers: Int32s,
    first: int,
) -> int:
    """Load checked rows from ``first`` on, for which the pools and account names have space. ``ids`` is scratch.

    Returns how many are loaded in the end: it stops where the table of instruments or assets is full, and at an
    account that is here already, whose number is then in ``numbers``.
    """
    for row in range(first, len(numbers)):
        start = stops[row]
        positions, balances = low_half(words[start + 2]), high_half(words[start + 2])
        account = text_start(words, start) * 8
        account_stop = account + low_half(words[start + 3])
        instruments, assets = ids[:positions], ids[positions : positions + balances]
        at = _number_ids(held.instruments, buffer, account_stop, instruments)
        if at < 0 or _number_ids(held.assets, buffer, at, assets) < 0:
            return row
        before = held.names.counts[LIVE]
        number = add(held.names, buffer, account, account_stop)
        numbers[row] = number
        if held.names.counts[LIVE] == before:
            return row
        held.accounts.shard_A[number] = shard
        _read_counters(held.accounts, number, words, start)
        at = _read_positions(held.positions, number, instruments, words, start + HEADER_WORDS)
        at = _read_balances(held.balances, number, assets, words, at)
        _read_memory(held.memory, number, words[start], words, at)
    return len(numbers)


def decode(columns: AccountColumns, rows: Sequence[bytes], shard: int) -> Int32s:
    """Load rows into ``shard`` >= 0; the numbers of their accounts.

    All or none: ``DamagedRow`` if one is no row, ``InvariantBroken`` if an account is here already or comes twice.
    """
    if shard < 0:
        raise InvariantBroken(f"rows for shard {shard}")
    numbers = np.zeros(len(rows), np.int32)
    for first in range(0, len(rows), CHUNK):
        try:
            numbers[first : first + CHUNK] = _decode_chunk(columns, rows, first, shard)
        except (DamagedRow, InvariantBroken):
            columns.drop(numbers[:first])
            raise
    return numbers


def _decode_chunk(columns: AccountColumns, rows: Sequence[bytes], first: int, shard: int) -> Int32s:
    chunk = rows[first : first + CHUNK]
    lengths = np.fromiter(map(len, chunk), np.int64, len(chunk))
    ragged = np.flatnonzero(lengths % 8)
    if len(ragged):
        raise DamagedRow(first + int(ragged[0]), PROBLEMS[CUT_OFF])
    stops = np.zeros(len(chunk) + 1, np.int64)
    np.cumsum(lengths // 8, out=stops[1:])
    words = np.frombuffer(b"".join(chunk), np.int64)
    buffer = words.view(np.uint8)
    cold_starts, space = np.zeros(len(chunk), np.int64), np.zeros(5, np.int64)
    checked = _check_rows(buffer, words, stops, cold_starts, space)
    if checked < len(chunk):
        raise DamagedRow(first + checked, PROBLEMS[-int(cold_starts[checked])])
    cold_bytes = words[stops[:-1] + 3] >> 32
    cold = {
        row: _cold_from_text(first + row, buffer[cold_starts[row] : cold_starts[row] + cold_bytes[row]].tobytes())
        for row in np.flatnonzero(cold_bytes).tolist()
    }
    # Room for all that is still to come, if it is like this: growing once costs less than often.
    likely = (len(rows) - first) / len(chunk)
    columns.names.reserve(len(rows) - first, int(space[ACCOUNT_BYTES] * likely))
    columns.ensure(len(rows) - first, *(int(space[pool] * likely) for pool in (POSITIONS, BALANCES, REMEMBERED)))
    numbers = _load(columns, words, stops, shard, int(space[IDS_MAX]))
    for row, kept in cold.items():
        columns.put_cold(int(numbers[row]), kept)
    return numbers


def _load(columns: AccountColumns, words: Int64s, stops: Int64s, shard: int, ids_max: int) -> Int32s:
    numbers = np.full(len(stops) - 1, UNKNOWN, np.int32)
    ids = np.zeros(ids_max, np.int32)
    loaded = 0
    while True:
        loaded = _load_rows(_bundles(columns), words.view(np.uint8), words, stops, shard, ids, numbers, loaded)
        if loaded == len(numbers):
            return numbers
        if numbers[loaded] != UNKNOWN:
            account = columns.name(int(numbers[loaded]))
            columns.drop(numbers[:loaded])
            raise InvariantBroken(f"a row of account {account}, which is here already")
        columns.instruments.names.reserve(1, ID_BYTES_MAX)
        columns.assets.names.reserve(1, ID_BYTES_MAX)


# What is cold.


def _cold_to_text(cold: Cold) -> bytes:
    commands = [[id, *command_to_plain(held)] for id, held in sorted(cold.open_commands.items())]
    plain = [commands, sorted(cold.transfers_in.items()), ladder_to_plain(cold.ladder)]
    return json.dumps(plain, separators=(",", ":")).encode()


def _cold_from_text(row: int, text: bytes) -> Cold:
    try:
        commands, transfers, ladder = json.loads(text)
        kept = Cold(
            {_text(id): command_from_plain(rest) for id, *rest in commands},
            {_text(id): _int(n) for id, n in transfers},
            ladder_from_plain(ladder),
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedRow(row, f"has a cold part that cannot be read: {error}") from error
    if kept.is_empty:
        raise DamagedRow(row, "has a cold part without anything in it")
    return kept


def _int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected an integer, got {type(value).__name__}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value
