"""Fills: whole batches of them applied to the account columns by compiled code.

Owns the compiled lane's way through ``MarginEngine`` for a fill: watermark, repeat, faults in order of precedence,
position, money, memory. ``engine.books`` stays the definition. Everything is worked out and checked before anything
is written; a record that this lane does not handle stops it there with the record untouched, and the caller applies
that one through ``engine.books`` and resumes after it. Refuses fills of settled instruments, of accounts in another
shard and with open commands, and every amount that 64 bits do not certainly hold.

Trail: before it ``fill_columns`` (what it reads), after it ``pools`` (where new entries go).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.columns.accounts import AccountColumns
from engine.columns.arrays import (
    FILLS,
    MEMORY_MAX,
    AccountArrays,
    BalancePool,
    Int32s,
    Int64s,
    MemoryPool,
    PositionPool,
    UInt8s,
)
from engine.columns.entries import (
    NOWHERE,
    balance_of,
    change_fits,
    memory_of,
    position_of,
    post,
    put_position,
    remember,
)
from engine.columns.exact import LEAST, add
from engine.columns.fill_columns import FillColumns
from engine.columns.instruments import (
    NEVER_US,
    NO_ASSET,
    OPTION,
    SPOT,
    UNSUPPORTED,
    InstrumentArrays,
    InstrumentTable,
)
from engine.columns.pools import fit_balances, fit_memory, fit_positions
from engine.columns.trades import Change, contract_change, funding_payment, trade, trade_value
from engine.compiled import allocation_free, inlined
from engine.outcomes import APPLIED, DUPLICATE, Outcome, Rejection, rejected
from engine.reference.instruments import Instrument

NOT_TAKEN, TAKEN, REPEATED, CONFLICTING, EXPIRED, OFF_LOT, OFF_TICK = range(7)
"""Codes of outcomes: not by this lane, applied, duplicate, and the rejections this lane can pronounce."""

END, RECORD, POSITIONS_FULL, BALANCES_FULL, MEMORY_FULL = range(5)
"""Why the kernel stopped: nothing is left, a record is not for this lane, a pool has no room for one."""

SEEN, MOVED = 1, 3
"""Flags of touched accounts: the watermark moved; so did the book."""

GROWTH = 1024
"""Entries by which a full pool grows at least."""


class Holdings(NamedTuple):
    """The columns of the accounts."""

    accounts: AccountArrays
    positions: PositionPool
    balances: BalancePool
    memory: MemoryPool


class Touched(NamedTuple):
    """Accounts that fills touched: a flag per account, and their numbers without repeats, ``used`` of
    them."""

    flag_A: UInt8s
    account_A: Int32s
    used: Int64s


class Stop(NamedTuple):
    """The first record that was not applied, and why: ``END`` or ``RECORD``."""

    next: int
    reason: int


# One fill.


@inlined
def _is_for_lane(fills: FillColumns, at: int, held: Holdings, instruments: InstrumentArrays, shard: int) -> bool:
    """Whether this lane may look at the record at all."""
    account, instrument = fills.account_N[at], fills.instrument_N[at]
    if fills.lane_N[at] != 1 or not 0 <= account < len(held.accounts.shard_A):
        return False
    if held.accounts.shard_A[account] != shard or (held.accounts.has_cold_A[account] and fills.has_command_N[at]):
        return False
    if not 0 <= instrument < len(instruments.kind_I) or instruments.settled_I[instrument]:
        return False
    if fills.quantity_e8_N[at] == LEAST or fills.price_e8_N[at] == LEAST or fills.fee_e8_N[at] == LEAST:
        return False
    return bool(instruments.kind_I[instrument] != UNSUPPORTED)


@inlined
def _verdict(fills: FillColumns, at: int, memory: MemoryPool, instruments: InstrumentArrays) -> int:
    """What becomes of a fill beyond the watermark if its amounts fit: as ``intake.repeat_of``, then
    ``positions.fill_fault``."""
    known = memory_of(memory, int(fills.account_N[at]), fills.event_key_N[at])
    if known != NOWHERE:
        return REPEATED if memory.digest_M[known] == fills.body_digest_N[at] else CONFLICTING
    instrument = fills.instrument_N[at]
    expiry_us = instruments.expiry_us_I[instrument]
    if expiry_us != NEVER_US and fills.trade_time_us_N[at] >= expiry_us:
        return EXPIRED
    quantity_e8, price_e8 = fills.quantity_e8_N[at], fills.price_e8_N[at]
    if quantity_e8 == 0 or quantity_e8 % instruments.lot_e8_I[instrument]:
        return OFF_LOT
    if price_e8 <= 0 or price_e8 % instruments.tick_e8_I[instrument]:
        return OFF_TICK
    return TAKEN


@inlined
def _make_room(held: Holdings, account: int, positions: int, asset: int, other: int) -> int:
    """See that ``account`` has room for one more remembered event, ``positions`` more positions and entries of the
    two assets; ``END`` if so, else which pool is full. Moves blocks, changes nothing an account holds."""
    remembered = int(held.memory.count_AT[account, FILLS])
    if remembered < MEMORY_MAX and not fit_memory(held.memory, account, FILLS, remembered + 1):
        return MEMORY_FULL
    entries = int(held.balances.count_A[account])
    missing = 0
    if balance_of(held.balances, account, asset) == NOWHERE:
        missing += 1
    if other != NO_ASSET and balance_of(held.balances, account, other) == NOWHERE:
        missing += 1
    if missing and not fit_balances(held.balances, account, entries + missing):
        return BALANCES_FULL
    if positions and not fit_positions(held.positions, account, int(held.positions.count_A[account]) + positions):
        return POSITIONS_FULL
    return END


@inlined
def _book_contract(fills: FillColumns, at: int, held: Holdings, instruments: InstrumentArrays) -> int:
    """Apply a fill without fault of anything but spot, or leave everything as it is and say why."""
    account, instrument = int(fills.account_N[at]), int(fills.instrument_N[at])
    entry = position_of(held.positions, account, instrument)
    held_e8 = cost_e8 = paid_e12 = 0
    if entry != NOWHERE:
        held_e8 = int(held.positions.quantity_e8_P[entry])
        cost_e8 = int(held.positions.cost_e8_P[entry])
        paid_e12 = int(held.positions.funding_index_e12_P[entry])
    quantity_e8, price_e8 = int(fills.quantity_e8_N[at]), int(fills.price_e8_N[at])
    made, traded = trade(instruments, instrument, held_e8, cost_e8, quantity_e8, price_e8)
    funding_e8, paid = funding_payment(instruments, instrument, held_e8, paid_e12)
    is_option = instruments.kind_I[instrument] == OPTION
    change, ok = contract_change(made, funding_e8, int(fills.fee_e8_N[at]), is_option)
    asset = int(instruments.settlement_asset_I[instrument])
    if not (traded and paid and ok and change_fits(held.balances, account, asset, change)):
        return RECORD
    full = _make_room(held, account, 1 if entry == NOWHERE else 0, asset, NO_ASSET)
    if full != END:
        return full
    put_position(held.positions, account, instrument, made, instruments)
    post(held.balances, account, asset, change, instruments.order_C)
    return END


@inlined
def _book_spot(fills: FillColumns, at: int, held: Holdings, instruments: InstrumentArrays) -> int:
    """As ``_book_contract``: the base asset moves against the quote asset, and no position is left."""
    account, instrument = int(fills.account_N[at]), int(fills.instrument_N[at])
    quantity_e8, fee_e8 = int(fills.quantity_e8_N[at]), int(fills.fee_e8_N[at])
    value_e8, ok = trade_value(instruments, instrument, quantity_e8, int(fills.price_e8_N[at]))
    paid_e8, fits = add(-value_e8, -fee_e8)
    base, quote = int(instruments.base_asset_I[instrument]), int(instruments.settlement_asset_I[instrument])
    bought = Change(quantity_e8, 0, -quantity_e8, 0, 0)
    paid = Change(paid_e8, 0, value_e8, fee_e8, 0)
    balances = held.balances
    if not (ok and fits and change_fits(balances, account, base, bought)):
        return RECORD
    if not change_fits(balances, account, quote, paid):
        return RECORD
    full = _make_room(held, account, 0, base, quote)
    if full != END:
        return full
    post(balances, account, base, bought, instruments.order_C)
    post(balances, account, quote, paid, instruments.order_C)
    return END


@inlined
def _touch(touched: Touched, account: int, flag: int) -> None:
    if touched.flag_A[account] == 0:
        touched.account_A[touched.used[0]] = account
        touched.used[0] += 1
    touched.flag_A[account] |= flag


@inlined
def _apply_one(
    fills: FillColumns, at: int, held: Holdings, instruments: InstrumentArrays, outcome_N: UInt8s, touched: Touched
) -> int:
    """Apply one record for this lane wholly and return ``END``, or leave it entirely unapplied and say why."""
    account = int(fills.account_N[at])
    applied_AT = held.accounts.applied_AT
    if fills.offset_N[at] <= applied_AT[account, FILLS]:
        outcome_N[at] = REPEATED
        return END
    outcome = _verdict(fills, at, held.memory, instruments)
    if outcome == TAKEN:
        if instruments.kind_I[fills.instrument_N[at]] == SPOT:
            reason = _book_spot(fills, at, held, instruments)
        else:
            reason = _book_contract(fills, at, held, instruments)
        if reason != END:
            return reason
        remember(held.memory, account, fills.event_key_N[at], fills.body_digest_N[at])
    applied_AT[account, FILLS] = fills.offset_N[at]
    outcome_N[at] = outcome
    _touch(touched, account, MOVED if outcome == TAKEN else SEEN)
    return END


@allocation_free
def apply_fills(
    fills: FillColumns,
    first: int,
    stop: int,
    shard: int,
    held: Holdings,
    instruments: InstrumentArrays,
    outcome_N: UInt8s,
    touched: Touched,
) -> tuple[int, int]:
    """Apply the records ``first`` to ``stop`` - 1 in order; the index after the last one applied, and why there.

    ``outcome_N`` receives the outcome codes of what was applied; ``held``, ``touched`` are changed.
    """
    for at in range(first, stop):
        reason = RECORD
        if _is_for_lane(fills, at, held, instruments, shard):
            reason = _apply_one(fills, at, held, instruments, outcome_N, touched)
        if reason != END:
            return at, reason
    return stop, END


def outcome_of(code: int, instrument: Instrument | None, event_id: str) -> Outcome:
    """The outcome that ``code`` stands for, word for word that of ``engine.books``. ``instrument`` is the fill's and
    ``event_id`` its id; ``ValueError`` if nothing can be said of such a fill by this lane."""
    if code == TAKEN:
        return APPLIED
    if code == REPEATED:
        return DUPLICATE
    if code == CONFLICTING:
        return rejected(Rejection.EVENT_ID_CONFLICT, "event_id", event_id)
    if instrument is not None:
        if code == EXPIRED:
            return rejected(Rejection.INSTRUMENT_EXPIRED, "trade_time_us", f"expired at {instrument.expiry_us}")
        if code == OFF_LOT:
            return rejected(Rejection.QUANTITY_OFF_LOT, "quantity", f"lot is {instrument.lot_e8} x 10^-8")
        if code == OFF_TICK:
            return rejected(Rejection.PRICE_OFF_TICK, "price", f"tick is {instrument.tick_e8} x 10^-8")
    raise ValueError(f"no outcome for code {code}")


class FillLane:
    """The compiled lane over one worker's columns: grows full pools, and collects which accounts were touched."""

    def __init__(self, columns: AccountColumns, table: InstrumentTable) -> None:
        self._columns, self._table = columns, table
        self._touched = _untouched(0)

    def apply(self, fills: FillColumns, first: int, stop: int, shard: int, outcome_N: UInt8s) -> Stop:
        """Apply records ``first`` to ``stop`` - 1, all of accounts in ``shard``, up to one that is not for this lane.

        ``outcome_N`` receives a code (``outcome_of``) for each record before the stop.
        """
        columns = self._columns
        while True:
            held = Holdings(columns.accounts, columns.positions, columns.balances, columns.memory)
            if len(self._touched.flag_A) < len(held.accounts.shard_A):
                self._touched = _lengthened(self._touched, len(held.accounts.shard_A))
            next, reason = apply_fills(fills, first, stop, shard, held, self._table.arrays(), outcome_N, self._touched)
            if reason in (END, RECORD):
                return Stop(int(next), int(reason))
            self._grow(int(reason), int(fills.account_N[next]))
            first = int(next)

    def take_touched(self) -> tuple[Int32s, Int32s]:
        """Accounts touched since this was last called, and those of them whose books changed; both in the order in
        which they were first touched."""
        touched = self._touched
        accounts = touched.account_A[: touched.used[0]].copy()
        moved = accounts[touched.flag_A[accounts] == MOVED]
        touched.flag_A[accounts] = 0
        touched.used[0] = 0
        return accounts, moved

    def _grow(self, reason: int, account: int) -> None:
        """Lengthen the pool that is full by at least the block that ``account`` needs."""
        columns = self._columns
        if reason == POSITIONS_FULL:
            columns.ensure(positions=max(GROWTH, 2 * int(columns.positions.count_A[account]) + 2))
        elif reason == BALANCES_FULL:
            columns.ensure(balances=max(GROWTH, 2 * int(columns.balances.count_A[account]) + 4))
        else:
            columns.ensure(remembered=max(GROWTH, 2 * MEMORY_MAX))


def _untouched(accounts: int) -> Touched:
    return Touched(np.zeros(accounts, np.uint8), np.zeros(accounts, np.int32), np.zeros(1, np.int64))


def _lengthened(touched: Touched, accounts: int) -> Touched:
    longer = _untouched(accounts)
    longer.flag_A[: len(touched.flag_A)] = touched.flag_A
    longer.account_A[: len(touched.account_A)] = touched.account_A
    longer.used[0] = touched.used[0]
    return longer
