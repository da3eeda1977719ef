"""``crossmargin publish``: the SDK's publisher from the shell."""

from __future__ import annotations

from pathlib import Path

import click

from schemas.catalogue import load_catalogue
from schemas.codec import Record, decode
from schemas.errors import SchemaError
from streams.cli_commands import InputError, json_option, print_json, read_lines
from streams.sdk import Publisher
from streams.settings import load_settings
from streams.translate import check_translatable


@click.command
@click.argument("topic")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def command(topic: str, file: Path, as_json: bool) -> None:
    """Publish the records of FILE, one JSON object a line, to TOPIC.

    Every line is checked before the first one is sent; the key and the partition follow from the content.
    """
    if topic not in load_catalogue():
        raise InputError(f"TOPIC: no topic {topic!r}; one of {', '.join(load_catalogue())}")
    records = [_checked(topic, file, number, line) for number, line in read_lines(file)]
    with Publisher(load_settings().kafka) as publisher:
        for record in records:
            publisher.publish(record)
        published = publisher.flush()
    if as_json:
        print_json({"topic": topic, "published": published})
    else:
        click.echo(f"{published} records to {topic}")


def _checked(topic: str, file: Path, number: int, line: bytes) -> Record:
    try:
        record = decode(topic, line)
        check_translatable(record)
    except SchemaError as error:
        raise InputError(f"{file}:{number}: {error}") from error
    return record
