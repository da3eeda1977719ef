"""``crossmargin schema``: the JSON Schema of a topic, contract or document."""

from __future__ import annotations

from importlib.metadata import version

import click
import orjson

from schemas.asyncapi import asyncapi
from schemas.json_schema import json_schema, schema_names
from streams.cli_commands import InputError, json_option, print_json


@click.command
@click.argument("name", required=False)
@click.option("--asyncapi", "whole", is_flag=True, help="All topics and their records as one AsyncAPI document.")
@json_option
def command(name: str | None, whole: bool, as_json: bool) -> None:
    """Print the JSON Schema NAME, or without a name list all names.

    NAME is a topic (fills), a contract (FillV1) or a document (portfolio).
    """
    if whole:
        if name is not None:
            raise InputError("NAME: --asyncapi is about all topics")
        document = asyncapi(version("crossmargin"))
        click.echo(orjson.dumps(document, option=0 if as_json else orjson.OPT_INDENT_2).decode())
        return
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
