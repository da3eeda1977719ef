"""Verdicts: equity and requirements of accounts, straight from columns of holdings and rows of the market.

Owns the one implementation of the margin figure (formulas: ``engine.risk.margin``) and its order of addition: positions
by instrument id, then balances by asset id, underlyings by rank, each sum one term after another from zero. Refuses
prices, mappings and decisions.

An account is one pass over its holdings. Its net scenario PnL lies in scratch rows, one per underlying it meets, which
stay in cache from account to account. Rows of priced instruments and assets are finite; nothing here looks for NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.compiled import compiled
from engine.portfolio import HoldingColumns
from engine.pricing.axes import Bools, Floats, Ints
from engine.risk.row_arrays import NO_UNDERLYING, RowArrays
from engine.units import E8, E12

Int32s = npt.NDArray[np.int32]

SCRATCH_ROWS = 16
"""Holdings of one account that need no larger scratch."""

_E8, _E12 = float(E8), float(E12)


class Verdicts(NamedTuple):
    """One entry per listed account, in the order of the list; NaN where it is not ``priced``. Numeraire."""

    equity_A: Floats
    initial_margin_A: Floats
    maintenance_margin_A: Floats
    priced_A: Bools


class FigureParts(NamedTuple):
    """What the figures of each listed account are made of, numeraire; without meaning where it is not ``priced``."""

    collateral_value_A: Floats
    unrealized_pnl_A: Floats
    option_value_A: Floats
    scenario_loss_A: Floats
    minimum_initial_A: Floats
    minimum_maintenance_A: Floats
    priced_A: Bools


class NettedLosses(NamedTuple):
    """One entry per (account, underlying) with anything at risk, [K], ordered by both: loss (>= 0, numeraire) and the
    index of the binding scenario; between equal losses the earlier scenario binds."""

    account_K: Ints
    underlying_K: Ints
    loss_K: Floats
    worst_K: Ints


class _Scratch(NamedTuple):
    """Working space for one account: axis K over its underlyings, G over its option groups, T a hash table of them."""

    net_KS: Floats
    rank_K: Ints
    loss_K: Floats
    slot_T: Ints
    group_G: Ints
    units_G: Floats
    instrument_G: Ints
    slot_G: Ints


def empty_verdicts(accounts: int) -> Verdicts:
    """Room for the verdicts of ``accounts`` accounts."""
    floats = np.empty((3, accounts))
    return Verdicts(floats[0], floats[1], floats[2], np.empty(accounts, dtype=np.bool_))


def empty_parts(accounts: int) -> FigureParts:
    """Room for the parts of ``accounts`` accounts."""
    floats = np.empty((6, accounts))
    return FigureParts(
        floats[0], floats[1], floats[2], floats[3], floats[4], floats[5], np.empty(accounts, dtype=np.bool_)
    )


def empty_losses(holdings: int) -> NettedLosses:
    """Room for the losses of accounts with ``holdings`` positions and balances in all."""
    numbers = np.empty((3, holdings), dtype=np.int64)
    return NettedLosses(numbers[0], numbers[1], np.empty(holdings), numbers[2])


@compiled
def evaluate(accounts: Int32s, columns: HoldingColumns, rows: RowArrays, out: Verdicts) -> None:
    """Judge ``accounts`` (numbers, [N]); ``out`` has room for N."""
    scratch = _new_scratch(SCRATCH_ROWS, rows.pnl_IS.shape[1])
    factor = rows.maintenance_factor[0]
    for n in range(accounts.size):
        account = accounts[n]
        held = columns.position_count_A[account] + columns.balance_count_A[account]
        if held > scratch.rank_K.size:
            scratch = _new_scratch(2 * held, rows.pnl_IS.shape[1])
        if not _is_priced(account, columns, rows):
            out.equity_A[n] = out.initial_margin_A[n] = out.maintenance_margin_A[n] = np.nan
            out.priced_A[n] = False
            continue
        collateral, unrealized, option, netted = _net(account, columns, rows, scratch)
        loss = _total_loss(netted, scratch)
        initial, maintenance = _short_option_minimum(account, columns, rows, scratch)
        out.equity_A[n] = collateral + unrealized + option
        out.initial_margin_A[n] = loss + initial
        out.maintenance_margin_A[n] = factor * loss + maintenance
        out.priced_A[n] = True


@compiled
def dissect(accounts: Int32s, columns: HoldingColumns, rows: RowArrays, out: FigureParts, losses: NettedLosses) -> int:
    """The parts behind ``evaluate``, and every netted loss with its binding scenario. ``losses`` has room for all
    holdings of ``accounts``; the number of its entries in use is returned. ``account_K`` is a place in ``accounts``."""
    scratch = _new_scratch(SCRATCH_ROWS, rows.pnl_IS.shape[1])
    used = 0
    for n in range(accounts.size):
        account = accounts[n]
        held = columns.position_count_A[account] + columns.balance_count_A[account]
        if held > scratch.rank_K.size:
            scratch = _new_scratch(2 * held, rows.pnl_IS.shape[1])
        out.priced_A[n] = _is_priced(account, columns, rows)
        if not out.priced_A[n]:
            continue
        collateral, unrealized, option, netted = _net(account, columns, rows, scratch)
        out.collateral_value_A[n], out.unrealized_pnl_A[n], out.option_value_A[n] = collateral, unrealized, option
        used = _list_losses(n, netted, scratch, losses, used)
        out.scenario_loss_A[n] = _total_loss(netted, scratch)
        initial, maintenance = _short_option_minimum(account, columns, rows, scratch)
        out.minimum_initial_A[n], out.minimum_maintenance_A[n] = initial, maintenance
    return used


@compiled
def _new_scratch(held: int, scenarios: int) -> _Scratch:
    slots = 4
    while slots < 2 * held:
        slots *= 2
    return _Scratch(
        np.empty((held, scenarios)),
        np.empty(held, dtype=np.int64),
        np.empty(held),
        np.full(slots, -1, dtype=np.int64),
        np.empty(held, dtype=np.int64),
        np.empty(held),
        np.empty(held, dtype=np.int64),
        np.empty(held, dtype=np.int64),
    )


@compiled
def _is_priced(account: int, columns: HoldingColumns, rows: RowArrays) -> bool:
    start = columns.position_start_A[account]
    for p in range(start, start + columns.position_count_A[account]):
        if columns.quantity_e8_P[p] != 0 and not rows.priced_I[columns.instrument_P[p]]:
            return False
    start = columns.balance_start_A[account]
    for c in range(start, start + columns.balance_count_A[account]):
        if columns.amount_e8_C[c] != 0 and not rows.priced_C[columns.asset_C[c]]:
            return False
    return True


@compiled
def _net(account: int, columns: HoldingColumns, rows: RowArrays, scratch: _Scratch) -> tuple[float, float, float, int]:
    """Collateral value, unrealized PnL and option value; net scenario PnL and its rank by underlying in ``scratch``,
    whose number of entries is returned last."""
    unrealized = option = collateral = 0.0
    netted = slot = 0
    start = columns.position_start_A[account]
    for p in range(start, start + columns.position_count_A[account]):
        if columns.quantity_e8_P[p] == 0:
            continue
        i = columns.instrument_P[p]
        quantity, owed = columns.quantity_e8_P[p] / _E8, 0.0
        if rows.option_I[i]:
            option += quantity * rows.value_I[i]
        else:
            accrued = (rows.funding_index_e12_I[i] - columns.funding_index_e12_P[p]) / _E12
            owed = columns.cost_e8_P[p] / _E8 + quantity * rows.funding_multiplier_I[i] * accrued
            unrealized += quantity * rows.value_I[i] - owed * rows.settlement_price_I[i]
        rank = rows.underlying_I[i]
        slot = _slot(rank, slot, netted, scratch.rank_K)
        if rows.settlement_moves_I[i] and owed != 0.0:
            _add_settled_row(slot, slot == netted, quantity, owed, i, rows, scratch.net_KS)
        else:
            _add_row(slot, slot == netted, quantity, rows.pnl_IS, i, scratch.net_KS)
        netted = _counted(slot, rank, netted, scratch.rank_K)
    start = columns.balance_start_A[account]
    for c in range(start, start + columns.balance_count_A[account]):
        if columns.amount_e8_C[c] == 0:
            continue
        asset = columns.asset_C[c]
        amount = columns.amount_e8_C[c] / _E8
        if amount > 0.0:
            amount *= rows.counted_C[asset]
        collateral += amount * rows.price_C[asset]
        rank = rows.underlying_C[asset]
        if rank != NO_UNDERLYING:
            slot = _slot(rank, slot, netted, scratch.rank_K)
            _add_row(slot, slot == netted, amount, rows.pnl_CS, asset, scratch.net_KS)
            netted = _counted(slot, rank, netted, scratch.rank_K)
    return collateral, unrealized, option, netted


@compiled
def _slot(rank: int, guess: int, used: int, rank_K: Ints) -> int:
    """Where ``rank`` is, or ``used``. Neighbors often share an underlying, so ``guess`` is tried first."""
    if guess < used and rank_K[guess] == rank:
        return guess
    for k in range(used):
        if rank_K[k] == rank:
            return k
    return used


@compiled
def _counted(slot: int, rank: int, used: int, rank_K: Ints) -> int:
    """Entries in use after ``slot`` has taken ``rank``."""
    if slot < used:
        return used
    rank_K[slot] = rank
    return used + 1


@compiled
def _add_row(slot: int, is_first: bool, size: float, pnl_RS: Floats, row: int, net_KS: Floats) -> None:
    if is_first:
        for s in range(net_KS.shape[1]):
            net_KS[slot, s] = size * pnl_RS[row, s]
    else:
        for s in range(net_KS.shape[1]):
            net_KS[slot, s] += size * pnl_RS[row, s]


@compiled
def _add_settled_row(
    slot: int, is_first: bool, size: float, owed: float, row: int, rows: RowArrays, net_KS: Floats
) -> None:
    """A position that owes coins which move with its underlying."""
    for s in range(net_KS.shape[1]):
        pnl = size * rows.pnl_IS[row, s] - owed * rows.settlement_pnl_IS[row, s]
        net_KS[slot, s] = pnl if is_first else net_KS[slot, s] + pnl


@compiled
def _lowest(net_KS: Floats, k: int) -> float:
    """Least PnL of a row. Four running minima, or each comparison would wait for the one before it."""
    scenarios = net_KS.shape[1]
    first = second = third = fourth = net_KS[k, 0]
    for s in range(0, scenarios - 3, 4):
        first = net_KS[k, s] if net_KS[k, s] < first else first
        second = net_KS[k, s + 1] if net_KS[k, s + 1] < second else second
        third = net_KS[k, s + 2] if net_KS[k, s + 2] < third else third
        fourth = net_KS[k, s + 3] if net_KS[k, s + 3] < fourth else fourth
    for s in range(scenarios // 4 * 4, scenarios):
        first = net_KS[k, s] if net_KS[k, s] < first else first
    lowest: float = min(min(first, second), min(third, fourth))
    return lowest


@compiled
def _total_loss(netted: int, scratch: _Scratch) -> float:
    """Sum of the losses by rank; afterwards ``loss_K`` is in that order (and ``rank_K``)."""
    for k in range(netted):
        loss, rank = 0.0 - min(_lowest(scratch.net_KS, k), 0.0), scratch.rank_K[k]
        at = k
        while at > 0 and scratch.rank_K[at - 1] > rank:
            scratch.rank_K[at], scratch.loss_K[at] = scratch.rank_K[at - 1], scratch.loss_K[at - 1]
            at -= 1
        scratch.rank_K[at], scratch.loss_K[at] = rank, loss
    total = 0.0
    for k in range(netted):
        total += scratch.loss_K[k]
    return total


@compiled
def _list_losses(place: int, netted: int, scratch: _Scratch, losses: NettedLosses, used: int) -> int:
    """Write the account's entries from ``used`` on, by rank; returns where the next account's begin."""
    for k in range(netted):
        lowest, rank = _lowest(scratch.net_KS, k), scratch.rank_K[k]
        worst = 0
        while scratch.net_KS[k, worst] != lowest:
            worst += 1
        at = used + k
        while at > used and losses.underlying_K[at - 1] > rank:
            losses.underlying_K[at], losses.loss_K[at] = losses.underlying_K[at - 1], losses.loss_K[at - 1]
            losses.worst_K[at] = losses.worst_K[at - 1]
            at -= 1
        losses.underlying_K[at], losses.loss_K[at], losses.worst_K[at] = rank, 0.0 - min(lowest, 0.0), worst
        losses.account_K[used + k] = place
    return used + netted


@compiled
def _short_option_minimum(
    account: int, columns: HoldingColumns, rows: RowArrays, scratch: _Scratch
) -> tuple[float, float]:
    """Initial and maintenance minimum: units net inside an option group, groups add in order of first appearance."""
    groups = _net_units(account, columns, rows, scratch)
    initial = maintenance = 0.0
    for g in range(groups):
        i = scratch.instrument_G[g]
        notional = max(0.0 - scratch.units_G[g], 0.0) * rows.index_price_I[i]
        initial += notional * rows.minimum_initial_I[i]
        maintenance += notional * rows.minimum_maintenance_I[i]
    return initial, maintenance


@compiled
def _net_units(account: int, columns: HoldingColumns, rows: RowArrays, scratch: _Scratch) -> int:
    """Signed units of each option group of an account, by first appearance; returns the number of groups."""
    groups = 0
    mask = scratch.slot_T.size - 1
    start = columns.position_start_A[account]
    for p in range(start, start + columns.position_count_A[account]):
        i = columns.instrument_P[p]
        if not rows.option_I[i] or columns.quantity_e8_P[p] == 0:
            continue
        group = rows.option_group_I[i]
        t = group & mask
        while scratch.slot_T[t] >= 0 and scratch.group_G[scratch.slot_T[t]] != group:
            t = (t + 1) & mask
        if scratch.slot_T[t] < 0:
            scratch.slot_T[t], scratch.slot_G[groups] = groups, t
            scratch.group_G[groups], scratch.instrument_G[groups], scratch.units_G[groups] = group, i, 0.0
            groups += 1
        g = scratch.slot_T[t]
        scratch.units_G[g] += columns.quantity_e8_P[p] / _E8 * rows.multiplier_I[i]
    for g in range(groups):
        scratch.slot_T[scratch.slot_G[g]] = -1
    return groups
