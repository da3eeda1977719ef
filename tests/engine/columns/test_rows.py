"""Rows come back exactly, and bytes that are no row change nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.books.account import AccountBook, OpenCommand
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import FILLS, MEMORY_MAX
from engine.columns.row_bytes import HEADER_WORDS, PROBLEMS, ROW_FORMAT, STATUS_MAX, WATERMARKS, checksum
from engine.columns.rows import CHUNK, DamagedRow, decode, encode
from engine.errors import InvariantBroken
from engine.outcomes import MarginStatus
from tests.builders import deposit, engine
from tests.engine.columns.column_books import assert_same, book_of, books
from tests.engine.workload import ACCOUNTS, Workload


def columns_of(*made: AccountBook) -> AccountColumns:
    columns = AccountColumns()
    for book in made:
        columns.put(columns.open(book.account, 0), book)
    return columns


def row_of(book: AccountBook) -> bytes:
    (row,) = encode(columns_of(book), np.zeros(1, np.int32))
    return row


def sealed(row: bytes) -> bytes:
    """``row`` as a forger would leave it: length and checksum fit its bytes."""
    words = np.frombuffer(row, np.int64).copy()
    words[1] = len(words)
    words.view(np.uint64)[1] |= np.uint64(checksum(words, 0, len(words)) << 32)
    return words.tobytes()


def is_untouched(columns: AccountColumns) -> bool:
    return len(columns) == 0 and not columns.cold and not len(columns.numbers())


@settings(deadline=None, max_examples=60)
@given(st.lists(books(), max_size=5, unique_by=lambda book: book.account))
def test_rows_come_back_exactly(made: list[AccountBook]) -> None:
    columns = columns_of(*made)
    rows = encode(columns, columns.numbers())
    assert all(row[0] == ROW_FORMAT for row in rows)
    loaded = AccountColumns()
    numbers = decode(loaded, rows, 4)
    assert numbers.dtype == np.int32 and loaded.of_shard(4).tolist() == sorted(numbers.tolist())
    for book, number in zip(made, numbers.tolist(), strict=True):
        assert_same(book, loaded.book(number))
    assert encode(loaded, numbers) == rows


@settings(deadline=None, max_examples=40)
@given(books())
def test_a_row_does_not_depend_on_who_else_was_there(book: AccountBook) -> None:
    others = [replace(book_of(f"other {n}", positions=n), account=f"other {n}") for n in range(20)]
    columns = columns_of(*others)
    columns.drop_shard(0)
    columns.put(columns.open(book.account, 0), book)
    assert encode(columns, columns.numbers()) == [row_of(book)]


def test_a_turned_ring_and_a_straight_one_have_the_same_row() -> None:
    columns = columns_of(book_of("a", events=MEMORY_MAX))
    straight = encode(columns, columns.numbers())
    start = int(columns.memory.start_AT[0, FILLS])
    for array in (columns.memory.key_M, columns.memory.digest_M):
        array[start : start + MEMORY_MAX] = np.roll(array[start : start + MEMORY_MAX], 7)
    columns.memory.oldest_AT[0, FILLS] = 7
    assert encode(columns, columns.numbers()) == straight


def test_many_rows_in_several_pieces() -> None:
    made = [book_of(f"account {n}", positions=n % 5, events=n % 4) for n in range(300)]
    few = columns_of(*made)
    rows = encode(few, few.numbers())
    renamed = [
        row_of(replace(book_of("", positions=1, events=1), account=f"a{n}", transfers_in={"b": n})) for n in range(40)
    ]
    plain = row_of(AccountBook("00000000"))
    filler = [sealed(plain.replace(b"00000000", b"%08d" % n)) for n in range(2 * CHUNK)]
    loaded = AccountColumns()
    numbers = decode(loaded, [*rows, *filler, *renamed], 1)
    assert len(loaded) == len(numbers) == 300 + 2 * CHUNK + 40
    assert_same(made[7], loaded.book(int(numbers[7])))
    assert loaded.book(int(numbers[-1])).transfers_in == {"b": 39}
    assert loaded.name(int(numbers[300 + CHUNK + 5])) == f"{CHUNK + 5:08d}"
    assert encode(loaded, numbers) == [*rows, *filler, *renamed]
    again = AccountColumns()
    with pytest.raises(DamagedRow, match="row 8532 "):
        decode(again, [*rows, *filler, *renamed, b"\x03" + bytes(7)], 1)
    assert is_untouched(again)


def test_an_account_is_not_loaded_twice() -> None:
    rows = [row_of(book_of(account)) for account in ("a", "b", "c", "b")]
    columns = AccountColumns()
    with pytest.raises(InvariantBroken, match="account b"):
        decode(columns, rows, 0)
    assert is_untouched(columns)
    decode(columns, rows[:3], 0)
    with pytest.raises(InvariantBroken, match="account a"):
        decode(columns, rows[:1], 0)
    assert_same(book_of("a"), columns.book(columns.number("a")))


def test_only_accounts_have_rows() -> None:
    columns = columns_of(book_of("a"), book_of("b"))
    columns.drop(np.array([1], np.int32))
    for number in (1, 5, -1, 2**30):
        with pytest.raises(KeyError):
            encode(columns, np.array([number], np.int32))


def test_an_id_too_long_for_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="65535"):
        row_of(AccountBook("a" * 65536))
    longest = AccountBook("a" * 65535)
    assert_same(longest, book_from(row_of(longest)))


def book_from(row: bytes) -> AccountBook:
    columns = AccountColumns()
    return columns.book(int(decode(columns, [row], 0)[0]))


FULL_BOOK = replace(
    book_of("account", positions=3, events=5),
    status=MarginStatus.LIQUIDATING,
    open_commands={"c": OpenCommand("close", "BTC-01", 5, 2, 0, 9, None)},
    transfers_in={"payer": 3},
)
ROW = row_of(FULL_BOOK)


def refused(row: bytes) -> str:
    """The problem for which ``row`` is refused; nothing of it, nor of a good row before it, is loaded."""
    columns = AccountColumns()
    with pytest.raises(DamagedRow) as caught:
        decode(columns, [row_of(book_of("good")), row], 0)
    assert caught.value.index == 1 and isinstance(caught.value, ValueError)
    assert is_untouched(columns)
    return caught.value.problem


@pytest.mark.parametrize("bit", range(8))
def test_any_single_damaged_byte_is_noticed(bit: int) -> None:
    for place in range(len(ROW)):
        damaged = bytearray(ROW)
        damaged[place] ^= 1 << bit
        assert refused(bytes(damaged))


def test_any_cut_and_any_addition_is_noticed() -> None:
    for length in range(len(ROW)):
        assert refused(ROW[:length])
    for added in (1, 7, 8, 16):
        assert refused(ROW + bytes(added))
        assert refused(ROW + ROW[:added])
    assert refused(ROW[:-8]) == "is cut off"
    assert refused(ROW + bytes(8)) == "has bytes after its end"
    assert refused(b"") == "is not of format 3"


def with_word(place: int, value: int) -> bytes:
    words = np.frombuffer(ROW, np.int64).copy()
    words[place] = value
    return sealed(words.tobytes())


FIRST_WORD = int.from_bytes(ROW[:8], "little")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (with_word(0, FIRST_WORD + 1), "format"),
        (with_word(0, FIRST_WORD & ~0xFF00 | (STATUS_MAX + 1) << 8), "status"),
        (with_word(0, FIRST_WORD & ~0xFF0000 | (MEMORY_MAX + 1) << 16), "counts|remembers"),
        (with_word(2, 2**32 - 1), "counts"),
        (with_word(2, -1), "counts"),
        (with_word(3, 2**31), "counts"),
        (with_word(3, 7 | 2**30 << 32), "counts"),
        (with_word(3, 7), "after its end"),
        (with_word(WATERMARKS, -2), "watermark"),
        (with_word(HEADER_WORDS, 0), "zero"),
        (sealed(ROW.replace(b"BTC-01", b"BTC-00")), "order"),
        (sealed(ROW.replace(b"ETH", b"BAA")), "order"),
        (sealed(ROW.replace(b"account", b"acc\xffunt")), "UTF-8"),
        (sealed(ROW.replace(b"BTC-01", b"BTC-\xed\xa0")), "UTF-8"),
        (sealed(ROW.replace(b'"payer",3', b'"payer",x')), "cold part"),
        (sealed(ROW.replace(b'["payer",3]', b"[[],  7  ] ")), "cold part"),
        (sealed(ROW.replace(b'"BTC-01",5', b'"BTC-01",[')), "cold part"),
        (sealed(ROW.replace(b'"BTC-01",5', b"12345678,5")), "cold part"),
    ],
)
def test_a_forged_row_is_refused_by_name(row: bytes, problem: str) -> None:
    assert any(part in refused(row) for part in problem.split("|"))


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_no_forged_row_harms(data: st.DataObject) -> None:
    """Words and bytes changed at will, under a fitting checksum: refused, or loaded and written again the same."""
    words = np.frombuffer(data.draw(st.sampled_from([ROW, row_of(AccountBook("x"))])), np.int64).copy()
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(words) - 1) | st.integers(0, 3))
            words[at] = data.draw(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 300))
        else:
            at = data.draw(st.integers(1, words.nbytes - 1))
            words.view(np.uint8)[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(2, len(words)) | st.just(len(words)))
    columns = AccountColumns()
    try:
        (number,) = decode(columns, [sealed(words[:cut].tobytes())], 0)
    except DamagedRow as error:
        assert any(error.problem.startswith(known) for known in (*PROBLEMS.values(), "has a cold part"))
        assert is_untouched(columns)
    else:
        book = columns.book(int(number))
        assert_same(book, book_from(encode(columns, columns.numbers())[0]))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_row(data: bytes) -> None:
    assert refused(data)


@pytest.mark.parametrize("seed", range(3))
def test_every_book_that_the_engine_makes_comes_back(seed: int) -> None:
    workload, made, columns = Workload(seed), engine(), AccountColumns()
    made.step([deposit(account, "USD", 20_000, 0) for account in ACCOUNTS])
    workload.batch(0)
    for _ in range(12):
        workload.observe(made.step(workload.batch(25)))
        for account in made.accounts():
            book = made.book(account)
            assert book is not None
            number = columns.number(account)
            columns.put(columns.open(account, 0) if number < 0 else number, book)
            assert_same(book, columns.book(columns.number(account)))
    assert any(book.positions for book in map(columns.book, columns.numbers().tolist()))
    loaded = AccountColumns()
    numbers = decode(loaded, encode(columns, columns.numbers()), 0)
    for number in numbers.tolist():
        assert_same(columns.book(columns.number(loaded.name(number))), loaded.book(number))
