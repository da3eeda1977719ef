"""``crossmargin waterfall``: who bears which part of a loss."""

from __future__ import annotations

from pathlib import Path

import click

from engine.errors import InvalidReference
from engine.units import E8
from schemas.errors import SchemaError
from schemas.waterfall import decode_waterfall
from streams.audit.connect import open_store
from streams.audit.errors import AuditError
from streams.cli_commands import CommandFailed, InputError, json_option, print_json, read_bytes
from streams.loss_report import (
    LossReport,
    audited_losses,
    audited_profits,
    loss_report,
    stated_losses,
    stated_profits,
)
from streams.settings import load_settings


@click.command
@click.argument("document", type=click.Path(path_type=Path))
@click.option("--audited", is_flag=True, help="Also what the audit trail in CROSSMARGIN_CLICKHOUSE knows of.")
@json_option
def command(document: Path, audited: bool, as_json: bool) -> None:
    """Divide the losses of DOCUMENT (and the audited ones) over its layers, one after the other.

    An audited loss is an account closed with negative equity; the profits that loss allocation takes from are then
    those of the newest snapshots, unless the document states them.
    """
    try:
        stated = decode_waterfall(read_bytes(document))
        losses, profits = stated_losses(stated), stated_profits(stated)
        if audited:
            store = open_store(load_settings().clickhouse)
            try:
                losses += audited_losses(store)
                profits = audited_profits(store) | profits
            finally:
                store.close()
        report = loss_report(stated, losses, profits)
    except (SchemaError, InvalidReference) as error:
        raise InputError(f"{document}: {error}") from error
    except AuditError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        print_json(report.as_json())
    else:
        _print(report)


def _print(report: LossReport) -> None:
    for case in report.cases:
        click.echo(f"{case.loss.case_id}: loss {case.loss.amount_e8 / E8:,.2f}")
        for name, part in case.resolution.allocation.parts_e8:
            click.echo(f"  {name:<24}{part / E8:>20,.2f}")
        for account, part in case.resolution.shares.parts_e8:
            click.echo(f"    of which {account:<18}{part / E8:>16,.2f}")
        if case.resolution.unpaid_e8:
            click.echo(f"  {'borne by nobody':<24}{case.resolution.unpaid_e8 / E8:>20,.2f}")
    unpaid = sum(case.resolution.unpaid_e8 for case in report.cases)
    left = report.as_json()["fund_left"]
    click.echo(f"{len(report.cases)} losses, {unpaid / E8:,.2f} borne by nobody; the fund is left with {left:,.2f}")
