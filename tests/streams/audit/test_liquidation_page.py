"""The liquidation page: the story as the trail has it, escaped, in the order of what happened."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from schemas.codec import Record, topic_of
from schemas.events.liquidations import LiquidationAckV1
from schemas.events.margin_events import LiquidationDecisionV1, StatusChangedV1
from streams.audit.connect import open_store
from streams.audit.inserter import BatchInserter
from streams.audit.migrations import Migrator
from streams.audit.records import AuditRecord
from streams.audit.store import AuditStore
from streams.cli import cli
from streams.liquidation_page import AccountStory, page, read_story
from tests.servers.clickhouse import ClickHouseProcess, RunningClickHouse, fresh_database
from tests.streams.audit.records import START_US, command, fill, margin_event, record_of, versions


def changed(before: str, after: str, second: int) -> StatusChangedV1:
    event = margin_event(0, second)
    assert isinstance(event, StatusChangedV1)
    return replace(event, before=before, after=after, versions=versions(START_US + second * 1_000_000))


def answer(command_id: str, state: str, second: int) -> LiquidationAckV1:
    return LiquidationAckV1(
        v=1, event_id=f"{command_id}:{state}", command_id=command_id, account="alice", state=state,  # type: ignore[arg-type]
        filled_quantity="1", event_time_us=START_US + second * 1_000_000,
    )  # fmt: skip


def world() -> list[Record]:
    decision = margin_event(1, 1)
    assert isinstance(decision, LiquidationDecisionV1)
    spoken = replace(decision, explanation="frees <most> & costs least")
    anomaly = margin_event(5, 9)
    return [
        changed("healthy", "cancelling", 1),
        changed("cancelling", "liquidating", 2),
        spoken,
        command(1),
        answer("command-1", "accepted", 3),
        answer("command-1", "filled", 4),
        replace(fill(1, quantity="0.25", price="19000"), command_id="command-1"),
        replace(fill(2, quantity="0.75", price="20000"), command_id="command-1"),
        fill(3),
        anomaly,
        command(2, account="bob", decision="other"),
    ]


@pytest.fixture
def filled(store: AuditStore) -> AuditStore:
    batch: dict[tuple[str, int], list[AuditRecord]] = {}
    for record in world():
        records = batch.setdefault((topic_of(record), 0), [])
        records.append(record_of(record, len(records)))
    BatchInserter(store).insert(batch)
    return store


def test_the_story_is_read_from_the_trail(filled: AuditStore) -> None:
    story = read_story(filled, "alice")

    assert ["cancelling", "liquidating"] == [change.after for change in story.changes]
    assert ["event-1"] == [decision.event_id for decision in story.decisions]
    assert ["command-1"] == [each.command_id for each in story.commands["event-1"]]
    assert ["accepted", "filled"] == [each.state for each in story.answers["command-1"]]
    assert 2 == len(story.fills["command-1"]) and [""] != list(story.fills)
    assert ["silent_executor"] == [each.anomaly for each in story.anomalies]


def test_the_page_tells_it_in_order_and_escapes_what_others_wrote(filled: AuditStore) -> None:
    html = page(read_story(filled, "alice"))

    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.split("</style>")[1]))
    assert "frees &lt;most&gt; &amp; costs least" in html and "<most>" not in html
    assert text.index("cancelling liquidating") < text.index("Liquidation 1") < text.index("Anomalies")
    assert "19,750" in text, "the average of both fills"
    assert "accepted, filled" in text
    assert "costs less than 12.25 (gap 2.00%)" in text and "price -16% 1.00" in text
    assert "script" not in html and "http" not in html


def test_an_account_without_a_story_is_an_empty_page() -> None:
    assert "0 rounds planned" in page(AccountStory("nobody"))


def test_the_command_writes_a_file_and_names_an_unknown_account(
    clickhouse: ClickHouseProcess | RunningClickHouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = fresh_database(clickhouse)
    own = open_store(url)
    Migrator(own).apply()
    records = [record_of(record, at) for at, record in enumerate(world()[:3])]
    BatchInserter(own).insert({("margin-events", 0): records})
    own.close()
    monkeypatch.setenv("CROSSMARGIN_CLICKHOUSE", url)
    out = tmp_path / "alice.html"

    assert 0 == CliRunner().invoke(cli, ["report", "alice", "--out", str(out)]).exit_code
    assert out.read_text().startswith("<!DOCTYPE html>")
    plain = json.loads(CliRunner().invoke(cli, ["report", "alice", "--json"]).stdout)
    assert ["cancelling", "liquidating"] == [change["after"] for change in plain["changes"]]
    unknown = CliRunner().invoke(cli, ["report", "nobody"])
    assert 2 == unknown.exit_code and "account" in unknown.stderr
