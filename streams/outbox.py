"""The outbox: commands leave only after the row that explains them is durable, and at least once whatever happens.

Owns the messages that account rows still owe. A message is added together with the state change that caused it,
written inside that row, sent after the row's changelog write is durable, and taken out of the row once the broker has
confirmed it. After a crash the rows come back with what they owed, and it is sent again, byte for byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from streams.rows import OutboxEntry

Send = Callable[[OutboxEntry], Awaitable["asyncio.Future[object]"]]


@dataclass(slots=True)
class _Owed:
    entry: OutboxEntry
    serial: int
    in_flight: bool = False


class Outbox:
    """Undelivered messages by account, in order of decision."""

    def __init__(self, send: Send, on_delivered: Callable[[str], None]) -> None:
        self._send = send
        self._on_delivered = on_delivered
        self._owed: dict[str, list[_Owed]] = {}
        self._serial = 0
        self.delivered = 0

    @property
    def serial(self) -> int:
        """Rises with every message added. What is owed up to a serial is in every row encoded after it was read."""
        return self._serial

    def add(self, account: str, entry: OutboxEntry) -> None:
        """Owe ``entry`` from now on; the caller must make the row of ``account`` durable before publishing it."""
        self._serial += 1
        self._owed.setdefault(account, []).append(_Owed(entry, self._serial))

    def entries(self, account: str) -> Sequence[OutboxEntry]:
        """What ``account`` still owes, for its row."""
        return [owed.entry for owed in self._owed.get(account, ())]

    @property
    def is_empty(self) -> bool:
        """Whether nobody owes anything."""
        return not self._owed

    def owing(self) -> list[str]:
        """Accounts with anything undelivered, sorted."""
        return sorted(self._owed)

    def load(self, account: str, entries: Iterable[OutboxEntry]) -> None:
        """Adopt what a recovered row owed; nothing of it is in flight."""
        self._owed.pop(account, None)
        for entry in entries:
            self.add(account, entry)

    def drop(self, accounts: Iterable[str]) -> None:
        """Forget accounts that now belong to another worker; it sends what they owe."""
        for account in accounts:
            self._owed.pop(account, None)

    async def publish(self, account: str, serial: int) -> list[asyncio.Future[object]]:
        """Hand to the producer, in order, what ``account`` owes up to ``serial`` and is not yet in flight."""
        futures = []
        for owed in list(self._owed.get(account, ())):
            if owed.serial > serial or owed.in_flight:
                continue
            owed.in_flight = True
            future = await self._send(owed.entry)
            future.add_done_callback(partial(self._confirm, account, owed))
            futures.append(future)
        return futures

    def _confirm(self, account: str, confirmed: _Owed, done: asyncio.Future[object]) -> None:
        # A failed delivery stops the worker through the commit gate; the row still owes the message.
        if done.cancelled() or done.exception() is not None:
            return
        before = self._owed.get(account, [])
        after = [owed for owed in before if owed is not confirmed]
        if len(after) == len(before):
            return  # The account was given up, and perhaps recovered, since.
        if after:
            self._owed[account] = after
        else:
            del self._owed[account]
        self.delivered += 1
        self._on_delivered(account)
