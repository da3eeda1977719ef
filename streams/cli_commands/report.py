"""``crossmargin report``: the liquidations of one account as a page to read or to send."""

from __future__ import annotations

from pathlib import Path

import click

from streams.audit.connect import open_store
from streams.audit.errors import AuditError
from streams.cli_commands import CommandFailed, InputError, json_option, print_json
from streams.liquidation_page import as_plain, page, read_story
from streams.settings import load_settings


@click.command
@click.argument("account")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; standard output if not given.")
@json_option
def command(account: str, out: Path | None, as_json: bool) -> None:
    """Write the liquidations of ACCOUNT as one HTML file, from the audit trail in CROSSMARGIN_CLICKHOUSE: status, every
    round before and after, legs, fills, cost, certificate, answers, anomalies."""
    try:
        store = open_store(load_settings().clickhouse)
        try:
            story = read_story(store, account)
        finally:
            store.close()
    except AuditError as error:
        raise CommandFailed(str(error)) from error
    if not story.changes and not story.decisions:
        raise InputError(f"account: the audit trail knows of no status change of {account}")
    if as_json:
        print_json(as_plain(story))
        return
    if out is None:
        click.echo(page(story), nl=False)
        return
    try:
        out.write_text(page(story), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: {error.strerror or error}") from error
