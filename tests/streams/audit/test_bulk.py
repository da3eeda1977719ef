"""Columns encoded at once are those encoded value by value, or none are."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.audit.bulk import encode_bulk
from streams.audit.native import encode_values
from streams.audit.rows import row_for
from streams.audit.store import fitted
from streams.audit.tables import TABLES
from tests.schemas.examples import load

AMOUNT = "Decimal(38, 18)"
wide = st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**19) + 1, max_value=10**19 - 1)


def test_every_column_of_every_example_is_encoded_at_once() -> None:
    rows: dict[str, list[tuple[object, ...]]] = {table.name: [] for table in TABLES}
    for offset, example in enumerate(load("valid") + load("invalid")):
        table, row = row_for(example.topic, 0, offset, 1, example.key, example.value)
        rows[table.name].append(row)
    for table in TABLES:
        for (column, slow), quick in zip(
            fitted(table, rows[table.name]), zip(*rows[table.name], strict=True), strict=True
        ):
            body = encode_bulk(column.type, quick)
            assert body is not None, column
            assert encode_values(column.type, slow) == bytes(body), column


@settings(deadline=None)
@given(st.lists(wide | st.sampled_from([Decimal("-0"), Decimal("1E+3"), Decimal("1E-18"), Decimal(0)]), max_size=6))
def test_amounts_are_exact(values: list[Decimal]) -> None:
    assert encode_values(AMOUNT, values) == bytes(encode_bulk(AMOUNT, values) or b"")


@settings(deadline=None)
@given(st.lists(st.lists(st.text(max_size=5), max_size=4), max_size=5))
def test_arrays_of_text_are_exact(values: list[list[str]]) -> None:
    try:
        expected = encode_values("Array(String)", [[item.encode() for item in value] for value in values])
    except UnicodeEncodeError:
        assert encode_bulk("Array(String)", values) is None
    else:
        assert expected == bytes(encode_bulk("Array(String)", values) or b"")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (AMOUNT, Decimal("NaN")),
        (AMOUNT, Decimal("-Infinity")),
        (AMOUNT, Decimal("1E+999999")),
        (AMOUNT, Decimal("1E-999999")),
        (AMOUNT, Decimal("1E-19")),
        (AMOUNT, Decimal(10**19)),
        (AMOUNT, 1.5),
        ("Int64", 2**63),
        ("Int64", -(2**63) - 1),
        ("Int64", True),
        ("Int32", 2**31),
        ("UInt8", -1),
        ("Float64", float("nan")),
        ("Float64", 1),
        ("String", "\ud800"),
        ("String", 7),
        ("Array(Int64)", [2**63]),
        ("Array(Int64)", 7),
        ("Array(Float64)", [float("inf")]),
    ],
)
def test_what_does_not_fit_is_left(kind: str, value: object) -> None:
    assert encode_bulk(kind, [value]) is None
