"""``crossmargin demo``: the whole system on embedded parts, from nothing to a result."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streams.cli_commands import CommandFailed, InputError, json_option, print_json
from streams.demo.population import ACCOUNTS_MIN
from streams.demo.prices import INDEX, MINUTES_RECORDED, USDC
from streams.demo.processes import DemoFailed

if TYPE_CHECKING:
    from types import FrameType

    from streams.demo.exchange import Exchange

MINUTES_MIN = 30
ACCOUNTS_MAX = 5000


@click.command
@click.option(
    "--minutes",
    type=click.IntRange(MINUTES_MIN, MINUTES_RECORDED),
    default=MINUTES_RECORDED,
    show_default=True,
    help="How much of 9 to 14 March 2023 to play, around the depeg.",
)
@click.option("--accounts", type=click.IntRange(ACCOUNTS_MIN, ACCOUNTS_MAX), default=200, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, other people.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-out"),
    show_default=True,
    help="Directory for the audit trail, the chart and the logs; made, or emptied if an earlier run made it.",
)
@json_option
def command(minutes: int, accounts: int, seed: int, out: Path, as_json: bool) -> None:
    """Play the USDC depeg of March 2023 through the real workers.

    Starts an embedded broker, the Faust workers and an executor, publishes recorded prices and a population of
    accounts, waits until everything is consumed, and reports from the audit trail. Needs the extra "embedded".
    """
    # Only the run itself needs the engine and Kafka's clients; the help of all commands does not.
    from streams.demo.report import print_report
    from streams.demo.run import DemoOptions, DirectoryTaken, run_demo

    termination = _Termination()
    messages = Console(stderr=True)
    bar = _RunProgress(minutes, messages)
    try:
        with bar.progress:
            result = run_demo(DemoOptions(minutes, accounts, seed, out), bar.start, bar.advance, termination.check)
    except DirectoryTaken as error:
        raise InputError(f"--out: {error}") from error
    except DemoFailed as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        print_json(result.figures())
    else:
        print_report(result, Console())


class _Termination:
    """SIGTERM ends the run at its next check, so that every process it started is stopped on the way out.

    Not at once: an exception out of the handler inside one of kafka-python's calls is swallowed there, and a client
    interrupted while it connects waits for ever.
    """

    def __init__(self) -> None:
        self._number = 0
        signal.signal(signal.SIGTERM, self._hear)

    def check(self) -> None:
        """Raise ``SystemExit`` if the signal has come."""
        if self._number:
            sys.exit(128 + self._number)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._number = number


class _RunProgress:
    """One line on stderr: where the market is and what has become of the accounts."""

    EVERY_MINUTES = 10

    def __init__(self, minutes: int, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn(),
            console=console,
        )  # fmt: skip
        self._minutes = minutes
        self._task = self.progress.add_task("starting broker and workers", total=minutes, state="")
        self._exchange: Exchange | None = None

    def start(self, exchange: Exchange) -> None:
        """The run has begun."""
        self._exchange = exchange
        self.progress.update(self._task, description="waiting for the workers")

    def advance(self, at: int) -> None:
        """Minute ``at`` has been published."""
        if self._exchange is None or (at % self.EVERY_MINUTES and at + 1 < self._minutes):
            return
        minute, tally = self._exchange.minutes[at], self._exchange.tally
        self.progress.update(
            self._task,
            completed=at + 1,
            description=f"BTC {minute.price[INDEX]:>9,.2f}  USDC {minute.price[USDC]:.4f}",
            state=f"{len(tally.called)} called, {len(tally.liquidated)} liquidated, {tally.commands} commands",
        )
