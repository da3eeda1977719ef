"""``crossmargin methods``: the margin methods."""

from __future__ import annotations

from dataclasses import asdict

import click

from streams.cli_commands import json_option, print_json
from streams.offline import METHODS


@click.command
@json_option
def command(as_json: bool) -> None:
    """List margin methods with version and source."""
    if as_json:
        print_json({"methods": [asdict(method) for method in METHODS.values()]})
        return
    for method in METHODS.values():
        click.echo(f"{method.name} {method.version}: {method.source}")
