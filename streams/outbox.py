"""The outbox: commands leave only after the row that explains them is durable, and at least once whatever happens.

Owns the messages that account rows still owe. A message is added together with the state change that caused it,
written inside that row, sent after the row's changelog write is durable, and taken out of the row once the broker has
confirmed it. After a crash the rows come back with what they owed, and it is sent again, byte for byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from streams.rows import OutboxEntry

Send = Callable[[OutboxEntry], Awaitable["asyncio.Future[object]"]]


class Outbox:
    """Undelivered messages by account, in order of decision."""

    def __init__(self, send: Send, on_delivered: Callable[[str], None]) -> None:
        self._send = send
        self._on_delivered = on_delivered
        self._entries: dict[str, list[OutboxEntry]] = {}
        self._in_flight: dict[str, int] = {}
        self.delivered = 0

    def add(self, account: str, entry: OutboxEntry) -> None:
        """Owe ``entry`` from now on; the caller must make the row of ``account`` durable before publishing it."""
        self._entries.setdefault(account, []).append(entry)

    def entries(self, account: str) -> Sequence[OutboxEntry]:
        """What ``account`` still owes, for its row."""
        return self._entries.get(account, ())

    def owing(self) -> list[str]:
        """Accounts with anything undelivered, sorted."""
        return sorted(self._entries)

    def load(self, account: str, entries: Iterable[OutboxEntry]) -> None:
        """Adopt what a recovered row owed; nothing of it is in flight."""
        self._in_flight.pop(account, None)
        if kept := list(entries):
            self._entries[account] = kept
        else:
            self._entries.pop(account, None)

    def drop(self, accounts: Iterable[str]) -> None:
        """Forget accounts that now belong to another worker; it sends what they owe."""
        for account in accounts:
            self._entries.pop(account, None)
            self._in_flight.pop(account, None)

    async def publish(self, account: str) -> list[asyncio.Future[object]]:
        """Hand everything that ``account`` owes and that is not yet in flight to the producer, in order."""
        futures = []
        while (sent := self._in_flight.get(account, 0)) < len(owed := self._entries.get(account, [])):
            self._in_flight[account] = sent + 1
            entry = owed[sent]
            future = await self._send(entry)
            future.add_done_callback(lambda done, entry=entry: self._confirm(account, entry, done))  # type: ignore[misc]
            futures.append(future)
        return futures

    def _confirm(self, account: str, entry: OutboxEntry, done: asyncio.Future[object]) -> None:
        # A failed delivery stops the worker through the commit gate; the row still owes the message.
        if done.cancelled() or done.exception() is not None:
            return
        owed = self._entries.get(account, [])
        if not any(other is entry for other in owed):
            return
        owed[:] = [other for other in owed if other is not entry]
        self._in_flight[account] -= 1
        self.delivered += 1
        if not owed:
            self.drop([account])
        self._on_delivered(account)
