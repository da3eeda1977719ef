"""The SQL files, applied to real servers, give the declared columns; reversed, they leave nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.audit.connect import open_store
from streams.audit.errors import AuditRefused, MigrationRefused
from streams.audit.migrations import HISTORY, Migration, Migrator, load_migrations, statements
from streams.audit.store import AuditStore
from streams.audit.tables import PARAMETER_VERSIONS, PROGRESS, TABLES
from tests.servers.clickhouse import ClickHouseProcess, RunningClickHouse, fresh_database


@pytest.fixture
def chdb_store(tmp_path: Path) -> Iterator[AuditStore]:
    store = open_store(f"chdb://{tmp_path}/audit")
    yield store
    store.close()


@pytest.fixture
def server_store(clickhouse: ClickHouseProcess | RunningClickHouse) -> Iterator[AuditStore]:
    store = open_store(fresh_database(clickhouse))
    yield store
    store.close()


@pytest.fixture(params=["chdb", "server"])
def store(request: pytest.FixtureRequest) -> AuditStore:
    found: AuditStore = request.getfixturevalue(f"{request.param}_store")
    return found


def table_names(store: AuditStore) -> set[str]:
    rows = store.query("SELECT name FROM system.tables WHERE database = currentDatabase()").rows
    return {row[0] for row in rows if not row[0].startswith(".")}


def columns(store: AuditStore, table: str, *, aliases: bool = False) -> list[tuple[str, str]]:
    sql = """SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String}
        AND (default_kind = 'ALIAS') = {aliases:UInt8}"""
    return [(row[0], row[1]) for row in store.query(sql, {"table": table, "aliases": int(aliases)}).rows]


def test_the_files_give_the_declared_columns_and_reverse_to_nothing(store: AuditStore) -> None:
    migrator = Migrator(store)
    applied = migrator.apply()
    expected = {table.name for table in TABLES} | {PROGRESS.name, PARAMETER_VERSIONS, HISTORY.name}
    if any(migration.name == "depth" for migration in applied):  # a view that an old server cannot have
        expected |= {"parameter_depths"}
    assert expected == table_names(store)
    for table in (*TABLES, PROGRESS, HISTORY):
        assert [(column.name, column.type) for column in table.columns] == columns(store, table.name)
    assert list(reversed(applied)) == migrator.rollback(0)
    assert set() == table_names(store)


def test_a_modern_server_shows_every_instant_as_a_time(chdb_store: AuditStore) -> None:
    Migrator(chdb_store).apply()
    for table in TABLES:
        instants = [(column.alias, "DateTime64(6, 'UTC')") for column in table.columns if column.is_instant]
        assert instants == columns(chdb_store, table.name, aliases=True)


def test_a_modern_server_gets_durable_deduplicating_tables(chdb_store: AuditStore) -> None:
    Migrator(chdb_store).apply()
    sql = (
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%Tree'"
    )
    definitions = {row[0]: row[1] for row in chdb_store.query(sql).rows if row[0] != HISTORY.name}
    assert {table.name for table in (*TABLES, PROGRESS)} == definitions.keys()
    for definition in definitions.values():
        assert "non_replicated_deduplication_window = 1000" in definition
        assert "fsync_after_insert = 1" in definition


def test_an_old_server_passes_over_what_it_cannot_do(server_store: AuditStore) -> None:
    migrator = Migrator(server_store)
    migrator.apply()
    for migration, state in migrator.status():
        fits = server_store.server_version >= migration.requires
        assert ("applied" if fits else "needs a newer server") == state
    assert [] == migrator.apply()


def test_applying_again_and_a_dry_run_change_nothing(chdb_store: AuditStore) -> None:
    migrator = Migrator(chdb_store)
    assert list(load_migrations()) == migrator.apply(dry_run=True)
    assert set() == table_names(chdb_store)
    migrator.apply()
    assert [] == migrator.apply()
    assert len(load_migrations()) - 4 == len(migrator.rollback(4, dry_run=True))
    assert [] == migrator.apply()


def test_reversing_to_a_number_keeps_what_is_below(chdb_store: AuditStore) -> None:
    migrator = Migrator(chdb_store)
    migrator.apply()
    migrator.rollback(2)
    assert [(1, "applied"), (2, "applied"), (3, "pending")] == [(m.number, s) for m, s in migrator.status()][:3]
    assert PROGRESS.name not in table_names(chdb_store)
    migrator.apply()
    assert PROGRESS.name in table_names(chdb_store)


class Cut(Exception):
    """The process ended here."""


class CutShort:
    """A store whose process dies at the n-th statement, before or after its effect."""

    def __init__(self, store: AuditStore, at: int, *, after: bool) -> None:
        self._store = store
        self._left = at
        self._after = after

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def execute(self, sql: str) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Cut
        self._store.execute(sql)
        if self._left == 0:
            raise Cut


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 5, 9, 16, 17])
def test_a_migration_cut_short_is_finished_by_the_next_run(server_store: AuditStore, at: int, after: bool) -> None:
    with pytest.raises(Cut):
        Migrator(CutShort(server_store, at, after=after)).apply()  # type: ignore[arg-type]  # delegates the rest
    Migrator(server_store).apply()
    assert {state for _, state in Migrator(server_store).status()} <= {"applied", "needs a newer server"}
    for table in TABLES:
        assert [(column.name, column.type) for column in table.columns] == columns(server_store, table.name)


ONE = Migration(1, "one", "CREATE TABLE IF NOT EXISTS one (a Int64) ENGINE = Log", "DROP TABLE IF EXISTS one", (0, 0))
TWO = Migration(2, "two", "CREATE TABLE IF NOT EXISTS two (a Int64) ENGINE = Log", "DROP TABLE IF EXISTS two", (0, 0))
LATER = Migration(1, "later", ONE.up, ONE.down, (99, 1))


def test_a_file_edited_after_it_was_applied_is_refused(server_store: AuditStore) -> None:
    Migrator(server_store, [ONE]).apply()
    edited = Migration(1, "one", ONE.up + " ", ONE.down, (0, 0))
    with pytest.raises(MigrationRefused, match="0001_one was edited"):
        Migrator(server_store, [edited]).apply()


def test_an_applied_migration_without_files_is_refused(server_store: AuditStore) -> None:
    Migrator(server_store, [ONE, TWO]).apply()
    with pytest.raises(MigrationRefused, match="0002_two was applied, but its files are missing"):
        Migrator(server_store, [ONE]).status()


def test_a_number_out_of_order_is_refused_unless_its_server_came_late(server_store: AuditStore) -> None:
    Migrator(server_store, [LATER, TWO]).apply()
    with pytest.raises(MigrationRefused, match="0001_one is new, but 0002 is already applied"):
        Migrator(server_store, [ONE, TWO]).apply()
    upgraded = Migration(1, "later", ONE.up, ONE.down, (18, 16))
    assert [upgraded] == Migrator(server_store, [upgraded, TWO]).apply()


def test_a_broken_statement_is_refused_by_name(store: AuditStore) -> None:
    with pytest.raises(AuditRefused):
        Migrator(store, [Migration(1, "broken", "CREATE TABLE (", "", (0, 0))]).apply()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0001_a.up.sql"], "needs an up and a down file"),
        (["0002_a.up.sql", "0002_a.down.sql"], "expected number 0001"),
        (["first.sql"], "expected NNNN_name"),
    ],
)
def test_a_directory_with_a_hole_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;\n", encoding="utf-8")
    with pytest.raises(MigrationRefused, match=message):
        load_migrations(tmp_path)


def test_statements_are_cut_at_line_ends_and_comments_dropped() -> None:
    assert ["SELECT ';'", "SELECT 2"] == statements("-- one; two\nSELECT ';';\n\n  -- three\nSELECT 2;\n")
