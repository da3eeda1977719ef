"""Every named query runs on every server it claims, and answers rightly on a small world with known answers."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.codec import Record, decode, topic_of
from schemas.events.collateral import CollateralV1
from schemas.events.control import LiquidationControlV1
from schemas.events.fills import FillV1
from schemas.events.gap_at_risk import GapAtRiskV1, JumpShortfallV1
from schemas.events.liquidations import LiquidationAckV1
from schemas.events.margin_events import MarginSnapshotV1, WithdrawalDecidedV1
from schemas.events.prices import MarkV1
from schemas.events.reference import CollateralAssetV1, InstrumentV1, RiskParametersV1
from schemas.events.settlements import SettlementV1
from streams.audit.errors import QueryUnsupported
from streams.audit.evidence import EVIDENCE
from streams.audit.inserter import BatchInserter
from streams.audit.queries import QUERIES, Query
from streams.audit.records import AuditRecord
from streams.audit.store import Answer, AuditStore, Parameter
from tests.streams.audit.conftest import emptied
from tests.streams.audit.records import (
    HOUR_US,
    START_US,
    command,
    dead_letter,
    figures,
    fill,
    margin_event,
    record_of,
    stored,
    versions,
)

COOKBOOK = Path(__file__).resolve().parents[3] / "docs" / "sql-cookbook.md"
ALL = {**QUERIES, **EVIDENCE}
ANY: dict[str, Parameter] = {
    "account": "alice",
    "event_id": "event-1",
    "command_id": "command-1",
    "decision_id": "event-1",
    "from_us": 0,
    "to_us": 2**62,
    "at_us": 2**62,
    "fills_offset": 2**62,
    "collateral_offset": 2**62,
    "liquidation_acks_offset": 2**62,
    "mark_version": 2**62,
    "after_version": -1,
    "reference_version": 2**62,
    "settlement_version": 2**62,
    "control_version": 2**62,
}


def snapshot(number: int, account: str, hour: float, initial: float, isolated: float) -> MarginSnapshotV1:
    return MarginSnapshotV1(
        v=1, event_id=f"snapshot-{number}", account=account, status="healthy",
        figures=figures(1000.0, initial, isolated), greeks={"BTC": {"delta": float(number)}},
        versions=versions(START_US + int(hour * HOUR_US)),
    )  # fmt: skip


def gap(partition: int, fall: float, minute: int) -> GapAtRiskV1:
    jumps = (
        JumpShortfallV1(jump="fall", total=fall, accounts=2, largest=(fall,)),
        JumpShortfallV1(jump="rise", total=1.0, accounts=1, largest=(1.0,)),
    )
    return GapAtRiskV1(
        v=1, event_id=f"gap-{minute}", partition=partition, accounts=9, unpriced=0, jumps=jumps, layers=(),
        versions=versions(START_US + minute * 60_000_000),
    )  # fmt: skip


def mark(feed: str, price: str, second: int) -> MarkV1:
    return MarkV1(
        v=1, feed=feed, price=price, confidence="0", volatility=(), funding_rate="0", funding_index_linear="0",
        funding_index_inverse="0", mark_time_us=START_US + second * 1_000_000, sources=("one",),
    )  # fmt: skip


def movement(number: int, kind: str, amount: str, account: str = "alice") -> CollateralV1:
    return CollateralV1(
        v=1, event_id=f"request-{number}", account=account, kind=kind, asset="USD", amount=amount,  # type: ignore[arg-type]  # the caller spells a kind
        event_time_us=START_US + number,
    )  # fmt: skip


def parameters(version: int) -> RiskParametersV1:
    return RiskParametersV1(
        v=1, version=version, effective_us=START_US, underlyings={}, price_steps=("0", "0.16"), tails=(),
        maintenance_factor="0.8", liquidation_target="1.1", release_buffer="0.05", limit_price_band="0.02",
        mark_age_us_max=5_000_000, command_ttl_us=1_000_000, snapshot_interval_us=60_000_000,
    )  # fmt: skip


def instrument(feed: str = "BTC") -> InstrumentV1:
    return InstrumentV1(
        v=1, instrument="BTC-PERP", contract="linear_perpetual", underlying="BTC", settlement_asset="USD",
        mark_feed=feed, multiplier="1", tick="0.1", lot="0.001",
    )  # fmt: skip


def world() -> list[Record]:
    """A day of two accounts: alice is liquidated, bob's withdrawal is refused."""
    granted = WithdrawalDecidedV1(
        v=1, event_id="event-90", account="alice", request_id="request-3", asset="USD", amount="0.25", granted=True,
        versions=versions(),
    )  # fmt: skip
    ack = LiquidationAckV1(
        v=1, event_id="ack-1", command_id="command-1", account="alice", state="filled", filled_quantity="0.5",
        event_time_us=START_US + 20,
    )  # fmt: skip
    closing = FillV1(
        v=1, event_id="fill-9", account="alice", instrument="BTC-PERP", side="sell", quantity="0.5", price="19500",
        fee="0", trade_time_us=START_US + 15, command_id="command-1",
    )  # fmt: skip
    huge = "9999999999999999999.999999999999999999"
    return [
        *(fill(number, account) for number, account in ((0, "alice"), (1, "bob"), (2, "alice"))),
        closing,
        *(movement(number, "deposit", huge) for number in range(3)),
        movement(3, "withdrawal", "0.25"),
        movement(4, "withdrawal", "7", "bob"),
        ack,
        instrument("ETH"),
        CollateralAssetV1(v=1, asset="USD", haircut="0"),
        parameters(1),
        parameters(2),
        instrument("BTC"),
        mark("BTC", "20000", 0),
        mark("ETH", "1500", 1),
        mark("BTC", "21000", 10),
        LiquidationControlV1(
            v=1, event_id="h-1", scope="account", target="alice", mode="halt", until_us=START_US + 60_000_000,
            issued_by="ann", reason="disputed fill", event_time_us=START_US,
        ),
        SettlementV1(v=1, event_id="s-1", instrument="BTC-28MAR25", price="20000", event_time_us=START_US),
        margin_event(0, 5),
        margin_event(1, 1),
        margin_event(5, 9),
        margin_event(3, 7),
        granted,
        WithdrawalDecidedV1(
            v=1, event_id="event-91", account="bob", request_id="request-4", asset="USD", amount="7", granted=False,
            refusal="below_initial_margin", versions=versions(),
        ),
        snapshot(1, "alice", 0.1, 400.0, 800.0),
        snapshot(2, "alice", 0.2, 300.0, 800.0),
        snapshot(3, "bob", 0.3, 1100.0, 1200.0),
        snapshot(4, "bob", 1.5, 100.0, 200.0),
        command(1),
        gap(1, 1_800.0, 1),
        gap(0, 2.5, 2),
        gap(1, 40.0, 3),
        dead_letter(1),
        dead_letter(2),
        dead_letter(3, "unknown_field"),
    ]  # fmt: skip


def fill_store(store: AuditStore) -> None:
    batch: dict[tuple[str, int], list[AuditRecord]] = {}
    for record in world():
        records = batch.setdefault((topic_of(record), 0), [])
        records.append(record_of(record, len(records)))
    fills = batch["fills", 0]
    fills += [AuditRecord(4, 1, b"alice", b"{broken"), AuditRecord(5, 1, b"carol", None)]
    BatchInserter(store).insert(batch)


@pytest.fixture(scope="module", params=["chdb", "server"])
def filled(request: pytest.FixtureRequest) -> AuditStore:
    """The world on each kind of store in turn; tests read it only."""
    found: AuditStore = request.getfixturevalue(f"{request.param}_migrated")
    fill_store(emptied(found))
    return found


@pytest.fixture(scope="module")
def modern(chdb_migrated: AuditStore) -> AuditStore:
    """The world on a current release."""
    fill_store(emptied(chdb_migrated))
    return chdb_migrated


@pytest.fixture
def changeable(store: AuditStore) -> Iterator[AuditStore]:
    """The world for a test that changes it, and the shared one again afterwards."""
    fill_store(store)
    yield store
    fill_store(emptied(store))


def ask(store: AuditStore, query: Query, **given: Parameter) -> Answer:
    return query.run(store, **{name: given.get(name, ANY[name]) for name in query.parameters})


def test_every_query_runs_wherever_it_claims_to(filled: AuditStore) -> None:
    for query in ALL.values():
        if filled.server_version >= query.requires:
            assert ask(filled, query).rows, query.name
        else:
            with pytest.raises(QueryUnsupported, match=query.name):
                ask(filled, query)


def test_most_queries_run_on_the_oldest_server() -> None:
    assert {"net_deposits", "price_age_at_liquidation", "feed_silence", "liquidation_outcomes"} == {
        name for name, query in ALL.items() if query.requires > (18, 16)
    }


def test_who_was_liquidated_and_why(filled: AuditStore) -> None:
    (row,) = ask(filled, QUERIES["liquidated_accounts"]).dicts()
    assert ("alice", "event-1", 100.0, 250.0, 150.0) == (
        row["account"], row["decision_id"], row["equity"], row["maintenance_margin"], row["margin_shortfall"],
    )  # fmt: skip
    assert [("sell", Decimal("0.5"), "BTC-PERP")] == [
        (side, Decimal(quantity), instrument) for side, quantity, instrument in map(str.split, row["orders"])
    ]
    assert ["BTC", "ETH"] == row["worst_scenario_underlyings"]


def test_what_became_of_each_command(modern: AuditStore) -> None:
    (row,) = ask(modern, QUERIES["liquidation_outcomes"]).dicts()
    assert (Decimal("0.5"), 0.5, 19500.0, "filled") == (
        row["ordered"], row["filled"], row["average_price"], row["last_state"],
    )  # fmt: skip


def test_the_timeline_of_an_account_is_in_order_and_complete(filled: AuditStore) -> None:
    rows = ask(filled, QUERIES["account_timeline"]).dicts()
    assert sorted(row["time_us"] for row in rows) == [row["time_us"] for row in rows]
    kinds = {"fill", "deposit", "withdrawal", "status", "liquidation decision", "liquidation command",
             "liquidation ack", "withdrawal answer", "position settled", "execution anomaly"}  # fmt: skip
    assert kinds == {row["what"] for row in rows}
    assert [] == ask(filled, QUERIES["account_timeline"], account="nobody").rows


def test_margin_utilization_takes_the_last_snapshot_of_each_hour(filled: AuditStore) -> None:
    rows = ask(filled, QUERIES["margin_utilization_by_hour"]).dicts()
    assert [(2, 1), (1, 0)] == [(row["accounts"], row["above_one"]) for row in rows]
    assert (0.1, 0.1) == (rows[1]["median"], rows[1]["p95"])
    assert datetime.timedelta(hours=1) == rows[1]["hour"] - rows[0]["hour"]


@pytest.mark.parametrize(("name", "expected"), [("capital_by_hour", [(1400, 2000), (100, 200)]),
                                                ("capital_by_day", [(400, 1000)])])  # fmt: skip
def test_cross_margin_is_compared_with_isolated(filled: AuditStore, name: str, expected: list[tuple[int, int]]) -> None:
    rows = ask(filled, QUERIES[name]).dicts()
    assert expected == [(row["initial_margin_cross"], row["initial_margin_isolated"]) for row in rows]
    for row in rows:
        assert 1 - row["initial_margin_cross"] / row["initial_margin_isolated"] == row["saving"]


def test_the_accounts_nearest_to_liquidation_come_first(filled: AuditStore) -> None:
    rows = ask(filled, QUERIES["least_margin_excess"], at_us=START_US + HOUR_US).dicts()
    assert [("bob", 450.0), ("alice", 850.0)] == [(row["account"], row["margin_excess"]) for row in rows]


def test_greeks_add_up_the_last_snapshots(filled: AuditStore) -> None:
    assert [("BTC", "delta", 6.0)] == ask(filled, QUERIES["greeks_by_underlying"]).rows


def test_net_deposits_are_exact_where_a_plain_sum_would_wrap(modern: AuditStore) -> None:
    deposited = 3 * Decimal("9999999999999999999.999999999999999999")
    exact = Decimal("29999999999999999999.999999999999999997")
    (row,) = ask(modern, QUERIES["net_deposits"]).dicts()
    assert ("USD", exact, Decimal("0.25"), 0) == (
        row["asset"], row["deposited"], row["withdrawn"], row["transferred"],
    )  # fmt: skip
    assert deposited != exact, "Python's default context rounds here; ClickHouse must not"


def test_the_age_of_the_price_behind_a_liquidation(modern: AuditStore) -> None:
    (row,) = ask(modern, QUERIES["price_age_at_liquidation"]).dicts()
    assert ("BTC", Decimal(20000), 0) == (row["feed"], row["mark_price"], row["mark_age_us"])


def test_silence_and_steps_of_feeds(modern: AuditStore) -> None:
    rows = ask(modern, QUERIES["feed_silence"]).dicts()
    assert [("BTC", 10_000_000), ("ETH", 0)] == [(row["feed"], row["silence_us_max"]) for row in rows]
    assert 0.05 == pytest.approx(rows[0]["step_max"])


def test_dead_letters_and_undecodable_records_are_counted(filled: AuditStore) -> None:
    letters = ask(filled, QUERIES["dead_letters_by_reason"]).dicts()
    assert [("bad_format", 2, "fills:0:1"), ("unknown_field", 1, "fills:0:3")] == [
        (row["reason"], row["letters"], row["first_address"]) for row in letters
    ]
    assert {("fills", "malformed_json:", 1), ("fills", "tombstone", 1)} == set(ask(filled, QUERIES["undecodable"]).rows)


def test_completeness_counts_every_topic_and_sees_holes_and_repeats(changeable: AuditStore) -> None:
    columns = ("row_count", "duplicates", "first_offset", "last_offset", "unseen")
    rows = {row["src_topic"]: row for row in ask(changeable, QUERIES["completeness"]).dicts()}
    assert 11 == len(rows)
    assert [6, 0, 0, 5, 0] == [rows["fills"][name] for name in columns]
    changeable.execute("INSERT INTO marks SELECT * FROM marks WHERE src_offset = 1")
    BatchInserter(changeable).insert({("marks", 0): [record_of(mark("BTC", "1", 20), 9)]})
    rows = {row["src_topic"]: row for row in ask(changeable, QUERIES["completeness"]).dicts()}
    assert [5, 1, 0, 9, 6] == [rows["marks"][name] for name in columns]


def test_inputs_of_an_account_include_what_could_not_be_decoded(filled: AuditStore) -> None:
    rows = ask(filled, EVIDENCE["account_inputs"], collateral_offset=0, liquidation_acks_offset=-1).dicts()
    assert [("collateral", 0), ("fills", 0), ("fills", 2), ("fills", 3), ("fills", 4)] == [
        (row["src_topic"], row["src_offset"]) for row in rows
    ]
    assert (b"{broken", 0) == (rows[-1]["raw"], rows[-1]["valid"])


@pytest.mark.parametrize(("version", "expected"), [(-1, []), (0, [("BTC", 0)]), (1, [("BTC", 0), ("ETH", 1)]),
                                                   (2, [("BTC", 2), ("ETH", 1)])])  # fmt: skip
def test_marks_as_of_a_version_are_the_newest_of_each_feed(
    filled: AuditStore, version: int, expected: list[tuple[str, int]]
) -> None:
    rows = ask(filled, EVIDENCE["marks_as_of"], mark_version=version).rows
    assert expected == [row[:2] for row in rows]


def test_marks_between_versions_are_in_order(filled: AuditStore) -> None:
    rows = ask(filled, EVIDENCE["marks_between"], after_version=0, mark_version=2).rows
    assert [1, 2] == [row[1] for row in rows]


def test_reference_as_of_a_version_keeps_every_parameter_version(filled: AuditStore) -> None:
    before = ask(filled, EVIDENCE["reference_as_of"], reference_version=3).rows
    now = ask(filled, EVIDENCE["reference_as_of"]).rows
    assert [("collateral_asset", "USD", 1), ("instrument", "BTC-PERP", 0), ("risk_parameters", "1", 2),
            ("risk_parameters", "2", 3)] == [row[:3] for row in before]  # fmt: skip
    assert ("instrument", "BTC-PERP", 4) == now[1][:3]


def test_controls_as_of_a_version_and_who_ordered_them(filled: AuditStore) -> None:
    rows = EVIDENCE["controls_as_of"].run(filled, control_version=0).rows
    assert [("account", "alice", 0)] == [row[:3] for row in rows]
    assert isinstance(decode("liquidation-control", rows[0][-1]), LiquidationControlV1)
    assert [] == EVIDENCE["controls_as_of"].run(filled, control_version=-1).rows
    (hold,) = ask(filled, QUERIES["liquidation_holds"]).rows
    assert (START_US, "account", "alice", "halt", START_US + 60_000_000, "ann", "", "disputed fill") == hold


def test_gap_at_risk_adds_the_last_figure_of_every_partition(filled: AuditStore) -> None:
    rows = ask(filled, QUERIES["gap_at_risk_by_jump"]).rows
    assert [("fall", 42.5, 4), ("rise", 2.0, 2)] == [row[1:] for row in rows]


def test_decisions_and_commands_are_found_by_id_with_their_bytes(filled: AuditStore) -> None:
    (event,) = ask(filled, EVIDENCE["margin_event"]).dicts()
    (order,) = ask(filled, EVIDENCE["command"]).dicts()
    (leg,) = ask(filled, EVIDENCE["commands_of_decision"]).dicts()
    assert ("liquidation_decision", record_of(margin_event(1, 1), 0).value) == (event["type"], event["raw"])
    assert (record_of(command(1), 0).value, order["raw"]) == (order["raw"], leg["raw"])
    assert [] == ask(filled, EVIDENCE["command"], command_id="' OR 1 = 1 --").rows


def test_the_view_of_parameters_has_a_row_per_version(filled: AuditStore) -> None:
    sql = "SELECT version, reference_version, maintenance_factor, price_steps FROM parameter_versions ORDER BY version"
    steps = [Decimal(0), Decimal("0.16")]
    assert [(1, 2, Decimal("0.8"), steps), (2, 3, Decimal("0.8"), steps)] == filled.query(sql).rows


def test_a_repeat_changes_no_answer(changeable: AuditStore) -> None:
    names = [
        name for name, query in ALL.items() if changeable.server_version >= query.requires and name != "completeness"
    ]
    before = {name: ask(changeable, ALL[name]).rows for name in names}
    for table in ("fills", "liquidations", "liquidation_decisions", "margin_snapshots", "marks", "dead_letters"):
        changeable.execute(f"INSERT INTO {table} SELECT * FROM {table}")
    assert before == {name: ask(changeable, ALL[name]).rows for name in names}


def test_a_month_can_be_forgotten_as_the_cookbook_says(changeable: AuditStore) -> None:
    changeable.execute("ALTER TABLE prices DROP PARTITION 202403")
    changeable.execute("ALTER TABLE fills DROP PARTITION 202311")
    # The two undecodable ones were published in 1970, which counts as the first month of 2020.
    assert [4, 5] == stored(changeable, "fills")


def test_a_modern_server_takes_the_retention_rule_of_the_cookbook(modern: AuditStore) -> None:
    rule = "ALTER TABLE prices MODIFY TTL toDateTime(intDiv(ts_us, 1000000)) + INTERVAL 90 DAY"
    assert rule in COOKBOOK.read_text(encoding="utf-8")
    modern.execute(rule)
    modern.execute("ALTER TABLE prices REMOVE TTL")


def test_the_cookbook_shows_exactly_the_named_queries() -> None:
    text = COOKBOOK.read_text(encoding="utf-8")
    shown = re.findall(r"^### `(\w+)`\n\n(.+?)\n\n```sql\n(.+?)\n```$", text, flags=re.MULTILINE | re.DOTALL)
    assert list(QUERIES) == [name for name, _, _ in shown]
    for name, purpose, sql in shown:
        requires = QUERIES[name].requires
        note = f" Needs ClickHouse {requires[0]}.{requires[1]}." if requires > (18, 16) else ""
        assert (QUERIES[name].purpose + note, QUERIES[name].sql) == (purpose, sql)
    for name, query in EVIDENCE.items():
        assert f"| `{name}` | {query.purpose} |" in text
