"""``crossmargin gap``: what customers would owe if prices jumped now, against the layers of the venue."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from engine.waterfall.coverage import AlertLevel
from schemas.codec import decode
from schemas.errors import SchemaError
from schemas.events.gap_at_risk import GapAtRiskV1
from streams.audit.connect import open_store
from streams.audit.errors import AuditError
from streams.cli_commands import CommandFailed, InputError, json_option, print_json, read_lines
from streams.gap_report import GapReport, audited_gaps, gap_report, newest_gaps
from streams.replay import InvalidLine, Replay, read_output
from streams.settings import load_settings

EXIT_EXCEEDED = 3


@click.command
@click.option("--log", type=click.Path(path_type=Path), help="Replay a log (crossmargin tail) instead of the audit.")
@json_option
def command(log: Path | None, as_json: bool) -> None:
    """Print gap-at-risk of the venue: from the newest records in the audit trail in CROSSMARGIN_CLICKHOUSE, or at the
    last full sweep of a replayed log.

    Exits 3 when a jump would use up all layers.
    """
    records = _audited() if log is None else _replayed(log)
    if not records:
        raise InputError(
            "no gap-at-risk yet: there is one after every sweep over all accounts (snapshot_interval_us)"
        )
    report = gap_report(records)
    if as_json:
        print_json(report.as_json())
    else:
        _print(report)
    if report.level is AlertLevel.EXCEEDED:
        sys.exit(EXIT_EXCEEDED)


def _audited() -> list[GapAtRiskV1]:
    try:
        store = open_store(load_settings().clickhouse)
        try:
            return audited_gaps(store)
        finally:
            store.close()
    except AuditError as error:
        raise CommandFailed(str(error)) from error


def _replayed(log: Path) -> list[GapAtRiskV1]:
    found: list[GapAtRiskV1] = []

    def keep(line: bytes) -> None:
        topic, value = read_output(line)
        if topic == "gap-at-risk":
            record = decode(topic, value)
            assert isinstance(record, GapAtRiskV1)
            found.append(record)

    try:
        Replay(keep).run(read_lines(log))
    except (InvalidLine, SchemaError) as error:
        raise InputError(f"{log}: {error}") from error
    return newest_gaps(found)


def _print(report: GapReport) -> None:
    click.echo(f"{report.accounts:,} accounts in {report.partitions} partitions, {report.unpriced:,} not priced")
    click.echo(f"{'jump':<24}{'shortfall':>20}{'accounts':>12}{'largest':>20}")
    for jump in report.jumps:
        click.echo(f"{jump.jump:<24}{jump.shortfall:>20,.2f}{jump.accounts:>12,}{jump.largest:>20,.2f}")
    for name, capacity, taken in report.layers:
        click.echo(f"layer {name}: {taken:,.2f} of {capacity:,.2f}")
    if report.used is None:
        click.echo("no layers are stated in the risk parameters (gap.layers): nothing is promised")
        return
    click.echo(f"the worst jump uses {report.used:.1%} of {report.resources:,.2f}: {report.level.name.lower()}")
    if report.switches:
        click.echo(f"switches: {', '.join(report.switches)}")
