"""The subcommands of ``crossmargin``, one module each, and what they share: the ``--json`` option and two errors.

A module ``what_if.py`` with an attribute ``command`` is the subcommand ``what-if``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click
import orjson

F = TypeVar("F", bound=Callable[..., object])


class InputError(Exception):
    """Bad input: exit code 2. The text names the field, argument or line."""


class CommandFailed(Exception):
    """The command was right and could not be carried out: exit code 1."""


def json_option(command: F) -> F:
    """Add ``--json``, passed as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def print_json(result: object) -> None:
    """Print ``result`` as one JSON object on one line."""
    click.echo(orjson.dumps(result).decode())


def read_bytes(path: Path) -> bytes:
    """The content of an input file; raises ``InputError``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and content of every line of a JSON lines file that is not blank; raises ``InputError``."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if stripped := line.strip():
                    yield number, stripped
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
