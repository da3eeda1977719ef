"""Longer columns: new bundles of arrays, and the same bundles with room for more.

Owns what an entry holds that nobody has written yet. Which arrays grow together is in their names: the letter after
the last underscore is the axis. Refuses to know when growing is due (``accounts`` does).
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from engine.columns.arrays import (
    POOL_CLASSES,
    TOPICS,
    AccountArrays,
    BalancePool,
    MemoryPool,
    PositionPool,
)

TOTALS_COUNT = 6
"""Axis K: the cumulative totals of an asset."""

UNWRITTEN = {"shard_A": -1, "applied_AT": -1, "class_A": -1, "class_AT": -1}
"""What columns hold where nothing was written; all others hold 0."""

Bundle = TypeVar("Bundle", bound=NamedTuple)


def new_accounts() -> AccountArrays:
    """Columns of no accounts."""
    return AccountArrays(
        shard_A=np.zeros(0, np.int32),
        applied_AT=np.zeros((0, len(TOPICS)), np.int64),
        status_A=np.zeros(0, np.uint8),
        has_cold_A=np.zeros(0, np.uint8),
        status_changes_A=np.zeros(0, np.int64),
        liquidation_sequence_A=np.zeros(0, np.int64),
        liquidation_round_A=np.zeros(0, np.int64),
        transfer_sequence_A=np.zeros(0, np.int64),
        bad_records_A=np.zeros(0, np.int64),
    )


def new_positions() -> PositionPool:
    """A pool without space."""
    return PositionPool(
        start_A=np.zeros(0, np.int64),
        count_A=np.zeros(0, np.int32),
        class_A=np.zeros(0, np.int8),
        instrument_P=np.zeros(0, np.int32),
        quantity_e8_P=np.zeros(0, np.int64),
        cost_e8_P=np.zeros(0, np.int64),
        funding_index_e12_P=np.zeros(0, np.int64),
        used=np.zeros(1, np.int64),
        free_head=np.full(POOL_CLASSES, -1, np.int64),
    )


def new_balances() -> BalancePool:
    """A pool without space."""
    return BalancePool(
        start_A=np.zeros(0, np.int64),
        count_A=np.zeros(0, np.int32),
        class_A=np.zeros(0, np.int8),
        asset_C=np.zeros(0, np.int32),
        amount_e8_C=np.zeros(0, np.int64),
        totals_CK=np.zeros((0, TOTALS_COUNT), np.int64),
        used=np.zeros(1, np.int64),
        free_head=np.full(POOL_CLASSES, -1, np.int64),
    )


def new_memory() -> MemoryPool:
    """A pool without space."""
    return MemoryPool(
        start_AT=np.zeros((0, len(TOPICS)), np.int64),
        count_AT=np.zeros((0, len(TOPICS)), np.int32),
        class_AT=np.zeros((0, len(TOPICS)), np.int8),
        oldest_AT=np.zeros((0, len(TOPICS)), np.int8),
        key_M=np.zeros(0, np.uint64),
        digest_M=np.zeros(0, np.uint64),
        used=np.zeros(1, np.int64),
        free_head=np.full(POOL_CLASSES, -1, np.int64),
    )


def lengthened(bundle: Bundle, axis: str, length: int) -> Bundle:
    """``bundle`` with ``length`` entries along ``axis``, a letter; arrays without that axis stay the same objects."""
    arrays: list[npt.NDArray[np.generic]] = []
    for name, array in zip(bundle._fields, bundle, strict=True):
        if name.rpartition("_")[2].startswith(axis):
            grown = np.zeros((length, *array.shape[1:]), array.dtype)
            grown[: len(array)] = array
            if UNWRITTEN.get(name, 0):
                grown[len(array) :] = UNWRITTEN[name]
            arrays.append(grown)
        else:
            arrays.append(array)
    return bundle._make(arrays)
