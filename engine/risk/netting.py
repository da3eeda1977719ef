"""Netting: scenario PnL of positions summed inside each account and underlying.

Owns the sum over a group and its worst scenario. Refuses to know why items belong together.

Items are positions, then collateral that moves with an underlying, in canonical order. Netting is full inside an
underlying and none across underlyings: losses of different underlyings add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.pricing.axes import Floats, Ints
from engine.risk.equity import counted_amount
from engine.risk.holdings import Holdings
from engine.risk.revaluation import NO_UNDERLYING, RiskFrame


@dataclass(frozen=True, slots=True)
class RiskItems:
    """What has scenario PnL, [R], sorted by account, then underlying, then canonical order.

    ``source_R`` is the position's index, or the number of positions plus the balance's index. ``size_R`` multiplies
    the unit row ``row_R`` of ``unit_pnl``.
    """

    account_R: Ints
    underlying_R: Ints
    source_R: Ints
    row_R: Ints
    size_R: Floats


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
    kept = np.flatnonzero((underlying != NO_UNDERLYING) & holdings.priced_A[account])
    key = account[kept] * len(frame.grid.underlyings) + underlying[kept]
    kept = kept[np.argsort(key, kind="stable")]
    return RiskItems(account[kept], underlying[kept], kept, row[kept], size[kept])


def unit_pnl(frame: RiskFrame) -> Floats:
    """Unit rows of instruments, then of assets, one array for ``RiskItems.row_R``."""
    return np.concatenate([frame.instruments.pnl_IS, frame.assets.pnl_CS])


def item_pnl(items: RiskItems, frame: RiskFrame) -> Floats:
    """Weighted scenario PnL of every item, [R, S], numeraire."""
    return items.size_R[:, None] * unit_pnl(frame)[items.row_R]


def group_starts(items: RiskItems) -> Ints:
    """Index of the first item of each (account, underlying), [K]."""
    first = np.ones(items.account_R.size, dtype=np.bool_)
    first[1:] = (items.account_R[1:] != items.account_R[:-1]) | (items.underlying_R[1:] != items.underlying_R[:-1])
    return np.flatnonzero(first)


def netted_losses(items: RiskItems, pnl_RS: Floats) -> NettedLosses:
    """Net ``pnl_RS`` inside each group and take the worst scenario.

    ``np.add.reduceat`` sums each group on its own, so a group's bits do not depend on its neighbors.
    """
    starts = group_starts(items)
    if not starts.size:
        return NettedLosses(starts, starts, np.zeros(0), starts)
    pnl_KS = np.add.reduceat(pnl_RS, starts, axis=0)
    worst_K = np.argmin(pnl_KS, axis=1)
    loss_K = 0.0 - np.minimum(pnl_KS[np.arange(starts.size), worst_K], 0.0)
    return NettedLosses(items.account_R[starts], items.underlying_R[starts], loss_K, worst_K)
