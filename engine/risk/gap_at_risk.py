"""Gap-at-risk: what accounts would owe beyond all they have, if prices jumped and nothing could be traded meanwhile.

Owns the market after each jump and every account's shortfall in it, max(0, -equity): what equity is after the jump is
equity before it less the loss, so this is max(0, loss - equity). Options are revalued at their new price and implied
volatility, collateral at its new price under its haircut. Refuses to add up over accounts and to judge the sums
(``engine.waterfall.coverage``).

Rows are computed once per market and jump, accounts are one pass over their holdings for all jumps together. Accounts
that lack a mark are not priced and have no shortfall.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.compiled import compiled
from engine.events import MarkPrice
from engine.market import Market
from engine.portfolio import HoldingColumns
from engine.pricing.axes import Bools, Floats, Ints
from engine.reference.gap_policy import Jump
from engine.reference.parameters import RiskParameters
from engine.risk.live_rows import LiveRows
from engine.units import E8, E12, PPM

_E8, _E12 = float(E8), float(E12)


class JumpRows(NamedTuple):
    """Axis I over instruments, C over assets, both by number; J over jumps. Numeraire, per contract or unit."""

    value_IJ: Floats
    settlement_price_IJ: Floats
    option_I: Bools
    funding_multiplier_I: Floats
    funding_index_e12_I: Ints
    priced_I: Bools
    price_CJ: Floats
    counted_C: Floats
    priced_C: Bools


def after_jump(market: Market, jump: Jump) -> Market:
    """``market`` right after ``jump``: prices and volatilities moved, time and funding as they were.

    A feed moves by its own entry in the jump, else by that of the underlying it prices, else like all others. The mark
    of an asset without an underlying (a stable coin) moves only by an entry of its own.
    """
    moves, underlying_of = dict(jump.moves_ppm), _underlyings(market)
    marks = {}
    for feed, mark in market.marks.items():
        underlying = underlying_of.get(feed)
        others_ppm = 0 if underlying is None else moves.get(underlying, jump.others_ppm)
        marks[feed] = _moved(mark, moves.get(feed, others_ppm), jump.volatility_ppm)
    return replace(market, marks=marks)


def _underlyings(market: Market) -> Mapping[str, str]:
    """The underlying that each feed prices. An underlying's own feed has its name."""
    found = {instrument.underlying: instrument.underlying for instrument in market.instruments.values()}
    found |= {instrument.mark_feed: instrument.underlying for instrument in market.instruments.values()}
    for asset in market.assets.values():
        if asset.mark_feed is not None and asset.underlying is not None:
            found[asset.mark_feed] = asset.underlying
    return found


def _moved(mark: MarkPrice, price_ppm: int, volatility_ppm: int) -> MarkPrice:
    nodes = tuple(replace(node, volatility=node.volatility * (1.0 + volatility_ppm / PPM)) for node in mark.volatility)
    return replace(mark, price_e8=max(mark.price_e8 * (PPM + price_ppm) // PPM, 1), volatility=nodes)


def jump_rows(
    market: Market,
    parameters: RiskParameters,
    jumps: Sequence[Jump],
    instruments: Sequence[str],
    assets: Sequence[str],
) -> JumpRows:
    """Rows of ``instruments`` and ``assets`` (numbered in this order) after each of ``jumps`` (at least one)."""
    # Values are wanted, not scenarios: the fewest that parameters may have.
    lean = replace(parameters, price_steps_ppm=(-PPM, 0, PPM), tails=())
    taken = []
    for jump in jumps:
        live = LiveRows(after_jump(market, jump), lean)
        live.extend(instruments, assets)
        taken.append(live.arrays)
    first = taken[0]
    return JumpRows(
        value_IJ=np.stack([rows.value_I for rows in taken], axis=1),
        settlement_price_IJ=np.stack([rows.settlement_price_I for rows in taken], axis=1),
        option_I=first.option_I,
        funding_multiplier_I=first.funding_multiplier_I,
        funding_index_e12_I=first.funding_index_e12_I,
        priced_I=np.logical_and.reduce([rows.priced_I for rows in taken]),
        price_CJ=np.stack([rows.price_C for rows in taken], axis=1),
        counted_C=first.counted_C,
        priced_C=np.logical_and.reduce([rows.priced_C for rows in taken]),
    )


def shortfalls(accounts: npt.NDArray[np.int32], columns: HoldingColumns, rows: JumpRows) -> tuple[Floats, Bools]:
    """Shortfalls [N, J] of ``accounts`` (numbers, [N]) in numeraire, and whether each is priced [N]; 0 where not."""
    shortfall_NJ = np.empty((accounts.size, rows.value_IJ.shape[1]))
    priced_N = np.empty(accounts.size, dtype=np.bool_)
    _shortfalls(accounts, columns, rows, shortfall_NJ, priced_N)
    return shortfall_NJ, priced_N


@compiled
def _shortfalls(
    accounts: npt.NDArray[np.int32], columns: HoldingColumns, rows: JumpRows, shortfall_NJ: Floats, priced_N: Bools
) -> None:
    """Positions by instrument id, then balances by asset id, one term after another from zero."""
    start_A, count_A = columns.position_start_A, columns.position_count_A
    asset_start_A, asset_count_A = columns.balance_start_A, columns.balance_count_A
    for n in range(accounts.size):
        account, is_priced = accounts[n], True
        for j in range(shortfall_NJ.shape[1]):
            shortfall_NJ[n, j] = 0.0
        for p in range(start_A[account], start_A[account] + count_A[account]):
            if columns.quantity_e8_P[p] == 0:
                continue
            i, quantity, owed = columns.instrument_P[p], columns.quantity_e8_P[p] / _E8, 0.0
            if i >= rows.priced_I.size or not rows.priced_I[i]:
                is_priced = False
                break
            if not rows.option_I[i]:
                accrued = (rows.funding_index_e12_I[i] - columns.funding_index_e12_P[p]) / _E12
                owed = columns.cost_e8_P[p] / _E8 + quantity * rows.funding_multiplier_I[i] * accrued
            for j in range(shortfall_NJ.shape[1]):
                shortfall_NJ[n, j] -= quantity * rows.value_IJ[i, j] - owed * rows.settlement_price_IJ[i, j]
        for c in range(asset_start_A[account], asset_start_A[account] + asset_count_A[account]):
            asset, amount = columns.asset_C[c], columns.amount_e8_C[c] / _E8
            if amount == 0.0:
                continue
            if asset >= rows.priced_C.size or not rows.priced_C[asset]:
                is_priced = False
                break
            counted = amount * rows.counted_C[asset] if amount > 0.0 else amount
            for j in range(shortfall_NJ.shape[1]):
                shortfall_NJ[n, j] -= counted * rows.price_CJ[asset, j]
        priced_N[n] = is_priced
        for j in range(shortfall_NJ.shape[1]):
            shortfall_NJ[n, j] = max(shortfall_NJ[n, j], 0.0) if is_priced else 0.0
