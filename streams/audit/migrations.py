"""Applies and reverses the numbered SQL files of ``schemas/clickhouse``.

Owns the order, the history table and the refusals: a file edited after it was applied, a file that vanished, a number
out of order. Every statement in the files may be repeated, so a migration cut short by a crash is run again from its
start. File names are those of clickhouse-migrations and most other tools: ``NNNN_name.up.sql`` with ``.down.sql``; a
header line ``-- requires: 22.3`` names the oldest server a file is for, and older ones pass it over.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, Literal

from streams.audit.errors import MigrationRefused
from streams.audit.store import AuditStore
from streams.audit.tables import Column, Table

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.(up|down)\.sql")
_REQUIRES = re.compile(r"^-- requires: (\d+)\.(\d+)$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)

HISTORY: Final = Table(
    "schema_migrations",
    "",
    (
        Column("step", "Int64"),
        Column("number", "Int64"),
        Column("name", "String"),
        Column("checksum", "String"),
        Column("applied", "UInt8"),
        Column("at_us", "Int64"),
    ),
)
"""Steps in order, up and down; rows are only ever added."""

State = Literal["applied", "pending", "needs a newer server"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered change with its reverse."""

    number: int
    name: str
    up: str
    down: str
    requires: tuple[int, int]

    @property
    def checksum(self) -> str:
        """SHA-256 over both directions."""
        return hashlib.sha256(f"{self.up}\0{self.down}".encode()).hexdigest()

    @property
    def title(self) -> str:
        """Number and name, as in the file name."""
        return f"{self.number:04d}_{self.name}"


def load_migrations(directory: Traversable | None = None) -> tuple[Migration, ...]:
    """The migrations in ``directory`` (default: those shipped), in order; raises ``MigrationRefused``."""
    texts: dict[tuple[int, str], dict[str, str]] = {}
    for file in (directory or files("schemas") / "clickhouse").iterdir():
        if file.name.endswith(".sql"):
            if not (match := _FILE.fullmatch(file.name)):
                raise MigrationRefused(f"{file.name}: expected NNNN_name.up.sql or NNNN_name.down.sql")
            texts.setdefault((int(match[1]), match[2]), {})[match[3]] = file.read_text(encoding="utf-8")
    migrations = []
    for position, ((number, name), both) in enumerate(sorted(texts.items()), start=1):
        if number != position:
            raise MigrationRefused(f"{number:04d}_{name}: expected number {position:04d}")
        if both.keys() != {"up", "down"}:
            raise MigrationRefused(f"{number:04d}_{name}: needs an up and a down file")
        if (requires := _required(both["up"])) != _required(both["down"]):
            raise MigrationRefused(f"{number:04d}_{name}: up and down name different servers")
        migrations.append(Migration(number, name, both["up"], both["down"], requires))
    return tuple(migrations)


def statements(sql: str) -> list[str]:
    """The statements of a file: comment lines dropped, cut at semicolons that end a line."""
    return [part.strip() for part in re.split(r";\s*$", _COMMENT.sub("", sql), flags=re.MULTILINE) if part.strip()]


class Migrator:
    """Brings one store's schema to where the files say."""

    def __init__(
        self,
        store: AuditStore,
        migrations: Sequence[Migration] | None = None,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._store = store
        self._migrations = tuple(load_migrations() if migrations is None else migrations)
        self._now_us = now_us

    def status(self) -> list[tuple[Migration, State]]:
        """Every migration with its state; raises ``MigrationRefused`` when files and history disagree."""
        applied = self._applied()
        version = self._store.server_version
        states: list[tuple[Migration, State]] = []
        for migration in self._migrations:
            if migration.number in applied:
                states.append((migration, "applied"))
            else:
                states.append((migration, "pending" if version >= migration.requires else "needs a newer server"))
        return states

    def apply(self, dry_run: bool = False) -> list[Migration]:
        """Apply what is pending and return it; ``dry_run`` only returns it."""
        if not dry_run:
            self._store.create_database()
        states = self.status()
        pending = [migration for migration, state in states if state == "pending"]
        newest = max((migration.number for migration, state in states if state == "applied"), default=0)
        for migration in pending:
            # One with a required version may come late: it was passed over until the server was upgraded.
            if migration.number < newest and migration.requires == (0, 0):
                raise MigrationRefused(f"{migration.title} is new, but {newest:04d} is already applied")
        if not dry_run:
            for migration in pending:
                self._run(migration, migration.up, applied=True)
        return pending

    def rollback(self, to: int, dry_run: bool = False) -> list[Migration]:
        """Reverse everything applied above number ``to``, newest first, and return it.

        At zero the history goes too, so that nothing of the audit trail is left in the database.
        """
        reversed_ones = [m for m, state in reversed(self.status()) if state == "applied" and m.number > to]
        if not dry_run:
            for migration in reversed_ones:
                self._run(migration, migration.down, applied=False)
            if not self._applied():
                self._store.execute(f"DROP TABLE IF EXISTS {HISTORY.name}")
        return reversed_ones

    def _run(self, migration: Migration, sql: str, *, applied: bool) -> None:
        self._store.execute(_CREATE_HISTORY)
        for statement in statements(sql):
            self._store.execute(statement)
        step = len(self._history())
        row = (step, migration.number, migration.name, migration.checksum, int(applied), self._now_us())
        self._store.insert(HISTORY, [row])

    def _applied(self) -> set[int]:
        """Numbers in force, each proven to be the file that was applied."""
        known = {migration.number: migration for migration in self._migrations}
        state: dict[int, tuple[str, str, int]] = {}
        for number, name, checksum, applied in self._history():
            state[number] = (name, checksum, applied)
        in_force = {number: (name, checksum) for number, (name, checksum, applied) in state.items() if applied}
        for number, (name, checksum) in in_force.items():
            if number not in known:
                raise MigrationRefused(f"{number:04d}_{name} was applied, but its files are missing: newer release?")
            if known[number].checksum != checksum:
                raise MigrationRefused(f"{known[number].title} was edited after it was applied")
        return set(in_force)

    def _history(self) -> list[tuple[int, str, str, int]]:
        exists = self._store.query(
            "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
            {"name": HISTORY.name},
        )
        if not exists.rows[0][0]:
            return []
        steps = self._store.query("SELECT number, name, checksum, applied FROM schema_migrations ORDER BY step, at_us")
        return [(row[0], row[1], row[2], row[3]) for row in steps.rows]


_CREATE_HISTORY: Final = f"""CREATE TABLE IF NOT EXISTS {HISTORY.name} (
{", ".join(f"{column.name} {column.type}" for column in HISTORY.columns)}
) ENGINE = MergeTree ORDER BY step"""


def _required(sql: str) -> tuple[int, int]:
    match = _REQUIRES.search(sql)
    return (int(match[1]), int(match[2])) if match else (0, 0)
