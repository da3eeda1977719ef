"""The command gap: a replayed log and the audit trail give the same report; alerts, switches and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from engine.waterfall.coverage import AlertLevel
from schemas.events.gap_at_risk import GapAtRiskV1, GapLayerV1, JumpShortfallV1
from streams.audit.inserter import BatchInserter
from streams.audit.store import AuditStore
from streams.cli import cli
from streams.gap_report import audited_gaps, gap_report
from tests.streams.audit.records import START_US, record_of, versions
from tests.streams.test_replay import deposit, fill, mark, market

HOUR_US = 3_600_000_000


def gap(partition: int, fall: float, number: int = 0, capacity: str = "1000") -> GapAtRiskV1:
    jumps = (
        JumpShortfallV1(jump="fall", total=fall, accounts=2, largest=(fall * 0.75, fall * 0.25)),
        JumpShortfallV1(jump="rise", total=10.0, accounts=1, largest=(10.0,)),
    )
    layers = (GapLayerV1(name="fund", capacity=capacity), GapLayerV1(name="own", capacity="500"))
    return GapAtRiskV1(
        v=1, event_id=f"gap-{partition}-{number}", partition=partition, accounts=5, unpriced=1, jumps=jumps,
        layers=layers, versions=versions(START_US + number),
    )  # fmt: skip


@pytest.mark.parametrize(
    "fall, level, switches",
    [
        (100.0, AlertLevel.CALM, ()),
        (400.0, AlertLevel.NOTICE, ()),
        (600.0, AlertLevel.WARNING, ("prepare_hedges",)),
        (800.0, AlertLevel.EXCEEDED,
         ("prepare_hedges", "raise_initial_margin_for_new_risk", "stop_profit_withdrawals")),
    ],
)  # fmt: skip
def test_partitions_add_up_and_the_worst_jump_sets_the_alert(
    fall: float, level: AlertLevel, switches: tuple[str, ...]
) -> None:
    report = gap_report([gap(0, fall), gap(1, fall)])

    assert ("fall", 2 * fall, 4, 1.5 * fall) == (
        report.jumps[0].jump, report.jumps[0].shortfall, report.jumps[0].accounts, report.jumps[0].largest,
    )  # fmt: skip
    assert (2, 10, 2, 1500.0) == (report.partitions, report.accounts, report.unpriced, report.resources)
    assert report.used == pytest.approx(2 * fall / 1500)
    assert report.used_by_largest == pytest.approx(1.5 * fall / 1500)
    assert (level, switches) == (report.level, report.switches)
    fund, own = min(2 * fall, 1000.0), min(max(2 * fall - 1000, 0.0), 500.0)
    assert (("fund", 1000.0, fund), ("own", 500.0, own)) == report.layers


def test_without_layers_nothing_is_promised() -> None:
    report = gap_report([replace(gap(0, 5.0), layers=())])

    assert (None, None, AlertLevel.CALM, ()) == (report.used, report.used_by_largest, report.level, report.switches)


def test_the_trail_gives_the_newest_record_of_every_partition(store: AuditStore) -> None:
    sent = [gap(1, 1.0), gap(0, 2.0), gap(1, 3.0, number=7)]
    BatchInserter(store).insert({("gap-at-risk", 0): [record_of(record, at) for at, record in enumerate(sent)]})

    assert [sent[1], sent[2]] == audited_gaps(store)


def log(tmp_path: Path, *, layers: bool = True) -> Path:
    """Carol is long a bitcoin on 30,000 dollars, and time enters an interval of snapshots."""
    lines = market()
    for line in lines:
        if line["key"].startswith("risk_parameters") and layers:
            line["value"]["gap"] = {"layers": [{"name": "fund", "capacity": "20000"}]}
            line["value"]["snapshot_interval_us"] = HOUR_US
    lines += [
        deposit("carol", "30000", 1),
        fill("carol", "1", 1, price="80000"),
        mark("BTC-USD-PERP", "80000", 3_700),
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_a_replayed_log_is_reported_and_an_exceeded_one_exits_3(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["gap", "--log", str(log(tmp_path)), "--json"])

    report = json.loads(result.stdout)
    worst = report["jumps"][0]
    assert ("all -50%", 1) == (worst["jump"], worst["accounts"])
    assert 9_000 < worst["shortfall"] < 11_000
    assert 20_000 == report["resources"]
    assert 0 == result.exit_code and "notice" == report["level"]
    text = CliRunner().invoke(cli, ["gap", "--log", str(log(tmp_path))])
    assert "the worst jump uses" in text.stdout and "layer fund" in text.stdout


def test_a_log_without_a_sweep_and_a_broken_one_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n".join(map(json.dumps, market())))
    assert "snapshot_interval_us" in CliRunner().invoke(cli, ["gap", "--log", str(empty)]).stderr
    empty.write_text("{")
    broken = CliRunner().invoke(cli, ["gap", "--log", str(empty)])
    assert (2, True) == (broken.exit_code, "line 1" in broken.stderr)
