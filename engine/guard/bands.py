"""Guard bands: which accounts a move of the market could have carried across a threshold.

Owns the bands: for every guarded account and every group of rows that it is exposed to, an edge in each direction up to
which its slack provably lasts. A move of rows gives back the accounts whose edges it passed, and no account that is not
given back can have lost its slack. The theorem and its proof: docs/guard-bands.md. Refuses to know what the slack is
for, and to recompute anybody.
"""

from __future__ import annotations

import numpy as np

from engine.compiled import allocation_free
from engine.guard.anchors import (
    NO_GROUP,
    Anchors,
    anchor,
    extended,
    gauge,
    measure_asset,
    measure_instrument,
    new_anchors,
)
from engine.guard.cells import Cells, Int32s, insert, new_cells, pop, take_away, with_room
from engine.portfolio import HoldingColumns
from engine.pricing.axes import Bools, Floats, Ints
from engine.risk.row_arrays import RowArrays
from engine.units import E8, E12

ROUNDING = 1e-9
"""Share of an account's gross size that is taken off its slack: far more than float64 sums can be wrong by."""

STALE_SHARE = 0.25
"""A band may not lose more than this share of its allowance to the age of its anchor, ..."""

STALE_MOVE = 1e-3
"""... unless the group has moved less than this since: then a fresh anchor would not pay."""

PUT_TOGETHER = 1024
"""Accounts whose bands are set by one call of the kernel: it needs room for all edges that they could have."""

_NOBODY = np.zeros(0, dtype=np.int32)
_E8, _E12 = float(E8), float(E12)


class GuardBands:
    """Bands of accounts by number. ``reset`` comes first, and again whenever rows were made anew."""

    def __init__(self) -> None:
        self._cells = new_cells(0)
        self._anchors: Anchors | None = None
        self._exposure = np.zeros((0, 2))
        self._groups = np.zeros(0, np.int64)
        self._touched = np.zeros(0, np.int64)
        self._popped = np.zeros(0, np.int32)

    def reset(self, rows: RowArrays, fixed_C: Bools, underlyings: int, weight: float) -> None:
        """Drop all bands and begin with ``rows``, which have that many underlyings. ``fixed_C`` marks assets whose
        price never moves; ``weight`` is the largest weight on the scenario loss, and on the short-option minimum, at
        which slack is measured."""
        self._anchors = new_anchors(rows, fixed_C, underlyings, weight)
        self._cells = new_cells(0)
        self._fit_groups(self._anchors)

    def extend(self, rows: RowArrays, fixed_C: Bools) -> None:
        """Take rows that were added to ``rows`` into account."""
        assert self._anchors is not None, "reset() comes first"
        self._anchors = extended(self._anchors, rows, fixed_C)
        self._fit_groups(self._anchors)

    def put(
        self, numbers: Int32s, slack: Floats, two_sided: Bools, holdings: HoldingColumns, rows: RowArrays
    ) -> Int32s:
        """Set the bands of accounts, instead of those they had. ``slack`` [N] >= 0 is how far equity less the weighted
        requirement may fall, or where ``two_sided`` also rise, numeraire. Returns accounts that lost their band to
        make room for a fresh anchor: recompute and put them again."""
        assert self._anchors is not None, "reset() comes first"
        if not numbers.size:
            return _NOBODY
        evicted = [
            self._put_some(numbers[at : at + PUT_TOGETHER], slack[at:], two_sided[at:], holdings, rows)
            for at in range(0, numbers.size, PUT_TOGETHER)
        ]
        return evicted[0] if len(evicted) == 1 else np.concatenate(evicted)

    def _put_some(
        self, numbers: Int32s, slack: Floats, two_sided: Bools, holdings: HoldingColumns, rows: RowArrays
    ) -> Int32s:
        """The first ``numbers.size`` of ``slack`` and ``two_sided`` belong to ``numbers``."""
        assert self._anchors is not None, "reset() comes first"
        held = holdings.position_count_A[numbers].sum(dtype=np.int64)
        owned = holdings.balance_count_A[numbers].sum(dtype=np.int64)
        self._make_room(int(2 * (2 * held + owned)), holdings.position_count_A.size)
        count = _put(
            numbers, slack, two_sided, holdings, rows, self._anchors, self._cells, self._exposure, self._groups,
            self._popped,
        )  # fmt: skip
        return self._popped[:count].copy()

    def remove(self, numbers: Int32s) -> None:
        """Take away the bands of accounts, if they have any."""
        if self._anchors is not None and numbers.size:
            _remove(numbers, self._cells, self._anchors.members_GE.reshape(-1))

    def moved(self, instruments: Ints, assets: Ints, rows: RowArrays) -> Int32s:
        """The accounts whose bands broke when these rows changed; they have none from now on."""
        assert self._anchors is not None, "reset() comes first"
        count = _moved(instruments, assets, rows, self._anchors, self._cells, self._touched, self._popped)
        return self._popped[:count].copy()

    def memory_bytes(self) -> int:
        """Bytes of all arrays."""
        arrays = [*self._cells, *(self._anchors or ()), self._exposure, self._groups, self._touched, self._popped]
        return sum(array.nbytes for array in arrays)

    def _fit_groups(self, anchors: Anchors) -> None:
        groups, each = anchors.fall_GE.shape
        self._cells = with_room(self._cells, 0, 0, 2 * groups * each)
        self._exposure = np.zeros((groups, 2))
        self._groups = np.zeros(groups, np.int64)
        self._touched = np.zeros(groups, np.int64)

    def _make_room(self, entries: int, accounts: int) -> None:
        if entries > self._cells.free[1] or accounts > self._cells.first_A.size:
            self._cells = with_room(self._cells, entries, accounts, self._cells.least.size)
        if self._popped.size < 2 * accounts:
            # While bands are put, an account can lose its old one and then its new one.
            self._popped = np.zeros(2 * self._cells.first_A.size, np.int32)


@allocation_free
def _remove(numbers: Int32s, cells: Cells, members: Int32s) -> None:
    for number in numbers:
        if number < cells.first_A.size:
            take_away(cells, number, members)


@allocation_free
def _moved(
    instruments: Ints, assets: Ints, rows: RowArrays, anchors: Anchors, cells: Cells, touched: Ints, popped: Int32s
) -> int:
    """Measure changed rows and pop what they pass; the count of accounts in ``popped``."""
    used = 0
    for i in instruments:
        group = anchors.group_I[i]
        if group != NO_GROUP:
            measure_instrument(anchors, rows, i)
            used = _note(group, touched, used)
    for c in assets:
        group = anchors.group_C[c]
        if group != NO_GROUP:
            measure_asset(anchors, rows, c)
            used = _note(group, touched, used)
    count = 0
    members = anchors.members_GE.reshape(-1)
    for place in range(used):
        group = touched[place]
        gauge(anchors, rows.value_I.size, group)
        for e in range(anchors.fall_GE.shape[1]):
            if anchors.members_GE[group, e]:
                pair = group * anchors.fall_GE.shape[1] + e
                count = pop(cells, 2 * pair, anchors.fall_GE[group, e], members, popped, count)
                count = pop(cells, 2 * pair + 1, anchors.rise_GE[group, e], members, popped, count)
    return count


@allocation_free
def _note(group: int, touched: Ints, used: int) -> int:
    """Remember a group once; changed rows of one group mostly come together."""
    for place in range(used - 1, -1, -1):
        if touched[place] == group:
            return used
    touched[used] = group
    return used + 1


@allocation_free
def _put(
    numbers: Int32s,
    slack: Floats,
    two_sided: Bools,
    holdings: HoldingColumns,
    rows: RowArrays,
    anchors: Anchors,
    cells: Cells,
    exposure: Floats,
    groups: Ints,
    popped: Int32s,
) -> int:
    """Set the bands of ``numbers``; the count of other accounts that lost theirs, in ``popped``."""
    members = anchors.members_GE.reshape(-1)
    count = 0
    for at in range(numbers.size):
        account = numbers[at]
        take_away(cells, account, members)
        used, size = _expose(account, holdings, rows, anchors, exposure, groups)
        gross = 0.0
        for place in range(used):
            gross += exposure[groups[place], 0] + exposure[groups[place], 1]
        if gross == 0.0:
            continue  # nothing that it holds counts, so nothing that moves concerns it
        allowance = (slack[at] - ROUNDING * size) / gross
        for place in range(used):
            group = groups[place]
            long, short = exposure[group, 0], exposure[group, 1]
            exposure[group, 0], exposure[group, 1] = 0.0, 0.0
            count = _set_edges(
                account, group, long > 0.0 or two_sided[at], short > 0.0 or two_sided[at], allowance, rows, anchors,
                cells, popped, count,
            )  # fmt: skip
    return count


@allocation_free
def _set_edges(
    account: int,
    group: int,
    falls: bool,
    rises: bool,
    allowance: float,
    rows: RowArrays,
    anchors: Anchors,
    cells: Cells,
    popped: Int32s,
    count: int,
) -> int:
    """One edge against a fall and one against a rise, as far as the account minds either."""
    e = int(anchors.newest_G[group])
    aged = max(anchors.fall_GE[group, e], anchors.rise_GE[group, e])
    if aged > STALE_MOVE and aged > STALE_SHARE * allowance > 0.0:
        e, count = _fresh_anchor(group, rows, anchors, cells, popped, count)
    members = anchors.members_GE
    pair = group * members.shape[1] + e
    # From here to any later rows it is at most from here back to the anchor and from there on.
    if falls:
        insert(cells, account, 2 * pair, allowance - anchors.rise_GE[group, e])
        members[group, e] += 1
    if rises:
        insert(cells, account, 2 * pair + 1, allowance - anchors.fall_GE[group, e])
        members[group, e] += 1
    return count


@allocation_free
def _fresh_anchor(
    group: int, rows: RowArrays, anchors: Anchors, cells: Cells, popped: Int32s, count: int
) -> tuple[int, int]:
    """An anchor at the present rows, in place of the one with the fewest entries; who had them goes to ``popped``."""
    members = anchors.members_GE
    fewest = 0
    for e in range(1, members.shape[1]):
        if members[group, e] < members[group, fewest]:
            fewest = e
    if members[group, fewest]:
        pair = group * members.shape[1] + fewest
        count = pop(cells, 2 * pair, np.inf, members.reshape(-1), popped, count)
        count = pop(cells, 2 * pair + 1, np.inf, members.reshape(-1), popped, count)
    anchor(anchors, rows, group, fewest)
    return fewest, count


@allocation_free
def _expose(
    account: int, holdings: HoldingColumns, rows: RowArrays, anchors: Anchors, exposure: Floats, groups: Ints
) -> tuple[int, float]:
    """Size held long and short by group, numeraire. Returns how many groups are in ``groups``, and the size of
    everything held and owed, in a group or not."""
    used, size = 0, 0.0
    first = holdings.position_start_A[account]
    for p in range(first, first + holdings.position_count_A[account]):
        i = holdings.instrument_P[p]
        quantity = holdings.quantity_e8_P[p] / _E8
        used = _add(anchors.group_I[i], quantity * anchors.scale_I[i], exposure, groups, used)
        size += abs(quantity) * anchors.scale_I[i]
        c = rows.settlement_asset_I[i]
        if not rows.option_I[i]:
            accrued = (rows.funding_index_e12_I[i] - holdings.funding_index_e12_P[p]) / _E12
            owed = holdings.cost_e8_P[p] / _E8 + quantity * rows.funding_multiplier_I[i] * accrued
            if c >= 0 and (anchors.scale_C[c] > 0.0 or anchors.group_C[c] == NO_GROUP):
                used = _add(anchors.group_C[c], -owed * anchors.scale_C[c], exposure, groups, used)
                size += abs(owed) * rows.settlement_price_I[i]
            elif owed != 0.0:
                size = np.inf  # in an asset without distances: give it back whenever the contract's own row moves
    first = holdings.balance_start_A[account]
    for b in range(first, first + holdings.balance_count_A[account]):
        c = holdings.asset_C[b]
        amount = holdings.amount_e8_C[b] / _E8
        if amount != 0.0:
            counted = amount * rows.counted_C[c] if amount > 0.0 else amount
            used = _add(anchors.group_C[c], counted * anchors.scale_C[c], exposure, groups, used)
            size += abs(counted) * rows.price_C[c]
    return used, size


@allocation_free
def _add(group: int, size: float, exposure: Floats, groups: Ints, used: int) -> int:
    """Add a size to its group, if it has one; a group met for the first time is noted, also with a size of 0."""
    if group == NO_GROUP:
        return used
    known = False
    for place in range(used):
        if groups[place] == group:
            known = True
            break
    if not known:
        groups[used] = group
        used += 1
    if size > 0.0:
        exposure[group, 0] += size
    else:
        exposure[group, 1] -= size
    return used
