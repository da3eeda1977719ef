"""``crossmargin replay``: a log through the engine, without Kafka."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from streams.cli_commands import CommandFailed, InputError, json_option, print_json, read_lines
from streams.replay import InvalidLine, Replay


@click.command
@click.argument("events", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where commands and events are written.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Records per step.")
@json_option
def command(events: Path, out: Path, batch: int, as_json: bool) -> None:
    """Replay the log EVENTS: JSON lines {"topic", "key", "value"}, in order.

    Lines may carry "partition", "offset" and "timestamp_ms", as crossmargin tail prints them. Raw prices are passed
    over: prices are read from topic marks. The same log gives the same bytes in --out and the same hashes.
    """
    if out.exists() and events.exists() and out.samefile(events):
        raise InputError("--out: would overwrite EVENTS")
    try:
        with out.open("wb") as file:
            report = Replay(lambda line: file.write(line + b"\n"), batch).run(read_lines(events))
    except InvalidLine as error:
        raise InputError(f"{events}: {error}") from error
    except OSError as error:
        raise CommandFailed(f"--out: {error}") from error
    if as_json:
        print_json(asdict(report))
        return
    click.echo(f"state_hash    {report.state_hash}")
    click.echo(f"commands_hash {report.commands_hash}")
    click.echo(f"records       {report.records}")
    for name, count in {**report.counts, **report.written}.items():
        click.echo(f"{name:<14}{count}")
