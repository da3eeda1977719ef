"""Cells against a dictionary: any order of setting, taking away and passing edges."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.guard.cells import CELLS, NONE, insert, new_cells, pop, step_of, take_away, with_room

LISTS, ACCOUNTS = 4, 12
EDGES = st.one_of(
    st.sampled_from((-np.inf, -1.0, 0.0, 2.0**-19, 2.0**-18, 0.01, 64.0, 1e6, np.inf)),
    st.floats(-0.1, 100.0),
    st.floats(0.009, 0.011),
)


class CellsMachine(RuleBasedStateMachine):
    """Entries of accounts, at most one per list, as the model has them: account -> list -> edge."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = with_room(new_cells(0), 0, ACCOUNTS, LISTS)
        self.members = np.zeros(LISTS // 2, np.int32)
        self.model: dict[int, dict[int, float]] = {}

    @rule(account=st.integers(0, ACCOUNTS - 1), edges=st.dictionaries(st.integers(0, LISTS - 1), EDGES))
    def put(self, account: int, edges: dict[int, float]) -> None:
        take_away(self.cells, account, self.members)
        self.cells = with_room(self.cells, len(edges), ACCOUNTS, LISTS)
        for list_, edge in edges.items():
            insert(self.cells, account, list_, edge)
            self.members[list_ // 2] += 1
        self.model[account] = dict(edges)

    @rule(account=st.integers(0, ACCOUNTS - 1))
    def remove(self, account: int) -> None:
        take_away(self.cells, account, self.members)
        self.model.pop(account, None)

    @rule(list_=st.integers(0, LISTS - 1), coordinate=EDGES)
    def pass_edges(self, list_: int, coordinate: float) -> None:
        popped = np.zeros(ACCOUNTS + 1, np.int32)
        count = pop(self.cells, list_, coordinate, self.members, popped, 1)
        expected = {account for account, edges in self.model.items() if edges.get(list_, np.nan) <= coordinate}
        assert len(expected) == count - 1
        assert expected == set(popped[1:count].tolist())
        for account in expected:
            del self.model[account]

    @invariant()
    def entries_are_those_of_the_model(self) -> None:
        found: dict[int, dict[int, float]] = {}
        for cell in np.flatnonzero(self.cells.head != NONE).tolist():
            before, entry = NONE, int(self.cells.head[cell])
            while entry != NONE:
                assert (before, cell) == (self.cells.before_X[entry], self.cells.cell_X[entry])
                list_, edge = cell // CELLS, float(self.cells.edge_X[entry])
                assert list_ not in found.setdefault(int(self.cells.account_X[entry]), {})
                found[int(self.cells.account_X[entry])][list_] = edge
                assert self.cells.low[cell] <= edge and self.cells.least[list_] <= edge
                before, entry = entry, int(self.cells.next_X[entry])
        assert {account: edges for account, edges in self.model.items() if edges} == found
        in_use = sum(len(edges) for edges in found.values())
        assert in_use == self.cells.edge_X.size - self.cells.free[1] == self.members.sum()

    @invariant()
    def waiting_entries_are_linked(self) -> None:
        waiting, entry = set[int](), int(self.cells.free[0])
        for _ in range(int(self.cells.free[1])):
            waiting.add(entry)
            entry = int(self.cells.next_X[entry])
        assert len(waiting) == self.cells.free[1]


CellsMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestCells = CellsMachine.TestCase


def test_larger_edges_have_no_smaller_cells() -> None:
    edges = np.sort(np.concatenate([np.geomspace(1e-9, 1e4, 5_000), 2.0 ** np.arange(-25, 12), [-1.0, 0.0]]))
    steps = [step_of(edge) for edge in edges]
    assert steps == sorted(steps) and 0 == steps[0] and CELLS - 1 == steps[-1] and len(set(steps)) == CELLS


def test_lists_that_are_added_leave_the_others_alone() -> None:
    cells, members = with_room(new_cells(2), 3, 1, 2), np.zeros(3, np.int32)
    insert(cells, 0, 1, 0.5)
    members[0] = 1
    cells = with_room(cells, 8, 40, 6)
    insert(cells, 39, 5, 0.25)
    members[2] = 1
    popped = np.zeros(2, np.int32)
    assert 0 == pop(cells, 1, 0.25, members, popped, 0)
    assert 1 == pop(cells, 1, 0.5, members, popped, 0) and 0 == popped[0]
    assert 1 == pop(cells, 5, 0.25, members, popped, 0) and 39 == popped[0]
