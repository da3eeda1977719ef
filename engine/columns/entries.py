"""Entries of an account in the pools: finding, adding, changing and removing one, in the canonical order.

Owns the order of entries, and the ring of remembered events. Functions that add an entry need room for it (``pools``)
and those that add amounts need them to fit (``change_fits``). Refuses to know why anything changes.
"""

from __future__ import annotations

import numpy as np

from engine.columns.arrays import FILLS, MEMORY_MAX, BalancePool, Int32s, MemoryPool, PositionPool
from engine.columns.exact import add
from engine.columns.instruments import InstrumentArrays
from engine.columns.trades import Change, Trade
from engine.compiled import allocation_free

REALIZED, TRADED, FEES, FUNDING = range(2, 6)
"""Columns of ``totals_CK`` that fills move."""

NOWHERE = -1
"""Stands for an entry that is not there."""


@allocation_free
def position_of(positions: PositionPool, account: int, instrument: int) -> int:
    """Where in the pool the position of ``account`` in ``instrument`` is, or ``NOWHERE``."""
    start = int(positions.start_A[account])
    for entry in range(start, start + positions.count_A[account]):
        if positions.instrument_P[entry] == instrument:
            return entry
    return NOWHERE


@allocation_free
def balance_of(balances: BalancePool, account: int, asset: int) -> int:
    """Where in the pool the entry of ``account`` for ``asset`` is, or ``NOWHERE``."""
    start = int(balances.start_A[account])
    for entry in range(start, start + balances.count_A[account]):
        if balances.asset_C[entry] == asset:
            return entry
    return NOWHERE


@allocation_free
def memory_of(memory: MemoryPool, account: int, key: np.uint64) -> int:
    """Where in the pool the fill that ``account`` remembers under ``key`` is, or ``NOWHERE``."""
    start = int(memory.start_AT[account, FILLS])
    for entry in range(start, start + memory.count_AT[account, FILLS]):
        if memory.key_M[entry] == key:
            return entry
    return NOWHERE


@allocation_free
def put_position(
    positions: PositionPool, account: int, instrument: int, made: Trade, instruments: InstrumentArrays
) -> None:
    """Write the position that a trade left; there is room for one more."""
    entry = position_of(positions, account, instrument)
    if made.quantity_e8 == 0:
        if entry != NOWHERE:
            _remove_position(positions, account, entry)
        return
    if entry == NOWHERE:
        order = instruments.order_I
        start = int(positions.start_A[account])
        entry = start + int(positions.count_A[account])
        while entry > start and order[positions.instrument_P[entry - 1]] > order[instrument]:
            _copy_position(positions, entry - 1, entry)
            entry -= 1
        positions.count_A[account] += 1
        positions.instrument_P[entry] = instrument
    positions.quantity_e8_P[entry] = made.quantity_e8
    positions.cost_e8_P[entry] = made.cost_e8
    positions.funding_index_e12_P[entry] = instruments.funding_index_e12_I[instrument]


@allocation_free
def _remove_position(positions: PositionPool, account: int, entry: int) -> None:
    last = int(positions.start_A[account]) + int(positions.count_A[account]) - 1
    for later in range(entry, last):
        _copy_position(positions, later + 1, later)
    positions.count_A[account] -= 1


@allocation_free
def _copy_position(positions: PositionPool, source: int, target: int) -> None:
    positions.instrument_P[target] = positions.instrument_P[source]
    positions.quantity_e8_P[target] = positions.quantity_e8_P[source]
    positions.cost_e8_P[target] = positions.cost_e8_P[source]
    positions.funding_index_e12_P[target] = positions.funding_index_e12_P[source]


@allocation_free
def change_fits(balances: BalancePool, account: int, asset: int, change: Change) -> bool:
    """Whether the entry of ``asset``, or a new one, can take ``change``."""
    entry = balance_of(balances, account, asset)
    if entry == NOWHERE:
        return True
    totals = balances.totals_CK[entry]
    return (
        add(int(balances.amount_e8_C[entry]), change.balance_e8)[1]
        and add(int(totals[REALIZED]), change.realized_pnl_e8)[1]
        and add(int(totals[TRADED]), change.traded_value_e8)[1]
        and add(int(totals[FEES]), change.fees_paid_e8)[1]
        and add(int(totals[FUNDING]), change.funding_paid_e8)[1]
    )


@allocation_free
def post(balances: BalancePool, account: int, asset: int, change: Change, order_C: Int32s) -> None:
    """Add ``change``, which fits, to the entry of ``asset``; there is room for a new one."""
    entry = balance_of(balances, account, asset)
    if entry == NOWHERE:
        entry = _open_balance(balances, account, asset, order_C)
    balances.amount_e8_C[entry] += change.balance_e8
    balances.totals_CK[entry, REALIZED] += change.realized_pnl_e8
    balances.totals_CK[entry, TRADED] += change.traded_value_e8
    balances.totals_CK[entry, FEES] += change.fees_paid_e8
    balances.totals_CK[entry, FUNDING] += change.funding_paid_e8


@allocation_free
def _open_balance(balances: BalancePool, account: int, asset: int, order_C: Int32s) -> int:
    start = int(balances.start_A[account])
    entry = start + int(balances.count_A[account])
    while entry > start and order_C[balances.asset_C[entry - 1]] > order_C[asset]:
        balances.asset_C[entry] = balances.asset_C[entry - 1]
        balances.amount_e8_C[entry] = balances.amount_e8_C[entry - 1]
        for total in range(balances.totals_CK.shape[1]):
            balances.totals_CK[entry, total] = balances.totals_CK[entry - 1, total]
        entry -= 1
    balances.count_A[account] += 1
    balances.asset_C[entry] = asset
    balances.amount_e8_C[entry] = 0
    for total in range(balances.totals_CK.shape[1]):
        balances.totals_CK[entry, total] = 0
    return entry


@allocation_free
def remember(memory: MemoryPool, account: int, key: np.uint64, digest: np.uint64) -> None:
    """Note an applied event in the ring, which has room for it or is complete; then the oldest goes."""
    start, count = int(memory.start_AT[account, FILLS]), int(memory.count_AT[account, FILLS])
    if count < MEMORY_MAX:
        entry = start + count
        memory.count_AT[account, FILLS] = count + 1
    else:
        oldest = int(memory.oldest_AT[account, FILLS])
        entry = start + oldest
        memory.oldest_AT[account, FILLS] = (oldest + 1) % MEMORY_MAX
    memory.key_M[entry] = key
    memory.digest_M[entry] = digest
