"""The compiled reader of fills against the codec: what it takes has the codec's values, and it takes what is usual."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.columns.fill_columns import FillColumns
from engine.columns.names import UNKNOWN, Names
from engine.events import Fill, Source
from engine.ids import event_key
from engine.units import INT64_MAX
from schemas.codec import INPUT_BYTES_MAX, SchemaError, decode_record
from streams.translate import to_account_event
from streams.translate.fill_lane import scan
from tests.schemas.examples import Example, load

FILLS = [example for example in load("valid") if example.topic == "fills"]
REFUSED = [example for example in load("invalid") if example.topic == "fills"]
EXOTIC = {"surplus_zeros_are_exact"}
"""Valid, but not spelled as a publisher would: the codec's."""

ALSO_VALID = {"repeated_field_last_counts"}
"""Among the invalid ones for what the last of the repeated members says."""

PLAIN: dict[str, object] = {
    "v": 1,
    "event_id": "fill-000001",
    "account": "alice",
    "instrument": "BTC-USD-PERP",
    "side": "buy",
    "quantity": "0.25",
    "price": "80000.5",
    "fee": "-8.00005",
    "trade_time_us": 1_741_564_801_000_000,
    "command_id": "00000001000100002af8b743ee91ba7e",
}
LARGEST = f"{INT64_MAX // 10**8}.{INT64_MAX % 10**8:08}"
ACCOUNTS, INSTRUMENTS = Names(), Names()
for _name in (b"alice", b"bob", b"a", b"z" * 64):
    ACCOUNTS.intern(_name)
for _name in (b"BTC-USD-PERP", b"ETH/USD:spot", b"B"):
    INSTRUMENTS.intern(_name)


def scanned(keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> FillColumns:
    return scan(keys, values, range(7, 7 + len(values)), ACCOUNTS, INSTRUMENTS)


def takes(value: bytes | None, key: bytes | None = b"alice") -> bool:
    columns = scanned([key], [value])
    check([key], [value], columns)
    return bool(columns.lane_N[0])


def row(columns: FillColumns, at: int) -> tuple[int, ...]:
    return tuple(int(column[at]) for column in columns)


def expected_row(key: bytes | None, value: bytes | None, offset: int) -> tuple[int, ...]:
    """What the definition says: decoded, translated, and numbered."""
    fill = to_account_event(decode_record("fills", key, value), Source("fills", 0, offset))
    assert isinstance(fill, Fill)
    return (
        1,
        offset,
        ACCOUNTS.number(fill.account.encode()),
        INSTRUMENTS.number(fill.instrument.encode()),
        fill.quantity_e8,
        fill.price_e8,
        fill.fee_e8,
        fill.trade_time_us,
        int.from_bytes(event_key(fill.event_id), "little"),
        int.from_bytes(fill.body_digest, "little"),
        int(fill.command_id != ""),
    )


def check(keys: Sequence[bytes | None], values: Sequence[bytes | None], columns: FillColumns) -> None:
    """Every record is taken with the values of the definition, or left untouched."""
    left = (UNKNOWN, UNKNOWN, 0, 0, 0, 0, 0, 0, 0)
    for at, (key, value) in enumerate(zip(keys, values, strict=True)):
        offset = 7 + at
        if columns.lane_N[at]:
            assert expected_row(key, value, offset) == row(columns, at), value
        else:
            assert (0, offset, *left) == row(columns, at), value


def changed(**changes: object) -> bytes:
    return orjson.dumps({**PLAIN, **changes})


def without(*names: str) -> bytes:
    return orjson.dumps({name: value for name, value in PLAIN.items() if name not in names})


@pytest.mark.parametrize("example", FILLS, ids=str)
def test_valid_examples_are_taken_unless_exotic(example: Example) -> None:
    assert (example.name not in EXOTIC) == takes(example.value, example.key)


@pytest.mark.parametrize("example", REFUSED, ids=str)
def test_invalid_examples_are_left(example: Example) -> None:
    assert not takes(example.value, example.key)


@pytest.mark.parametrize(
    "value",
    [
        orjson.dumps(PLAIN),
        json.dumps(PLAIN).encode(),
        json.dumps(PLAIN, indent=2).encode(),
        json.dumps(PLAIN, indent="\t").replace("\n", "\r\n").encode(),
        json.dumps(PLAIN, sort_keys=True, separators=(",", ":")).encode(),
        json.dumps(dict(reversed(PLAIN.items()))).encode(),
        msgspec.json.encode(PLAIN),
        b" \r\n\t" + orjson.dumps(PLAIN) + b"\n",
        without("command_id"),
        without("fee"),
        without("fee", "command_id"),
        changed(command_id=None),
        changed(fee="0"),
        changed(fee="-0"),
        changed(fee="-0.00000001"),
        changed(fee="-" + LARGEST),
        changed(price=LARGEST),
        changed(quantity="0.00000001"),
        changed(quantity="1.50000000"),
        changed(event_id="A" * 64),
        changed(event_id="7._:/-"),
        changed(trade_time_us=0),
        changed(trade_time_us=4_102_444_800_000_000),
        changed(instrument="UNHEARD-OF"),
    ],
)
def test_what_publishers_write_is_taken(value: bytes) -> None:
    assert takes(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b"{",
        b'{"',
        b'{""',
        b'{"":1}',
        b" ",
        orjson.dumps(PLAIN)[:-1],
        orjson.dumps(PLAIN)[:-1] + b",}",
        orjson.dumps(PLAIN) + b"{}",
        orjson.dumps(PLAIN) + b"\0",
        orjson.dumps(PLAIN) + b"\x0b",
        b"\xef\xbb\xbf" + orjson.dumps(PLAIN),
        orjson.dumps(PLAIN) + b" " * INPUT_BYTES_MAX,
        orjson.dumps(PLAIN)[:-1] + b',"quantity":"0.25"}',
        orjson.dumps(PLAIN).replace(b"alice", b"\\u0061lice"),
        orjson.dumps(PLAIN).replace(b'"price"', b'"\\u0070rice"'),
        orjson.dumps(PLAIN).replace(b'"v":1', b'"v":1.0'),
        orjson.dumps(PLAIN).replace(b'"v":1', b'"v":01'),
        orjson.dumps(PLAIN).replace(b'"v":1', b'"v":-1'),
        orjson.dumps(PLAIN).replace(b"1741564801000000", b"1741564801000000.0"),
        orjson.dumps(PLAIN).replace(b"1741564801000000", b"1741564801e6"),
        orjson.dumps(PLAIN).replace(b"1741564801000000", b"01741564801000000"),
        orjson.dumps(PLAIN).replace(b"1741564801000000", b"00"),
        orjson.dumps(PLAIN).replace(b"1741564801000000", b"-0"),
        changed(trade_time_us=4_102_444_800_000_001),
        changed(trade_time_us=2**64 - 1),
        changed(trade_time_us=None),
        changed(v=2),
        changed(v=11),
        changed(v="1"),
        changed(fee=None),
        changed(fee=""),
        changed(fee="-"),
        changed(fee="+1"),
        changed(fee="--1"),
        changed(fee="1."),
        changed(fee=".5"),
        changed(fee="-00"),
        changed(fee="92233720368.54775808"),
        changed(fee="100000000000"),
        changed(fee="9" * 20),
        changed(quantity="0"),
        changed(quantity="0.0"),
        changed(quantity="-1"),
        changed(quantity="01"),
        changed(quantity="1e3"),
        changed(quantity="1.000000000"),
        changed(quantity="1\x7f"),
        changed(price="1.5.5"),
        changed(price="1" + "0" * 40),
        changed(side="Buy"),
        changed(side="buys"),
        changed(command_id=""),
        changed(command_id="a" * 65),
        changed(event_id="-a"),
        changed(event_id="a b"),
        changed(event_id="é"),
        changed(event_id="a\n"),
        changed(venue="new"),
        without("v"),
        without("event_id"),
        without("account"),
        without("quantity"),
    ],
)
def test_what_is_odd_is_left(value: bytes | None) -> None:
    assert not takes(value)


@pytest.mark.parametrize("key", [None, b"", b"alic", b"alicf", b"alice ", b"ALICE", b"alice\0", b"bob"])
def test_another_key_than_the_account_is_left(key: bytes | None) -> None:
    assert not takes(orjson.dumps(PLAIN), key)


def test_differently_spelled_fills_are_repeats_and_different_ones_are_not() -> None:
    values = [
        orjson.dumps(PLAIN),
        json.dumps({**dict(reversed(PLAIN.items())), "quantity": "0.2500", "fee": "-8.000050"}).encode(),
        *(
            changed(**{name: value})
            for name, value in [
                ("side", "sell"),
                ("quantity", "0.26"),
                ("price", "80000.6"),
                ("fee", "8.00005"),
                ("trade_time_us", 1),
                ("instrument", "B"),
                ("command_id", "b"),
            ]
        ),
        changed(command_id=None),
    ]
    columns = scanned([b"alice"] * len(values), values)
    check([b"alice"] * len(values), values, columns)
    assert [1] * len(values) == columns.lane_N.tolist()
    digests = columns.body_digest_N.tolist()
    assert digests[0] == digests[1]
    assert len(values) - 1 == len(set(digests))


def test_a_bad_record_costs_only_itself() -> None:
    good = orjson.dumps(PLAIN)
    values = [good, good[:-1], None, good, b'{"v":1,', good]
    keys = [b"alice", b"alice", None, b"bob", b"alice", b"alice"]
    columns = scanned(keys, values)
    check(keys, values, columns)
    assert [1, 0, 0, 0, 0, 1] == columns.lane_N.tolist()


def test_an_empty_batch() -> None:
    assert 0 == len(scanned([], []).lane_N)


def test_a_batch_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(AssertionError, match="a key, a value and an offset"):
        scan([b"alice"], [orjson.dumps(PLAIN)], [1, 2], ACCOUNTS, INSTRUMENTS)


identifiers = st.sampled_from(["alice", "bob", "a", "z" * 64]) | st.from_regex(
    r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}", fullmatch=True
)
instruments = st.sampled_from(["BTC-USD-PERP", "ETH/USD:spot", "B"]) | identifiers


@st.composite
def amounts(draw: st.DrawFn, signed: bool = False) -> str:
    """Any amount a row can hold, in any spelling with at most eight decimals."""
    scaled = draw(st.integers(1, INT64_MAX) | st.integers(1, 10**12) | st.just(INT64_MAX))
    whole, fraction = divmod(scaled, 10**8)
    digits = f"{fraction:08}"
    kept = draw(st.integers(len(digits.rstrip("0")), 8))
    sign = draw(st.sampled_from(["", "-"])) if signed else ""
    return f"{sign}{whole}" + (f".{digits[:kept]}" if kept else "")


@st.composite
def fills(draw: st.DrawFn) -> dict[str, object]:
    fill: dict[str, object] = {
        "v": 1,
        "event_id": draw(identifiers),
        "account": draw(identifiers),
        "instrument": draw(instruments),
        "side": draw(st.sampled_from(["buy", "sell"])),
        "quantity": draw(amounts()),
        "price": draw(amounts()),
        "trade_time_us": draw(st.integers(0, 4_102_444_800_000_000)),
    }
    if draw(st.booleans()):
        fill["fee"] = draw(amounts(signed=True) | st.sampled_from(["0", "0.00", "-0.0"]))
    if draw(st.booleans()):
        fill["command_id"] = draw(st.none() | identifiers)
    return {name: fill[name] for name in draw(st.permutations(list(fill)))}


@settings(max_examples=300, deadline=None)
@given(st.lists(fills(), max_size=6), st.sampled_from([None, 0, 1, "\t"]), st.sampled_from([(",", ":"), (" ,", " : ")]))
def test_every_ordinary_fill_is_taken_with_its_values(
    batch: list[dict[str, object]], indent: int | str | None, separators: tuple[str, str]
) -> None:
    values = [json.dumps(fill, indent=indent, separators=separators).encode() for fill in batch]
    keys = [str(fill["account"]).encode() for fill in batch]
    columns = scanned(keys, values)
    check(keys, values, columns)
    assert [1] * len(batch) == columns.lane_N.tolist()


PIECES = [
    *b'{}[]",:\\.-+eE0123456789 \t\r\n\0\x0b\x7f\x80\xc3\xff/aZ',
    b'"v":1,', b'"fee":"1",', b'"fee":null,', b'"command_id":null,', b'"x":1,', b"null", b"true", b"00", b"1e5",
    b"\\u0061", b'"side":"sell",', b"0.0", b".00000000", b".000000001", b"99999999999", b"-",
]  # fmt: skip


def mutated(chance: random.Random, value: bytes) -> bytes:
    """``value`` with one to three pieces of it overwritten, removed, inserted, repeated or moved."""
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(value) + 1)
        stop = min(len(value), start + chance.choice([0, 1, 1, 2, 8, 30]))
        piece = chance.choice(PIECES)
        inserted = bytes([piece]) if isinstance(piece, int) else piece
        match chance.randrange(4):
            case 0:
                value = value[:start] + inserted + value[start:]
            case 1:
                value = value[:start] + inserted + value[stop:]
            case 2:
                value = value[:start] + value[stop:]
            case _:
                goal = chance.randrange(len(value) + 1)
                value = value[:goal] + value[start:stop] + value[goal:]
    return value


def respelled(chance: random.Random) -> bytes:
    """A fill whose members are in any order, some absent, some twice, some values odd."""
    odd: dict[str, list[object]] = {
        "fee": ["0", "-0", "1.123456789", None, 3, "00"],
        "quantity": ["1", "0", "1.10", "92233720368.54775807", "92233720368.54775808", "9" * 18],
        "trade_time_us": [0, -1, 4_102_444_800_000_000, 4_102_444_800_000_001, 1.0, "1"],
        "v": [1, 1, 1, 2, True, 1.0],
        "command_id": [None, "x", "", 1],
        "account": ["alice", "bob", ""],
    }
    members = [
        (name, chance.choice(odd[name]) if name in odd and chance.random() < 0.2 else value)
        for name, value in PLAIN.items()
        if chance.random() > 0.03
    ]
    if chance.random() < 0.1:
        members.append(chance.choice(members or [("v", 1)]))
    chance.shuffle(members)
    spaces = [chance.choice(["", "", " ", "\n  ", "\t"]) for _ in range(3)]
    text = f",{spaces[0]}".join(f"{json.dumps(name)}{spaces[1]}:{json.dumps(value)}" for name, value in members)
    return f"{spaces[2]}{{{text}}}".encode()


@pytest.mark.parametrize("seed", range(5))
def test_damaged_records_are_taken_only_with_the_values_of_the_codec(seed: int) -> None:
    chance = random.Random(seed)
    sources = [orjson.dumps(PLAIN), json.dumps(PLAIN, indent=1).encode(), without("fee", "command_id")]
    values = [mutated(chance, chance.choice(sources)) for _ in range(4000)]
    values += [respelled(chance) for _ in range(2000)]
    keys: list[bytes | None] = [b"alice"] * len(values)
    columns = scanned(keys, values)
    check(keys, values, columns)
    # Otherwise the damage is too little, or too much, to try anything.
    assert 600 < int(columns.lane_N.sum()) < 5000
    # Few records that the codec accepts are left: those with escapes, repeats and surplus decimals.
    accepted = sum(map(is_accepted, values))
    assert accepted * 0.7 < int(columns.lane_N.sum()) < accepted


def is_accepted(value: bytes) -> bool:
    try:
        to_account_event(decode_record("fills", b"alice", value), Source("fills", 0, 0))
    except SchemaError:
        return False
    return True
