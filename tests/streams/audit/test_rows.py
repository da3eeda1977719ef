"""Every record gives one row, whatever its bytes; amounts are exact."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import encode
from streams.audit.rows import INT64_MAX, row_for
from streams.audit.store import fitted
from streams.audit.tables import ADDRESS, TABLES, TOPICS, tables_of
from tests.schemas.examples import Example, load
from tests.streams.audit.records import START_MS, fill, margin_event, record_of

VALID = load("valid")
INVALID = load("invalid")


def row_of(topic: str, key: bytes | None, value: bytes | None) -> tuple[str, dict[str, object]]:
    table, row = row_for(topic, 3, 42, START_MS, key, value)
    assert len(table.columns) == len(row)
    assert len(list(fitted(table, [row]))) == len(row)
    return table.name, dict(zip(table.names, row, strict=True))


@pytest.mark.parametrize("example", VALID, ids=str)
def test_a_valid_example_fills_the_columns_of_its_table(example: Example) -> None:
    table, row = row_of(example.topic, example.key, example.value)
    assert (1, "", example.value, example.key) == (row["valid"], row["error"], row["raw"], row["key"])
    assert (example.topic, 3, 42, START_MS * 1000) == tuple(row[column.name] for column in ADDRESS[:4])
    typed = row.keys() - {column.name for column in ADDRESS}
    document = json.loads(example.value or b"")
    plain = {field: given for field, given in document.items() if isinstance(given, str) and field in typed}
    assert plain
    for field, given_text in plain.items():
        held = row[field]
        assert (Decimal(given_text) if isinstance(held, Decimal) else given_text) == held, f"{table}.{field}"


@pytest.mark.parametrize("example", INVALID, ids=str)
def test_an_invalid_example_keeps_its_bytes(example: Example) -> None:
    table, row = row_of(example.topic, example.key, example.value)
    assert table in {candidate.name for candidate in tables_of(example.topic)}
    assert (example.value or b"", example.key or b"") == (row["raw"], row["key"])
    if row["valid"] == 0:
        assert tables_of(example.topic)[0].name == table
        assert row["error"]


def test_every_kind_of_margin_event_has_a_table_of_its_own() -> None:
    records = [record_of(margin_event(kind, 1), 0) for kind in range(6)]
    tables = [row_of("margin-events", record.key, record.value)[0] for record in records]
    assert [table.name for table in tables_of("margin-events")] == tables


def test_every_table_takes_a_valid_example() -> None:
    assert {table.name for table in TABLES} == {row_of(one.topic, one.key, one.value)[0] for one in VALID}


@pytest.mark.parametrize("quantity", ["0.000000000000000001", "9999999999999999999.999999999999999999"])
def test_an_amount_is_exactly_what_was_spelled(quantity: str) -> None:
    _, row = row_of("fills", b"alice", encode(fill(1, quantity=quantity)))
    assert quantity == str(row["quantity"]) or Decimal(quantity) == row["quantity"]
    assert Decimal("-1e-18") == row["fee"]


@pytest.mark.parametrize("field", ["change", "parameters_version"])
def test_a_counter_beyond_64_bits_is_kept_as_undecodable(field: str) -> None:
    record = record_of(margin_event(0, 1), 0)
    document = json.loads(record.value or b"")
    (document if field in document else document["versions"])[field] = INT64_MAX + 1
    table, row = row_of("margin-events", record.key, json.dumps(document).encode())
    assert ("status_changes", 0, f"does_not_fit:{field}") == (table, row["valid"], row["error"])


def test_an_applied_offset_beyond_64_bits_is_kept_as_undecodable() -> None:
    record = record_of(margin_event(4, 1), 0)
    document = json.loads(record.value or b"")
    document["versions"]["offsets"]["fills"] = 2**63
    table, row = row_of("margin-events", record.key, json.dumps(document).encode())
    assert ("status_changes", "does_not_fit:applied_offsets") == (table, row["error"])


def test_a_tombstone_is_told_apart_from_an_empty_value() -> None:
    tombstone = row_of("reference", b"instrument:X", None)[1]
    empty = row_of("reference", b"instrument:X", b"")[1]
    assert ("tombstone", "empty_value:") == (tombstone["error"], empty["error"])


@pytest.mark.parametrize(("timestamp_ms", "expected"), [(None, 0), (-1, -1000), (2**63 - 1, INT64_MAX)])
def test_an_absurd_record_time_still_fits(timestamp_ms: int | None, expected: int) -> None:
    table, row = row_for("fills", 0, 0, timestamp_ms, b"alice", encode(fill(1)))
    assert expected == row[table.names.index("ts_us")]


def test_a_topic_that_is_not_audited_is_refused() -> None:
    with pytest.raises(KeyError):
        row_for("changelog", 0, 0, 0, b"", b"")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TOPICS), st.none() | st.binary(max_size=40), st.none() | st.binary(max_size=200))
def test_any_bytes_give_one_row_that_fits(topic: str, key: bytes | None, value: bytes | None) -> None:
    table, row = row_of(topic, key, value)
    assert tables_of(topic)[0].name == table
    assert (value or b"") == row["raw"]
