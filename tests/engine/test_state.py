from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.books.account import AccountBook, OpenCommand, Position, Totals
from engine.books.record import FIELDS
from engine.outcomes import MarginStatus
from engine.state import book_from_plain, book_from_text, book_to_plain, canonical_text, state_hash
from engine.units import INT64_MAX

AMOUNTS = st.integers(-INT64_MAX, INT64_MAX)
COUNTS = st.integers(0, 2**40)
IDS = st.text("abcXYZ09._:/-", min_size=1, max_size=12)
EIGHT_BYTES = st.binary(min_size=8, max_size=8)
BOOKS = st.builds(
    AccountBook,
    account=IDS,
    balances=st.dictionaries(IDS, AMOUNTS, max_size=4),
    positions=st.dictionaries(IDS, st.builds(Position, AMOUNTS, AMOUNTS, AMOUNTS), max_size=4),
    totals=st.dictionaries(IDS, st.builds(Totals, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS), max_size=4),
    applied=st.dictionaries(IDS, COUNTS, max_size=3),
    recent=st.dictionaries(IDS, st.dictionaries(EIGHT_BYTES, EIGHT_BYTES, min_size=1, max_size=5), max_size=2),
    status=st.sampled_from(MarginStatus),
    status_changes=COUNTS,
    liquidation_sequence=COUNTS,
    liquidation_round=COUNTS,
    open_commands=st.dictionaries(
        IDS, st.builds(OpenCommand, IDS, IDS, AMOUNTS, COUNTS, COUNTS, COUNTS, st.none() | COUNTS), max_size=3
    ),
    transfer_sequence=COUNTS,
    transfers_in=st.dictionaries(IDS, COUNTS, max_size=3),
    bad_records=COUNTS,
)


def test_every_field_of_a_book_is_written() -> None:
    assert tuple(field.name for field in fields(AccountBook)) == FIELDS


@given(BOOKS)
def test_plain_form_and_text_come_back_exactly(book: AccountBook) -> None:
    from_plain = book_from_plain(book_to_plain(book))
    from_text = book_from_text(canonical_text(book))
    for copy in (from_plain, from_text):
        assert book == copy
        assert {topic: list(seen) for topic, seen in book.recent.items()} == {
            topic: list(seen) for topic, seen in copy.recent.items()
        }


@given(BOOKS)
def test_text_does_not_depend_on_the_order_of_entries(book: AccountBook) -> None:
    names = ("balances", "positions", "totals", "applied", "open_commands", "transfers_in")
    turned = replace(book, **{name: dict(reversed(getattr(book, name).items())) for name in names})
    assert canonical_text(book) == canonical_text(turned)


def test_text_is_sorted_json_without_floats() -> None:
    book = AccountBook("a", balances={"USD": 5, "BTC": -7})
    named = json.loads(canonical_text(book), parse_float=lambda text: pytest.fail(f"float {text}"))
    assert [["BTC", -7], ["USD", 5]] == named["balances"]
    assert sorted(named) == list(named)


@pytest.mark.parametrize("text", ["[]", "{}", "null", '{"account": "a"}'])
def test_text_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the text of a book"):
        book_from_text(text)


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, 1),
        (1, [["USD", "5"]]),
        (1, [["USD", 5, 6]]),
        (2, [["X", 1, 2]]),
        (6, 99),
        (7, True),
        (9, None),
        (10, 3),
        (11, [0, 8, 0, 0]),
    ],
)
def test_damaged_plain_form_is_refused(position: int, value: object) -> None:
    plain = book_to_plain(AccountBook("a"))
    plain[position] = value  # type: ignore[call-overload]
    with pytest.raises((ValueError, TypeError)):
        book_from_plain(plain)


def test_state_hash_ignores_order_and_sees_every_account() -> None:
    one, two = AccountBook("a", balances={"USD": 1}), AccountBook("b")
    assert state_hash([one, two]) == state_hash([two, one])
    assert state_hash([one, two]) != state_hash([one])
    assert state_hash([one]) != state_hash([AccountBook("a", balances={"USD": 2})])
