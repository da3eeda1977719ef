"""The columns: which arrays hold the accounts, and what each number in them means.

Owns the layout and nothing that changes it (``accounts`` does, and the kernels in ``fills``). The bundles are named
tuples of arrays because compiled kernels take those.

Accounts, instruments and assets are numbered (``names``); axis A runs over account numbers, I over instruments. What
an account has many of lies in a pool: a block of 2^k entries that begins at ``start``, of which the first ``count``
are in use. Blocks that are given back wait in ``free_head`` by k; the first entry of a waiting block names the next.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int8s = npt.NDArray[np.int8]
UInt8s = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

TOPICS = ("fills", "collateral", "liquidation-acks")
"""Axis T: the account topics, whose watermarks and remembered events are kept apart."""

FILLS, COLLATERAL, ACKS = range(len(TOPICS))

MEMORY_MAX = 32
"""Entries of a full ring of remembered events; a power of two."""

POOL_CLASSES = 24
"""Block sizes 2^0 .. 2^23."""


class AccountArrays(NamedTuple):
    """One entry per account number. ``shard`` is whatever group the caller put the account in, -1 for a number that
    is not in use. ``has_cold`` marks accounts with open commands or transfers, which are kept outside the columns."""

    shard_A: Int32s
    applied_AT: Int64s  # newest offset applied, -1 for none
    status_A: UInt8s
    has_cold_A: UInt8s
    status_changes_A: Int64s
    liquidation_sequence_A: Int64s
    liquidation_round_A: Int64s
    transfer_sequence_A: Int64s
    bad_records_A: Int64s


class PositionPool(NamedTuple):
    """Positions, inside an account in the order of their instrument ids as text; never of quantity 0.

    ``next`` of a waiting block is in ``quantity_e8_P``; ``used`` is one number, where unused space begins.
    """

    start_A: Int64s
    count_A: Int32s
    class_A: Int8s  # k of the block; -1 for none
    instrument_P: Int32s
    quantity_e8_P: Int64s
    cost_e8_P: Int64s
    funding_index_e12_P: Int64s
    used: Int64s
    free_head: Int64s  # [POOL_CLASSES], -1 for none


class BalancePool(NamedTuple):
    """Balances and cumulative totals by asset, inside an account in the order of the asset ids as text. An entry with
    amount 0 is totals only. ``totals_CK``: deposited, withdrawn, realized PnL, traded value, fees, funding (e8)."""

    start_A: Int64s
    count_A: Int32s
    class_A: Int8s
    asset_C: Int32s
    amount_e8_C: Int64s
    totals_CK: Int64s
    used: Int64s
    free_head: Int64s


class MemoryPool(NamedTuple):
    """Remembered events per account and topic: a ring in order of arrival. ``oldest`` is 0 until the ring has
    ``MEMORY_MAX`` entries; from then on a new entry takes its place and it moves on."""

    start_AT: Int64s
    count_AT: Int32s
    class_AT: Int8s
    oldest_AT: Int8s
    key_M: UInt64s
    digest_M: UInt64s
    used: Int64s
    free_head: Int64s
