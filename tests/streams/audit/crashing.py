"""A store whose process dies, or whose server fails, at a chosen call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.audit.errors import AuditUnavailable
from streams.audit.rows import Row
from streams.audit.store import Answer, AuditStore, Parameter
from streams.audit.tables import Table


class Killed(BaseException):
    """The process ended here; nothing in the code under test may catch it."""


class CrashingStore:
    """Delegates to a real store. Call number ``at`` raises ``failure``, before its effect or (``after``) once it is
    done: a killed process, or an answer that was lost. Later calls work."""

    def __init__(self, store: AuditStore, at: int, *, after: bool, failure: BaseException | None = None) -> None:
        self._store = store
        self._at = at
        self._after = after
        self._failure = failure or Killed()
        self.calls = 0

    @property
    def server_version(self) -> tuple[int, int]:
        return self._store.server_version

    @property
    def has_tokens(self) -> bool:
        return self._store.has_tokens

    def create_database(self) -> None:
        self._store.create_database()

    def execute(self, sql: str) -> None:
        self._store.execute(sql)

    def close(self) -> None:
        self._store.close()

    def query(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> Answer:
        self._before()
        answer = self._store.query(sql, parameters)
        self._done()
        return answer

    def insert(self, table: Table, rows: Sequence[Row], token: str = "") -> None:
        self._before()
        self._store.insert(table, rows, token)
        self._done()

    def _before(self) -> None:
        self.calls += 1
        if self.calls == self._at and not self._after:
            raise self._failure

    def _done(self) -> None:
        if self.calls == self._at and self._after:
            raise self._failure


def outage() -> AuditUnavailable:
    """What a store raises while its server is away."""
    return AuditUnavailable("connection reset")
