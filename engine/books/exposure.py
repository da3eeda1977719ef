"""Exposure: which accounts a change of the market can move.

Owns the index from keys (feeds and the passage of time) to the numbers of the accounts that hold something depending
on them, kept as accounts change. Refuses to know what depends on what (``engine.risk.exposures``) and by how much.
"""

from __future__ import annotations

from collections.abc import Set

TIME_FACTOR = ""
"""The key of whoever holds options: they lose value by the hour with every price at rest. No feed has this id."""


class AccountIndex:
    """Accounts by key."""

    def __init__(self) -> None:
        self._keys: dict[int, frozenset[str]] = {}
        self._accounts: dict[str, set[int]] = {}

    def put(self, account: int, keys: frozenset[str]) -> None:
        """State all keys of ``account``; those it had before and has no more are forgotten."""
        before = self._keys.get(account, frozenset())
        if keys == before:
            return
        for key in before - keys:
            self._accounts[key].discard(account)
            if not self._accounts[key]:
                del self._accounts[key]
        for key in keys - before:
            self._accounts.setdefault(key, set()).add(account)
        if keys:
            self._keys[account] = keys
        else:
            del self._keys[account]

    def drop(self, account: int) -> None:
        """Forget ``account``."""
        self.put(account, frozenset())

    def accounts(self, key: str) -> Set[int]:
        """The accounts that have ``key``."""
        return self._accounts.get(key, frozenset())

    def keys(self, account: int) -> frozenset[str]:
        """The keys that ``account`` has."""
        return self._keys.get(account, frozenset())

    def members(self) -> Set[int]:
        """All accounts that have any key."""
        return self._keys.keys()
