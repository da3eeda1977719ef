"""Both stores keep every value exactly, refuse what would be cut before it is sent, and sort failures alike."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

from streams.audit.connect import open_store
from streams.audit.errors import AuditError, AuditRefused, AuditUnavailable, ValueUnfit
from streams.audit.native import UnreadableBlock, decode_blocks, encode_block
from streams.audit.rows import INT64_MAX, INT64_MIN, row_for
from streams.audit.store import AuditStore, Parameter, bind
from streams.audit.tables import FILLS, LIQUIDATION_DECISIONS, MARKS, TABLES
from tests.schemas.examples import load
from tests.servers.clickhouse import ClickHouseProcess, RunningClickHouse, fresh_database
from tests.streams.audit.records import fill, record_of

HOSTILE = [
    "'; DROP TABLE fills; --",
    "\\'",
    "\\\\' OR 1=1",
    "line\nbreak\r\ttab",
    "nul\0byte",
    "{account:String}",
    "%(account)s %s %%",
    "héllo ☃ \U0001f600",
    '`backtick` "quote"',
    "/* comment */ --",
]


def row_of(offset: int = 0, **changes: object) -> tuple[object, ...]:
    """A fill's row with some columns replaced."""
    _, row = row_for("fills", 0, *record_of(fill(offset), offset))
    return tuple(changes.get(name, value) for name, value in zip(FILLS.names, row, strict=True))


def test_every_example_comes_back_as_it_went_in(store: AuditStore) -> None:
    examples = load("valid") + load("invalid")
    expected: dict[str, list[tuple[object, ...]]] = {table.name: [] for table in TABLES}
    for offset, example in enumerate(examples):
        table, row = row_for(example.topic, 0, offset, 1, example.key, example.value)
        expected[table.name].append(row)
    for table in TABLES:
        store.insert(table, expected[table.name])
        names = ", ".join(f"`{name}`" for name in table.names)
        answer = store.query(f"SELECT {names} FROM {table.name} ORDER BY src_topic, src_offset")
        assert {row[2]: row for row in expected[table.name]} == {row[2]: row for row in answer.rows}
        assert len(expected[table.name]) == len(answer.rows)


@pytest.mark.parametrize(
    "amount",
    ["0.000000000000000001", "-0.000000000000000001", "9999999999999999999.999999999999999999", "-1", "0"],
)
def test_an_amount_is_exact_to_the_last_of_18_decimals(store: AuditStore, amount: str) -> None:
    store.insert(FILLS, [row_of(quantity=Decimal(amount))])
    text = store.query("SELECT toString(quantity) AS q, quantity FROM fills").rows[0]
    assert (Decimal(amount), Decimal(amount)) == (Decimal(text[0]), text[1])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("quantity", Decimal("100000000000000000000")),
        ("quantity", Decimal("0.0000000000000000001")),
        ("quantity", Decimal("1E+999999")),
        ("quantity", Decimal("NaN")),
        ("quantity", Decimal("Infinity")),
        ("quantity", 1.5),
        ("src_offset", INT64_MAX + 1),
        ("src_offset", INT64_MIN - 1),
        ("src_offset", True),
        ("src_partition", 2**31),
        ("valid", 256),
        ("account", "\ud800"),
        ("account", 7),
    ],
)
def test_a_value_that_would_be_cut_is_refused_before_anything_is_sent(
    store: AuditStore, column: str, value: object
) -> None:
    with pytest.raises(ValueUnfit, match=rf"fills\.{column}"):
        store.insert(FILLS, [row_of(0), row_of(1, **{column: value})])
    assert [(0,)] == store.query("SELECT count() FROM fills").rows


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1])
def test_a_figure_must_be_a_finite_float(store: AuditStore, value: object) -> None:
    example = next(one for one in load("valid") if one.name == "liquidation_decision")
    table, row = row_for("margin-events", 0, 0, 0, example.key, example.value)
    broken = tuple(value if name == "equity_after" else held for name, held in zip(table.names, row, strict=True))
    assert LIQUIDATION_DECISIONS == table
    with pytest.raises(ValueUnfit, match="equity_after"):
        store.insert(table, [broken])


def test_an_array_holds_its_elements_to_the_same_bounds(store: AuditStore) -> None:
    example = next(one for one in load("valid") if one.topic == "marks")
    _, row = row_for("marks", 0, 0, 0, example.key, example.value)
    broken = tuple(
        [Decimal("1e-19")] if name == "surface_volatility" else held
        for name, held in zip(MARKS.names, row, strict=True)
    )
    with pytest.raises(ValueUnfit, match="surface_volatility"):
        store.insert(MARKS, [broken])


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_data_wherever_it_goes(store: AuditStore, text: str) -> None:
    store.insert(FILLS, [row_of(0, account=text, raw=text.encode() + b"\xff\x00")])
    sql = "SELECT account, raw, {account:String} AS echo FROM fills WHERE has({accounts:Array(String)}, account)"
    answer = store.query(sql, {"account": text, "accounts": [text, "other"]})
    assert [(text, text.encode() + b"\xff\x00", text)] == answer.rows
    assert [{"account": text, "raw": text.encode() + b"\xff\x00", "echo": text}] == answer.dicts()
    assert [] == store.query("SELECT account FROM fills WHERE account = {a:String}", {"a": text + "x"}).rows


@pytest.mark.parametrize("number", [0, -1, INT64_MAX, INT64_MIN])
def test_numbers_pass_as_parameters_exactly(store: AuditStore, number: int) -> None:
    sql = "SELECT {n:Int64} AS n, {f:Float64} AS f, {d:Decimal} AS d, {l:Array(Int64)} AS l, {e:Array(String)} AS e"
    amount = Decimal("-1.000000000000000001")
    answer = store.query(sql, {"n": number, "f": -1.5e-300, "d": amount, "l": [number, 1], "e": []})
    assert [(number, -1.5e-300, amount, [number, 1], [])] == [tuple(answer.rows[0])]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"n": "1"}, {"n": 2**63}, {"n": 1.5}, {"n": [1]}, {"n": 1, "m": 2}],
)
def test_missing_surplus_and_mistyped_parameters_are_refused(parameters: dict[str, Parameter]) -> None:
    with pytest.raises(AuditRefused, match="parameter"):
        bind("SELECT {n:Int64}", parameters)


def test_an_unknown_table_and_column_are_refused_not_retried(store: AuditStore) -> None:
    store.execute("DROP TABLE IF EXISTS gone")
    for sql, code in (("SELECT * FROM gone", 60), ("SELECT nothing FROM fills", 47)):
        with pytest.raises(AuditRefused) as refusal:
            store.query(sql)
        assert (code, False) == (refusal.value.code, refusal.value.retriable)
        assert "Stack trace" not in str(refusal.value)


def test_an_insert_into_a_table_of_another_schema_is_refused(store: AuditStore) -> None:
    store.execute("RENAME TABLE fills TO kept")
    try:
        store.execute("CREATE TABLE fills (src_topic String) ENGINE = Log")
        with pytest.raises(AuditRefused):
            store.insert(FILLS, [row_of()])
    finally:
        store.execute("DROP TABLE fills")
        store.execute("RENAME TABLE kept TO fills")
    store.insert(FILLS, [row_of()])
    assert [(1,)] == store.query("SELECT count() FROM fills").rows


def test_threads_may_share_a_store(store: AuditStore) -> None:
    found: list[int] = []

    def count(first: int) -> None:
        for offset in range(first, first + 5):
            store.insert(FILLS, [row_of(offset)])
            found.append(store.query("SELECT count() FROM fills").rows[0][0])

    threads = [threading.Thread(target=count, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (15, 15) == (len(found), store.query("SELECT count() FROM fills").rows[0][0])


def test_a_repeated_token_is_dropped_where_the_server_has_tokens(store: AuditStore) -> None:
    for _ in range(2):
        store.insert(FILLS, [row_of()], token="the same")
    expected = 1 if store.has_tokens else 2
    assert [(expected,)] == store.query("SELECT count() FROM fills").rows
    assert [(1,)] == store.query("SELECT count() FROM fills FINAL").rows


def test_a_truncated_table_forgets_its_tokens(chdb_store: AuditStore) -> None:
    chdb_store.insert(FILLS, [row_of()], token="again")
    chdb_store.execute("TRUNCATE TABLE fills")
    chdb_store.insert(FILLS, [row_of()], token="again")
    assert [(1,)] == chdb_store.query("SELECT count() FROM fills").rows


def test_a_read_only_user_is_an_outage_not_a_crash(server_store: AuditStore, clickhouse: ClickHouseProcess) -> None:
    if isinstance(clickhouse, RunningClickHouse):
        pytest.skip("the user exists on our own server only")
    database = server_store.query("SELECT currentDatabase() AS name").rows[0][0]
    reader = open_store(clickhouse.url(database, "analyst", "analyst"))
    with pytest.raises(AuditUnavailable, match="readonly"):
        reader.insert(FILLS, [row_of()])
    assert [(0,)] == reader.query("SELECT count() FROM fills").rows
    reader.create_database()
    reader.close()


def test_the_database_is_made_once(clickhouse: ClickHouseProcess | RunningClickHouse) -> None:
    store = open_store(f"{fresh_database(clickhouse)}_more")
    with pytest.raises(AuditRefused, match="_more"):
        store.query("SELECT 1")
    store.create_database()
    store.create_database()
    assert [(1,)] == store.query("SELECT 1").rows
    store.close()


def test_a_server_that_is_not_there_is_an_outage() -> None:
    store = open_store("clickhouse://default:@127.0.0.1:1/default")
    with pytest.raises(AuditUnavailable):
        store.query("SELECT 1")


@pytest.mark.parametrize("url", ["postgres://x", "", "clickhouse://h:9000/a-b;c", "chdb:///tmp/a?mode=ro"])
def test_an_odd_url_is_refused(url: str) -> None:
    with pytest.raises(AuditRefused):
        open_store(url)


def test_a_second_directory_in_one_process_is_an_outage(chdb_store: AuditStore, spare_directory: str) -> None:
    with pytest.raises(AuditUnavailable, match="another directory"):
        open_store(spare_directory)
    assert [(0,)] == chdb_store.query("SELECT count() FROM fills").rows


def test_a_closed_store_says_so(chdb_store: AuditStore, chdb_url: str) -> None:
    second = open_store(chdb_url)
    second.close()
    with pytest.raises(AuditError, match="closed"):
        second.query("SELECT 1")
    assert [(0,)] == chdb_store.query("SELECT count() FROM fills").rows


def test_blocks_of_all_types_decode_to_what_was_encoded() -> None:
    columns: list[tuple[str, str, list[object]]] = [
        ("a", "Int64", [1, -(2**63)]),
        ("b", "String", [b"\xff\x00", b"x" * 300]),
        ("c", "Decimal(38, 18)", [Decimal("-1E-18"), Decimal("12")]),
        ("d", "Array(Decimal(38, 18))", [[], [Decimal("0.5"), Decimal("2")]]),
        ("e", "Array(String)", [[b"p", b"q"], []]),
        ("f", "Float64", [0.1, -1e300]),
        ("g", "UInt8", [0, 255]),
    ]
    names, rows = decode_blocks(encode_block(columns, 2))
    assert tuple(name for name, _, _ in columns) == names
    assert list(zip(*(values for _, _, values in columns), strict=True)) == rows


def test_a_block_cut_short_or_of_an_unknown_type_is_unreadable() -> None:
    block = encode_block([("a", "Int64", [1, 2])], 2)
    with pytest.raises(UnreadableBlock, match="inside a block"):
        decode_blocks(block[:-1])
    with pytest.raises(UnreadableBlock, match="UUID"):
        decode_blocks(encode_block([("a", "Int64", [1])], 1).replace(b"\x05Int64", b"\x04UUID"))
