"""``crossmargin schema``: the JSON Schema of a topic, contract or document."""

from __future__ import annotations

import click
import orjson

from schemas.json_schema import json_schema, schema_names
from streams.cli_commands import InputError, json_option, print_json


@click.command
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """Print the JSON Schema NAME, or without a name list all names.

    NAME is a topic (fills), a contract (FillV1) or a document (portfolio).
    """
    if name is None:
        if as_json:
            print_json({"schemas": schema_names()})
        else:
            click.echo("\n".join(schema_names()))
        return
    if name not in schema_names():
        raise InputError(f"NAME: no schema {name!r}; crossmargin schema lists them")
    if as_json:
        print_json(json_schema(name))
    else:
        click.echo(orjson.dumps(json_schema(name), option=orjson.OPT_INDENT_2).decode())
