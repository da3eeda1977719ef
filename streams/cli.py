"""The command ``crossmargin``: a group of subcommands, one module each in ``streams.cli_commands``.

Owns how every command ends: 0 done, 1 it failed while running, 2 bad usage or input, with one line on stderr that
names the field. Results go to stdout (``--json``: one object), everything else to stderr. A new command is a new
module with a ``command``; nothing is listed here.
"""

from __future__ import annotations

import logging
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from schemas.errors import SchemaError
from streams import cli_commands
from streams.cli_commands import CommandFailed, InputError
from streams.errors import StreamsError, UnsafeConfiguration
from streams.kernel_cache import use_kernel_cache
from streams.settings import InvalidSetting

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class CommandGroup(click.Group):
    """Finds subcommands by module name, and imports only the one that runs: most need neither Kafka nor numpy."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all subcommands."""
        return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(cli_commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of that name, or None."""
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            command = import_module(f"{cli_commands.__name__}.{cmd_name.replace('-', '_')}").command
        except ModuleNotFoundError as error:
            return _unavailable(cmd_name, error)
        assert isinstance(command, click.Command)
        return command

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: object) -> NoReturn:  # type: ignore[override]
        """Run, and turn every expected failure into one line and an exit code; anything else is a bug and shows its
        trace."""
        del extra
        use_kernel_cache()
        try:
            code = super().main(args, prog_name, standalone_mode=False)
        except click.exceptions.Abort:
            _exit("interrupted", EXIT_INTERRUPTED)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            sys.exit(EXIT_BAD_INPUT)
        except click.ClickException as error:
            _exit(error.format_message(), EXIT_BAD_INPUT)
        except (InputError, InvalidSetting, SchemaError, UnsafeConfiguration) as error:
            _exit(str(error), EXIT_BAD_INPUT)
        except ModuleNotFoundError as error:
            _exit(_what_to_install(error), EXIT_FAILED)
        except (CommandFailed, StreamsError, OSError) as error:
            _exit(str(error), EXIT_FAILED)
        sys.exit(code if isinstance(code, int) else 0)


def _unavailable(name: str, error: ModuleNotFoundError) -> click.Command:
    """Stands for a command whose optional parts are not installed: the others, and the help, still work."""
    text = _what_to_install(error)

    def refuse() -> None:
        raise CommandFailed(text)

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=refuse, help=text, context_settings=settings)


def _what_to_install(error: ModuleNotFoundError) -> str:
    package = (error.name or "").partition(".")[0]
    if package in ("engine", "schemas", "streams", ""):
        raise error
    return f"Needs {package}: install crossmargin[embedded]."


def _exit(message: str, code: int) -> NoReturn:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(code)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="crossmargin")
def cli() -> None:
    """Real-time cross-margin risk for derivatives venues."""
    # The client logs every attempt as an error; what matters of it arrives as one exception.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Entry point of the distribution."""
    cli.main(prog_name="crossmargin")
