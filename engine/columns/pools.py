"""Blocks of the pools: who gets which space, and how an account's block becomes a bigger one.

Owns allocation in blocks of 2^k entries. Blocks given back wait in lists by k and are used again; a bigger one is
split only when nothing else is left. Nothing here grows an array: a kernel that gets ``FULL`` stops, its caller makes
the pool longer (``accounts``) and resumes. Refuses to know what an entry means.
"""

from __future__ import annotations

import numpy as np

from engine.columns.arrays import POOL_CLASSES, BalancePool, Int64s, MemoryPool, PositionPool
from engine.compiled import allocation_free

FULL = -1
"""No block of the size wanted, and no unused space for one."""

NONE = -1
"""A block class that stands for no block, and the end of a list of waiting ones."""


@allocation_free
def class_for(count: int) -> int:
    """The smallest k with 2^k >= ``count`` > 0."""
    size_class = 0
    while 1 << size_class < count:
        size_class += 1
    return size_class


@allocation_free
def allocate(used: Int64s, free_head: Int64s, link: Int64s, size_class: int, capacity: int) -> int:
    """The start of a block of 2^``size_class`` entries, or ``FULL``.

    ``link`` is the pool's column that holds the next of a waiting block at the block's start, ``capacity`` the
    entries of the pool.
    """
    start = int(free_head[size_class])
    if start != NONE:
        free_head[size_class] = link[start]
        return start
    start = int(used[0])
    if start + (1 << size_class) <= capacity:
        used[0] = start + (1 << size_class)
        return start
    return _split(free_head, link, size_class)


@allocation_free
def _split(free_head: Int64s, link: Int64s, size_class: int) -> int:
    """A block cut off the smallest bigger one that waits; its other parts wait on, each in its class."""
    bigger = size_class + 1
    while bigger < POOL_CLASSES and free_head[bigger] == NONE:
        bigger += 1
    if bigger >= POOL_CLASSES:
        return FULL
    start = int(free_head[bigger])
    free_head[bigger] = link[start]
    for part in range(size_class, bigger):
        free(free_head, link, start + (1 << part), part)
    return start


@allocation_free
def free(free_head: Int64s, link: Int64s, start: int, size_class: int) -> None:
    """Give a block back. Its entries are void from now on."""
    link[start] = free_head[size_class]
    free_head[size_class] = start


@allocation_free
def fit_positions(pool: PositionPool, account: int, count: int) -> bool:
    """See that the block of ``account`` has room for ``count`` > 0 positions, moving what it holds to a bigger one
    if it has not; False, with nothing changed, if the pool is full."""
    old_class = int(pool.class_A[account])
    if old_class != NONE and count <= 1 << old_class:
        return True
    size_class = class_for(count)
    link = pool.quantity_e8_P
    start = allocate(pool.used, pool.free_head, link, size_class, len(link))
    if start == FULL:
        return False
    if old_class != NONE:
        old = int(pool.start_A[account])
        for entry in range(pool.count_A[account]):
            pool.instrument_P[start + entry] = pool.instrument_P[old + entry]
            pool.quantity_e8_P[start + entry] = pool.quantity_e8_P[old + entry]
            pool.cost_e8_P[start + entry] = pool.cost_e8_P[old + entry]
            pool.funding_index_e12_P[start + entry] = pool.funding_index_e12_P[old + entry]
        free(pool.free_head, link, old, old_class)
    pool.start_A[account] = start
    pool.class_A[account] = size_class
    return True


@allocation_free
def fit_balances(pool: BalancePool, account: int, count: int) -> bool:
    """As ``fit_positions``, for ``count`` > 0 entries of balances and totals."""
    old_class = int(pool.class_A[account])
    if old_class != NONE and count <= 1 << old_class:
        return True
    size_class = class_for(count)
    link = pool.amount_e8_C
    start = allocate(pool.used, pool.free_head, link, size_class, len(link))
    if start == FULL:
        return False
    if old_class != NONE:
        old = int(pool.start_A[account])
        for entry in range(pool.count_A[account]):
            pool.asset_C[start + entry] = pool.asset_C[old + entry]
            pool.amount_e8_C[start + entry] = pool.amount_e8_C[old + entry]
            for total in range(pool.totals_CK.shape[1]):
                pool.totals_CK[start + entry, total] = pool.totals_CK[old + entry, total]
        free(pool.free_head, link, old, old_class)
    pool.start_A[account] = start
    pool.class_A[account] = size_class
    return True


@allocation_free
def fit_memory(pool: MemoryPool, account: int, topic: int, count: int) -> bool:
    """As ``fit_positions``, for a ring of ``count`` remembered events, 0 < count <= ``MEMORY_MAX``. A ring that can
    still grow has its oldest entry first, so it moves as it is."""
    old_class = int(pool.class_AT[account, topic])
    if old_class != NONE and count <= 1 << old_class:
        return True
    size_class = class_for(count)
    link = pool.key_M.view(np.int64)
    start = allocate(pool.used, pool.free_head, link, size_class, len(link))
    if start == FULL:
        return False
    if old_class != NONE:
        old = int(pool.start_AT[account, topic])
        for entry in range(pool.count_AT[account, topic]):
            pool.key_M[start + entry] = pool.key_M[old + entry]
            pool.digest_M[start + entry] = pool.digest_M[old + entry]
        free(pool.free_head, link, old, old_class)
    pool.start_AT[account, topic] = start
    pool.class_AT[account, topic] = size_class
    return True


@allocation_free
def release(positions: PositionPool, balances: BalancePool, memory: MemoryPool, account: int) -> None:
    """Give all blocks of ``account`` back: it holds and remembers nothing."""
    if positions.class_A[account] != NONE:
        free(positions.free_head, positions.quantity_e8_P, positions.start_A[account], positions.class_A[account])
    positions.class_A[account] = NONE
    positions.count_A[account] = 0
    if balances.class_A[account] != NONE:
        free(balances.free_head, balances.amount_e8_C, balances.start_A[account], balances.class_A[account])
    balances.class_A[account] = NONE
    balances.count_A[account] = 0
    link = memory.key_M.view(np.int64)
    for topic in range(memory.class_AT.shape[1]):
        if memory.class_AT[account, topic] != NONE:
            free(memory.free_head, link, memory.start_AT[account, topic], memory.class_AT[account, topic])
        memory.class_AT[account, topic] = NONE
        memory.count_AT[account, topic] = 0
        memory.oldest_AT[account, topic] = 0
