from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.books.exposure import AccountIndex

KEYS = st.frozensets(st.sampled_from("uvwxyz"))


@given(st.lists(st.tuples(st.sampled_from((1, 2, 3)), KEYS)))
def test_index_answers_as_a_scan_of_all_accounts_would(changes: list[tuple[int, frozenset[str]]]) -> None:
    index = AccountIndex()
    keys_of: dict[int, frozenset[str]] = {}
    for account, keys in changes:
        index.put(account, keys)
        keys_of[account] = keys
    for key in "uvwxyz":
        assert {account for account, keys in keys_of.items() if key in keys} == set(index.accounts(key))
    for account, keys in keys_of.items():
        assert keys == index.keys(account)
    assert {account for account, keys in keys_of.items() if keys} == set(index.members())


def test_dropped_account_is_nowhere() -> None:
    index = AccountIndex()
    index.put(1, frozenset({"u"}))
    index.drop(1)
    index.drop(99)
    assert (set(), frozenset()) == (set(index.accounts("u")), index.keys(1))
