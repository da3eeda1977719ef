from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.liquidation.timers import Timers


def test_account_is_due_once_after_its_deadline() -> None:
    timers = Timers()
    timers.put(1, 5)
    assert [[], [1], []] == [timers.due(time) for time in (5, 6, 7)]


def test_another_deadline_replaces_the_first_and_none_removes_it() -> None:
    timers = Timers()
    timers.put(1, 5)
    timers.put(1, 9)
    timers.put(2, 5)
    timers.put(2, None)
    assert [[], [1]] == [timers.due(time) for time in (8, 10)]


@given(st.lists(st.tuples(st.sampled_from((1, 2, 3)), st.none() | st.integers(0, 9)) | st.integers(0, 11)))
def test_timers_agree_with_a_plain_dictionary(operations: list[tuple[int, int | None] | int]) -> None:
    timers, plain = Timers(), dict[int, int]()
    for operation in operations:
        if isinstance(operation, int):
            expected = {account for account, deadline in plain.items() if deadline < operation}
            assert expected == set(timers.due(operation))
            plain = {account: deadline for account, deadline in plain.items() if account not in expected}
        else:
            account, deadline = operation
            timers.put(account, deadline)
            plain.pop(account, None)
            if deadline is not None:
                plain[account] = deadline
        assert plain.keys() == timers.members()
