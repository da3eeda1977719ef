"""The compiled way of fills gives the rows of the ordinary way, byte for byte, and leaves what it is unsure of."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import encode
from streams.audit.blocks import Block, encode_texts, joined
from streams.audit.fill_blocks import fill_block
from streams.audit.native import encode_values
from streams.audit.records import AuditRecord, RecordColumns
from streams.audit.rows import row_for
from streams.audit.store import block_of
from streams.audit.tables import FILLS, MARKS
from tests.schemas.examples import load
from tests.streams.audit.records import START_MS, fill, fills

EXAMPLES = [one for one in load("valid") + load("invalid") if one.topic == "fills"]
PLAIN = json.loads(encode(fill(1)))

WIDEST = "9" * 19 + "." + "9" * 18
DAMAGE = b'",:{}[]\\.-+09aAe \n\x00\x7f\xff'

amounts = st.from_regex(r"\A-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?\Z") | st.sampled_from(
    [
        "-0",
        "0",
        "0.0",
        "-0.00",
        "00",
        "01",
        "1.",
        ".5",
        "+1",
        "1e3",
        "",
        "-",
        "1" * 20,
        "0." + "1" * 19,
        "9" * 19 + "." + "9" * 18,
    ]
)
identifiers = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}\Z") | st.sampled_from(
    ["", "-a", "a" * 64, "a" * 65, "a b", "é", 'a"b', "a\\b", "a\n", "\x7f"]
)
numbers = st.integers(-2, 2**63) | st.sampled_from([0, 4_102_444_800_000_000, 4_102_444_800_000_001, 1.0, "1", True])
members = st.fixed_dictionaries(
    {},
    optional={
        "v": st.sampled_from([1, 2, "1", 1.0, True, None]),
        "event_id": identifiers,
        "account": identifiers,
        "instrument": identifiers,
        "side": st.sampled_from(["buy", "sell", "bus", "sold", "", "BUY", None]),
        "quantity": amounts,
        "price": amounts,
        "fee": amounts,
        "trade_time_us": numbers,
        "command_id": st.none() | identifiers,
        "more": st.none(),
    },
)


def both(records: Sequence[AuditRecord], partition: int = 3) -> tuple[Block, int]:
    """The block of the compiled way after comparing it with the ordinary way, and how many records were left."""
    block, rows = fill_block(partition, RecordColumns.of(records))
    found = joined([block, block_of(FILLS, rows)]) if rows else block
    left = {row[2] for row in rows}
    ordered = sorted(records, key=lambda record: record.offset in left)
    expected = block_of(FILLS, [row_for("fills", partition, *record)[1] for record in ordered])
    for column, ours, theirs in zip(FILLS.columns, found.bodies, expected.bodies, strict=True):
        assert bytes(theirs) == bytes(ours), column.name
    return block, len(rows)


def document(**changes: object) -> bytes:
    return json.dumps(PLAIN | changes, separators=(",", ":")).encode()


def test_canonical_fills_need_no_ordinary_way() -> None:
    block, left = both(fills(0, 300))
    assert (300, 0) == (len(block), left)


def test_the_examples_have_their_rows() -> None:
    records = [AuditRecord(offset, START_MS, one.key, one.value) for offset, one in enumerate(EXAMPLES)]
    block, left = both(records)
    assert len(block) >= 1
    assert left >= 1
    assert len(EXAMPLES) == len(block) + left


@pytest.mark.parametrize(
    "value",
    [
        json.dumps(PLAIN, indent=1).encode() + b"\r\n\t ",
        json.dumps(dict(reversed(PLAIN.items()))).encode(),
        json.dumps({name: held for name, held in PLAIN.items() if name not in ("fee", "command_id")}).encode(),
        document(command_id="command-1", side="sell"),
        document(quantity="9999999999999999999.999999999999999999", fee="-9999999999999999999.999999999999999999"),
        document(trade_time_us=0),
        document(trade_time_us=4_102_444_800_000_000),
        document(instrument="A" * 64),
    ],
)
def test_other_spellings_of_a_fill_are_taken(value: bytes) -> None:
    assert 0 == both([AuditRecord(0, START_MS, b"alice", value)])[1]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b"[]",
        document() + b"x",
        document()[:-1],
        document()[:-1] + b",}",
        document()[:-1] + b',"fee":"0"}',
        b"{" + document(),
        document().replace(b"alice", b"al\\u0069ce"),
        document().replace(b'"v":1', b'"v":01'),
        document().replace(b'"v":1', b'"v":1.0'),
        document().replace(b":null", b":nul"),
        document().replace(b":null", b":nulll"),
        document(trade_time_us=4_102_444_800_000_001),
        document(quantity="0.000"),
        document(price="-1"),
        document() + b" " * 70_000,
        document(side="hold"),
        b"\xef\xbb\xbf" + document(),
    ],
)
def test_whatever_is_not_plain_is_left_to_the_ordinary_way(value: bytes | None) -> None:
    good = fills(1, 1)
    block, left = both([AuditRecord(0, START_MS, b"alice", value), *good])
    assert (1, 1) == (len(block), left)


@pytest.mark.parametrize("key", [None, b"", b"alic", b"alicf", b"alice "])
def test_another_key_is_left_to_the_ordinary_way(key: bytes | None) -> None:
    assert 1 == both([AuditRecord(0, START_MS, key, document())])[1]


@settings(max_examples=400, deadline=None)
@given(st.lists(members, min_size=1, max_size=6), st.booleans())
def test_any_members_give_the_same_row_either_way(changes: list[dict[str, object]], as_text: bool) -> None:
    separators = (", ", ": ") if as_text else (",", ":")
    records = []
    for offset, change in enumerate(changes):
        held = PLAIN | change
        value = json.dumps(held, separators=separators, ensure_ascii=as_text).encode()
        records.append(AuditRecord(offset, START_MS, str(held["account"]).encode(), value))
    both(records)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_damage_gives_the_same_row_either_way(data: st.DataObject) -> None:
    value = bytearray(document(command_id="command-1"))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(
            st.sampled_from(b'",:{}[]\\.-+09aAe \n\x00\x7f\xff')
        )
    cut = data.draw(st.integers(len(value) - 20, len(value)))
    both([AuditRecord(0, START_MS, b"alice", bytes(value[:cut])), AuditRecord(1, START_MS, b"alice", bytes(value))])


def test_absurd_record_times_stop_at_64_bits() -> None:
    times = [None, -1, 0, 2**63 - 1, -(2**63), (2**63 - 1) // 1000, (2**63 - 1) // 1000 + 1, -((2**63 - 1) // 1000) - 1]
    both([AuditRecord(offset, time, b"alice", document()) for offset, time in enumerate(times)])


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300) | st.integers(0, 20_000).map(bytes), max_size=8))
def test_texts_are_encoded_as_native_asks(texts: list[bytes]) -> None:
    start_R = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    pool_B = np.frombuffer(b"".join(texts), dtype=np.uint8)
    assert encode_values("String", texts) == bytes(encode_texts(pool_B, start_R[:-1], start_R[1:]))


def test_blocks_with_arrays_are_not_joined_bytewise() -> None:
    assert any(column.type.startswith("Array(") for column in MARKS.columns)
    empty = Block(MARKS, 0, tuple(b"" for _ in MARKS.columns))
    with pytest.raises(ValueError, match="marks"):
        joined([empty, empty])
