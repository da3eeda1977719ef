"""``crossmargin backtest``: would the margin have been enough, on a history of prices."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from engine.errors import EngineError
from streams.backtest import ArchetypeResult, Backtest, Settings, report, run_backtest
from streams.backtest_history import PUBLIC_NAMES, InvalidHistory, PriceHistory, public_history, read_history
from streams.backtest_portfolios import ARCHETYPES
from streams.cli_commands import InputError, json_option, print_json

DEFAULT_SERIES = ("sp500", "nasdaq")


@click.command
@click.argument("history", type=click.Path(path_type=Path), required=False, metavar="[HISTORY.csv]")
@click.option(
    "--series",
    type=click.Choice(PUBLIC_NAMES),
    multiple=True,
    help="A public series instead of a file; repeat for joint history.  [default: sp500 and nasdaq]",
)
@click.option("--level", type=click.FloatRange(0.5, 1.0, max_open=True), default=0.99, show_default=True)
@click.option("--horizon", type=click.IntRange(1, 60), default=1, show_default=True, help="Periods until close-out.")
@click.option("--window", type=click.IntRange(50, 5000), default=500, show_default=True, help="Scenarios per period.")
@click.option(
    "--lambda",
    "decay",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    help="Decay of the EWMA volatility.  [default: 0.97, and 0.999 for minutes]",
)
@click.option(
    "--archetype", "archetypes", type=click.Choice(tuple(ARCHETYPES)), multiple=True, help="Only these; repeatable."
)
@click.option("--tools", is_flag=True, help="Also what the means against procyclicality make of expected shortfall.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Also write a picture, FILE.png.")
@json_option
def command(
    history: Path | None,
    series: tuple[str, ...],
    level: float,
    horizon: int,
    window: int,
    decay: float | None,
    archetypes: tuple[str, ...],
    tools: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Hold rolling margin against what then happened: exceedances, their tests, procyclicality.

    HISTORY.csv has a time column and one price column per factor (docs/validation.md). Public series need the extra
    "history", --plot the extra "embedded".
    """
    if history is not None and series:
        raise InputError("--series: give a file or public series, not both")
    if plot is not None:
        # Found missing now, not after the work; only a picture needs it.
        from streams.backtest_chart import draw
    try:
        prices = read_history(history) if history is not None else public_history(series or DEFAULT_SERIES)
        settings = Settings(level, horizon, window, prices.decay if decay is None else decay, tools)
        run = run_backtest(prices, settings, archetypes or tuple(ARCHETYPES))
    except (InvalidHistory, EngineError) as error:
        raise InputError(str(error)) from error
    if plot is not None:
        draw(run, plot)
    if as_json:
        print_json(report(run))
    else:
        _print_table(run, prices)


def _print_table(run: Backtest, prices: PriceHistory) -> None:
    console = Console(width=140)
    first, last = (prices.times[run.rows_D[end]].isoformat(sep=" ", timespec="minutes")[:16] for end in (0, -1))
    console.print(
        f"{prices.name}: {run.rows_D.size} tests from {first} to {last}, level {run.settings.level:g}, "
        f"horizon {run.settings.horizon}, window {run.settings.window}, lambda {run.settings.decay:g}",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("archetype", no_wrap=True)
    table.add_column("measure", no_wrap=True)
    for heading in (
        "mean %", "exceeded", "expected", "covered %", "Kupiec p", "cluster p", "joint p", "excess p", "zone",
        "peak/low", "rise in 5", "ES z2",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for result in run.results:
        _add_rows(table, result)
    console.print(table, highlight=False)
    for name, reason in run.not_measured.items():
        console.print(f"{name}: not measured, {reason}", highlight=False)


def _add_rows(table: Table, result: ArchetypeResult) -> None:
    for number, measure in enumerate(result.measures):
        coverage, cyclical = measure.coverage, measure.procyclicality
        table.add_row(
            result.archetype.name if number == 0 else "",
            measure.measure,
            f"{measure.requirement_D.mean():.3f}",
            f"{coverage.exceedances}",
            f"{coverage.expected:.1f}",
            f"{100 * (1 - coverage.exceedances / coverage.observations):.2f}",
            f"{coverage.kupiec.p_value:.3f}",
            f"{coverage.independence.p_value:.3f}",
            f"{coverage.conditional.p_value:.3f}",
            f"{coverage.too_many_p_value:.3f}",
            coverage.zone.value,
            "-" if cyclical is None else f"{cyclical.peak_to_trough:.1f}",
            "-" if cyclical is None else f"{100 * cyclical.increase_max_5:.0f} %",
            f"{result.shortfall_z2:+.2f}" if measure.measure == "margin" else "",
        )
