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
UInt64s = npt.NDArray[np.uint64]

BLOCK = 256
"""Accounts that go through the three passes together: what the first reads is in cache for the others."""

RUN = 4
"""Positions of one underlying that are added to its net row in one go."""

_E8, _E12 = float(E8), float(E12)


class Verdicts(NamedTuple):
    """One entry per listed account, in the order of the list; NaN where it is not ``priced``. Numeraire."""

    equity_A: Floats
    initial_margin_A: Floats
    maintenance_margin_A: Floats
    priced_A: Bools


class NettedLosses(NamedTuple):
    """One entry per (account, underlying) with anything at risk, [K], ordered by both: loss (>= 0, numeraire) and the
    index of the binding scenario; between equal losses the earlier scenario binds."""

    account_K: Ints
    underlying_K: Ints
    loss_K: Floats
    worst_K: Ints


class _Scratch(NamedTuple):
    """Working space for one account: axis K over its underlyings, R over a run of positions in one of them, G over its
    option groups, T a hash table of them. ``bits_KS`` is ``net_KS`` as integers, with one row more than there are
    underlyings; ``by_rank_K`` and ``loss_K`` are sorted by rank."""

    net_KS: Floats
    bits_KS: UInt64s
    rank_K: Ints
    by_rank_K: Ints
    loss_K: Floats
    row_R: Ints
    size_R: Floats
    slot_T: Ints
    group_G: Ints
    units_G: Floats
    instrument_G: Ints
    slot_G: Ints


def empty_verdicts(accounts: int) -> Verdicts:
    """Room for the verdicts of ``accounts`` accounts."""
    floats = np.empty((3, accounts))
    return Verdicts(floats[0], floats[1], floats[2], np.empty(accounts, dtype=np.bool_))


def empty_losses(holdings: int) -> NettedLosses:
    """Room for the losses of accounts with ``holdings`` positions and balances in all."""
    numbers = np.empty((3, holdings), dtype=np.int64)
    return NettedLosses(numbers[0], numbers[1], np.empty(holdings), numbers[2])


@compiled
def evaluate(accounts: Int32s, columns: HoldingColumns, rows: RowArrays, out: Verdicts) -> None:
    """Judge ``accounts`` (numbers, [N]); ``out`` has room for N."""
    factor = rows.maintenance_factor[0]
    size = min(accounts.size, BLOCK)
    parts, priced = np.empty((6, size)), np.empty(size, dtype=np.bool_)
    scratch = _scratch(accounts, columns, rows.pnl_IS.shape[1])
    for first in range(0, accounts.size, BLOCK):
        block = accounts[first : first + BLOCK]
        _value(block, columns, rows, parts, priced)
        _lose(block, columns, rows, priced, parts[3], scratch)
        _charge_short_options(block, columns, rows, priced, parts, scratch)
        for n in range(block.size):
            is_priced = priced[n]
            loss = parts[3, n]
            out.priced_A[first + n] = is_priced
            out.equity_A[first + n] = parts[0, n] + parts[1, n] + parts[2, n] if is_priced else np.nan
            out.initial_margin_A[first + n] = loss + parts[4, n] if is_priced else np.nan
            out.maintenance_margin_A[first + n] = factor * loss + parts[5, n] if is_priced else np.nan


@compiled
def dissect(
    accounts: Int32s,
    columns: HoldingColumns,
    rows: RowArrays,
    parts_KA: Floats,
    priced_A: Bools,
    losses: NettedLosses,
) -> int:
    """The parts behind ``evaluate``, [N] each and without meaning where not priced: collateral value, unrealized PnL,
    option value, scenario loss, short-option minimum initial and maintenance; and every netted loss with its binding
    scenario. ``losses`` has room for all holdings of ``accounts``; the number of entries in use is returned.
    ``account_K`` is a place in ``accounts``."""
    scratch = _scratch(accounts, columns, rows.pnl_IS.shape[1])
    _value(accounts, columns, rows, parts_KA, priced_A)
    _charge_short_options(accounts, columns, rows, priced_A, parts_KA, scratch)
    used = 0
    for n in range(accounts.size):
        one = slice(n, n + 1)
        netted = _lose(accounts[one], columns, rows, priced_A[one], parts_KA[3, one], scratch)
        used = _list_losses(n, netted, scratch, losses, used)
    return used


@compiled
def _scratch(accounts: Int32s, columns: HoldingColumns, scenarios: int) -> _Scratch:
    """Room for the account with the most holdings."""
    held = 4
    for account in accounts:
        held = max(held, columns.position_count_A[account] + columns.balance_count_A[account])
    slots = 8
    while slots < 8 * held:
        slots *= 2
    net_KS = np.empty((held + 1, scenarios))
    numbers, floats = np.empty((5, held), dtype=np.int64), np.empty((2, held))
    return _Scratch(
        net_KS=net_KS,
        bits_KS=net_KS.view(np.uint64),
        rank_K=numbers[0],
        by_rank_K=numbers[1],
        loss_K=floats[0],
        row_R=np.empty(RUN, dtype=np.int64),
        size_R=np.empty(RUN),
        slot_T=np.full(slots, -1, dtype=np.int64),
        group_G=numbers[2],
        units_G=floats[1],
        instrument_G=numbers[3],
        slot_G=numbers[4],
    )


@compiled
def _value(accounts: Int32s, columns: HoldingColumns, rows: RowArrays, parts: Floats, priced_A: Bools) -> None:
    """Collateral value, unrealized PnL and option value of each account, ``parts[:3]``; zeros where not priced."""
    start_A, count_A, instrument_P = columns.position_start_A, columns.position_count_A, columns.instrument_P
    quantity_e8_P, cost_e8_P, paid_e12_P = columns.quantity_e8_P, columns.cost_e8_P, columns.funding_index_e12_P
    asset_start_A, asset_count_A = columns.balance_start_A, columns.balance_count_A
    asset_C, amount_e8_C, price_C, counted_C = columns.asset_C, columns.amount_e8_C, rows.price_C, rows.counted_C
    priced_I, priced_C, option_I, value_I = rows.priced_I, rows.priced_C, rows.option_I, rows.value_I
    multiplier_I, index_e12_I = rows.funding_multiplier_I, rows.funding_index_e12_I
    settlement_price_I = rows.settlement_price_I
    for n in range(accounts.size):
        account = accounts[n]
        is_priced = True
        unrealized = option = collateral = 0.0
        for p in range(start_A[account], start_A[account] + count_A[account]):
            if quantity_e8_P[p] == 0:
                continue
            i, quantity = instrument_P[p], quantity_e8_P[p] / _E8
            is_priced &= priced_I[i]
            if option_I[i]:
                option += quantity * value_I[i]
            else:
                owed = _owed(quantity, cost_e8_P[p], paid_e12_P[p], multiplier_I[i], index_e12_I[i])
                unrealized += quantity * value_I[i] - owed * settlement_price_I[i]
        for c in range(asset_start_A[account], asset_start_A[account] + asset_count_A[account]):
            asset = asset_C[c]
            is_priced &= priced_C[asset] or amount_e8_C[c] == 0
            collateral += _counted_amount(amount_e8_C[c], counted_C[asset]) * price_C[asset]
        priced_A[n] = is_priced
        parts[0, n], parts[1, n], parts[2, n] = collateral, unrealized, option


@compiled
def _owed(quantity: float, cost_e8: int, paid_e12: int, multiplier: float, index_e12: int) -> float:
    """Cost plus funding accrued and unpaid, settlement asset units."""
    owed = cost_e8 / _E8
    if multiplier != 0.0:
        owed += quantity * multiplier * ((index_e12 - paid_e12) / _E12)
    return owed


@compiled
def _counted_amount(amount_e8: int, counted: float) -> float:
    """A haircut on what is owned, none on what is owed."""
    amount = amount_e8 / _E8
    return amount * counted if amount > 0.0 else amount


@compiled
def _lose(
    accounts: Int32s, columns: HoldingColumns, rows: RowArrays, priced_A: Bools, loss_A: Floats, scratch: _Scratch
) -> int:
    """Scenario loss of each account, 0 where not priced. Net PnL and ranks of the last one stay in ``scratch``; the
    number of its underlyings is returned."""
    start_A, count_A, instrument_P = columns.position_start_A, columns.position_count_A, columns.instrument_P
    quantity_e8_P, cost_e8_P, paid_e12_P = columns.quantity_e8_P, columns.cost_e8_P, columns.funding_index_e12_P
    asset_start_A, asset_count_A = columns.balance_start_A, columns.balance_count_A
    asset_C, amount_e8_C, counted_C = columns.asset_C, columns.amount_e8_C, rows.counted_C
    rank_I, rank_C, pnl_IS, pnl_CS = rows.underlying_I, rows.underlying_C, rows.pnl_IS, rows.pnl_CS
    moves_I, settlement_pnl_IS, option_I = rows.settlement_moves_I, rows.settlement_pnl_IS, rows.option_I
    multiplier_I, index_e12_I = rows.funding_multiplier_I, rows.funding_index_e12_I
    net_KS, rank_K, row_R, size_R = scratch.net_KS, scratch.rank_K, scratch.row_R, scratch.size_R
    bits_KS, by_rank_K, loss_K = scratch.bits_KS, scratch.by_rank_K, scratch.loss_K
    used = 0
    for n in range(accounts.size):
        account = accounts[n]
        used = run = slot = 0
        if not priced_A[n]:
            loss_A[n] = 0.0
            continue
        is_first, rank, highest = True, -1, -1  # ids often begin with the underlying: most ranks come in order
        for p in range(start_A[account], start_A[account] + count_A[account]):
            if quantity_e8_P[p] == 0:
                continue
            i, quantity, owed = instrument_P[p], quantity_e8_P[p] / _E8, 0.0
            if moves_I[i] and not option_I[i]:
                owed = _owed(quantity, cost_e8_P[p], paid_e12_P[p], multiplier_I[i], index_e12_I[i])
            if rank_I[i] != rank or run == RUN or owed != 0.0:
                if run and is_first:
                    _begin_run(net_KS, slot, row_R, size_R, pnl_IS)
                elif run:
                    _add_run(net_KS, slot, row_R, size_R, pnl_IS)
                run, rank = 0, rank_I[i]
                slot = used if rank > highest else _slot(rank, used, rank_K)
                highest = max(highest, rank)
                is_first = slot == used
                rank_K[slot] = rank
                used += is_first
            if owed == 0.0:
                if run == 0:
                    row_R[:], size_R[:] = i, 0.0
                row_R[run], size_R[run] = i, quantity
                run += 1
            else:
                if is_first:
                    _clear(net_KS, slot)
                _add_owing(net_KS, slot, quantity, pnl_IS, owed, settlement_pnl_IS, i)
                is_first = False
        if run and is_first:
            _begin_run(net_KS, slot, row_R, size_R, pnl_IS)
        elif run:
            _add_run(net_KS, slot, row_R, size_R, pnl_IS)
        for c in range(asset_start_A[account], asset_start_A[account] + asset_count_A[account]):
            asset = asset_C[c]
            if amount_e8_C[c] == 0 or rank_C[asset] == NO_UNDERLYING:
                continue
            amount = _counted_amount(amount_e8_C[c], counted_C[asset])
            slot = _slot(rank_C[asset], used, rank_K)
            if slot == used:
                rank_K[slot] = rank_C[asset]
                used += 1
                _clear(net_KS, slot)
            _add_item(net_KS, slot, amount, pnl_CS, asset)
        loss_A[n] = _total_loss(used, net_KS, bits_KS, rank_K, by_rank_K, loss_K)
    return used


@compiled
def _slot(rank: int, used: int, rank_K: Ints) -> int:
    """Where ``rank`` is, or ``used``."""
    for k in range(used):
        if rank_K[k] == rank:
            return k
    return used


@compiled
def _begin_run(net_KS: Floats, k: int, row_R: Ints, size_R: Floats, pnl_IS: Floats) -> None:
    """A net row from a run of positions: one go over the scenarios, one position after another. What is missing of a
    full run has size 0 and adds nothing but, perhaps, the sign of a zero.

    This and the next ones are free of branches: a compiled function with branches may count references to its arrays
    at every call, which costs as much as the sums.
    """
    a, b, c, d = size_R[0], size_R[1], size_R[2], size_R[3]
    net_S, a_S, b_S, c_S, d_S = net_KS[k], pnl_IS[row_R[0]], pnl_IS[row_R[1]], pnl_IS[row_R[2]], pnl_IS[row_R[3]]
    for s in range(net_S.size):
        net_S[s] = a * a_S[s] + b * b_S[s] + c * c_S[s] + d * d_S[s]


@compiled
def _add_run(net_KS: Floats, k: int, row_R: Ints, size_R: Floats, pnl_IS: Floats) -> None:
    """The same on top of a net row that has begun."""
    a, b, c, d = size_R[0], size_R[1], size_R[2], size_R[3]
    net_S, a_S, b_S, c_S, d_S = net_KS[k], pnl_IS[row_R[0]], pnl_IS[row_R[1]], pnl_IS[row_R[2]], pnl_IS[row_R[3]]
    for s in range(net_S.size):
        net_S[s] = net_S[s] + a * a_S[s] + b * b_S[s] + c * c_S[s] + d * d_S[s]


@compiled
def _clear(net_KS: Floats, k: int) -> None:
    net_S = net_KS[k]
    for s in range(net_S.size):
        net_S[s] = 0.0


@compiled
def _add_item(net_KS: Floats, k: int, size: float, pnl_RS: Floats, row: int) -> None:
    """Add one item to a net row."""
    net_S, pnl_S = net_KS[k], pnl_RS[row]
    for s in range(net_S.size):
        net_S[s] += size * pnl_S[s]


@compiled
def _add_owing(
    net_KS: Floats, k: int, size: float, pnl_IS: Floats, owed: float, settlement_pnl_IS: Floats, i: int
) -> None:
    """Add a position that owes coins which move with its underlying; what it owes is taken off first."""
    net_S, pnl_S, owed_S = net_KS[k], pnl_IS[i], settlement_pnl_IS[i]
    for s in range(net_S.size):
        net_S[s] += size * pnl_S[s] - owed * owed_S[s]


@compiled
def _greatest(bits_KS: UInt64s, k: int) -> np.uint64:
    """The greatest number of a row. Integer maxima are found many at a time, minima of doubles one by one."""
    greatest, bits_S = np.uint64(0), bits_KS[k]
    for s in range(bits_S.size):
        bits = bits_S[s]
        if bits > greatest:
            greatest = bits
    return greatest


@compiled
def _total_loss(used: int, net_KS: Floats, bits_KS: UInt64s, rank_K: Ints, by_rank_K: Ints, loss_K: Floats) -> float:
    """Sum of the worst losses in order of rank.

    As unsigned integers the bits of negative doubles lie above all others and rise with their size, so the greatest is
    the worst PnL if there is a loss at all.
    """
    for k in range(used):
        bits_KS[-1, 0] = _greatest(
            bits_KS, k
        )  # the last row is room for this: a double's bits are read as a double again
        loss, rank, at = 0.0 - min(net_KS[-1, 0], 0.0), rank_K[k], k
        while at > 0 and by_rank_K[at - 1] > rank:
            by_rank_K[at], loss_K[at] = by_rank_K[at - 1], loss_K[at - 1]
            at -= 1
        by_rank_K[at], loss_K[at] = rank, loss
    total = 0.0
    for k in range(used):
        total += loss_K[k]
    return total


@compiled
def _list_losses(place: int, netted: int, scratch: _Scratch, losses: NettedLosses, used: int) -> int:
    """Write the losses of the account in ``scratch`` from entry ``used`` on, by rank; returns the next free entry."""
    for k in range(netted):
        worst, rank, at = 0, scratch.rank_K[k], used + k
        for s in range(scratch.net_KS.shape[1]):
            if scratch.net_KS[k, s] < scratch.net_KS[k, worst]:
                worst = s
        while at > used and losses.underlying_K[at - 1] > rank:
            losses.underlying_K[at], losses.worst_K[at] = losses.underlying_K[at - 1], losses.worst_K[at - 1]
            at -= 1
        losses.underlying_K[at], losses.worst_K[at], losses.account_K[used + k] = rank, worst, place
    for k in range(netted):
        losses.loss_K[used + k] = scratch.loss_K[k]
    return used + netted


@compiled
def _charge_short_options(
    accounts: Int32s, columns: HoldingColumns, rows: RowArrays, priced_A: Bools, parts: Floats, scratch: _Scratch
) -> None:
    """Initial and maintenance short-option minimum of each account, ``parts[4:6]``, 0 where not priced.

    Units net inside an option group (``slot_T`` finds it by its number); groups add in order of first appearance.
    """
    start_A, count_A, instrument_P = columns.position_start_A, columns.position_count_A, columns.instrument_P
    quantity_e8_P, option_I, group_I = columns.quantity_e8_P, rows.option_I, rows.option_group_I
    multiplier_I, index_price_I = rows.multiplier_I, rows.index_price_I
    initial_I, maintenance_I = rows.minimum_initial_I, rows.minimum_maintenance_I
    slot_T, group_G, units_G = scratch.slot_T, scratch.group_G, scratch.units_G
    instrument_G, slot_G = scratch.instrument_G, scratch.slot_G
    mask = slot_T.size - 1
    for n in range(accounts.size):
        account, groups = accounts[n], 0
        for p in range(start_A[account], start_A[account] + count_A[account]):
            i = instrument_P[p]
            if not option_I[i] or quantity_e8_P[p] == 0 or not priced_A[n]:
                continue
            group = group_I[i]
            t = group & mask
            while slot_T[t] >= 0 and group_G[slot_T[t]] != group:
                t = (t + 1) & mask
            if slot_T[t] < 0:
                slot_T[t], slot_G[groups] = groups, t
                group_G[groups], instrument_G[groups], units_G[groups] = group, i, 0.0
                groups += 1
            units_G[slot_T[t]] += quantity_e8_P[p] / _E8 * multiplier_I[i]
        initial = maintenance = 0.0
        for g in range(groups):
            slot_T[slot_G[g]] = -1
            i = instrument_G[g]
            notional = max(0.0 - units_G[g], 0.0) * index_price_I[i]
            initial += notional * initial_I[i]
            maintenance += notional * maintenance_I[i]
        parts[4, n], parts[5, n] = initial, maintenance
