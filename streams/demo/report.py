"""What a run says to a risk manager: tables for the terminal, figures for a program.

Owns words and order. Refuses to compute (``summary``) and to draw (``chart``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from streams.demo.population import Group
from streams.demo.summary import AccountResult, Summary

NAMES_SHOWN_MAX = 8


@dataclass(frozen=True, slots=True)
class DemoResult:
    """A finished run. ``topic_records`` is what the broker holds by end offsets; the audit trail must hold as much."""

    summary: Summary
    topic_records: int
    dead_letters_due: int
    paid_calls: int
    refused_orders: int
    audit: Path
    chart: Path
    elapsed_s: float

    def figures(self) -> dict[str, object]:
        """The public figures of ``crossmargin demo --json``."""
        summary = self.summary
        return {
            "events": summary.events,
            "fills": summary.rows["fills"],
            "prices": summary.rows["prices"],
            "collateral": summary.rows["collateral"],
            "accounts": len(summary.accounts),
            "commands": summary.commands,
            "liquidated_accounts": len(summary.liquidated),
            "dead_letters": summary.rows["dead_letters"],
            "audit_rows": summary.audit_rows,
            "margin_isolated": round(summary.margin_isolated, 2),
            "margin_cross": round(summary.margin_cross, 2),
            "elapsed_s": round(self.elapsed_s, 1),
            "topic_records": self.topic_records,
            "audit": str(self.audit),
            "chart": str(self.chart),
        }


def print_report(result: DemoResult, console: Console) -> None:
    """Print the run as tables."""
    summary = result.summary
    console.print()
    console.print(_group_table(summary))
    console.print(_liquidation_table(summary))
    _print_list(console, "Called, and recovered", (one for one in summary.accounts if one.has_recovered))
    saved = (one for one in summary.accounts if one.is_saved_by_netting)
    _print_list(console, "Saved by netting (equity below what their positions would need one by one)", saved)
    if summary.worst_minute is not None:
        at_us, accounts = summary.worst_minute
        console.print(f"[bold]Worst minute:[/] {_clock(at_us)} UTC, liquidation commands for {accounts} accounts.")
    console.print(_processing(result))
    console.print(f"Audit trail: {result.audit} (chDB)\nChart: {result.chart}", soft_wrap=True)
    if summary.first_command:
        explain = f"CROSSMARGIN_CLICKHOUSE=chdb://{result.audit} crossmargin explain {summary.first_command}"
        console.print(f"Recompute the first liquidation from it, bit for bit:\n  {explain}", soft_wrap=True)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)


def _group_table(summary: Summary) -> Table:
    table = _table("Initial margin by group, thousand US dollars, averaged over the run")
    table.add_column("group", no_wrap=True)
    for heading in ("accounts", "called", "liquidated", "alone", "cross", "set free"):
        table.add_column(heading, justify="right", no_wrap=True)
    groups: dict[str, list[AccountResult]] = defaultdict(list)
    for account in summary.accounts:
        groups[account.group].append(account)
    for group in Group:
        if group.value in groups:
            table.add_row(group.value, *_group_cells(groups[group.value]))
    table.add_section()
    table.add_row("all", *_group_cells(summary.accounts), style="bold")
    return table


def _group_cells(accounts: Sequence[AccountResult]) -> list[str]:
    isolated = sum(account.isolated_margin for account in accounts)
    cross = sum(account.cross_margin for account in accounts)
    return [
        str(len(accounts)),
        str(sum(account.calls > 0 for account in accounts)),
        str(sum(account.liquidated_us is not None for account in accounts)),
        f"{isolated / 1000:,.0f}",
        f"{cross / 1000:,.0f}",
        f"{1 - cross / isolated:.0%}" if isolated else "-",
    ]


def _liquidation_table(summary: Summary) -> Table:
    table = _table("Liquidations by day")
    for heading in ("day", "accounts", "first", "last"):
        table.add_column(heading, justify="left" if heading == "day" else "right", no_wrap=True)
    table.add_column("who")
    days: dict[str, list[AccountResult]] = defaultdict(list)
    for account in sorted(summary.liquidated, key=lambda one: one.liquidated_us or 0):
        days[_clock(account.liquidated_us or 0)[:10]].append(account)
    for day, accounts in days.items():
        first, last = (_clock(account.liquidated_us or 0)[11:] for account in (accounts[0], accounts[-1]))
        table.add_row(day, str(len(accounts)), first, last, _names(accounts))
    if not days:
        table.add_row("none", "0", "", "", "")
    return table


def _print_list(console: Console, title: str, accounts: Iterable[AccountResult]) -> None:
    listed = list(accounts)
    console.print(f"[bold]{title}:[/] {len(listed)}  [dim]{_names(listed)}[/]")


def _names(accounts: Sequence[AccountResult]) -> str:
    shown = ", ".join(account.account for account in accounts[:NAMES_SHOWN_MAX])
    more = len(accounts) - NAMES_SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown


def _processing(result: DemoResult) -> str:
    summary = result.summary
    bankrupt = sum(account.bankruptcies > 0 for account in summary.accounts)
    granted = sum(requests for is_granted, _, requests in summary.withdrawals if is_granted)
    refused = sum(requests for is_granted, _, requests in summary.withdrawals if not is_granted)
    return (
        f"[bold]Commands:[/] {summary.commands}, of which {summary.answers.get('filled', 0)} filled; "
        f"{bankrupt} accounts bankrupt; {result.refused_orders} later trades of liquidated accounts barred; "
        f"{result.paid_calls} calls paid.\n"
        f"[bold]Withdrawals and transfers:[/] {granted} granted, {refused} refused.\n"
        f"[bold]Records:[/] {summary.events:,} in, {result.topic_records:,} on all topics, "
        f"{summary.audit_rows:,} rows in the audit trail; "
        f"{summary.rows['dead_letters']} dead letters of {result.dead_letters_due} deliberate mistakes; "
        f"{result.elapsed_s:.1f} s."
    )


def _clock(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
