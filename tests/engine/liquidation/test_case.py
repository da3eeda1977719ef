"""The life of commands: fills and answers in either order, silence, and answers that come late."""

from __future__ import annotations

import pytest

from engine.books.account import AccountBook, OpenCommand
from engine.events import AckState
from engine.ids import command_id
from engine.liquidation.case import apply_ack, close_expired, count_fill, enter, next_expiry_us
from engine.outcomes import APPLIED, Rejection
from engine.units import INT64_MAX
from tests.builders import ack, e8, fill, parameters

ID = command_id("a", 1, 1, 0)
TTL = parameters(command_ttl_us=30)

Step = tuple[str, str]


def in_round(quantity: str = "-2", expires_us: int = 100) -> AccountBook:
    """An account in the first round of its first case, with one command open."""
    book = AccountBook("a", liquidation_sequence=1, liquidation_round=1)
    book.open_commands[ID] = OpenCommand("BTC-PERP", e8(quantity), 0, expires_us)
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
            assert APPLIED == apply_ack(book, ack("a", ID, AckState(what), amount, offset))
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
    outcome = apply_ack(book, ack("a", command_id("a", *address), AckState.FILLED, 1, 0))
    assert (APPLIED if known else Rejection.UNKNOWN_COMMAND) == (outcome if known else outcome.rejection)
    assert AccountBook("a", liquidation_sequence=2, liquidation_round=3) == book


def test_id_of_another_account_is_unknown() -> None:
    outcome = apply_ack(in_round(), ack("a", command_id("b", 1, 1, 0), AckState.FILLED, 1, 0))
    assert (Rejection.UNKNOWN_COMMAND, "command_id") == (outcome.rejection, outcome.field)


def test_unknown_command_comes_before_an_amount_out_of_range() -> None:
    book = in_round()
    too_much = INT64_MAX // 10**8 + 1
    assert [Rejection.UNKNOWN_COMMAND, Rejection.AMOUNT_OUT_OF_RANGE] == [
        apply_ack(book, ack("a", name, AckState.FILLED, too_much, 0)).rejection for name in ("0" * 32, ID)
    ]
    assert in_round() == book


def test_each_case_has_its_own_number_and_begins_before_its_first_round() -> None:
    book = AccountBook("a", liquidation_sequence=4, liquidation_round=7)
    enter(book)
    assert (5, 0) == (book.liquidation_sequence, book.liquidation_round)
