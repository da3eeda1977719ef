"""Failures of the audit trail.

::

    AuditError
    +-- AuditUnavailable      the store does not answer or cannot take rows now; ``retriable``
    +-- AuditRefused          the store understood and said no: missing table, wrong column, no permission
    |   +-- QueryUnsupported  the query needs a newer server than this one
    +-- MigrationRefused      migration files and the store's history disagree
    +-- ValueUnfit            a value does not fit its column exactly
    +-- LogReplaced           a topic is shorter than what the audit already holds of it
"""

from __future__ import annotations

from streams.errors import StreamsError


class AuditError(StreamsError):
    """Any failure of the audit trail; ``retriable`` says whether the same call may succeed later."""

    retriable = False


class AuditUnavailable(AuditError):
    """The store does not answer, or cannot take rows at the moment: try the same call again."""

    retriable = True


class AuditRefused(AuditError):
    """The store refused the statement; repeating it changes nothing. ``code`` is ClickHouse's error number."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class QueryUnsupported(AuditRefused):
    """The query needs a newer server; run as it is, it would fail or answer wrongly."""


class MigrationRefused(AuditError):
    """A migration file was edited, is missing, or cannot be applied in order."""


class ValueUnfit(AuditError):
    """A value would be cut, wrapped or rounded by its column."""

    def __init__(self, table: str, column: str, value: object) -> None:
        super().__init__(f"{table}.{column}: {value!r} does not fit exactly")
        self.table = table
        self.column = column


class LogReplaced(AuditError):
    """The topic was deleted and made anew: its offsets no longer name the records the audit holds."""

    def __init__(self, topic: str, partition: int, through: int, end: int) -> None:
        super().__init__(
            f"{topic}/{partition} ends at offset {end}, but the audit holds offset {through}: the topic was replaced"
        )
