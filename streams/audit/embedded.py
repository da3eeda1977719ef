"""The audit trail in this process: chDB over a directory.

Owns the one session a process may have per directory, and bounds what it may use. chDB locks the directory against
every other process, and a process may hold one directory only; threads queue for the session. Never open it before a
fork: queries in the child hang.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from chdb.session import Session

from streams.audit.blocks import Block
from streams.audit.errors import AuditError, AuditRefused, AuditUnavailable
from streams.audit.native import decode_blocks, text_of
from streams.audit.refusals import error_for
from streams.audit.rows import Row
from streams.audit.store import BYTES_COLUMNS, Answer, Parameter, bind, block_of
from streams.audit.tables import Table

_SETTINGS = (
    "SET max_threads = 2",
    "SET max_memory_usage = 2000000000",
    # Results are decoded by our own reader, which knows plain columns only.
    "SET low_cardinality_allow_in_native_format = 0",
    "SET output_format_native_encode_types_in_binary_format = 0",
    "SET session_timezone = 'UTC'",
)
_INSERT_SETTINGS = "async_insert=0, insert_deduplicate=1, max_partitions_per_insert_block=0"


class _Session(Protocol):
    """What is used of chDB's session, which carries no types."""

    def query(self, sql: str, fmt: str) -> Any: ...
    def send_insert(self, query: str, fmt: str) -> Any: ...
    def close(self) -> None: ...


_open_session: Callable[[str], _Session] = Session


class ChdbStore:
    """``AuditStore`` over a chDB directory, made when absent."""

    def __init__(self, url: str) -> None:
        path = Path(url.removeprefix("chdb://")).absolute()
        if "?" in str(path):
            raise AuditRefused(f"{path}: a chDB directory cannot have ? in its name")
        path.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._session: _Session | None = _open_session(str(path))
        except RuntimeError as error:
            raise AuditUnavailable(f"cannot open {path}: another process, or another directory, is open") from error
        for setting in _SETTINGS:
            self.execute(setting)
        version = str(self.query("SELECT version() AS version").rows[0][0])
        major, minor = version.split(".")[:2]
        self._version = (int(major), int(minor))

    @property
    def server_version(self) -> tuple[int, int]:
        """Major and minor version of ClickHouse."""
        return self._version

    @property
    def has_tokens(self) -> bool:
        """chDB drops an insert with a repeated token."""
        return True

    def create_database(self) -> None:
        """Nothing to do: a directory is a database."""

    def execute(self, sql: str) -> None:
        """Run one statement that returns nothing."""
        self._run(sql, "Null")

    def query(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> Answer:
        """Run one query; ``{name:Type}`` in ``sql`` stands for a parameter."""
        columns, rows = decode_blocks(self._run(bind(sql, parameters or {}), "Native"))
        return Answer(columns, text_of(columns, rows, BYTES_COLUMNS))

    def insert(self, table: Table, rows: Sequence[Row] | Block, token: str = "") -> None:
        """Insert rows as one block; raises ``ValueUnfit`` before anything is sent when a value would be cut."""
        if not rows:
            return
        block = block_of(table, rows).native()
        settings = _INSERT_SETTINGS + (f", insert_deduplication_token='{token}'" if token else "")
        names = ", ".join(f"`{name}`" for name in table.names)
        with self._lock:
            try:
                with self._opened().send_insert(
                    f"INSERT INTO {table.name} ({names}) SETTINGS {settings}", "Native"
                ) as stream:
                    stream.append(block)
                    stream.finish()
            except RuntimeError as error:
                raise error_for(str(error)) from error

    def close(self) -> None:
        """Close the session and release the directory."""
        with self._lock:
            if self._session is not None:
                self._session.close()
            self._session = None

    def _run(self, sql: str, form: str) -> bytes:
        with self._lock:
            try:
                return bytes(self._opened().query(sql, form).bytes())
            except RuntimeError as error:
                raise error_for(str(error)) from error

    def _opened(self) -> _Session:
        if self._session is None:
            raise AuditError("the audit store is closed")
        return self._session
