"""The accounts: every account's exact state in columns, and one at a time as a book.

Owns which account has which number, where its entries lie, and that a book put in comes out equal. What hardly any
account has (commands in flight, a place on the ladder, transfers received) stays outside the columns as it is. Refuses
to apply anything: that is done by kernels on the columns, or by ``engine.books`` on a book taken out and put back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from engine.books.account import AccountBook, Ladder, OpenCommand, Position, Totals
from engine.columns.arrays import MEMORY_MAX, TOPICS, AccountArrays, BalancePool, Int32s, MemoryPool, PositionPool
from engine.columns.growth import lengthened, new_accounts, new_balances, new_memory, new_positions
from engine.columns.names import UNKNOWN, Names
from engine.columns.pools import fit_balances, fit_memory, fit_positions, release
from engine.compiled import allocation_free
from engine.errors import InvariantBroken
from engine.outcomes import MarginStatus
from engine.portfolio import HoldingColumns

KEY_BYTES = 8
"""Bytes of a remembered event's key, and of its digest; little-endian in the columns."""


class Cold(NamedTuple):
    """What hardly any account has: the fields of a book of the same names."""

    open_commands: dict[str, OpenCommand]
    transfers_in: dict[str, int]
    ladder: Ladder

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not self.open_commands and not self.transfers_in and self.ladder == Ladder()


class Ids:
    """Ids that are few and never released (instruments, assets), with their numbers at hand for Python too."""

    def __init__(self) -> None:
        self.names = Names()
        self._number_by_id: dict[str, int] = {}
        self._ids: list[str] = []

    def number(self, id: str) -> int:
        """The number of ``id``, which gets one if it has none."""
        number = self._number_by_id.get(id)
        if number is None:
            number = self._number_by_id[id] = self.names.intern(id.encode())
        return number

    def id(self, number: int) -> str:
        """The id that has ``number``; IndexError or KeyError if none has."""
        while len(self._ids) <= number < self.names.numbered:
            self._ids.append(self.names.name(len(self._ids)).decode())
        return self._ids[number]


@allocation_free
def _reset(
    accounts: AccountArrays, positions: PositionPool, balances: BalancePool, memory: MemoryPool, numbers: Int32s
) -> None:
    """Make ``numbers`` as if they had never been used."""
    for number in numbers:
        release(positions, balances, memory, number)
        accounts.shard_A[number] = -1
        accounts.applied_AT[number, :] = -1
        accounts.status_A[number] = 0
        accounts.has_cold_A[number] = 0
        accounts.status_changes_A[number] = 0
        accounts.liquidation_sequence_A[number] = 0
        accounts.liquidation_round_A[number] = 0
        accounts.transfer_sequence_A[number] = 0
        accounts.bad_records_A[number] = 0


class AccountColumns:
    """All accounts of a worker. The bundles ``accounts``, ``positions``, ``balances`` and ``memory`` are replaced when
    they grow: take them anew for each kernel call."""

    def __init__(self) -> None:
        self.names = Names()
        self.instruments = Ids()
        self.assets = Ids()
        self.accounts = new_accounts()
        self.positions = new_positions()
        self.balances = new_balances()
        self.memory = new_memory()
        self.cold: dict[int, Cold] = {}

    # Which accounts there are.

    def __len__(self) -> int:
        return len(self.names)

    def number(self, account: str) -> int:
        """The number of ``account``, -1 if it is not here."""
        return self.names.number(account.encode())

    def name(self, number: int) -> str:
        """The account that has ``number``; KeyError if none has."""
        return self.names.name(number).decode()

    def numbers(self) -> Int32s:
        """Numbers of all accounts, ascending."""
        return np.flatnonzero(self.accounts.shard_A >= 0).astype(np.int32)

    def of_shard(self, shard: int) -> Int32s:
        """Numbers of the accounts of ``shard``, ascending."""
        return np.flatnonzero(self.accounts.shard_A == shard).astype(np.int32)

    def open(self, account: str, shard: int) -> int:
        """A number for a new account without any state, in ``shard`` >= 0; ``InvariantBroken`` if it is here."""
        if shard < 0:
            raise InvariantBroken(f"account {account} in shard {shard}")
        if self.number(account) != UNKNOWN:
            raise InvariantBroken(f"account {account} is open already")
        number = self.names.intern(account.encode())
        if number >= len(self.accounts.shard_A):
            self._grow_accounts(number + 1)
        self.accounts.shard_A[number] = shard
        return number

    def drop(self, numbers: Int32s) -> None:
        """Forget accounts; their numbers and their space will be used again."""
        _reset(self.accounts, self.positions, self.balances, self.memory, numbers)
        self.names.release_all(numbers)
        if self.cold:
            for number in numbers.tolist():
                self.cold.pop(number, None)

    def drop_shard(self, shard: int) -> None:
        """Forget all accounts of ``shard``."""
        self.drop(self.of_shard(shard))

    # Space.

    def ensure(self, accounts: int = 0, positions: int = 0, balances: int = 0, remembered: int = 0) -> None:
        """Make room for so many more accounts and entries of the pools, so that kernels need not stop for it. Pools
        give space in powers of two per account: reckon with twice the entries."""
        if accounts:
            self._grow_accounts(len(self) + accounts)
            self.names.reserve(accounts, 0)
        needed = int(self.positions.used[0]) + positions
        if needed > len(self.positions.quantity_e8_P):
            self.positions = lengthened(self.positions, "P", _grown(needed, len(self.positions.quantity_e8_P)))
        needed = int(self.balances.used[0]) + balances
        if needed > len(self.balances.amount_e8_C):
            self.balances = lengthened(self.balances, "C", _grown(needed, len(self.balances.amount_e8_C)))
        needed = int(self.memory.used[0]) + remembered
        if needed > len(self.memory.key_M):
            self.memory = lengthened(self.memory, "M", _grown(needed, len(self.memory.key_M)))

    def _grow_accounts(self, needed: int) -> None:
        if needed > len(self.accounts.shard_A):
            length = _grown(needed, len(self.accounts.shard_A))
            self.accounts = lengthened(self.accounts, "A", length)
            self.positions = lengthened(self.positions, "A", length)
            self.balances = lengthened(self.balances, "A", length)
            self.memory = lengthened(self.memory, "A", length)

    def memory_bytes(self) -> int:
        """Bytes of all arrays, used or not; what is cold is not counted."""
        bundles = (self.accounts, self.positions, self.balances, self.memory)
        arrays = sum(array.nbytes for bundle in bundles for array in bundle)
        return arrays + sum(names.memory_bytes() for names in (self.names, self.instruments.names, self.assets.names))

    def holdings(self) -> HoldingColumns:
        """What the accounts hold, as views: current until a bundle is replaced, so ask again for each use."""
        held, owned = self.positions, self.balances
        return HoldingColumns(
            position_start_A=held.start_A,
            position_count_A=held.count_A,
            instrument_P=held.instrument_P,
            quantity_e8_P=held.quantity_e8_P,
            cost_e8_P=held.cost_e8_P,
            funding_index_e12_P=held.funding_index_e12_P,
            balance_start_A=owned.start_A,
            balance_count_A=owned.count_A,
            asset_C=owned.asset_C,
            amount_e8_C=owned.amount_e8_C,
        )

    # One account as a book.

    def book(self, number: int) -> AccountBook:
        """The state of an account, its own copy; changes count only when it is ``put`` back."""
        arrays = self.accounts
        book = AccountBook(
            account=self.name(number),
            positions=self._positions_of(number),
            status=MarginStatus(int(arrays.status_A[number])),
            status_changes=int(arrays.status_changes_A[number]),
            liquidation_sequence=int(arrays.liquidation_sequence_A[number]),
            liquidation_round=int(arrays.liquidation_round_A[number]),
            transfer_sequence=int(arrays.transfer_sequence_A[number]),
            bad_records=int(arrays.bad_records_A[number]),
        )
        self._fill_balances(book, number)
        for topic, offset, count in zip(
            TOPICS, arrays.applied_AT[number].tolist(), self.memory.count_AT[number].tolist(), strict=True
        ):
            if offset >= 0:
                book.applied[topic] = offset
            if count:
                book.recent[topic] = self._memory_of(number, TOPICS.index(topic), count)
        if arrays.has_cold_A[number]:
            cold = self.cold[number]
            book.open_commands = {id: replace(command) for id, command in cold.open_commands.items()}
            book.transfers_in = dict(cold.transfers_in)
            book.ladder = replace(cold.ladder)
        return book

    def _positions_of(self, number: int) -> dict[str, Position]:
        pool = self.positions
        start = int(pool.start_A[number])
        held = slice(start, start + int(pool.count_A[number]))
        id_of = self.instruments.id
        return {
            id_of(instrument): Position(quantity, cost, index)
            for instrument, quantity, cost, index in zip(
                pool.instrument_P[held].tolist(),
                pool.quantity_e8_P[held].tolist(),
                pool.cost_e8_P[held].tolist(),
                pool.funding_index_e12_P[held].tolist(),
                strict=True,
            )
        }

    def _fill_balances(self, book: AccountBook, number: int) -> None:
        pool = self.balances
        start = int(pool.start_A[number])
        held = slice(start, start + int(pool.count_A[number]))
        for asset, amount, totals in zip(
            pool.asset_C[held].tolist(), pool.amount_e8_C[held].tolist(), pool.totals_CK[held].tolist(), strict=True
        ):
            id = self.assets.id(asset)
            if amount:
                book.balances[id] = amount
            book.totals[id] = Totals(*totals)

    def _memory_of(self, number: int, topic: int, count: int) -> dict[bytes, bytes]:
        start, oldest = int(self.memory.start_AT[number, topic]), int(self.memory.oldest_AT[number, topic])
        order = range(oldest, oldest + count)
        keys = self.memory.key_M[start : start + count].astype("<u8", copy=False).tobytes()
        digests = self.memory.digest_M[start : start + count].astype("<u8", copy=False).tobytes()
        places = [entry % count * KEY_BYTES for entry in order]
        return {keys[place : place + KEY_BYTES]: digests[place : place + KEY_BYTES] for place in places}

    def put(self, number: int, book: AccountBook) -> None:
        """Make ``book`` the state of its account, which has ``number``.

        A balance without totals comes out with totals of zero, and a balance of zero does not come out: no event
        leaves either. ``InvariantBroken`` if the book is another account's or has topics or memories that no account
        has; ``OverflowError`` on an amount beyond 64 bits.
        """
        if self.name(number) != book.account:
            raise InvariantBroken(f"book of {book.account} for account {self.name(number)}")
        if not (book.applied.keys() | book.recent.keys()) <= set(TOPICS):
            raise InvariantBroken(f"account {book.account} has seen topics {sorted(book.applied | book.recent)}")
        arrays = self.accounts
        arrays.status_A[number] = book.status
        arrays.status_changes_A[number] = book.status_changes
        arrays.liquidation_sequence_A[number] = book.liquidation_sequence
        arrays.liquidation_round_A[number] = book.liquidation_round
        arrays.transfer_sequence_A[number] = book.transfer_sequence
        arrays.bad_records_A[number] = book.bad_records
        arrays.applied_AT[number] = [book.applied.get(topic, -1) for topic in TOPICS]
        self._put_positions(number, book.positions)
        self._put_balances(number, book)
        for topic, name in enumerate(TOPICS):
            self._put_memory(number, topic, book.recent.get(name, {}))
        self.put_cold(number, Cold(book.open_commands, book.transfers_in, book.ladder))

    def put_cold(self, number: int, cold: Cold) -> None:
        """Replace what is kept of an account outside the columns by a copy of ``cold``."""
        if not cold.is_empty:
            commands = {id: replace(command) for id, command in cold.open_commands.items()}
            self.cold[number] = Cold(commands, dict(cold.transfers_in), replace(cold.ladder))
            self.accounts.has_cold_A[number] = 1
        elif self.accounts.has_cold_A[number]:
            del self.cold[number]
            self.accounts.has_cold_A[number] = 0

    def _put_positions(self, number: int, positions: dict[str, Position]) -> None:
        ids = sorted(positions)
        count = len(ids)
        if count > _room(self.positions.class_A[number]) and not fit_positions(self.positions, number, count):
            self.ensure(positions=2 * count)
            fit_positions(self.positions, number, count)
        pool = self.positions
        start = int(pool.start_A[number])
        held = [positions[id] for id in ids]
        pool.instrument_P[start : start + count] = [self.instruments.number(id) for id in ids]
        pool.quantity_e8_P[start : start + count] = [position.quantity_e8 for position in held]
        pool.cost_e8_P[start : start + count] = [position.cost_e8 for position in held]
        pool.funding_index_e12_P[start : start + count] = [position.funding_index_e12 for position in held]
        pool.count_A[number] = count

    def _put_balances(self, number: int, book: AccountBook) -> None:
        ids = sorted(book.totals.keys() | {id for id, amount in book.balances.items() if amount})
        count = len(ids)
        if count > _room(self.balances.class_A[number]) and not fit_balances(self.balances, number, count):
            self.ensure(balances=2 * count)
            fit_balances(self.balances, number, count)
        pool = self.balances
        start = int(pool.start_A[number])
        pool.asset_C[start : start + count] = [self.assets.number(id) for id in ids]
        pool.amount_e8_C[start : start + count] = [book.balances.get(id, 0) for id in ids]
        for entry, id in enumerate(ids, start):
            pool.totals_CK[entry] = _totals_of(book.totals.get(id, _NOTHING))
        pool.count_A[number] = count

    def _put_memory(self, number: int, topic: int, recent: dict[bytes, bytes]) -> None:
        count = len(recent)
        if count > MEMORY_MAX:
            raise InvariantBroken(f"account {self.name(number)} remembers {count} events of {TOPICS[topic]}")
        if count > _room(self.memory.class_AT[number, topic]) and not fit_memory(self.memory, number, topic, count):
            self.ensure(remembered=2 * count)
            fit_memory(self.memory, number, topic, count)
        pool = self.memory
        if count:
            start = int(pool.start_AT[number, topic])
            pool.key_M[start : start + count] = np.frombuffer(b"".join(recent), "<u8")
            pool.digest_M[start : start + count] = np.frombuffer(b"".join(recent.values()), "<u8")
        pool.count_AT[number, topic] = count
        pool.oldest_AT[number, topic] = 0


_NOTHING = Totals()


def _totals_of(totals: Totals) -> tuple[int, int, int, int, int, int]:
    return (
        totals.deposited_e8,
        totals.withdrawn_e8,
        totals.realized_pnl_e8,
        totals.traded_value_e8,
        totals.fees_paid_e8,
        totals.funding_paid_e8,
    )


def _grown(needed: int, length: int) -> int:
    return max(needed, length * 3 // 2, 16)


def _room(size_class: np.int8) -> int:
    """Entries of a block of ``size_class``, 0 for none."""
    return 1 << int(size_class) if size_class >= 0 else 0
