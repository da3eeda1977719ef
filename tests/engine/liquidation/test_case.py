"""The life of commands: fills and answers in either order, silence, and answers that come late."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.books.account import AccountBook, OpenCommand
from engine.events import AckState, Fill
from engine.ids import command_id
from engine.liquidation.case import apply_ack, arrive, close_expired, count_fill, next_expiry_us
from engine.outcomes import APPLIED, Anomaly, MarginStatus, Rejection
from engine.reference.liquidation_policy import LiquidationPolicy
from engine.units import INT64_MAX
from tests.builders import START_US, ack, e8, fill, parameters

ID = command_id("a", 1, 1, 0)
TTL = parameters(command_ttl_us=30)

Step = tuple[str, str]


def in_round(quantity: str = "-2", expires_us: int = 100) -> AccountBook:
    """An account in the first round of its first case, with one command open."""
    book = AccountBook("a", liquidation_sequence=1, liquidation_round=1)
    book.open_commands[ID] = OpenCommand("close", "BTC-PERP", e8(quantity), e8(19_000), 0, expires_us)
    return book


@pytest.mark.parametrize(
    ("steps", "open_"),
    [
        # fills are signed like the command; answers name the total filled
        ([("fill", "-1")], True),
        ([("fill", "-2")], False),
        ([("fill", "-1"), ("fill", "-1")], False),
        ([("fill", "-1"), ("cancelled", "1")], False),
        ([("cancelled", "1"), ("fill", "-1")], False),
        ([("cancelled", "1")], True),
        ([("rejected", "0")], False),
        ([("expired", "0")], False),
        ([("filled", "2"), ("fill", "-1.5")], True),
        ([("filled", "2"), ("fill", "-1.5"), ("fill", "-0.5")], False),
        ([("accepted", "0")], True),
        ([("partially_filled", "1"), ("fill", "-1")], True),
        ([("cancelled", "1"), ("cancelled", "0"), ("fill", "-0.5")], True),
    ],
)
def test_command_closes_when_fills_and_answers_agree(steps: list[Step], open_: bool) -> None:
    book = in_round()
    for offset, (what, amount) in enumerate(steps):
        if what == "fill":
            count_fill(book, fill("a", "BTC-PERP", amount, 20_000, offset, command_id=ID))
        else:
            assert APPLIED == apply_ack(book, ack("a", ID, AckState(what), amount, offset))[0]
    assert open_ == (ID in book.open_commands)


@pytest.mark.parametrize(
    ("name", "command"), [("ETH-PERP", ID), ("BTC-PERP", command_id("b", 1, 1, 0)), ("BTC-PERP", "")]
)
def test_fill_that_names_no_open_command_of_its_instrument_counts_for_none(name: str, command: str) -> None:
    book = in_round()
    count_fill(book, fill("a", name, -2, 20_000, 0, command_id=command))
    assert 0 == book.open_commands[ID].filled_e8


def test_silence_closes_a_command_one_time_to_live_after_its_expiry() -> None:
    book = in_round(expires_us=100)
    assert 130 == next_expiry_us(book.open_commands, TTL)
    close_expired(book, 130, TTL)
    assert 1 == len(book.open_commands)
    close_expired(book, 131, TTL)
    assert ({}, None) == (book.open_commands, next_expiry_us(book.open_commands, TTL))


@pytest.mark.parametrize(
    ("address", "known"),
    [((1, 1, 0), True), ((2, 1, 0), True), ((2, 3, 5), True), ((2, 4, 0), False), ((3, 1, 0), False)],
)
def test_answer_about_a_closed_command_changes_nothing_and_about_an_unissued_one_is_rejected(
    address: tuple[int, int, int], known: bool
) -> None:
    book = AccountBook("a", liquidation_sequence=2, liquidation_round=3)
    outcome, _ = apply_ack(book, ack("a", command_id("a", *address), AckState.FILLED, 1, 0))
    assert (APPLIED if known else Rejection.UNKNOWN_COMMAND) == (outcome if known else outcome.rejection)
    assert AccountBook("a", liquidation_sequence=2, liquidation_round=3) == book


def test_id_of_another_account_is_unknown() -> None:
    outcome, _ = apply_ack(in_round(), ack("a", command_id("b", 1, 1, 0), AckState.FILLED, 1, 0))
    assert (Rejection.UNKNOWN_COMMAND, "command_id") == (outcome.rejection, outcome.field)


def test_unknown_command_comes_before_an_amount_out_of_range() -> None:
    book = in_round()
    too_much = INT64_MAX // 10**8 + 1
    assert [Rejection.UNKNOWN_COMMAND, Rejection.AMOUNT_OUT_OF_RANGE] == [
        apply_ack(book, ack("a", name, AckState.FILLED, too_much, 0))[0].rejection for name in ("0" * 32, ID)
    ]
    assert in_round() == book


def test_each_case_has_its_own_number_and_begins_before_its_first_round() -> None:
    book = AccountBook("a", liquidation_sequence=4, liquidation_round=7, status=MarginStatus.CANCELLING)
    book.ladder.command_sequence = 12
    arrive(book, MarginStatus.MARGIN_CALL, 0, TTL)
    assert (5, 0, 12) == (book.liquidation_sequence, book.liquidation_round, book.ladder.command_sequence)


def test_a_case_goes_on_through_its_statuses() -> None:
    book = AccountBook("a", liquidation_sequence=4, liquidation_round=7, status=MarginStatus.COOLDOWN)
    arrive(book, MarginStatus.LIQUIDATING, 0, TTL)
    assert (4, 7) == (book.liquidation_sequence, book.liquidation_round)


@pytest.mark.parametrize(("fruitless", "rest_us"), [(0, 10), (1, 10), (2, 20), (3, 40), (4, 50), (60, 50)])
def test_rests_double_with_every_round_in_which_nothing_was_filled(fruitless: int, rest_us: int) -> None:
    terms = parameters(policy=LiquidationPolicy(cooldown_us=10, cooldown_us_max=50))
    book = AccountBook("a", status=MarginStatus.COOLDOWN)
    book.ladder.fruitless_rounds = fruitless
    arrive(book, MarginStatus.LIQUIDATING, 1_000, terms)
    assert 1_000 + rest_us == book.ladder.wait_until_us


@pytest.mark.parametrize(
    ("trade", "found"),
    [
        (fill("a", "BTC-PERP", -2, 19_000, 0, command_id=ID), []),
        (fill("a", "BTC-PERP", -2, 18_999, 0, command_id=ID), [Anomaly.BEYOND_LIMIT]),
        (fill("a", "BTC-PERP", 1, 20_000, 0, command_id=ID), [Anomaly.WRONG_SIDE]),
        (fill("a", "BTC-PERP", "-2.001", 20_000, 0, command_id=ID), [Anomaly.OVERFILLED]),
        (fill("a", "ETH-PERP", -2, 20_000, 0, command_id=ID), [Anomaly.WRONG_INSTRUMENT]),
        (fill("a", "BTC-PERP", -2, 20_000, 0, command_id=command_id("a", 1, 0, 0)), [Anomaly.EXECUTED_LATE]),
        (fill("a", "BTC-PERP", -2, 20_000, 0, command_id=command_id("a", 1, 2, 0)), [Anomaly.UNKNOWN_COMMAND]),
        (fill("a", "BTC-PERP", -2, 20_000, 0, command_id=command_id("b", 1, 1, 0)), [Anomaly.UNKNOWN_COMMAND]),
        (fill("a", "BTC-PERP", -2, 20_000, 0), []),
    ],
)
def test_a_fill_that_its_command_does_not_allow_is_reported(trade: Fill, found: list[Anomaly]) -> None:
    assert found == count_fill(in_round(expires_us=2 * START_US), trade)


def test_a_trade_after_the_expiry_is_late_though_it_still_counts() -> None:
    book = in_round(expires_us=100)
    assert [Anomaly.EXECUTED_LATE] == count_fill(book, fill("a", "BTC-PERP", -1, 20_000, 0, command_id=ID))
    assert e8(1) == book.open_commands[ID].filled_e8


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([("cancelled", "1")], []),
        ([("filled", "3")], [Anomaly.OVERFILLED]),
        ([("cancelled", "1"), ("accepted", "0")], [Anomaly.ACK_OUT_OF_ORDER]),
        ([("cancelled", "1"), ("cancelled", "0.5")], [Anomaly.ACK_OUT_OF_ORDER]),
        ([("cancelled", "1"), ("cancelled", "1")], []),
    ],
)
def test_an_answer_that_contradicts_an_earlier_one_is_reported(answers: list[Step], found: list[Anomaly]) -> None:
    book = in_round()
    reported = [apply_ack(book, ack("a", ID, AckState(what), amount, 0))[1] for what, amount in answers]
    assert found == [anomaly for each in reported for anomaly in each]


def test_an_executor_that_knows_a_later_owner_is_reported() -> None:
    stale = replace(ack("a", ID, AckState.REJECTED, 0, 0), reason="epoch_stale")
    assert [Anomaly.EPOCH_STALE] == apply_ack(in_round(), stale)[1]


def test_silence_and_missing_fills_are_told_apart() -> None:
    silent, owing = in_round(), in_round()
    apply_ack(owing, ack("a", ID, AckState.FILLED, 2, 0))
    reports = [close_expired(book, 131, TTL) for book in (silent, owing)]
    assert [[(ID, Anomaly.SILENT_EXECUTOR)], [(ID, Anomaly.ACK_WITHOUT_FILLS)]] == reports


def test_orders_that_nobody_cancels_in_time_hold_nothing_up() -> None:
    book = AccountBook("a", open_commands={ID: OpenCommand("cancel_orders", "", 0, 0, 0, 100)})
    assert 100 == next_expiry_us(book.open_commands, TTL)


def test_a_command_for_the_whole_account_closes_when_fills_of_any_instrument_add_up_to_the_answer() -> None:
    book = AccountBook("a", liquidation_sequence=1, liquidation_round=1)
    book.open_commands[ID] = OpenCommand("auction", "", 0, 0, 0, 2 * START_US)
    assert [] == count_fill(book, fill("a", "BTC-PERP", -2, 20_000, 0, command_id=ID))
    apply_ack(book, ack("a", ID, AckState.FILLED, 3, 1))
    assert [ID] == list(book.open_commands)
    count_fill(book, fill("a", "ETH-PERP", 1, 1_000, 2, command_id=ID))
    assert {} == book.open_commands
