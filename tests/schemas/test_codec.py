"""The codec: every record or a named error, whatever the bytes."""

from __future__ import annotations

import json
import string

import msgspec
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.catalogue import load_catalogue
from schemas.codec import (
    INPUT_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    SchemaError,
    decode,
    decode_record,
    encode,
    key_of,
    topic_of,
)
from schemas.errors import Reason
from schemas.events.fills import FillV1
from tests.schemas.examples import Example, load, valid

FILL = valid("fills", "buy_linear_perpetual")
TRANSLATION_REASONS = {"too_many_decimals", "amount_out_of_range", "parameters_invalid"}


def changed(**changes: object) -> bytes:
    assert isinstance(FILL.plain, dict)
    return orjson.dumps({**FILL.plain, **changes})


def refusal(topic: str, value: bytes | None) -> tuple[str, str]:
    with pytest.raises(SchemaError) as caught:
        decode(topic, value)
    return caught.value.reason, caught.value.field


@pytest.mark.parametrize("given_example", load("valid"), ids=str)
def test_valid_example_survives_a_round_trip(given_example: Example) -> None:
    record = decode_record(given_example.topic, given_example.key, given_example.value)
    assert given_example.topic == topic_of(record)
    assert given_example.key == key_of(record)
    assert record == decode(given_example.topic, encode(record))


@pytest.mark.parametrize("given_example", load("invalid"), ids=str)
def test_invalid_example_is_refused_for_its_reason_by_codec_or_translation(given_example: Example) -> None:
    if given_example.reason in TRANSLATION_REASONS or (given_example.topic, given_example.name) in {
        ("prices", "surface_volatility_is_absurd"),
        ("prices", "surface_moneyness_is_absurd"),
    }:
        decode_record(given_example.topic, given_example.key, given_example.value)
        return
    with pytest.raises(SchemaError) as caught:
        decode_record(given_example.topic, given_example.key, given_example.value)
    assert (given_example.reason, given_example.field) == (caught.value.reason, caught.value.field)


def test_every_topic_has_valid_and_invalid_examples() -> None:
    assert set(load_catalogue()) == {item.topic for item in load("valid")} == {item.topic for item in load("invalid")}


def test_examples_hold_at_least_a_hundred_broken_records() -> None:
    assert len(load("invalid")) >= 100


def test_size_is_checked_before_parsing() -> None:
    assert ("too_large", "") == refusal("fills", b"[" * (INPUT_BYTES_MAX + 1))
    assert ("too_large", "") == refusal("margin-events", b"[" * (OUTPUT_BYTES_MAX + 1))
    assert ("wrong_type", "") == refusal("fills", b"[" * INPUT_BYTES_MAX)


def test_output_topics_allow_what_carries_a_whole_input_record() -> None:
    letter = valid("dead-letters", "bad_fill").plain
    assert isinstance(letter, dict)
    value = orjson.dumps({**letter, "payload_base64": "A" * 4 * (INPUT_BYTES_MAX // 3 + 1)})
    assert len(value) > INPUT_BYTES_MAX
    assert "fills" == decode("dead-letters", value).topic  # type: ignore[union-attr]


def test_unknown_topic_is_named() -> None:
    assert ("unknown_topic", "topic") == refusal("trades", b"{}")


@pytest.mark.parametrize("depth", [100, 10_000, 30_000])
@pytest.mark.parametrize(
    ("topic", "opening"),
    [
        ("fills", b"["),
        ("fills", b'{"a":'),
        ("fills", b'{"v":1,"account":['),
        ("fills", b'{"v":1,"account":'),
        ("margin-events", b'{"type":"margin_snapshot","greeks":'),
        ("margin-events", b'{"type":"status_changed","figures":'),
        ("reference", b'{"type":"risk_parameters","underlyings":'),
    ],
)
def test_deep_nesting_is_a_schema_error(topic: str, opening: bytes, depth: int) -> None:
    for nested in (b"[", b'{"a":'):
        value = (opening + nested * depth)[:INPUT_BYTES_MAX]
        with pytest.raises(SchemaError):
            decode(topic, value)


def test_version_2_is_reported_before_anything_else_that_changed() -> None:
    assert ("unsupported_version", "v") == refusal("fills", changed(v=2, quantity=1, venue="new", account=None))
    assert ("unsupported_version", "v") == refusal("reference", b'{"v": 7, "type": "index"}')
    assert ("unsupported_version", "v") == refusal("fills", b'{"v": 99999999999}')


def test_last_of_a_repeated_member_counts() -> None:
    assert FILL.value is not None
    record = decode("fills", FILL.value[:-1] + b',"quantity":"9"}')
    assert isinstance(record, FillV1)
    assert "9" == record.quantity


def test_key_at_fault_in_a_mapping_is_named_even_with_dots_in_it() -> None:
    command = valid("liquidations", "sell").plain
    assert isinstance(command, dict)
    offsets = {f"t.{number}": number for number in range(300)} | {"t.17": "x", "last": "y"}
    value = orjson.dumps({**command, "versions": {**command["versions"], "offsets": offsets}})
    assert ("wrong_type", "versions.offsets.t.17") == refusal("liquidations", value)


def test_hostile_field_name_reaches_no_log_unescaped() -> None:
    name = "\x1b[31m\n\u202e" + "x" * 500
    with pytest.raises(SchemaError) as caught:
        decode("fills", orjson.dumps({name: 1}))
    for text in (caught.value.field, caught.value.detail, str(caught.value)):
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 600


def test_canonical_bytes_do_not_depend_on_spelling() -> None:
    assert isinstance(FILL.plain, dict)
    spelled = json.dumps(dict(reversed(FILL.plain.items())), indent=3).encode()
    assert FILL.value is not None
    assert encode(decode("fills", FILL.value)) == encode(decode("fills", spelled))


def test_canonical_bytes_sort_members_of_mappings() -> None:
    command = valid("liquidations", "sell").plain
    assert isinstance(command, dict)
    turned = {**command, "versions": {**command["versions"], "offsets": {"fills": 17, "collateral": 3}}}
    assert b'"offsets":{"collateral":3,"fills":17}' in encode(decode("liquidations", orjson.dumps(turned)))


def test_parameters_of_each_version_have_a_key_of_their_own() -> None:
    parameters = valid("reference", "parameters").plain
    assert isinstance(parameters, dict)
    keys = {key_of(decode("reference", orjson.dumps({**parameters, "version": version}))) for version in (1, 2)}
    assert {b"risk_parameters:1", b"risk_parameters:2"} == keys


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
field_names = st.sampled_from([*FillV1.__struct_fields__, "type", "volatility", "versions", "underlyings"])
topics = st.sampled_from(sorted(load_catalogue()))


@given(topics, st.binary(max_size=200))
@example("fills", b"\x00")
def test_any_bytes_are_a_record_or_a_schema_error(topic: str, value: bytes) -> None:
    try:
        decode(topic, value)
    except SchemaError as error:
        assert error.reason in list(Reason)


@settings(max_examples=150)
@given(topics, st.dictionaries(field_names | st.text(max_size=5), json_values, max_size=8))
def test_any_json_object_is_a_record_or_a_schema_error(topic: str, plain: dict[str, object]) -> None:
    try:
        decode(topic, json.dumps(plain).encode())
    except SchemaError as error:
        assert error.reason in list(Reason)


@settings(max_examples=300)
@given(st.sampled_from(load("valid")), st.data())
def test_a_valid_example_with_one_value_replaced_is_sound_or_named(given_example: Example, data: st.DataObject) -> None:
    assert isinstance(given_example.plain, dict)
    name = data.draw(st.sampled_from(sorted(given_example.plain)))
    value = json.dumps({**given_example.plain, name: data.draw(json_values)}).encode()
    try:
        record = decode(given_example.topic, value)
    except SchemaError as error:
        assert error.reason in list(Reason)
        assert error.reason == "malformed_json" or error.field
    else:
        assert record == decode(given_example.topic, encode(record))


@settings(max_examples=200)
@given(st.sampled_from(load("valid")), st.data())
def test_a_valid_example_with_one_byte_changed_never_breaks_the_codec(
    given_example: Example, data: st.DataObject
) -> None:
    assert given_example.value is not None
    place = data.draw(st.integers(0, len(given_example.value) - 1))
    byte = data.draw(st.integers(0, 255))
    value = given_example.value[:place] + bytes([byte]) + given_example.value[place + 1 :]
    try:
        decode(given_example.topic, value)
    except SchemaError as error:
        assert error.reason in list(Reason)


amount_texts = st.text(alphabet=string.digits + "+-.eE_ \n\uff11", max_size=45)


@settings(max_examples=400)
@given(amount_texts)
@example("1\n")
@example("0.0")
@example("00.1")
@example("1.")
def test_quantity_is_accepted_iff_it_is_plain_decimal_above_zero(text: str) -> None:
    whole, point, fraction = text.partition(".")
    sound = (
        text.isascii()
        and whole.isdigit()
        and (whole == "0" or not whole.startswith("0"))
        and len(whole) <= 19
        and (not point or (fraction.isdigit() and len(fraction) <= 18))
        and text.strip("0.") != ""
    )
    try:
        decode("fills", changed(quantity=text))
    except SchemaError as error:
        assert not sound
        assert ("bad_format", "quantity") == (error.reason, error.field)
    else:
        assert sound


def test_structs_are_immutable() -> None:
    record = decode("fills", FILL.value)
    with pytest.raises(AttributeError):
        record.v = 2  # type: ignore[assignment,misc]
    assert isinstance(record, msgspec.Struct)
