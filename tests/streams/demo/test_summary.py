"""The summary's SQL against the same figures counted from the records themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from matplotlib.image import imread
from rich.console import Console

from schemas.events.liquidations import LiquidationCommandV1
from schemas.events.margin_events import MarginSnapshotV1, StatusChangedV1, WithdrawalDecidedV1
from streams.audit.connect import open_store
from streams.audit.migrations import Migrator
from streams.audit.store import AuditStore
from streams.demo.chart import draw
from streams.demo.population import PROBE
from streams.demo.prices import INDEX, MINUTE_US, USDC
from streams.demo.report import DemoResult, print_report
from streams.demo.summary import Summary, read_series, summarize
from tests.streams.demo.rehearsal import Rehearsal


@pytest.fixture(scope="module")
def store(rehearsal: Rehearsal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditStore]:
    opened = open_store(f"chdb://{tmp_path_factory.mktemp('audit')}")
    Migrator(opened).apply()
    rehearsal.audit(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def summary(rehearsal: Rehearsal, store: AuditStore) -> Summary:
    groups = {account.name: account.group.value for account in rehearsal.exchange.population.accounts}
    return summarize(store, groups, PROBE)


def test_every_record_is_one_row(rehearsal: Rehearsal, summary: Summary) -> None:
    assert sum(map(len, rehearsal.topics.values())) == summary.audit_rows
    assert len(rehearsal.topics["fills"]) == summary.rows["fills"]
    inputs = ("fills", "prices", "collateral", "liquidation-acks", "reference", "settlements")
    assert sum(len(rehearsal.topics[topic]) for topic in inputs) == summary.events


def test_margins_are_averages_over_snapshots_summed_over_accounts(rehearsal: Rehearsal, summary: Summary) -> None:
    cross: dict[str, list[float]] = defaultdict(list)
    isolated: dict[str, list[float]] = defaultdict(list)
    for event in rehearsal.topics["margin-events"]:
        if isinstance(event, MarginSnapshotV1):
            cross[event.account].append(event.figures.initial_margin)
            isolated[event.account].append(event.figures.isolated_initial_margin)

    assert summary.margin_cross == pytest.approx(sum(sum(values) / len(values) for values in cross.values()))
    assert summary.margin_isolated == pytest.approx(sum(sum(values) / len(values) for values in isolated.values()))
    assert 0 < summary.margin_cross < summary.margin_isolated


def test_commands_calls_and_accounts_are_those_of_the_run(rehearsal: Rehearsal, summary: Summary) -> None:
    commands = [record for record in rehearsal.topics["liquidations"] if isinstance(record, LiquidationCommandV1)]
    called = {
        event.account
        for event in rehearsal.topics["margin-events"]
        if isinstance(event, StatusChangedV1) and event.after == "margin_call"
    }

    assert 40 == len(summary.accounts)
    assert len(commands) == summary.commands == summary.answers["filled"]
    assert summary.first_command in {command.command_id for command in commands}
    assert {command.account for command in commands} == {account.account for account in summary.liquidated}
    assert called == {account.account for account in summary.accounts if account.calls}
    assert rehearsal.exchange.tally.liquidated == {account.account for account in summary.liquidated}


def test_withdrawals_leave_out_the_probe(rehearsal: Rehearsal, summary: Summary) -> None:
    decisions = [event for event in rehearsal.topics["margin-events"] if isinstance(event, WithdrawalDecidedV1)]

    expected = sum(decision.account != PROBE for decision in decisions)
    assert expected == sum(requests for _, _, requests in summary.withdrawals)


def test_the_worst_minute_lies_in_the_depeg(rehearsal: Rehearsal, summary: Summary) -> None:
    minutes = rehearsal.exchange.minutes
    assert summary.worst_minute is not None
    at_us, accounts = summary.worst_minute

    assert minutes[0].time_us <= at_us <= minutes[-1].time_us
    assert 1 <= accounts <= len(summary.liquidated)


def test_the_series_reach_from_the_first_to_the_last_minute(rehearsal: Rehearsal, store: AuditStore) -> None:
    minutes, step_us = rehearsal.exchange.minutes, rehearsal.exchange.snapshot_minutes * MINUTE_US
    series = read_series(store, (INDEX, USDC), MINUTE_US, step_us, 18 * MINUTE_US)

    assert len(minutes) == len(series.prices[INDEX]) == len(series.prices[USDC])
    assert min(value for _, value in series.prices[USDC]) == pytest.approx(0.875, abs=0.003)
    assert len(minutes) // rehearsal.exchange.snapshot_minutes == len(series.margin)
    assert all(cross <= isolated for _, cross, isolated in series.margin)
    assert len(rehearsal.exchange.tally.liquidated) == sum(accounts for _, accounts in series.liquidated)


def test_the_chart_is_a_large_picture(rehearsal: Rehearsal, store: AuditStore, tmp_path: Path) -> None:
    step_us = rehearsal.exchange.snapshot_minutes * MINUTE_US
    draw(read_series(store, (INDEX, USDC), MINUTE_US, step_us, 18 * MINUTE_US), tmp_path / "report.png", "title")

    height, width, _ = imread(tmp_path / "report.png").shape
    assert height > 1000 and width > 1000


def test_the_report_names_who_was_liquidated_and_what_netting_saved(
    rehearsal: Rehearsal, summary: Summary, tmp_path: Path
) -> None:
    result = DemoResult(summary, summary.audit_rows, 12, 1, 2, tmp_path / "audit", tmp_path / "report.png", 1.0)
    text = StringIO()
    print_report(result, Console(file=text, width=140))

    said = text.getvalue()
    for account in summary.liquidated:
        assert account.account in said
    assert "Saved by netting" in said
    assert f"{summary.margin_cross / 1000:,.0f}" in said
    assert summary.audit_rows == result.figures()["audit_rows"]
