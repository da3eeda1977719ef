"""``crossmargin margin``: the margin of a portfolio document, without Kafka."""

from __future__ import annotations

from pathlib import Path

import click

from engine.errors import EngineError
from schemas.documents import decode_portfolio
from schemas.errors import SchemaError
from streams.cli_commands import InputError, json_option, print_json, read_bytes
from streams.offline import METHOD, METHODS, margin_report, read_valuation


@click.command
@click.argument("portfolio", type=click.Path(path_type=Path))
@click.option("--method", type=click.Choice(sorted(METHODS)), default=METHOD.name, show_default=True)
@json_option
def command(portfolio: Path, method: str, as_json: bool) -> None:
    """Print equity, margin and their parts for the document PORTFOLIO (crossmargin schema portfolio)."""
    try:
        report = margin_report(read_valuation(decode_portfolio(read_bytes(portfolio))))
    except (SchemaError, EngineError) as error:
        raise InputError(f"{portfolio}: {error}") from error
    if as_json:
        print_json({**report, "method": method})
        return
    for name in (
        "equity",
        "initial_margin",
        "maintenance_margin",
        "margin_excess_initial",
        "margin_excess_maintenance",
    ):
        click.echo(f"{name:<26}{report[name]:>20,.2f}")
    isolated = report["isolated"]
    assert isinstance(isolated, dict)
    for name, value in isolated.items():
        click.echo(f"{'isolated ' + name:<26}{value:>20,.2f}")
    click.echo(f"{'worst scenario':<26}{report['worst_scenario'] or 'none':>20}")
