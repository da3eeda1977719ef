"""``crossmargin worker``: run the stream processors of one role."""

from __future__ import annotations

import os
import sys

import click

from streams.cli_commands import CommandFailed
from streams.errors import StreamsError
from streams.settings import load_settings

ROLES = ("risk", "oracle", "audit")


@click.command
@click.option("--role", type=click.Choice([*ROLES, "all"]), default="all", show_default=True, help="What to run.")
def command(role: str) -> None:
    """Run Faust workers against CROSSMARGIN_KAFKA and CROSSMARGIN_CLICKHOUSE until told to stop.

    risk margins accounts and commands liquidations, oracle turns quotes into marks, audit writes ClickHouse; all runs
    one process of each.
    """
    settings = load_settings()
    if role == "all":
        from streams.supervisor import supervise

        sys.exit(supervise(ROLES, os.environ))
    from streams.app import run_worker

    try:
        run_worker(settings, role)
    except StreamsError as error:
        raise CommandFailed(str(error)) from error
