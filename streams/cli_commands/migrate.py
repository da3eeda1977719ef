"""``crossmargin migrate``: bring the audit database's schema up to date, or back."""

from __future__ import annotations

import click

from streams.audit.connect import open_store
from streams.audit.errors import AuditError
from streams.audit.migrations import Migration, Migrator
from streams.cli_commands import CommandFailed, json_option, print_json
from streams.settings import load_settings


@click.command
@click.option("--to", type=click.IntRange(min=0), help="Reverse every migration above this number.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, change nothing.")
@json_option
def command(to: int | None, dry_run: bool, as_json: bool) -> None:
    """Apply the migrations that CROSSMARGIN_CLICKHOUSE does not have yet, or reverse those above --to."""
    try:
        store = open_store(load_settings().clickhouse)
        try:
            migrator = Migrator(store)
            done = migrator.apply(dry_run) if to is None else migrator.rollback(to, dry_run)
            waiting = [migration for migration, state in migrator.status() if state == "needs a newer server"]
        finally:
            store.close()
    except AuditError as error:
        raise CommandFailed(str(error)) from error
    _report("reversed" if to is not None else "applied", done, waiting, dry_run, as_json)


def _report(verb: str, done: list[Migration], waiting: list[Migration], dry_run: bool, as_json: bool) -> None:
    titles = [migration.title for migration in done]
    passed_over = [migration.title for migration in waiting]
    if as_json:
        print_json({verb: titles, "needs_newer_server": passed_over, "dry_run": dry_run})
        return
    for title in titles:
        click.echo(f"{'would be ' if dry_run else ''}{verb} {title}")
    for title in passed_over:
        click.echo(f"passed over {title}: needs a newer server")
    if not titles:
        click.echo("nothing to do")
