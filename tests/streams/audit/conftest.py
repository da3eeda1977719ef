"""Audit stores for tests: chDB, and a real server of Debian's old version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.audit.connect import open_store
from streams.audit.migrations import HISTORY, Migrator
from streams.audit.store import AuditStore
from tests.servers.clickhouse import ClickHouseProcess, RunningClickHouse, fresh_database


@pytest.fixture(scope="module")
def chdb_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory per module: a process may hold one chDB directory at a time."""
    return f"chdb://{tmp_path_factory.mktemp('chdb')}"


@pytest.fixture(scope="module")
def chdb_migrated(chdb_url: str) -> Iterator[AuditStore]:
    """chDB with every migration applied, shared by a module's tests."""
    store = open_store(chdb_url)
    Migrator(store).apply()
    yield store
    store.close()


@pytest.fixture(scope="module")
def server_migrated(clickhouse: ClickHouseProcess | RunningClickHouse) -> Iterator[AuditStore]:
    """A database on a real server with every migration it can take, shared by a module's tests."""
    store = open_store(fresh_database(clickhouse))
    Migrator(store).apply()
    yield store
    store.close()


def emptied(store: AuditStore) -> AuditStore:
    """The store without rows."""
    filled = store.query(
        "SELECT DISTINCT table AS name FROM system.parts WHERE database = currentDatabase() AND active = 1"
        " AND table != {history:String}",
        {"history": HISTORY.name},
    )
    for (name,) in filled.rows:
        store.execute(f"TRUNCATE TABLE {name}")
    return store


@pytest.fixture
def chdb_store(chdb_migrated: AuditStore) -> AuditStore:
    """chDB with empty tables."""
    return emptied(chdb_migrated)


@pytest.fixture
def server_store(server_migrated: AuditStore) -> AuditStore:
    """A real server with empty tables."""
    return emptied(server_migrated)


@pytest.fixture(params=["chdb", "server"])
def store(request: pytest.FixtureRequest) -> AuditStore:
    """Each kind of store in turn."""
    found: AuditStore = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture
def spare_directory(tmp_path: Path) -> str:
    """A chDB URL for a test that opens and closes by itself."""
    return f"chdb://{tmp_path}/audit"
