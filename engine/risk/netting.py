"""Netting: scenario PnL of positions summed inside each account and underlying.

Owns the sum over a group and its worst scenario. Refuses to know why items belong together.

Items are positions, then collateral that moves with an underlying, in canonical order. Netting is full inside an
underlying and none across underlyings: losses of different underlyings add up.

A position settled in its underlying's own coin is worth (quantity x value - owed) coins, and the coin moves too. Its
PnL is quantity x the unit row, whose value and coin move together, less owed coins x the coin's row. Equity counts
unrealized PnL without a haircut, so it moves without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.pricing.axes import Floats, Ints
from engine.risk.equity import counted_amount, owed_amount
from engine.risk.holdings import Holdings
from engine.risk.revaluation import NO_UNDERLYING, RiskFrame
from engine.risk.sums import sum_rows_by_owner

BLOCK_ITEMS = 1024
"""Items revalued at a time; at 33 scenarios the working arrays take about 270 kB each."""


@dataclass(frozen=True, slots=True)
class RiskItems:
    """What has scenario PnL, [R], sorted by account, then underlying, then canonical order.

    ``source_R`` is the position's index, or the number of positions plus the balance's index. ``size_R`` multiplies
    the unit row ``row_R`` of the frame's ``unit_pnl``. ``owed_R`` is what a position owes in a settlement asset that
    moves with its underlying; 0 for everything else.
    """

    account_R: Ints
    underlying_R: Ints
    source_R: Ints
    row_R: Ints
    size_R: Floats
    owed_R: Floats


@dataclass(frozen=True, slots=True)
class NettedLosses:
    """One entry per (account, underlying) with anything at risk, [K], ordered by both: loss (>= 0, numeraire) and the
    index of the binding scenario."""

    account_K: Ints
    underlying_K: Ints
    loss_K: Floats
    worst_K: Ints


def risk_items(holdings: Holdings, frame: RiskFrame) -> RiskItems:
    """The items of priced accounts in netting order."""
    account = np.concatenate([holdings.account_P, holdings.account_C])
    underlying = np.concatenate(
        [frame.instruments.underlying_I[holdings.row_P], frame.assets.underlying_C[holdings.row_C]]
    )
    row = np.concatenate([holdings.row_P, holdings.row_C + frame.instruments.value_I.size])
    size = np.concatenate([holdings.quantity_P, counted_amount(holdings, frame)])
    owed = np.zeros(account.size)
    moving = np.flatnonzero(frame.instruments.settlement_moves_I[holdings.row_P])
    if moving.size:
        owed[moving] = owed_amount(holdings, frame)[moving]
    kept = np.flatnonzero((underlying != NO_UNDERLYING) & holdings.priced_A[account])
    key = account[kept] * len(frame.grid.underlyings) + underlying[kept]
    kept = kept[np.argsort(key, kind="stable")]
    return RiskItems(account[kept], underlying[kept], kept, row[kept], size[kept], owed[kept])


def item_pnl(items: RiskItems, frame: RiskFrame, block: slice = slice(None)) -> Floats:
    """Weighted scenario PnL of the items in ``block``, [R, S], numeraire."""
    pnl_RS: Floats = items.size_R[block, None] * frame.unit_pnl[items.row_R[block]]
    owing = np.flatnonzero(items.owed_R[block])
    if owing.size:
        settlement_pnl_RS = frame.instruments.settlement_pnl_IS[items.row_R[block][owing]]
        pnl_RS[owing] -= items.owed_R[block][owing, None] * settlement_pnl_RS
    return pnl_RS


def group_starts(items: RiskItems) -> Ints:
    """Index of the first item of each (account, underlying), [K]."""
    first = np.ones(items.account_R.size, dtype=np.bool_)
    first[1:] = (items.account_R[1:] != items.account_R[:-1]) | (items.underlying_R[1:] != items.underlying_R[:-1])
    return np.flatnonzero(first)


def net_pnl(items: RiskItems, frame: RiskFrame) -> Iterator[tuple[slice, Floats]]:
    """Net scenario PnL of consecutive groups: a slice of the K axis and its rows [K, S], block by block.

    Blocks hold whole groups and about ``BLOCK_ITEMS`` items: what is multiplied stays in cache until it is summed.
    """
    size = items.account_R.size
    starts = np.append(group_starts(items), size)
    group_R = np.repeat(np.arange(starts.size - 1), starts[1:] - starts[:-1])
    cuts = np.searchsorted(starts, np.arange(BLOCK_ITEMS, size, BLOCK_ITEMS)).tolist()
    for first, last in pairwise(sorted({0, *cuts, starts.size - 1})):
        block = slice(int(starts[first]), int(starts[last]))
        pnl_RS = item_pnl(items, frame, block)
        yield slice(first, last), sum_rows_by_owner(group_R[block] - first, pnl_RS, last - first)


def netted_losses(items: RiskItems, frame: RiskFrame) -> NettedLosses:
    """Net PnL inside each group and its worst scenario; between equal losses the earlier scenario binds."""
    starts = group_starts(items)
    loss_K, worst_K = np.zeros(starts.size), np.zeros(starts.size, dtype=np.int64)
    for groups, pnl_KS in net_pnl(items, frame):
        worst = np.argmin(pnl_KS, axis=1)
        worst_K[groups] = worst
        loss_K[groups] = 0.0 - np.minimum(pnl_KS[np.arange(worst.size), worst], 0.0)
    return NettedLosses(items.account_R[starts], items.underlying_R[starts], loss_K, worst_K)


def isolated_losses(items: RiskItems, frame: RiskFrame) -> Floats:
    """Loss of each item in its own worst scenario, [R], >= 0: what it would require with no netting at all."""
    loss_R = np.zeros(items.account_R.size)
    for first in range(0, loss_R.size, BLOCK_ITEMS):
        block = slice(first, first + BLOCK_ITEMS)
        loss_R[block] = 0.0 - np.minimum(item_pnl(items, frame, block).min(axis=1), 0.0)
    return loss_R
