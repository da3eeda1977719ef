"""Anchors: how far the rows of a group have moved from where they stood.

Owns groups of rows, copies of their rows at some instants, and the distance of the present rows from each copy. Rows of
one underlying are a group, and so is an asset without one; an asset whose price is fixed is in none. Distances come in
two directions, what one unit held long could lose and what one unit held short could, and relative to the size that a
unit had when it was first priced. Refuses accounts. What a distance bounds, and why: docs/guard-bands.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.compiled import allocation_free
from engine.pricing.axes import Bools, Floats, Ints
from engine.risk.row_arrays import NO_UNDERLYING, RowArrays
from engine.units import E12

ANCHORS = 16
"""Copies per group."""

NO_GROUP = -1

SETTLEMENT_FACTOR_MAX = 2.0
"""Funding is bounded at this many times the settlement price of the anchor; beyond it the anchor is void."""

_E12 = float(E12)


class Anchors(NamedTuple):
    """Axis E over anchors of a group, I, C, S as in ``RowArrays``, G over groups. ``scale`` is the size of one unit,
    0 before it was priced. ``down``, ``up`` are relative distances of rows, ``fall``, ``rise`` their maxima by group.
    ``members_GE`` counts entries. ``row_start_G`` and ``rows`` list the members of groups, assets as numbers beyond
    the instruments. ``weight`` is the largest weight on a scenario loss that anybody asks about."""

    group_I: Ints
    group_C: Ints
    row_start_G: Ints
    rows: Ints
    scale_I: Floats
    scale_C: Floats
    value_EI: Floats
    pnl_EIS: Floats
    index_EI: Floats
    funding_EI: Ints
    settlement_EI: Floats
    price_EC: Floats
    pnl_ECS: Floats
    down_EI: Floats
    up_EI: Floats
    down_EC: Floats
    up_EC: Floats
    fall_GE: Floats
    rise_GE: Floats
    newest_G: npt.NDArray[np.int32]
    members_GE: npt.NDArray[np.int32]
    weight: Floats


def new_anchors(rows: RowArrays, fixed_C: Bools, underlyings: int, weight: float) -> Anchors:
    """Anchors at the present ``rows``, of ``underlyings`` underlyings. ``fixed_C`` marks assets whose price never
    moves."""
    made = _blank(rows, fixed_C, underlyings, weight)
    for group in range(made.newest_G.size):
        anchor(made, rows, group, 0)
    return made


def extended(anchors: Anchors, rows: RowArrays, fixed_C: Bools) -> Anchors:
    """The anchors with the rows that were added to ``rows``, which nobody with a band holds yet."""
    underlyings = anchors.newest_G.size - anchors.group_C.size
    made = _blank(rows, fixed_C, underlyings, float(anchors.weight[0]))
    for name, old in anchors._asdict().items():
        if name not in ("group_I", "group_C", "row_start_G", "rows", "weight"):
            getattr(made, name)[tuple(slice(length) for length in old.shape)] = old
    for i in range(anchors.group_I.size, made.group_I.size):
        measure_instrument(made, rows, i)
    for c in range(anchors.group_C.size, made.group_C.size):
        measure_asset(made, rows, c)
    return made


def _blank(rows: RowArrays, fixed_C: Bools, underlyings: int, weight: float) -> Anchors:
    instruments, assets, scenarios = rows.value_I.size, rows.price_C.size, rows.pnl_IS.shape[1]
    alone_C = np.where(fixed_C, NO_GROUP, underlyings + np.arange(assets))
    group_C = np.where(rows.underlying_C == NO_UNDERLYING, alone_C, rows.underlying_C)
    groups = underlyings + assets
    group_R = np.concatenate([rows.underlying_I, group_C])
    members = np.argsort(group_R, kind="stable")
    return Anchors(
        group_I=rows.underlying_I.copy(),
        group_C=group_C.astype(np.int64),
        row_start_G=np.searchsorted(group_R[members], np.arange(groups + 1)).astype(np.int64),
        rows=members.astype(np.int64),
        scale_I=np.zeros(instruments),
        scale_C=np.zeros(assets),
        value_EI=np.zeros((ANCHORS, instruments)),
        pnl_EIS=np.zeros((ANCHORS, instruments, scenarios)),
        index_EI=np.zeros((ANCHORS, instruments)),
        funding_EI=np.zeros((ANCHORS, instruments), np.int64),
        settlement_EI=np.zeros((ANCHORS, instruments)),
        price_EC=np.zeros((ANCHORS, assets)),
        pnl_ECS=np.zeros((ANCHORS, assets, scenarios)),
        down_EI=np.zeros((ANCHORS, instruments)),
        up_EI=np.zeros((ANCHORS, instruments)),
        down_EC=np.zeros((ANCHORS, assets)),
        up_EC=np.zeros((ANCHORS, assets)),
        fall_GE=np.zeros((groups, ANCHORS)),
        rise_GE=np.zeros((groups, ANCHORS)),
        newest_G=np.zeros(groups, np.int32),
        members_GE=np.zeros((groups, ANCHORS), np.int32),
        weight=np.array([weight]),
    )


@allocation_free
def anchor(anchors: Anchors, rows: RowArrays, group: int, e: int) -> None:
    """Set anchor ``e`` of a group to the present rows."""
    for member in range(anchors.row_start_G[group], anchors.row_start_G[group + 1]):
        row = anchors.rows[member]
        if row < rows.value_I.size:
            _copy_instrument(anchors, rows, row, e)
        else:
            _copy_asset(anchors, rows, row - rows.value_I.size, e)
    anchors.fall_GE[group, e] = 0.0
    anchors.rise_GE[group, e] = 0.0
    anchors.newest_G[group] = e


@allocation_free
def _copy_instrument(anchors: Anchors, rows: RowArrays, i: int, e: int) -> None:
    if anchors.scale_I[i] == 0.0 and rows.priced_I[i]:
        contract = rows.multiplier_I[i] * rows.index_price_I[i] * rows.settlement_price_I[i]
        anchors.scale_I[i] = max(abs(rows.value_I[i]), contract)
    anchors.value_EI[e, i] = rows.value_I[i]
    for s in range(rows.pnl_IS.shape[1]):
        anchors.pnl_EIS[e, i, s] = rows.pnl_IS[i, s]
    anchors.index_EI[e, i] = rows.index_price_I[i]
    anchors.funding_EI[e, i] = rows.funding_index_e12_I[i]
    anchors.settlement_EI[e, i] = rows.settlement_price_I[i]
    anchors.down_EI[e, i] = 0.0
    anchors.up_EI[e, i] = 0.0


@allocation_free
def _copy_asset(anchors: Anchors, rows: RowArrays, c: int, e: int) -> None:
    if anchors.scale_C[c] == 0.0 and rows.priced_C[c]:
        anchors.scale_C[c] = rows.price_C[c]
    anchors.price_EC[e, c] = rows.price_C[c]
    for s in range(rows.pnl_CS.shape[1]):
        anchors.pnl_ECS[e, c, s] = rows.pnl_CS[c, s]
    anchors.down_EC[e, c] = 0.0
    anchors.up_EC[e, c] = 0.0


@allocation_free
def measure_instrument(anchors: Anchors, rows: RowArrays, i: int) -> None:
    """Distances of a row from all anchors of its group. A row priced for the first time has moved from nowhere."""
    if anchors.scale_I[i] == 0.0:
        for e in range(anchors.value_EI.shape[0]):
            _copy_instrument(anchors, rows, i, e)
        return
    group, weight = anchors.group_I[i], anchors.weight[0]
    minimum = weight * rows.minimum_initial_I[i] * rows.multiplier_I[i]
    for e in range(anchors.value_EI.shape[0]):
        if anchors.members_GE[group, e] == 0 and anchors.newest_G[group] != e:
            continue
        moved = rows.value_I[i] - anchors.value_EI[e, i]
        low, high = moved, moved
        for s in range(rows.pnl_IS.shape[1]):
            shifted = moved + weight * (rows.pnl_IS[i, s] - anchors.pnl_EIS[e, i, s])
            low, high = min(low, shifted), max(high, shifted)
        either = minimum * abs(rows.index_price_I[i] - anchors.index_EI[e, i]) + _funding(anchors, rows, i, e)
        anchors.down_EI[e, i] = (max(-low, 0.0) + either) / anchors.scale_I[i]
        anchors.up_EI[e, i] = (max(high, 0.0) + either) / anchors.scale_I[i]


@allocation_free
def _funding(anchors: Anchors, rows: RowArrays, i: int, e: int) -> float:
    """The most that funding since the anchor can have moved a contract by, with the loss on it in any scenario."""
    if rows.funding_multiplier_I[i] == 0.0:
        return 0.0
    bound = SETTLEMENT_FACTOR_MAX * anchors.settlement_EI[e, i]
    if rows.settlement_price_I[i] > bound:
        return np.inf
    accrued = abs(rows.funding_index_e12_I[i] - anchors.funding_EI[e, i]) / _E12 * rows.funding_multiplier_I[i]
    share = 0.0
    for s in range(rows.settlement_pnl_IS.shape[1]):
        share = max(share, abs(rows.settlement_pnl_IS[i, s]))
    funding: float = accrued * bound * (1.0 + anchors.weight[0] * share / rows.settlement_price_I[i])
    return funding


@allocation_free
def measure_asset(anchors: Anchors, rows: RowArrays, c: int) -> None:
    """Distances of an asset's row from all anchors of its group."""
    if anchors.scale_C[c] == 0.0:
        for e in range(anchors.price_EC.shape[0]):
            _copy_asset(anchors, rows, c, e)
        return
    group, weight = anchors.group_C[c], anchors.weight[0]
    for e in range(anchors.price_EC.shape[0]):
        if anchors.members_GE[group, e] == 0 and anchors.newest_G[group] != e:
            continue
        moved = rows.price_C[c] - anchors.price_EC[e, c]
        low, high = moved, moved
        for s in range(rows.pnl_CS.shape[1]):
            shifted = moved + weight * (rows.pnl_CS[c, s] - anchors.pnl_ECS[e, c, s])
            low, high = min(low, shifted), max(high, shifted)
        anchors.down_EC[e, c] = max(-low, 0.0) / anchors.scale_C[c]
        anchors.up_EC[e, c] = max(high, 0.0) / anchors.scale_C[c]


@allocation_free
def gauge(anchors: Anchors, instruments: int, group: int) -> None:
    """The largest distances of a group's rows, for every anchor in use."""
    for e in range(anchors.fall_GE.shape[1]):
        if anchors.members_GE[group, e] == 0 and anchors.newest_G[group] != e:
            continue
        fall, rise = 0.0, 0.0
        for member in range(anchors.row_start_G[group], anchors.row_start_G[group + 1]):
            row = anchors.rows[member]
            if row < instruments:
                fall, rise = max(fall, anchors.down_EI[e, row]), max(rise, anchors.up_EI[e, row])
            else:
                c = row - instruments
                fall, rise = max(fall, anchors.down_EC[e, c]), max(rise, anchors.up_EC[e, c])
        anchors.fall_GE[group, e] = fall
        anchors.rise_GE[group, e] = rise
