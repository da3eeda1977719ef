"""``crossmargin margin``: the margin of portfolio documents, without Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from engine.errors import EngineError
from schemas.documents import decode_document
from schemas.errors import SchemaError
from streams.cli_commands import InputError, json_option, print_json, read_bytes
from streams.portfolio_margin import document_report

_LINES = ("equity", "initial_margin", "maintenance_margin", "margin_excess_initial", "margin_excess_maintenance")


@click.command
@click.argument("portfolios", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--method", help="Margin method (crossmargin methods). Default: the document's, else crossmargin.")
@json_option
def command(portfolios: tuple[Path, ...], method: str | None, as_json: bool) -> None:
    """Print equity, margin and their parts for every document in PORTFOLIOS (crossmargin schema portfolio,
    stated_portfolio)."""
    reports = []
    for path in portfolios:
        try:
            reports.append(document_report(decode_document(read_bytes(path)), method))
        except (SchemaError, EngineError) as error:
            raise InputError(f"{path}: {error}") from error
    if as_json:
        print_json(
            reports[0]
            if len(reports) == 1
            else {"portfolios": [{"file": str(p), **r} for p, r in zip(portfolios, reports, strict=True)]}
        )
        return
    for path, report in zip(portfolios, reports, strict=True):
        if len(reports) > 1:
            click.echo(f"{path}")
        _print(report)


def _print(report: Mapping[str, object]) -> None:
    click.echo(f"{'method':<26}{report['method']!s:>20}")
    for name in _LINES:
        click.echo(f"{name:<26}{report[name]:>20,.2f}")
    isolated = report["isolated"]
    assert isinstance(isolated, dict)
    for name, value in isolated.items():
        click.echo(f"{'isolated ' + name:<26}{value:>20,.2f}")
    click.echo(f"{'worst scenario':<26}{report['worst_scenario'] or 'none'!s:>20}")
