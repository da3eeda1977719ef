"""Cells: edges of guard bands in order of size, without sorting.

Owns the entries: each is an account's edge in one list. A list has a cell per step of the logarithm of the edge, and
the entries of a cell are linked both ways, so setting and taking away cost the same however many there are. Every cell
and every list knows a bound below its smallest edge; bounds may be too low after an entry was taken away, never too
high. Refuses to know what an edge means (``bands``).
"""

from __future__ import annotations

from math import frexp
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.compiled import allocation_free

Floats1 = npt.NDArray[np.float64]
Int32s = npt.NDArray[np.int32]

STEPS_PER_OCTAVE = 32
OCTAVES_BELOW, OCTAVES_ABOVE = 18, 6
CELLS = (OCTAVES_BELOW + OCTAVES_ABOVE) * STEPS_PER_OCTAVE
NONE = -1


class Cells(NamedTuple):
    """Entries X: ``edge``, its account, the cell it is in, its neighbors there, the account's next entry. Waiting
    entries are linked by ``next``; ``free`` has the first of them and their number. ``head`` and ``low`` have one
    element per cell, ``CELLS`` for each list; ``least`` one per list; ``first_A`` the first entry of an account."""

    edge_X: Floats1
    account_X: Int32s
    cell_X: Int32s
    next_X: Int32s
    before_X: Int32s
    sibling_X: Int32s
    free: Int32s
    head: Int32s
    low: Floats1
    least: Floats1
    first_A: Int32s


def new_cells(lists: int) -> Cells:
    """Cells of ``lists`` lists without entries."""
    return Cells(
        edge_X=np.zeros(0),
        account_X=np.zeros(0, np.int32),
        cell_X=np.zeros(0, np.int32),
        next_X=np.zeros(0, np.int32),
        before_X=np.zeros(0, np.int32),
        sibling_X=np.zeros(0, np.int32),
        free=np.array([NONE, 0], np.int32),
        head=np.full(lists * CELLS, NONE, np.int32),
        low=np.full(lists * CELLS, np.inf),
        least=np.full(lists, np.inf),
        first_A=np.zeros(0, np.int32),
    )


def with_room(cells: Cells, entries: int, accounts: int, lists: int) -> Cells:
    """The cells with at least so many waiting entries, and room for so many accounts and lists."""
    missing = entries - int(cells.free[1])
    if missing > 0:
        old = cells.edge_X.size
        added = max(missing, old // 8)
        columns = (cells.account_X, cells.cell_X, cells.next_X, cells.before_X, cells.sibling_X)
        account, cell, next_, before, sibling = (np.append(column, np.zeros(added, np.int32)) for column in columns)
        next_[old:] = np.arange(old + 1, old + added + 1)
        next_[-1] = cells.free[0]
        free = np.array([old, cells.free[1] + added], np.int32)
        edge = np.append(cells.edge_X, np.zeros(added))
        cells = cells._replace(
            edge_X=edge, account_X=account, cell_X=cell, next_X=next_, before_X=before, sibling_X=sibling, free=free
        )
    if accounts > cells.first_A.size:
        added = max(accounts - cells.first_A.size, cells.first_A.size // 2)
        cells = cells._replace(first_A=np.append(cells.first_A, np.full(added, NONE, np.int32)))
    if lists > cells.least.size:
        added = lists - cells.least.size
        cells = cells._replace(
            head=np.append(cells.head, np.full(added * CELLS, NONE, np.int32)),
            low=np.append(cells.low, np.full(added * CELLS, np.inf)),
            least=np.append(cells.least, np.full(added, np.inf)),
        )
    return cells


@allocation_free
def step_of(edge: float) -> int:
    """The cell of ``edge`` inside its list; smaller edges have no larger cells."""
    if edge <= 0.0:
        return 0
    if edge >= 2.0**OCTAVES_ABOVE:
        return CELLS - 1
    mantissa, exponent = frexp(edge)  # edge = mantissa x 2^exponent, 0.5 <= mantissa < 1
    step = (exponent + OCTAVES_BELOW) * STEPS_PER_OCTAVE + int((mantissa - 0.5) * 2 * STEPS_PER_OCTAVE)
    return max(0, min(step, CELLS - 1))


@allocation_free
def insert(cells: Cells, account: int, list_: int, edge: float) -> None:
    """Give ``account`` an entry; there must be a waiting one."""
    entry = cells.free[0]
    cells.free[0] = cells.next_X[entry]
    cells.free[1] -= 1
    cell = list_ * CELLS + step_of(edge)
    cells.edge_X[entry] = edge
    cells.account_X[entry] = account
    cells.cell_X[entry] = cell
    cells.sibling_X[entry] = cells.first_A[account]
    cells.first_A[account] = entry
    head = cells.head[cell]
    cells.next_X[entry] = head
    cells.before_X[entry] = NONE
    if head != NONE:
        cells.before_X[head] = entry
    cells.head[cell] = entry
    cells.low[cell] = min(cells.low[cell], edge)
    cells.least[list_] = min(cells.least[list_], edge)


@allocation_free
def take_away(cells: Cells, account: int, members: Int32s) -> None:
    """Take all entries of ``account`` away. ``members`` counts entries by pairs of lists, two lists in a row."""
    entry = cells.first_A[account]
    while entry != NONE:
        before, after, cell = cells.before_X[entry], cells.next_X[entry], cells.cell_X[entry]
        if before == NONE:
            cells.head[cell] = after
        else:
            cells.next_X[before] = after
        if after != NONE:
            cells.before_X[after] = before
        members[cell // (2 * CELLS)] -= 1
        sibling = cells.sibling_X[entry]
        cells.next_X[entry] = cells.free[0]
        cells.free[0] = entry
        cells.free[1] += 1
        entry = sibling
    cells.first_A[account] = NONE


@allocation_free
def pop(cells: Cells, list_: int, coordinate: float, members: Int32s, popped: Int32s, count: int) -> int:
    """Take away all accounts with an edge at or below ``coordinate`` in a list; their numbers go to ``popped`` from
    place ``count`` on. Returns the new count."""
    if cells.least[list_] > coordinate:
        return count
    first = list_ * CELLS
    last = first + step_of(coordinate)
    for cell in range(first, last + 1):
        if cells.low[cell] > coordinate:
            continue
        entry, low = cells.head[cell], np.inf
        while entry != NONE:
            after = cells.next_X[entry]
            edge = cells.edge_X[entry]
            if edge <= coordinate:
                # An account has one entry in a list, so the next one stays where it is.
                account = cells.account_X[entry]
                take_away(cells, account, members)
                popped[count] = account
                count += 1
            elif edge < low:
                low = edge
            entry = after
        cells.low[cell] = low
    _bound(cells, list_)
    return count


@allocation_free
def _bound(cells: Cells, list_: int) -> None:
    """Find the least edge of a list anew, as well as its cells know it."""
    least = np.inf
    for cell in range(list_ * CELLS, (list_ + 1) * CELLS):
        if cells.head[cell] == NONE:
            cells.low[cell] = np.inf
        elif cells.low[cell] < np.inf:
            least = cells.low[cell]
            break
    cells.least[list_] = least
