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

from engine.books.account import OpenCommand
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
    BALANCE_BYTES,
    BALANCES,
    COUNTERS_BYTES,
    EVENT_BYTES,
    HEADER_BYTES,
    ID_BYTES_MAX,
    POSITION_BYTES,
    POSITIONS,
    PROBLEMS,
    REMEMBERED,
    ROW_FORMAT,
    check_row,
    checksum,
    read_i64,
    read_u16,
    read_u32,
    read_u64,
    write_i64,
    write_id,
    write_text,
    write_u32,
    write_u64,
)
from engine.compiled import compiled
from engine.errors import InvariantBroken

CHUNK = 4096
"""Rows written at a time, so that their bytes are still in the cache when they are cut."""


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


@compiled
def _size_of(held: _Bundles, number: int, cold_bytes: int) -> int:
    """Bytes of the row, or -1 if an id is too long for one."""
    length = int(held.names.length_N[number])
    longest = length
    size = HEADER_BYTES + 2 + length + COUNTERS_BYTES + 4 + 4 + len(TOPICS) + 4 + cold_bytes
    start = int(held.positions.start_A[number])
    for entry in range(start, start + held.positions.count_A[number]):
        length = int(held.instruments.length_N[held.positions.instrument_P[entry]])
        longest = max(longest, length)
        size += 2 + length + POSITION_BYTES
    start = int(held.balances.start_A[number])
    for entry in range(start, start + held.balances.count_A[number]):
        length = int(held.assets.length_N[held.balances.asset_C[entry]])
        longest = max(longest, length)
        size += 2 + length + BALANCE_BYTES
    for topic in range(len(TOPICS)):
        size += held.memory.count_AT[number, topic] * EVENT_BYTES
    return size if longest <= ID_BYTES_MAX else -1


@compiled
def _sizes(held: _Bundles, numbers: Int32s, cold_stops: Int64s, row_stops: Int64s) -> int:
    """Where each row and the one before it end; the place of a row that cannot be written, or the number of rows."""
    for row in range(len(numbers)):
        size = _size_of(held, numbers[row], cold_stops[row + 1] - cold_stops[row])
        if size < 0:
            return row
        row_stops[row + 1] = row_stops[row] + size
    return len(numbers)


@compiled
def _write_counters(accounts: AccountArrays, number: int, out: UInt8s, at: int) -> int:
    out[at] = accounts.status_A[number]
    at = write_i64(out, at + 1, accounts.status_changes_A[number])
    at = write_i64(out, at, accounts.liquidation_sequence_A[number])
    at = write_i64(out, at, accounts.liquidation_round_A[number])
    at = write_i64(out, at, accounts.transfer_sequence_A[number])
    at = write_i64(out, at, accounts.bad_records_A[number])
    for topic in range(len(TOPICS)):
        at = write_i64(out, at, accounts.applied_AT[number, topic])
    return at


@compiled
def _write_positions(pool: PositionPool, ids: NameArrays, number: int, out: UInt8s, at: int) -> int:
    start, count = int(pool.start_A[number]), int(pool.count_A[number])
    at = write_u32(out, at, count)
    for entry in range(start, start + count):
        instrument = pool.instrument_P[entry]
        at = write_id(out, at, ids.text, ids.start_N[instrument], ids.length_N[instrument])
        at = write_i64(out, at, pool.quantity_e8_P[entry])
        at = write_i64(out, at, pool.cost_e8_P[entry])
        at = write_i64(out, at, pool.funding_index_e12_P[entry])
    return at


@compiled
def _write_balances(pool: BalancePool, ids: NameArrays, number: int, out: UInt8s, at: int) -> int:
    start, count = int(pool.start_A[number]), int(pool.count_A[number])
    at = write_u32(out, at, count)
    for entry in range(start, start + count):
        asset = pool.asset_C[entry]
        at = write_id(out, at, ids.text, ids.start_N[asset], ids.length_N[asset])
        at = write_i64(out, at, pool.amount_e8_C[entry])
        for total in range(pool.totals_CK.shape[1]):
            at = write_i64(out, at, pool.totals_CK[entry, total])
    return at


@compiled
def _write_memory(pool: MemoryPool, number: int, out: UInt8s, at: int) -> int:
    for topic in range(len(TOPICS)):
        start, count = int(pool.start_AT[number, topic]), int(pool.count_AT[number, topic])
        oldest = int(pool.oldest_AT[number, topic])
        out[at] = count
        at += 1
        for arrival in range(oldest, oldest + count):
            entry = start + (arrival & (MEMORY_MAX - 1))
            at = write_u64(out, at, pool.key_M[entry])
            at = write_u64(out, at, pool.digest_M[entry])
    return at


@compiled
def _write_rows(
    held: _Bundles, numbers: Int32s, cold: UInt8s, cold_stops: Int64s, row_stops: Int64s, out: UInt8s
) -> None:
    for row in range(len(numbers)):
        number = numbers[row]
        start, stop = row_stops[row], row_stops[row + 1]
        out[start] = ROW_FORMAT
        write_u32(out, start + 1, stop - start)
        at = start + HEADER_BYTES
        at = write_id(out, at, held.names.text, held.names.start_N[number], held.names.length_N[number])
        at = _write_counters(held.accounts, number, out, at)
        at = _write_positions(held.positions, held.instruments, number, out, at)
        at = _write_balances(held.balances, held.assets, number, out, at)
        at = _write_memory(held.memory, number, out, at)
        cold_bytes = cold_stops[row + 1] - cold_stops[row]
        at = write_u32(out, at, cold_bytes)
        write_text(out, at, cold, cold_stops[row], cold_bytes)
        write_u32(out, start + 5, checksum(out, start, stop))


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
        int(row): _cold_to_text(columns.cold[int(numbers[row])])
        for row in np.flatnonzero(columns.accounts.has_cold_A[numbers])
    }
    cold_stops = np.zeros(len(numbers) + 1, np.int64)
    for row, text in cold.items():
        cold_stops[row + 1] = len(text)
    np.cumsum(cold_stops, out=cold_stops)
    row_stops = np.zeros(len(numbers) + 1, np.int64)
    written = _sizes(held, numbers, cold_stops, row_stops)
    if written < len(numbers):
        raise ValueError(f"account {columns.name(int(numbers[written]))[:80]}: an id is over {ID_BYTES_MAX} bytes")
    out = np.empty(int(row_stops[-1]), np.uint8)
    _write_rows(held, numbers, np.frombuffer(b"".join(cold.values()), np.uint8), cold_stops, row_stops, out)
    data = out.tobytes()
    return [data[start:stop] for start, stop in pairwise(row_stops.tolist())]


# From rows to columns.


@compiled
def _check_rows(buffer: UInt8s, row_stops: Int64s, cold_starts: Int64s, space: Int64s) -> int:
    """Check all rows; the place of the first that is none, ``cold_starts`` then holding minus what is wrong."""
    for row in range(len(row_stops) - 1):
        cold_starts[row] = check_row(buffer, row_stops[row], row_stops[row + 1], space)
        if cold_starts[row] < 0:
            return row
    return len(row_stops) - 1


@compiled
def _add_ids(ids: NameArrays, buffer: UInt8s, at: int, value_bytes: int) -> int:
    """Number the ids of a list of positions or balances; where it ends, or -1 if the table is full."""
    count = read_u32(buffer, at)
    at += 4
    for _ in range(count):
        stop = at + 2 + read_u16(buffer, at)
        if add(ids, buffer, at + 2, stop) == UNKNOWN:
            return -1
        at = stop + value_bytes
    return at


@compiled
def _read_counters(accounts: AccountArrays, number: int, buffer: UInt8s, at: int) -> int:
    accounts.status_A[number] = buffer[at]
    accounts.status_changes_A[number] = read_i64(buffer, at + 1)
    accounts.liquidation_sequence_A[number] = read_i64(buffer, at + 9)
    accounts.liquidation_round_A[number] = read_i64(buffer, at + 17)
    accounts.transfer_sequence_A[number] = read_i64(buffer, at + 25)
    accounts.bad_records_A[number] = read_i64(buffer, at + 33)
    for topic in range(len(TOPICS)):
        accounts.applied_AT[number, topic] = read_i64(buffer, at + 41 + topic * 8)
    return at + COUNTERS_BYTES


@compiled
def _read_positions(pool: PositionPool, ids: NameArrays, number: int, buffer: UInt8s, at: int) -> int:
    count = read_u32(buffer, at)
    at += 4
    if count:
        fit_positions(pool, number, count)
    start = int(pool.start_A[number])
    for entry in range(start, start + count):
        value = at + 2 + read_u16(buffer, at)
        pool.instrument_P[entry] = add(ids, buffer, at + 2, value)
        pool.quantity_e8_P[entry] = read_i64(buffer, value)
        pool.cost_e8_P[entry] = read_i64(buffer, value + 8)
        pool.funding_index_e12_P[entry] = read_i64(buffer, value + 16)
        at = value + POSITION_BYTES
    pool.count_A[number] = count
    return at


@compiled
def _read_balances(pool: BalancePool, ids: NameArrays, number: int, buffer: UInt8s, at: int) -> int:
    count = read_u32(buffer, at)
    at += 4
    if count:
        fit_balances(pool, number, count)
    start = int(pool.start_A[number])
    for entry in range(start, start + count):
        value = at + 2 + read_u16(buffer, at)
        pool.asset_C[entry] = add(ids, buffer, at + 2, value)
        pool.amount_e8_C[entry] = read_i64(buffer, value)
        for total in range(pool.totals_CK.shape[1]):
            pool.totals_CK[entry, total] = read_i64(buffer, value + 8 + total * 8)
        at = value + BALANCE_BYTES
    pool.count_A[number] = count
    return at


@compiled
def _read_memory(pool: MemoryPool, number: int, buffer: UInt8s, at: int) -> int:
    for topic in range(len(TOPICS)):
        count = int(buffer[at])
        at += 1
        if count:
            fit_memory(pool, number, topic, count)
        start = int(pool.start_AT[number, topic])
        for entry in range(start, start + count):
            pool.key_M[entry] = read_u64(buffer, at)
            pool.digest_M[entry] = read_u64(buffer, at + 8)
            at += EVENT_BYTES
        pool.count_AT[number, topic] = count
    return at


@compiled
def _load_rows(held: _Bundles, buffer: UInt8s, row_stops: Int64s, shard: int, numbers: Int32s, first: int) -> int:
    """Load checked rows from ``first`` on, for which the pools and account names have space. Returns how many are
    loaded in the end: it stops where the table of instruments or assets is full, and at an account that is open
    already, whose number is then in ``numbers``."""
    for row in range(first, len(numbers)):
        account = row_stops[row] + HEADER_BYTES
        account_stop = account + 2 + read_u16(buffer, account)
        at = _add_ids(held.instruments, buffer, account_stop + COUNTERS_BYTES, POSITION_BYTES)
        if at < 0 or _add_ids(held.assets, buffer, at, BALANCE_BYTES) < 0:
            return row
        before = held.names.counts[LIVE]
        number = add(held.names, buffer, account + 2, account_stop)
        if held.names.counts[LIVE] == before:
            numbers[row] = number
            return row
        numbers[row] = number
        held.accounts.shard_A[number] = shard
        at = _read_counters(held.accounts, number, buffer, account_stop)
        at = _read_positions(held.positions, held.instruments, number, buffer, at)
        at = _read_balances(held.balances, held.assets, number, buffer, at)
        _read_memory(held.memory, number, buffer, at)
    return len(numbers)


def decode(columns: AccountColumns, rows: Sequence[bytes], shard: int) -> Int32s:
    """Load rows into ``shard`` >= 0; the numbers of their accounts.

    All or none: ``DamagedRow`` if one is no row, ``InvariantBroken`` if an account is here already or comes twice.
    """
    buffer = np.frombuffer(b"".join(rows), np.uint8)
    row_stops = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)), out=row_stops[1:])
    cold_starts, space = np.zeros(len(rows), np.int64), np.zeros(4, np.int64)
    checked = _check_rows(buffer, row_stops, cold_starts, space)
    if checked < len(rows):
        raise DamagedRow(checked, PROBLEMS[-int(cold_starts[checked])])
    cold = {
        row: _cold_from_text(row, rows[row][int(cold_starts[row] - row_stops[row]) :])
        for row in np.flatnonzero(cold_starts < row_stops[1:]).tolist()
    }
    if shard < 0:
        raise InvariantBroken(f"rows for shard {shard}")
    columns.names.reserve(len(rows), int(space[ACCOUNT_BYTES]))
    columns.ensure(len(rows), int(space[POSITIONS]), int(space[BALANCES]), int(space[REMEMBERED]))
    numbers = _load(columns, buffer, row_stops, shard)
    for row, kept in cold.items():
        columns.put_cold(int(numbers[row]), kept.open_commands, kept.transfers_in)
    return numbers


def _load(columns: AccountColumns, buffer: UInt8s, row_stops: Int64s, shard: int) -> Int32s:
    numbers = np.full(len(row_stops) - 1, UNKNOWN, np.int32)
    loaded = 0
    while True:
        loaded = _load_rows(_bundles(columns), buffer, row_stops, shard, numbers, loaded)
        if loaded == len(numbers):
            return numbers
        if numbers[loaded] != UNKNOWN:
            account = columns.name(int(numbers[loaded]))
            columns.drop(numbers[:loaded])
            raise InvariantBroken(f"row {loaded}: account {account} is open already")
        columns.instruments.names.reserve(1, ID_BYTES_MAX)
        columns.assets.names.reserve(1, ID_BYTES_MAX)


# What is cold.


def _cold_to_text(cold: Cold) -> bytes:
    commands = [
        [id, held.instrument, held.quantity_e8, held.filled_e8, held.expires_us, held.acked_filled_e8]
        for id, held in sorted(cold.open_commands.items())
    ]
    return json.dumps([commands, sorted(cold.transfers_in.items())], separators=(",", ":")).encode()


def _cold_from_text(row: int, text: bytes) -> Cold:
    try:
        commands, transfers = json.loads(text)
        kept = Cold({_text(id): _command(*rest) for id, *rest in commands}, {_text(id): _int(n) for id, n in transfers})
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedRow(row, f"has a cold part that cannot be read: {error}") from error
    if not (kept.open_commands or kept.transfers_in):
        raise DamagedRow(row, "has a cold part without anything in it")
    return kept


def _command(
    instrument: object, quantity_e8: object, filled_e8: object, expires_us: object, acked: object
) -> OpenCommand:
    return OpenCommand(
        _text(instrument), _int(quantity_e8), _int(filled_e8), _int(expires_us), None if acked is None else _int(acked)
    )


def _int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected an integer, got {type(value).__name__}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value
