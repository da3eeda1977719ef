"""The command waterfall: stated and audited losses over the layers of a document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from schemas.events.margin_events import MarginEventV1, MarginSnapshotV1, StatusChangedV1
from schemas.waterfall import decode_waterfall
from streams.audit.inserter import BatchInserter
from streams.audit.store import AuditStore
from streams.cli import cli
from streams.loss_report import audited_losses, audited_profits, loss_report
from tests.streams.audit.records import START_US, figures, margin_event, record_of, versions

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "losses" / "two-losses.json"


def run(document: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["waterfall", str(document), *options])


def changed(tmp_path: Path, **fields: Any) -> Path:
    path = tmp_path / "changed.json"
    path.write_text(json.dumps({**json.loads(EXAMPLE.read_bytes()), **fields}))
    return path


def test_each_loss_meets_what_those_before_it_left() -> None:
    result = run(EXAMPLE, "--json")

    assert 0 == result.exit_code, result.stderr
    report = json.loads(result.stdout)
    first, second = report["cases"]
    assert {"insurance fund": 180_000, "venue": 0, "backstop": 0, "winners": 0} == first["layers"]
    assert {"insurance fund": 70_000, "venue": 100_000, "backstop": 500_000, "winners": 230_000} == second["layers"]
    assert {"carol": 150_000, "dave": 60_000} == second["shares"], "at most half of what each has won"
    assert (20_000, 0) == (report["unpaid"], report["fund_left"])
    assert "borne by nobody" in run(EXAMPLE).stdout


def test_a_case_stated_twice_is_paid_once(tmp_path: Path) -> None:
    twice = changed(tmp_path, losses=[{"case": "alice/3", "amount": "180000"}] * 2)

    assert 70_000 == json.loads(run(twice, "--json").stdout)["fund_left"]


@pytest.mark.parametrize(
    "fields, named",
    [
        ({"fund": "-1"}, "fund"),
        ({"layers": []}, "layers"),
        ({"layers": [{"name": "x", "kind": "goodwill"}]}, "kind"),
        ({"layers": [{"name": "fund", "kind": "insurance_fund", "capacity": "5"}]}, "layers[0].capacity"),
        ({"layers": [{"name": "x", "kind": "backstop"}, {"name": "y", "kind": "backstop"}]}, "layers"),
        ({"losses": [{"case": "a", "amount": "0"}]}, "amount"),
        ({"share_max": "1.5"}, "share"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, fields: dict[str, Any], named: str) -> None:
    result = run(changed(tmp_path, **fields))

    assert 2 == result.exit_code
    assert named in result.stderr


def closed(number: int, account: str, equity: float, after: str = "closed") -> StatusChangedV1:
    event = margin_event(0, number, account)
    assert isinstance(event, StatusChangedV1)
    return replace(event, after=after, figures=figures(equity), versions=versions(START_US + 100 - number))


def winner(number: int, account: str, profit: float) -> MarginSnapshotV1:
    event = margin_event(4, number, account)
    assert isinstance(event, MarginSnapshotV1)
    return replace(event, figures=replace(event.figures, unrealized_pnl=profit))


def test_the_trail_knows_who_was_closed_in_debt_and_who_won(store: AuditStore) -> None:
    events: list[MarginEventV1] = [
        closed(1, "alice", -1_000.5),
        closed(2, "bob", -20.0),
        closed(3, "carol", 5.0),
        closed(4, "dave", -7.0),
        closed(5, "dave", 100.0, after="healthy"),
        winner(6, "erin", 50.0),
        winner(7, "erin", 800.0),
        winner(8, "frank", -3.0),
    ]
    records = [record_of(event, offset) for offset, event in enumerate(events)]
    BatchInserter(store).insert({("margin-events", 0): records})

    losses = audited_losses(store)
    assert [("event-2", 2_000_000_000), ("event-1", 100_050_000_000)] == [
        (loss.case_id, loss.amount_e8) for loss in losses
    ], "in order of time; dave has paid since, carol owes nothing"
    assert {"erin": 80_000_000_000} == audited_profits(store)
    poor = decode_waterfall(b'{"v":1,"fund":"500","layers":[{"name":"f","kind":"insurance_fund"},'
                            b'{"name":"w","kind":"loss_allocation"}]}')  # fmt: skip
    report = loss_report(poor, losses, audited_profits(store)).as_json()
    assert (0.0, 0.0) == (report["fund_left"], report["unpaid"])
    assert [{}, {"erin": 520.5}] == [case["shares"] for case in report["cases"]]  # type: ignore[union-attr]
