"""``crossmargin tail``: print the records of a topic."""

from __future__ import annotations

from itertools import islice

import click
import orjson

from schemas.catalogue import load_catalogue
from schemas.codec import encode
from streams.cli_commands import InputError, json_option, print_json
from streams.sdk import Received, read_topic
from streams.settings import load_settings


@click.command
@click.argument("topic")
@click.option("--from-beginning", is_flag=True, help="Start at the oldest record instead of the end.")
@click.option("--max", "count_max", type=click.IntRange(min=1), help="Stop after this many records.")
@click.option("--follow/--no-follow", default=True, help="Wait for new records, or stop at the present end.")
@json_option
def command(topic: str, from_beginning: bool, count_max: int | None, follow: bool, as_json: bool) -> None:
    """Print TOPIC as JSON lines: topic, partition, offset, timestamp_ms, key, value; bad records with their error.

    With --json the lines are members "records" of one object, so it needs --max or --no-follow.
    """
    if topic not in load_catalogue():
        raise InputError(f"TOPIC: no topic {topic!r}; one of {', '.join(load_catalogue())}")
    if as_json and follow and count_max is None:
        raise InputError("--json: needs --max or --no-follow, or the object would never end")
    received = read_topic(load_settings().kafka, topic, from_beginning=from_beginning, follow=follow)
    lines = (_line(record) for record in islice(received, count_max))
    if as_json:
        print_json({"records": list(lines)})
        return
    for line in lines:
        print_json(line)


def _line(received: Received) -> dict[str, object]:
    line: dict[str, object] = {
        "topic": received.topic,
        "partition": received.partition,
        "offset": received.offset,
        "timestamp_ms": received.timestamp_ms,
        "key": _text(received.key),
    }
    if received.record is not None:
        return {**line, "value": orjson.Fragment(encode(received.record))}
    assert received.error is not None
    error = {"reason": received.error.reason, "field": received.error.field, "detail": received.error.detail}
    return {**line, "value": _text(received.value), "error": error}


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "backslashreplace")
