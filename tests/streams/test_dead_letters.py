"""Dead letters carry address and reason; a flood of them stops the consumer."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.outcomes import APPLIED, Rejection, rejected
from schemas.codec import SchemaError, decode_record, encode, key_of
from streams.dead_letters import PAYLOAD_BYTES_MAX, DeadLetterFlood, DeadLetterLimit, dead_letter

BAD = SchemaError("bad_format", "quantity", "not a decimal string")


def test_dead_letter_has_address_reason_and_payload() -> None:
    letter = dead_letter("fills", 3, 1042, b"alice", b'{"v":1}', 1_741_564_800_123, BAD)
    assert ("fills", 3, 1042, "alice") == (letter.topic, letter.partition, letter.offset, letter.key)
    assert ("bad_format", "quantity", "not a decimal string") == (letter.reason, letter.field, letter.detail)
    assert b'{"v":1}' == b64decode(letter.payload_base64)
    assert 1_741_564_800_123_000 == letter.record_time_us
    assert b"fills:3:1042" == key_of(letter)


def test_dead_letter_of_a_rejection_has_its_name() -> None:
    outcome = rejected(Rejection.QUANTITY_OFF_LOT, "quantity", "lot is 100 x 10^-8")
    letter = dead_letter("fills", 0, 0, b"alice", b"{}", 0, outcome)
    assert ("quantity_off_lot", "quantity", "lot is 100 x 10^-8") == (letter.reason, letter.field, letter.detail)


def test_an_applied_record_has_no_dead_letter() -> None:
    with pytest.raises(AssertionError):
        dead_letter("fills", 0, 0, b"alice", b"{}", 0, APPLIED)


def test_large_payload_is_cut_and_its_size_kept() -> None:
    letter = dead_letter("fills", 0, 0, None, b"x" * 10_000_000, -1, BAD)
    assert PAYLOAD_BYTES_MAX == len(b64decode(letter.payload_base64))
    assert (10_000_000, "", 0) == (letter.payload_bytes, letter.key, letter.record_time_us)
    assert letter == decode_record("dead-letters", key_of(letter), encode(letter))


@given(
    st.none() | st.binary(max_size=400),
    st.none() | st.binary(max_size=100),
    st.integers(-1, 2**63 - 1),
    st.text(max_size=400),
    st.text(max_size=400),
)
def test_dead_letter_of_anything_is_itself_a_sound_record(
    key: bytes | None, value: bytes | None, timestamp_ms: int, field: str, detail: str
) -> None:
    letter = dead_letter("fills", 0, 7, key, value, timestamp_ms, SchemaError("bad_format", field, detail))
    assert letter == decode_record("dead-letters", key_of(letter), encode(letter))
    assert letter.key.isascii()
    assert letter.key == "" or letter.key.isprintable()


def test_consecutive_bad_records_are_a_flood() -> None:
    limit = DeadLetterLimit("fills", consecutive_max=5, window=100)
    limit.good(50)
    for _ in range(4):
        limit.bad("bad_format")
    with pytest.raises(DeadLetterFlood, match="fills: 5 of the last 5 records are bad, the last one: malformed_json"):
        limit.bad("malformed_json")


def test_a_good_record_ends_a_row_of_bad_ones() -> None:
    limit = DeadLetterLimit("fills", consecutive_max=3, window=1000)
    for _ in range(100):
        limit.bad("x")
        limit.bad("x")
        limit.good()


def test_more_than_half_of_the_window_bad_is_a_flood() -> None:
    limit = DeadLetterLimit("fills", consecutive_max=1000, window=10, ratio_max=0.5)
    limit.good(5)
    for _ in range(5):
        limit.bad("x")
    with pytest.raises(DeadLetterFlood) as caught:
        limit.bad("y")
    assert (6, 10, "y") == (caught.value.bad, caught.value.seen, caught.value.reason)


def test_ratio_waits_for_a_full_window() -> None:
    limit = DeadLetterLimit("fills", consecutive_max=1000, window=10, ratio_max=0.5)
    for _ in range(9):
        limit.bad("x")
    with pytest.raises(DeadLetterFlood):
        limit.bad("x")


def test_bad_records_that_left_the_window_no_longer_count() -> None:
    limit = DeadLetterLimit("fills", consecutive_max=1000, window=10, ratio_max=0.5)
    for _ in range(9):
        limit.bad("x")
    limit.good(10_000)
    for _ in range(5):
        limit.bad("x")


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 12), st.integers(1, 6), st.integers(0, 10))
def test_limit_agrees_with_counting_the_list(bad: list[bool], window: int, consecutive: int, tenths: int) -> None:
    limit = DeadLetterLimit("fills", consecutive_max=consecutive, window=window, ratio_max=tenths / 10)
    for index, is_bad in enumerate(bad):
        seen = bad[: index + 1]
        recent = seen[-window:]
        flood = is_bad and (
            (len(seen) >= consecutive and all(seen[-consecutive:]))
            or (len(recent) == window and sum(recent) > int(tenths / 10 * window))
        )
        if flood:
            with pytest.raises(DeadLetterFlood):
                limit.bad("x")
            return
        if is_bad:
            limit.bad("x")
        else:
            limit.good()


def test_limits_that_make_no_sense_are_refused() -> None:
    for arguments in ({"window": 0}, {"consecutive_max": 0}, {"ratio_max": 1.5}):
        with pytest.raises(ValueError, match="at least 1"):
            DeadLetterLimit("fills", **arguments)  # type: ignore[arg-type]
