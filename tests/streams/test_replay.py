"""Replay: the same log gives the same bytes, and every record has exactly one fate."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from schemas.codec import decode_record
from streams.replay import InvalidLine, Replay, ReplayReport
from tests.schemas.examples import Example, load, valid

Plain = dict[str, Any]
INPUTS = ("reference", "marks", "collateral", "fills", "liquidation-acks", "prices", "settlements")
START_US = 1_741_564_800_000_000


def line(topic: str, key: str | None, value: object, **address: int) -> Plain:
    return {"topic": topic, "key": key, "value": value, **address}


def from_example(item: Example) -> Plain:
    value = item.value.decode("latin-1") if isinstance(item.plain, str) and item.value is not None else item.plain
    return line(item.topic, None if item.key is None else item.key.decode(), value)


def examples(topic: str, group: str = "valid") -> list[Plain]:
    return [from_example(item) for item in load(group) if item.topic == topic and (item.plain or item.value is None)]


def market() -> list[Plain]:
    """Reference data and one calm mark of every feed."""
    marks = [from_example(item) for item in load("valid") if item.topic == "marks" and item.name != "fall_of_bitcoin"]
    return examples("reference") + marks


def mark(feed: str, price: str, seconds: int, surface: bool = False) -> Plain:
    plain = valid("marks", "with_surface").plain
    assert isinstance(plain, dict)
    nodes = plain["volatility"] if surface else []
    time_us = START_US + seconds * 1_000_000
    return line("marks", feed, {**plain, "feed": feed, "price": price, "volatility": nodes, "mark_time_us": time_us})


def deposit(account: str, amount: str, number: int, **changes: object) -> Plain:
    plain = valid("collateral", "deposit").plain
    assert isinstance(plain, dict)
    value = {**plain, "account": account, "amount": amount, "event_id": f"move-{number}", **changes}
    return line("collateral", account, value)


def fill(account: str, quantity: str, number: int, **changes: object) -> Plain:
    plain = valid("fills", "buy_linear_perpetual").plain
    assert isinstance(plain, dict)
    value = {**plain, "account": account, "quantity": quantity, "event_id": f"fill-{number}", **changes}
    return line("fills", account, value)


def liquidation() -> list[Plain]:
    """Carol is long 1 BTC on 20,000 USDC when the price falls by a fifth."""
    return [
        *market(),
        deposit("carol", "20000", 1),
        fill("carol", "1", 1, price="80000"),
        mark("BTC", "64000", 5, surface=True),
        mark("BTC-USD-PERP", "64000", 5),
    ]


def replay(lines: list[Plain], batch: int = 1) -> tuple[ReplayReport, list[Plain]]:
    written: list[bytes] = []
    encoded = [(number, json.dumps(item).encode()) for number, item in enumerate(lines, start=1)]
    report = Replay(written.append, batch).run(encoded)
    return report, [json.loads(item) for item in written]


def of_topic(written: list[Plain], topic: str) -> list[Plain]:
    return [item["value"] for item in written if item["topic"] == topic]


def test_fall_in_price_liquidates_the_account() -> None:
    report, written = replay(liquidation())
    (command,) = of_topic(written, "liquidations")
    assert ("carol", "cancel_orders", None) == (command["account"], command["kind"], command["instrument"])
    moves = [(event["before"], event["after"]) for event in of_topic(written, "margin-events") if "before" in event]
    assert "cancelling" == moves[-1][1]
    assert [] == of_topic(written, "dead-letters")
    assert report.records == report.counts["applied"] == len(liquidation())


def test_same_log_gives_the_same_bytes_and_hashes() -> None:
    first, second = replay(liquidation()), replay(liquidation())
    assert first == second
    assert 32 == len(first[0].state_hash) == len(first[0].commands_hash)


def test_hashes_change_with_the_state_and_with_the_commands() -> None:
    report, _ = replay(liquidation())
    other, _ = replay([*liquidation()[:-2], mark("BTC-USD-PERP", "63999", 5)])
    assert report.commands_hash != other.commands_hash
    richer, _ = replay([*liquidation(), deposit("dave", "0.00000001", 9)])
    assert report.state_hash != richer.state_hash


@pytest.mark.parametrize("batch", [2, 7, 1000])
def test_batches_change_no_balance_and_no_count(batch: int) -> None:
    calm = [*market(), deposit("carol", "20000", 1), fill("carol", "0.1", 1), fill("carol", "0.1", 2, side="sell")]
    one, many = replay(calm)[0], replay(calm, batch)[0]
    assert (one.state_hash, one.counts) == (many.state_hash, many.counts)


def test_every_output_is_a_sound_record() -> None:
    _, written = replay(liquidation() + examples("fills", "invalid"))
    for item in written:
        decode_record(item["topic"], item["key"].encode(), json.dumps(item["value"]).encode())


def test_every_example_goes_through_codec_translation_and_engine() -> None:
    lines = [item for topic in INPUTS for group in ("valid", "invalid") for item in examples(topic, group)]
    report, written = replay(lines)
    feedback = 1  # the credit leg of the granted transfer; the example of that leg is then a duplicate
    acks = 3  # they answer commands that nobody gave
    reasons = Counter((letter["reason"], letter["field"]) for letter in of_topic(written, "dead-letters"))
    assert len(lines) + feedback == report.records == sum(report.counts.values())
    assert acks == reasons["unknown_command", "command_id"]
    assert report.counts["rejected"] == sum(reasons.values())
    assert 1 == report.counts["duplicate"]
    expected = Counter(
        (item.reason, item.field)
        for item in load("invalid")
        if item.topic in INPUTS and item.topic != "prices" and (item.plain or item.value is None)
    )
    assert expected == reasons - Counter({("unknown_command", "command_id"): acks})


def test_bad_record_of_a_known_account_flags_it_and_of_an_unknown_one_does_not() -> None:
    calm = [*market(), deposit("carol", "20000", 1)]
    clean, _ = replay(calm)
    flagged, _ = replay([*calm, line("fills", "carol", "not json")])
    ignored, _ = replay([*calm, line("fills", "nobody", "not json")])
    assert clean.state_hash == ignored.state_hash != flagged.state_hash
    assert 1 == flagged.counts["rejected"] == ignored.counts["rejected"]


def test_raw_prices_and_outputs_in_the_log_are_counted_and_passed_over() -> None:
    lines = [*market(), *examples("prices"), *examples("liquidations"), *examples("margin-events")]
    report, written = replay(lines)
    assert len(lines) - len(market()) == report.counts["ignored"]
    assert [] == written


def transfer() -> list[Plain]:
    return [
        *market(),
        deposit("carol", "500", 1),
        deposit("carol", "200", 2, kind="transfer", counterparty="dave"),
        deposit("dave", "150", 3, kind="withdrawal"),
    ]


def test_credit_of_a_transfer_comes_before_the_next_line() -> None:
    report, written = replay(transfer())
    (credit,) = of_topic(written, "collateral")
    assert ("dave", "carol", "transfer_credit", "200") == (
        credit["account"],
        credit["counterparty"],
        credit["kind"],
        credit["amount"],
    )
    answers = [
        event["granted"] for event in of_topic(written, "margin-events") if event["type"] == "withdrawal_decided"
    ]
    assert [True, True] == answers  # the second one is paid from the credit
    assert len(transfer()) + 1 == report.records


def test_credit_at_the_end_of_the_log_is_still_applied() -> None:
    report, _ = replay(transfer()[:-1], batch=1000)
    assert len(transfer()) == report.records == report.counts["applied"]


def recorded(lines: list[Plain]) -> list[Plain]:
    offsets: Counter[str] = Counter()
    result = []
    for item in lines:
        result.append({**item, "partition": 0, "offset": offsets[item["topic"]]})
        offsets[item["topic"]] += 1
    return result


def test_recording_holds_its_credits_and_gets_no_others() -> None:
    _, written = replay(transfer())
    credit = next(item for item in written if item["topic"] == "collateral")
    full = [*transfer()[:-1], credit, transfer()[-1]]
    report, _ = replay(recorded(full))
    assert replay(transfer())[0].state_hash == report.state_hash
    assert len(full) == report.records == report.counts["applied"]


def test_repeated_tail_of_a_recording_is_harmless() -> None:
    log = recorded(liquidation()[:-2])
    once, _ = replay(log)
    accounts = [item for item in log if item["topic"] in ("fills", "collateral")]
    twice, _ = replay(log + accounts)
    assert once.state_hash == twice.state_hash
    assert len(accounts) == twice.counts["duplicate"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "line 1"),
        (b'{"topic":"fills","key":"a"}', "value"),
        (b'{"topic":"trades","key":"a","value":{}}', "topic: no topic"),
        (b'{"topic":"fills","key":1,"value":{}}', "key"),
        (b'{"topic":"fills","key":"a","value":{},"offset":1}', "offset"),
        (b'{"topic":"fills","key":"a","value":{},"offset":-1,"partition":0}', "offset"),
        (b"\xff", "line 1"),
        (b"[" * 100_000, "line 1"),
    ],
)
def test_line_that_is_no_record_is_named(text: bytes, words: str) -> None:
    with pytest.raises(InvalidLine) as caught:
        Replay(lambda _: None).run([(1, text)])
    assert words in str(caught.value)


def test_log_has_offsets_on_all_lines_or_on_none() -> None:
    with pytest.raises(InvalidLine, match="line 2: offset"):
        replay([{**deposit("a", "1", 1), "partition": 0, "offset": 4}, deposit("a", "1", 2)])
