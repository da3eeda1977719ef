"""``crossmargin whatif``: margin after trades, transfers and moves that have not happened, and why it is what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from engine.errors import EngineError
from engine.methods.method import MarginMethod
from engine.methods.statement import StatedPortfolio
from engine.methods.what_if import Change, changed
from schemas.documents import decode_document
from schemas.errors import SchemaError
from schemas.what_if import decode_change
from streams.cli_commands import InputError, json_option, print_json, read_bytes, read_lines
from streams.mode_report import modes_report
from streams.what_if_report import (
    bulk_report,
    change_of,
    contribution_report,
    orders_report,
    parse_fill,
    parse_move,
    parse_transfer,
    restore_report,
    stated,
    surface_report,
    switch_report,
    what_if_report,
)

_LINES = ("equity", "initial_margin", "maintenance_margin", "margin_excess_initial", "margin_excess_maintenance")
_SECTIONS: Mapping[str, Callable[[StatedPortfolio, MarginMethod], object]] = {
    "contributions": contribution_report,
    "orders": orders_report,
    "surface": surface_report,
    "modes": modes_report,
}


@click.command
@click.argument("document", type=click.Path(path_type=Path))
@click.option("--fill", "fills", multiple=True, metavar="INSTRUMENT:QTY@PRICE", help="A fill; without @PRICE at mark.")
@click.option("--transfer", "transfers", multiple=True, metavar="ASSET:AMOUNT", help="Into the account; cash or asset.")
@click.option("--shock", "shocks", multiple=True, metavar="UNDERLYING=MOVE", help="Relative price move: BTC=-0.1.")
@click.option("--vol", "vols", multiple=True, metavar="UNDERLYING=MOVE", help="Relative volatility move: BTC=0.2.")
@click.option("--bulk", type=click.Path(path_type=Path), help="One change per line, JSON; each on its own.")
@click.option("--method", help="Margin method (crossmargin methods). Default: the document's, else crossmargin.")
@click.option("--contributions", is_flag=True, help="Each holding's part in the margin, and one contract more.")
@click.option("--orders", is_flag=True, help="Worst fills of the open orders.")
@click.option("--surface", is_flag=True, help="Distance to liquidation along every factor.")
@click.option("--restore", metavar="SPREAD", help="Cheapest single trade back to maintenance margin, paying SPREAD.")
@click.option("--modes", is_flag=True, help="Cross, every position isolated, and as stated, side by side.")
@click.option("--switch", metavar="INSTRUMENT=MODE", help="Change a position to cross, or to isolated[:COLLATERAL].")
@json_option
def command(
    document: Path,
    fills: tuple[str, ...],
    transfers: tuple[str, ...],
    shocks: tuple[str, ...],
    vols: tuple[str, ...],
    bulk: Path | None,
    method: str | None,
    restore: str | None,
    switch: str | None,
    as_json: bool,
    **sections: bool,
) -> None:
    """Print the margin of DOCUMENT before and after changes that have not happened. The sections (contributions,
    orders, surface, restore, modes, switch) look at the portfolio after the changes of the command line."""
    try:
        portfolio, used = stated(decode_document(read_bytes(document)), method)
        change = Change(
            fills=tuple(parse_fill(text) for text in fills),
            transfers=tuple(parse_transfer(text) for text in transfers),
            spot=tuple(parse_move(text, "shock") for text in shocks),
            vol=tuple(parse_move(text, "vol") for text in vols),
        )
        if bulk is not None:
            if change != Change():
                raise InputError("--bulk: cannot be combined with --fill, --transfer, --shock and --vol")
            report = _bulk(portfolio, used, bulk)
        else:
            report = what_if_report(portfolio, used, change)
        after = changed(portfolio, used, change)
        report |= {name: section(after, used) for name, section in _SECTIONS.items() if sections[name]}
        if restore is not None:
            report["restore"] = restore_report(after, used, restore)
        if switch is not None:
            report["switch"] = switch_report(after, used, switch)
    except (SchemaError, EngineError) as error:
        raise InputError(f"{document}: {error}") from error
    print_json(report) if as_json else _print(report)


def _bulk(portfolio: StatedPortfolio, method: MarginMethod, path: Path) -> dict[str, object]:
    names, changes = [], []
    for number, line in read_lines(path):
        try:
            read = decode_change(line)
            change = change_of(read)
            changed(portfolio, method, change)
        except (SchemaError, EngineError) as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        names.append(read.name)
        changes.append(change)
    return bulk_report(portfolio, method, names, changes)


def _print(report: Mapping[str, object]) -> None:
    click.echo(f"{'method':<26}{report['method']!s:>20}")
    before = report["before"]
    assert isinstance(before, dict)
    if "results" in report:
        results = report["results"]
        assert isinstance(results, list)
        for result in results:
            after = result["after"]
            click.echo(
                f"{result['name']:<26}{after['initial_margin']:>20,.2f}{after['margin_excess_maintenance']:>20,.2f}"
            )
    else:
        after = report["after"]
        assert isinstance(after, dict)
        click.echo(f"{'':<26}{'before':>20}{'after':>20}")
        for name in _LINES:
            click.echo(f"{name:<26}{before[name]:>20,.2f}{after[name]:>20,.2f}")
    for name in ("pre_trade", *_SECTIONS, "restore", "switch"):
        if name in report:
            click.echo(f"\n{name}")
            _print_section(report[name], 1)


def _print_section(value: object, depth: int) -> None:
    """Tables and lists as indented lines."""
    pad = "  " * depth
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, dict | list) and item:
                click.echo(f"{pad}{name}")
                _print_section(item, depth + 1)
            else:
                click.echo(f"{pad}{name:<{max(30 - len(pad), 1)}} {_text(item)}")
    elif isinstance(value, list):
        for item in value:
            cells = item.items() if isinstance(item, dict) else ()
            click.echo(pad + "  ".join(f"{name} {_text(cell)}" for name, cell in cells if cell not in ({}, None)))
    else:
        click.echo(f"{pad}{_text(value)}")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 10 else f"{value:,.2f}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    return "none" if value is None else str(value)
