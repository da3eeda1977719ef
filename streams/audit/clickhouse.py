"""The audit trail on a ClickHouse server, over the native protocol.

Owns connections (one per thread: a driver's client serves one query at a time) and what this server version can do.
Old servers refuse settings they do not know, and the driver drops those it does not know without an error, so only
settings listed by the server itself are sent.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from clickhouse_driver import Client, defines
from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
from clickhouse_driver.errors import Error as DriverError
from clickhouse_driver.errors import NetworkError, PartiallyConsumedQueryError, ServerException, SocketTimeoutError
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str

from streams.audit.blocks import Block
from streams.audit.errors import AuditRefused, AuditUnavailable
from streams.audit.native import text_of
from streams.audit.refusals import error_for
from streams.audit.rows import Row
from streams.audit.store import BYTES_COLUMNS, Answer, Parameter, bind, block_of
from streams.audit.tables import Table

_TIMEOUTS = {"connect_timeout": "5", "send_receive_timeout": "60"}
_INSERT_SETTINGS = {"async_insert": 0, "insert_deduplicate": 1, "max_partitions_per_insert_block": 0}
_DEDUPLICATION = "insert_deduplication_token"
_UNKNOWN_DATABASE = 81
# Text travels as bytes: records hold whatever was published, and only bytes go in and out unchanged.
_AS_BYTES = {"strings_as_bytes": True}


class _BlockClient(Client):  # type: ignore[misc]
    """The driver's client, whose inserts also take blocks that are encoded already. The driver encodes value by value
    from Python objects, which for amounts costs more than everything else together."""

    def send_data(
        self, sample_block: Any, data: Sequence[Any], types_check: bool = False, columnar: bool = False
    ) -> int:
        """Send what ``execute`` was given; the driver calls this between the server's sample and the end of data."""
        if not (data and isinstance(data[0], Block)):
            return int(super().send_data(sample_block, data, types_check=types_check, columnar=columnar))
        connection = self.connection
        revision = connection.server_info.used_revision
        mark = b"\0" if revision >= defines.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION else b""
        for block in data:
            write_varint(ClientPacketTypes.DATA, connection.fout)
            if revision >= defines.DBMS_MIN_REVISION_WITH_TEMPORARY_TABLES:
                write_binary_str("", connection.fout)
            # Compressed or not, the driver's stream knows; it only must not encode.
            stream = connection.block_out
            if revision >= defines.DBMS_MIN_REVISION_WITH_BLOCK_INFO:
                BlockInfo().write(stream.fout)
            stream.fout.write(block.native(mark))
            stream.finalize()
            self.receive_profile_events()
        connection.send_data(ColumnOrientedBlock())
        self.receive_profile_events()
        return sum(map(len, data))


class ClickHouseServer:
    """``AuditStore`` over ``clickhouse://user:password@host:9000/database``; connects when first used."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._database = parts.path.strip("/") or "default"
        if not self._database.isidentifier():
            raise AuditRefused(f"{self._database!r} is not a plain database name")
        given = parts.query.split("&") if parts.query else []
        named = {item.partition("=")[0] for item in given}
        given += [f"{name}={value}" for name, value in _TIMEOUTS.items() if name not in named]
        self._url = urlunsplit(parts._replace(query="&".join(given)))
        self._lock = threading.Lock()
        self._local = threading.local()
        self._clients: list[Client] = []
        self._capabilities: tuple[tuple[int, int], frozenset[str]] | None = None

    @property
    def server_version(self) -> tuple[int, int]:
        """Major and minor version of ClickHouse."""
        return self._known()[0]

    @property
    def has_tokens(self) -> bool:
        """Whether an insert with a repeated token is dropped by the server: from 22.2 on."""
        return _DEDUPLICATION in self._known()[1]

    def create_database(self) -> None:
        """Make the database named by the URL unless it exists; only then is the right to make one needed."""
        try:
            self.execute("SELECT 1")
        except AuditRefused as refusal:
            if refusal.code != _UNKNOWN_DATABASE:
                raise
        else:
            return
        url = urlunsplit(urlsplit(self._url)._replace(path="/default"))
        with self._failing(None), Client.from_url(url) as client:
            client.execute(f"CREATE DATABASE IF NOT EXISTS {self._database}")

    def execute(self, sql: str) -> None:
        """Run one statement that returns nothing."""
        client = self._client()
        with self._failing(client):
            client.execute(sql)

    def query(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> Answer:
        """Run one query; ``{name:Type}`` in ``sql`` stands for a parameter."""
        client = self._client()
        with self._failing(client):
            rows, types = client.execute(bind(sql, parameters or {}), with_column_types=True, settings=_AS_BYTES)
        columns = tuple(_name(name) for name, _ in types)
        return Answer(columns, text_of(columns, rows, BYTES_COLUMNS))

    def insert(self, table: Table, rows: Sequence[Row] | Block, token: str = "") -> None:
        """Insert rows as one block; raises ``ValueUnfit`` before anything is sent when a value would be cut."""
        if not rows:
            return
        block = block_of(table, rows)
        names = ", ".join(f"`{name}`" for name in table.names)
        wanted = _INSERT_SETTINGS | ({_DEDUPLICATION: token} if token else {})
        known = self._known()[1]
        settings = {name: value for name, value in wanted.items() if name in known}
        client = self._client()
        with self._failing(client):
            client.execute(f"INSERT INTO {table.name} ({names}) VALUES", [block], settings=settings)

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            client.disconnect()

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = _BlockClient.from_url(self._url)
            with self._lock:
                self._clients.append(client)
        return client

    def _known(self) -> tuple[tuple[int, int], frozenset[str]]:
        """Version and settings of the server, asked once."""
        if self._capabilities is None:
            client = self._client()
            with self._failing(client):
                ((version,),) = client.execute("SELECT version()")
                names = frozenset(name for (name,) in client.execute("SELECT name FROM system.settings"))
            major, minor = version.split(".")[:2]
            self._capabilities = (int(major), int(minor)), names
        return self._capabilities

    def _failing(self, client: Client | None) -> _Failing:
        return _Failing(client)


class _Failing:
    """Turns the driver's failures into ours, and drops a connection whose state is unknown."""

    def __init__(self, client: Client | None) -> None:
        self._client = client

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        if self._client is not None:
            self._client.disconnect()
        if isinstance(error, ServerException):
            raise error_for(str(error), error.code) from error
        if isinstance(error, NetworkError | SocketTimeoutError | PartiallyConsumedQueryError | OSError | EOFError):
            raise AuditUnavailable(str(error) or type(error).__name__) from error
        if isinstance(error, DriverError):
            raise error_for(str(error)) from error


def _name(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
