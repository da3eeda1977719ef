"""``crossmargin stress``: what the venue's own liquidations would make of a shock."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from engine.cascade.policy import AdlRule
from engine.cascade.population import Population
from engine.errors import EngineError
from streams.audit.connect import open_store
from streams.audit.errors import AuditError
from streams.cli_commands import CommandFailed, InputError, json_option, print_json, read_lines
from streams.replay import InvalidLine
from streams.stress import StressRun, compare, simulate, synthetic
from streams.stress_books import LiveBooks, live_books, read_audit, read_log
from streams.stress_preset import DEFAULT_PRESET, Preset, load_preset, preset_names, with_shock, with_venue
from streams.stress_report import outcome, run_report, series_csv

PICTURE, SERIES = "stress.png", "stress.csv"


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whom a run is about, with the preset that fits them."""

    preset: Preset
    population: Population
    described: dict[str, object]


@click.command
@click.option("--preset", "name", type=click.Choice(preset_names()), default=DEFAULT_PRESET, show_default=True)
@click.option("--accounts", type=click.IntRange(10, 2_000_000), help="How many to draw.  [default: the preset's]")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--shock", type=click.FloatRange(-3.0, 3.0), help="Fall of the factor as a log move, 0.1 for 10 %.")
@click.option("--seconds", type=click.IntRange(2, 604_800), help="How long the run goes on.")
@click.option("--oracle-lag", type=click.FloatRange(0.0), help="Seconds by which the venue's mark is late.")
@click.option("--outage", type=click.FloatRange(0.0), help="Seconds without liquidations.")
@click.option("--outage-at", type=click.FloatRange(0.0), help="When they begin.  [default: with the shock]")
@click.option("--fund", type=click.FloatRange(0.0), help="Equity of the backstop at the start.")
@click.option("--adl", type=click.Choice([rule.value for rule in AdlRule]), help="How books are deleveraged.")
@click.option("--events", type=click.Path(path_type=Path), help="Real books: those at the end of this log.")
@click.option("--audit", help="Real books: the last snapshots in this audit trail, clickhouse://... or chdb://...")
@click.option("--compare", "comparing", is_flag=True, help="The same books and path under other policies, too.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write stress.png and stress.csv there.")
@json_option
def command(
    name: str,
    accounts: int | None,
    seed: int,
    shock: float | None,
    seconds: int | None,
    oracle_lag: float | None,
    outage: float | None,
    outage_at: float | None,
    fund: float | None,
    adl: str | None,
    events: Path | None,
    audit: str | None,
    comparing: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Let a shock run through a venue: liquidations, their impact on prices, takeovers, deleveraging.

    Books are drawn from the seed, or real (--events, --audit). Everything that no option states comes from the
    preset; options about the venue replace the preset's values. The picture needs the extra "embedded".
    """
    if sum(source is not None for source in (accounts, events, audit)) > 1:
        raise InputError("--accounts: give one of --accounts, --events and --audit")
    if out is not None:
        # Found missing now, not after the work; only a picture needs it.
        from streams.stress_chart import draw
    try:
        preset = load_preset(name) if shock is None else with_shock(load_preset(name), shock)
        subject = _subject(preset, accounts, seed, events, audit)
        preset = _with_options(subject.preset, oracle_lag, outage, outage_at, fund, adl)
        length = preset.run.seconds if seconds is None else seconds
        if comparing:
            runs = compare(preset, subject.population, seed, length)
        else:
            runs = {"as stated": simulate(preset, subject.population, seed, length)}
    except EngineError as error:
        raise InputError(str(error)) from error
    stress = runs["as stated"]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        draw(stress, out / PICTURE)
        (out / SERIES).write_text(series_csv(stress), encoding="utf-8")
    described = {"preset": name, "seed": seed, "seconds": length, **subject.described}
    if as_json:
        policies = {"policies": {label: outcome(each.run) for label, each in runs.items()}} if comparing else {}
        print_json({**described, **run_report(stress), **policies})
    else:
        _print(stress, described, runs if comparing else {})


def _subject(preset: Preset, accounts: int | None, seed: int, events: Path | None, audit: str | None) -> _Subject:
    if events is None and audit is None:
        population = synthetic(preset, accounts or preset.run.accounts, seed)
        return _Subject(preset, population, {"books": "drawn", "assumed": [], "left_out": 0})
    books = _live(preset, events, audit)
    source = str(events) if events is not None else "audit"
    described = {"books": source, "assumed": list(books.assumed), "left_out": books.left_out}
    return _Subject(books.preset, books.population, described)


def _live(preset: Preset, events: Path | None, audit: str | None) -> LiveBooks:
    if events is not None:
        try:
            return live_books(preset, *read_log(read_lines(events)))
        except InvalidLine as error:
            raise InputError(f"{events}: {error}") from error
    assert audit is not None
    try:
        store = open_store(audit)
        try:
            return live_books(preset, *read_audit(store))
        finally:
            store.close()
    except AuditError as error:
        raise CommandFailed(str(error)) from error


def _with_options(
    preset: Preset,
    oracle_lag: float | None,
    outage: float | None,
    outage_at: float | None,
    fund: float | None,
    adl: str | None,
) -> Preset:
    stated: dict[str, float | AdlRule | None] = {
        "oracle_lag_s": oracle_lag,
        "outage_s": outage,
        "outage_at_s": preset.shock.calm_s if outage is not None and outage_at is None else outage_at,
        "fund": fund,
        "adl": None if adl is None else AdlRule(adl),
    }
    return with_venue(preset, **{name: value for name, value in stated.items() if value is not None})


def _print(stress: StressRun, described: dict[str, object], runs: dict[str, StressRun]) -> None:
    console = Console(width=140)
    gross = float(stress.population.gross_K.sum())
    console.print(
        f"{described['preset']}, seed {described['seed']}, {described['seconds']} s: {stress.population.equity_A.size}"
        f" accounts ({described['books']}), {gross / 1e6:,.1f} million of open positions, both sides",
        highlight=False,
    )
    if described["assumed"]:
        console.print(f"parameters assumed for {described['assumed']}", highlight=False)
    if described["left_out"]:
        console.print(f"{described['left_out']} accounts without figures or exposure left out", highlight=False)
    _print_outcomes(console, runs or {"as stated": stress})
    moments = Table(box=None, pad_edge=False, title="held against 10 October 2025", title_justify="left")
    for heading in ("moment", "what", "value", "band", "lands"):
        moments.add_column(heading, justify="right" if heading in ("value", "band") else "left", no_wrap=True)
    for moment in stress.moments:
        value = "-" if moment.value is None else f"{moment.value:.3g}"
        moments.add_row(
            moment.name, moment.what, value, f"{moment.low:g} to {moment.high:g}", "yes" if moment.lands else "NO"
        )
    console.print(moments, highlight=False)


def _print_outcomes(console: Console, runs: dict[str, StressRun]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for label in runs:
        table.add_column(label, justify="right")
    columns = [outcome(stress.run) for stress in runs.values()]
    for name in columns[0]:
        table.add_row(name.replace("_", " "), *(_shown(name, column[name]) for column in columns))
    console.print(table, highlight=False)


def _shown(name: str, value: float | int | None) -> str:
    if value is None or isnan(value):
        return "-"
    if name.startswith("index") or name.endswith("share"):
        return f"{value:.1%}"
    if isinstance(value, int) or name.endswith("_s"):
        return f"{value:,.0f}"
    return f"{value:.2f}" if name.startswith("branching") else f"{value / 1e6:,.2f} m"
