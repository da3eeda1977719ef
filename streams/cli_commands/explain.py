"""``crossmargin explain``: recompute a liquidation command from the audit trail, bit for bit."""

from __future__ import annotations

import sys

import click
import msgspec

from schemas.events.liquidations import LiquidationCommandV1
from streams.audit.connect import open_store
from streams.audit.errors import AuditError
from streams.cli_commands import CommandFailed, InputError, json_option, print_json
from streams.explain import Explanation, NotInAudit, explain
from streams.settings import load_settings


@click.command
@click.argument("command_id")
@json_option
def command(command_id: str, as_json: bool) -> None:
    """Recompute COMMAND_ID from the audit trail in CROSSMARGIN_CLICKHOUSE.

    Exits 0 when decision, commands and positions agree to the last bit, 1 when anything differs.
    """
    try:
        store = open_store(load_settings().clickhouse)
        try:
            explanation = explain(store, command_id)
        finally:
            store.close()
    except NotInAudit as error:
        raise InputError(f"command_id: {error}") from error
    except AuditError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        print_json(_as_json(explanation))
    else:
        _print(explanation)
    if explanation.differences:
        sys.exit(1)


def _as_json(explanation: Explanation) -> object:
    return {
        "command": msgspec.to_builtins(explanation.command),
        "decision": msgspec.to_builtins(explanation.decision),
        "commands": [msgspec.to_builtins(command) for command in explanation.commands],
        "differences": list(explanation.differences),
        "identical": not explanation.differences,
    }


def _print(explanation: Explanation) -> None:
    decision, figures, versions = explanation.decision, explanation.decision.figures, explanation.decision.versions
    shortfall = figures.maintenance_margin - figures.equity
    click.echo(f"account {decision.account}, liquidation {decision.liquidation_sequence}, round {decision.round}")
    click.echo(f"equity {figures.equity:,.2f} was {shortfall:,.2f} below maintenance margin")
    for underlying, scenario in sorted(figures.worst_scenarios.items()):
        click.echo(f"worst scenario of {underlying}: {scenario}")
    click.echo(f"{decision.reason.replace('_', ' ')}: {decision.explanation}")
    for leg in explanation.commands:
        mark = "*" if leg.command_id == explanation.command.command_id else " "
        click.echo(f"{mark} {_intent(leg)}  ({leg.command_id})")
    click.echo(
        f"after it: equity {decision.equity_after:,.2f}, maintenance margin {decision.maintenance_margin_after:,.2f}"
    )
    if (certificate := decision.certificate) is not None:
        click.echo(
            f"certificate: cost {certificate.cost:,.2f}, at least {certificate.lower_bound:,.2f} for any plan that"
            f" reaches {certificate.target:g} times maintenance margin (gap {certificate.gap:.2%})"
        )
        for binding in certificate.binding:
            click.echo(f"  binding with weight {binding.weight:.2f}: {binding.underlying} {binding.scenario}")
    click.echo(
        f"taken on mark version {versions.mark_version}, reference {versions.reference_version}, parameters "
        f"{versions.parameters_version}, offsets {dict(sorted(versions.offsets.items()))}"
    )
    for difference in explanation.differences:
        click.echo(f"DIFFERS {difference}")
    if not explanation.differences:
        click.echo("recomputed from the audit trail: identical to the last bit")


def _intent(leg: LiquidationCommandV1) -> str:
    """A command in a few words."""
    kind = leg.kind.replace("_", " ")
    if leg.instrument is None:
        return f"{kind}, whole account"
    return f"{kind}: {leg.side} {leg.quantity} {leg.instrument}, limit {leg.limit_price}"
