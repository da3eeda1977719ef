"""``crossmargin topics``: create the topics of the manifest."""

from __future__ import annotations

import click

from schemas.catalogue import load_catalogue
from streams.cli_commands import json_option, print_json
from streams.kafka_admin import ensure_topics
from streams.settings import load_settings


@click.command
@click.option(
    "--partitions", type=click.IntRange(min=1), help="Partitions of account-keyed topics [default: settings]."
)
@click.option("--replication", type=click.IntRange(min=1), help="Copies of every partition [default: settings].")
@json_option
def command(partitions: int | None, replication: int | None, as_json: bool) -> None:
    """Create the topics that CROSSMARGIN_KAFKA does not have yet.

    Repeating it changes nothing. Partition counts never change in place: a topic with another count is an error.
    """
    settings = load_settings()
    report = ensure_topics(
        settings.kafka,
        load_catalogue(),
        accounts=partitions or settings.partitions,
        replication=replication or settings.replication,
    )
    if as_json:
        print_json({"created": report.created, "existing": report.existing})
        return
    for name in report.created:
        click.echo(f"created {name}")
    for name in report.existing:
        click.echo(f"exists  {name}")
