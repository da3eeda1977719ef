"""The margin engine: events in, commands out.

Owns the order of a step and introduces accounts, risk and liquidation to one another; each of them knows only its own.
Refuses I/O, clocks and chance: the same events in the same batches give the same commands.

A step
  1. applies the batch in order to the exact books: plain fills by the compiled lane (``engine.columns.fills``), all
     other events one by one (``engine.books``); withdrawals are decided where they stand,
  2. looks at the accounts the batch could have moved (``engine.liquidation.watch``): one compiled recomputation,
     then the status table, then the next round of commands for accounts in liquidation,
  3. goes on with the sweep over all accounts (``engine.liquidation.sweep``), which begins anew when engine time enters
     a new snapshot interval.

Trail: before it ``streams.runner`` (decoded events), after it ``engine.books.positions`` (one fill).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

import numpy as np

from engine.books import collateral, intake
from engine.books.account import AccountBook
from engine.books.funding import funding_index
from engine.books.market_book import MarketBook
from engine.books.positions import apply_fill, fill_fault
from engine.books.settlement import SettledPosition, can_settle, settle_position
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import Int32s, UInt8s
from engine.columns.desk import Desk
from engine.columns.fill_columns import FillColumns
from engine.columns.fills import FillLane
from engine.columns.holders import holders
from engine.columns.instruments import InstrumentTable
from engine.columns.names import Names
from engine.columns.rows import decode, encode
from engine.commands import (
    AccountCommand,
    ExecutionAnomaly,
    PositionSettled,
    StepResult,
    TransferCredit,
    WithdrawalDecided,
)
from engine.controls import NO_HOLDS, Controls
from engine.errors import InvariantBroken
from engine.events import (
    AccountEvent,
    BadRecord,
    BroadcastEvent,
    CollateralAssetListed,
    CollateralEvent,
    CollateralKind,
    ControlScope,
    ControlSet,
    Event,
    Fill,
    InstrumentListed,
    LiquidationAck,
    MarkPrice,
    ParametersSet,
    Settlement,
)
from engine.ids import transfer_credit_id
from engine.liquidation import case
from engine.liquidation.status import in_liquidation
from engine.liquidation.sweep import Sweep
from engine.liquidation.watch import AccountWatch, Findings
from engine.market import Market
from engine.outcomes import APPLIED, DUPLICATE, Anomaly, Disposition, Outcome, Rejection, rejected
from engine.pricing.axes import Bools
from engine.reference.instruments import Instrument
from engine.reference.parameters import RiskParameters
from engine.risk.withdrawals import withdrawal_refusal
from engine.state import state_hash

_INCOMING = (CollateralKind.DEPOSIT, CollateralKind.TRANSFER_CREDIT)


class MarginEngine:
    """Books of the accounts it was given, the market they share, and what follows from both.

    Accounts are in shards, which the engine only keeps apart: that of a recovered account is told to ``load``, that of
    a new one is the partition of the event which opened it.
    """

    def __init__(self) -> None:
        self._columns = AccountColumns()
        self._desk = Desk(self._columns)
        self._terms = InstrumentTable(self._columns)
        self._lane = FillLane(self._columns, self._terms)
        self._market = MarketBook()
        self._watch = AccountWatch(self._columns, self._desk, self._market)
        self._sweep = Sweep(self._columns, self._desk, self._market, self._watch)
        self._loaded: list[Int32s] = []
        self._time_us = 0
        self._parameters: RiskParameters | None = None
        self._controls = NO_HOLDS
        self._touched: set[int] = set()
        self._commands: list[tuple[str, AccountCommand]] = []

    def step(self, batch: Sequence[Event], *, judge: bool = True, sweep_max: int | None = None) -> StepResult:
        """Apply ``batch`` in order, then judge once every account it could have moved.

        Without ``judge`` the accounts are remembered and judged at the next step that does: for a caller who knows
        that more of the past is still on its way. ``sweep_max`` bounds the accounts that the sweep takes on.

        Outcomes are aligned with the batch. Any exception is a bug or corrupted state: the books may then be half
        way through the batch, and the caller must not go on with this engine.
        """
        self.begin()
        outcomes = tuple([self.apply(event) for event in batch])
        return self.finish(outcomes, judge=judge, sweep_max=sweep_max)

    def begin(self) -> None:
        """Begin a step: ``apply`` and ``apply_fills`` as often as need be, then ``finish``."""
        self._touched, self._commands = set(), []
        self._time_us, self._parameters = self._market.time_us, self._market.parameters
        self._controls = self._market.controls()
        self._settle_loaded()

    def apply_fills(self, fills: FillColumns, first: int, shard: int, outcome_N: UInt8s) -> int:
        """Apply plain fills of accounts in ``shard`` from record ``first`` on; the index of the first that needs
        ``apply``, or the end. The accounts and instruments in ``fills`` are numbered by ``names``. ``outcome_N``
        receives a code (``engine.columns.fills.outcome_of``) for each."""
        self._desk.put_back()
        return self._lane.apply(fills, first, fills.lane_N.size, shard, outcome_N).next

    def apply(self, event: Event) -> Outcome:
        """Apply one event."""
        match event:
            case Fill() | CollateralEvent() | LiquidationAck() | BadRecord():
                return self._apply_to_account(event)
            case _:
                return self._apply_to_market(event)

    def finish(self, outcomes: tuple[Outcome, ...], *, judge: bool = True, sweep_max: int | None = None) -> StepResult:
        """End a step: judge, go on with the sweep, and say what has to be written and sent."""
        self._desk.put_back()
        if self._market.time_us != self._time_us:
            self._watch.note_time()
            self._sweep.note_time(self._time_us)
        if self._market.parameters is not self._parameters:
            self._watch.note_everyone()
        self._note_concerned(self._controls, self._market.controls())
        touched, moved = self._lane.take_touched()
        self._watch.note_accounts(moved)
        swept = self._sweep.take(sweep_max)
        self._watch.note_accounts(swept)
        findings = self._watch.evaluate() if judge else Findings()
        return StepResult(
            outcomes=outcomes,
            rows=self._rows(touched, findings.changed),
            commands=(*self._commands, *findings.commands),
            snapshots=self._sweep.snapshots(swept),
            gaps=self._sweep.gaps(swept),
        )

    def load(self, book: AccountBook, shard: int = 0) -> None:
        """Adopt an account, which this engine now owns. It is judged at the next step, and positions that were
        settled meanwhile are settled then."""
        if self._columns.number(book.account) >= 0:
            raise InvariantBroken(f"account {book.account} is loaded already")
        number = self._columns.open(book.account, shard)
        self._columns.put(number, book)
        self._adopt(np.array([number], dtype=np.int32))

    def load_rows(self, rows: Sequence[bytes], shard: int) -> list[bytes]:
        """Adopt the accounts of ``rows`` as ``rows`` of this engine wrote them; returns their ids. Raises
        ``engine.columns.rows.DamagedRow``."""
        numbers = decode(self._columns, rows, shard)
        self._adopt(numbers)
        return self._columns.names.texts(numbers)

    def encode_rows(self, accounts: Sequence[bytes]) -> list[bytes]:
        """The durable form of ``accounts``, one row each."""
        self._desk.put_back()
        return encode(self._columns, self._numbers(accounts))

    def drop(self, accounts: Iterable[str]) -> None:
        """Forget accounts that another worker owns now; unknown ones are ignored."""
        numbers = self._numbers([account.encode() for account in accounts])
        self._forget(numbers[numbers >= 0])

    def drop_shard(self, shard: int) -> None:
        """Forget all accounts of a shard."""
        self._forget(self._columns.of_shard(shard))

    def shard(self, account: str) -> int | None:
        """The shard of an account; None for one that is not here."""
        number = self._columns.number(account)
        return None if number < 0 else int(self._columns.accounts.shard_A[number])

    def book(self, account: str) -> AccountBook | None:
        """The account's book: for reading only."""
        number = self._columns.number(account)
        return None if number < 0 else self._desk.look(number)

    def accounts(self) -> list[str]:
        """Ids of all accounts, in no order."""
        return [name.decode() for name in self._columns.names.texts(self._columns.numbers())]

    def __len__(self) -> int:
        """How many accounts there are."""
        return len(self._columns)

    def names(self) -> tuple[Names, Names]:
        """The numbers that ``apply_fills`` knows accounts and instruments by."""
        return self._columns.names, self._columns.instruments.names

    def memory_bytes(self) -> int:
        """What the accounts and their guard bands take."""
        return self._columns.memory_bytes() + self._watch.memory_bytes()

    def has_instrument(self, instrument: str) -> bool:
        """Whether fills of ``instrument`` can be booked: it is listed, and so are the assets it settles in."""
        terms = self._market.instruments.get(instrument)
        if terms is None:
            return False
        needed = (terms.settlement_asset, terms.base_asset)
        return all(asset is None or asset in self._market.assets for asset in needed)

    def bookable_instruments(self) -> Bools:
        """``has_instrument`` by instrument number, shape [I]."""
        bookable_I: Bools = self._terms.arrays().kind_I != 0
        return bookable_I

    def has_asset(self, asset: str) -> bool:
        """Whether ``asset`` is listed as collateral."""
        return asset in self._market.assets

    def market(self) -> Market:
        """The market as it stands; an immutable value."""
        return self._market.view()

    @property
    def parameters(self) -> RiskParameters | None:
        """The risk parameters in force, or None before the first."""
        return self._market.parameters

    def state_hash(self) -> str:
        """Hash of all books (``engine.state``)."""
        return state_hash(self._desk.look(number) for number in self._columns.numbers().tolist())

    # Accounts.

    def _adopt(self, numbers: Int32s) -> None:
        self._loaded.append(numbers)
        self._watch.note_accounts(numbers)

    def _forget(self, numbers: Int32s) -> None:
        self._desk.put_back()
        self._loaded = [np.setdiff1d(loaded, numbers) for loaded in self._loaded]
        self._watch.forget(numbers)
        self._columns.drop(numbers)

    def _numbers(self, accounts: Sequence[bytes]) -> Int32s:
        return self._columns.names.numbers(accounts)

    def _rows(self, touched: Int32s, changed: set[int]) -> dict[int, tuple[bytes, ...]]:
        """The accounts that this step touched or the watch changed, by shard."""
        few = np.fromiter(self._touched | changed, dtype=np.int32)
        numbers = np.unique(np.concatenate([few, touched]))
        shard_N = self._columns.accounts.shard_A[numbers]
        return {
            int(shard): tuple(sorted(self._columns.names.texts(numbers[shard_N == shard])))
            for shard in np.unique(shard_N)
        }

    def _note_concerned(self, before: Controls, after: Controls) -> None:
        """A hold has come, changed, been lifted or expired: look at everybody it is about. Executors heed venues."""
        for scope, target in sorted(before.differing(after)):
            match scope:
                case ControlScope.GLOBAL:
                    self._watch.note_accounts(self._columns.numbers())
                case ControlScope.INSTRUMENT:
                    self._watch.note_accounts(self._holders([target]))
                case ControlScope.ACCOUNT if (number := self._columns.number(target)) >= 0:
                    self._watch.note_account(number)

    def _holders(self, instruments: Iterable[str]) -> Int32s:
        """Accounts with a position in any of ``instruments``, ascending by number."""
        self._desk.put_back()
        names = self._columns.instruments.names
        marked = np.zeros(names.numbered, dtype=np.bool_)
        held = [number for instrument in instruments if (number := names.number(instrument.encode())) >= 0]
        marked[held] = True
        nothing = np.zeros(0, dtype=np.bool_)
        return holders(self._columns.numbers(), self._columns.holdings(), marked, nothing)

    # One event.

    def _apply_to_account(self, event: AccountEvent) -> Outcome:
        """Watermark, then repeats, then the event itself; the watermark moves whatever the event's fate."""
        number = self._columns.number(event.account)
        if number < 0:
            if not _opens_account(event):
                return rejected(Rejection.UNKNOWN_ACCOUNT, "account", event.account)
            number = self._columns.open(event.account, event.source.partition)
        book = self._desk.take(number)
        if not intake.advance(book, event.source):
            return DUPLICATE
        self._touched.add(number)
        if isinstance(event, BadRecord):
            book.bad_records += 1
            return APPLIED
        outcome = intake.repeat_of(book, event) or self._apply_new(book, event)
        if outcome.disposition is Disposition.APPLIED:
            intake.remember(book, event)
            self._watch.note_account(number)
        return outcome

    def _apply_new(self, book: AccountBook, event: Fill | CollateralEvent | LiquidationAck) -> Outcome:
        match event:
            case Fill():
                return self._apply_fill(book, event)
            case CollateralEvent():
                return self._apply_collateral(book, event)
            case LiquidationAck():
                outcome, anomalies = case.apply_ack(book, event)
                self._report_anomalies(book, event.command_id, event.event_id, anomalies)
                return outcome
        assert_never(event)

    def _apply_fill(self, book: AccountBook, fill: Fill) -> Outcome:
        instrument = self._market.instruments.get(fill.instrument)
        fault = fill_fault(fill, instrument, self._market.assets)
        if fault is not None:
            return fault
        assert instrument is not None
        index_e12 = funding_index(instrument, self._market.marks)
        result = apply_fill(book, fill, instrument, index_e12, self._market.final_price(fill.instrument))
        if result.outcome.disposition is not Disposition.APPLIED:
            return result.outcome
        self._report_anomalies(book, fill.command_id, fill.event_id, case.count_fill(book, fill))
        if result.settled is not None:
            self._report_settled(book, fill.instrument, result.settled)
        return result.outcome

    def _report_anomalies(
        self, book: AccountBook, command_id: str, event_id: str, anomalies: Sequence[Anomaly]
    ) -> None:
        for anomaly in anomalies:
            reported = ExecutionAnomaly(
                book.account, command_id, event_id, anomaly, self._market.versions(book.applied)
            )
            self._commands.append((book.account, reported))

    def _apply_collateral(self, book: AccountBook, event: CollateralEvent) -> Outcome:
        fault = collateral.collateral_fault(event, self._market.assets)
        if fault is not None:
            return fault
        if event.kind in _INCOMING:
            return collateral.apply_deposit(book, event)
        if not collateral.can_withdraw(book, event):
            return rejected(Rejection.AMOUNT_OUT_OF_RANGE, "amount", "the book would overflow")
        refusal = withdrawal_refusal(
            book,
            event.asset,
            event.amount_e8,
            self._market.view(),
            self._market.parameters,
            in_liquidation=in_liquidation(book.status),
        )
        if refusal is None:
            collateral.apply_withdrawal(book, event)
        versions = self._market.versions(book.applied)
        decided = WithdrawalDecided(book.account, event.event_id, event.asset, event.amount_e8, refusal, versions)
        self._commands.append((book.account, decided))
        if refusal is None and event.kind is CollateralKind.TRANSFER:
            self._commands.append((book.account, _credit(book, event)))
        return APPLIED

    def _apply_to_market(self, event: BroadcastEvent) -> Outcome:
        match event:
            case MarkPrice():
                outcome = self._market.set_mark(event)
                if outcome.disposition is Disposition.APPLIED:
                    self._terms.set_funding(event.feed, event.funding_index_linear_e12, event.funding_index_inverse_e12)
                    self._watch.note_mark(event.feed)
            case Settlement():
                outcome = self._apply_settlement(event)
            case InstrumentListed():
                outcome = self._market.list_instrument(event)
                if outcome.disposition is Disposition.APPLIED:
                    self._list(event.instrument)
            case CollateralAssetListed():
                outcome = self._market.list_asset(event)
                if outcome.disposition is Disposition.APPLIED:
                    self._terms.list_asset(event.asset.asset_id)
                    self._watch.note_everyone()
            case ParametersSet():
                outcome = self._market.set_parameters(event)
            case ControlSet():
                outcome = self._market.set_control(event)
            case _:
                assert_never(event)
        return outcome

    def _list(self, instrument: Instrument) -> None:
        if self._columns.instruments.names.number(instrument.instrument_id.encode()) >= 0:
            # Somebody held it before it was listed here; otherwise nobody can hold it yet.
            self._watch.note_everyone()
        self._terms.list(instrument)

    # Settlement.

    def _apply_settlement(self, event: Settlement) -> Outcome:
        fault = self._market.settlement_fault(event)
        if fault is not None:
            return fault
        instrument = self._market.instruments[event.instrument]
        holding = sorted(self._holders([event.instrument]).tolist(), key=self._columns.name)
        if not all(can_settle(self._desk.take(number), instrument, event.price_e8) for number in holding):
            return rejected(Rejection.AMOUNT_OUT_OF_RANGE, "price", "a book would overflow")
        self._market.settle(event)
        self._terms.settle(event.instrument)
        for number in holding:
            self._settle(number, event.instrument)
        return APPLIED

    def _settle_loaded(self) -> None:
        """Settle what was settled while the account was on its way to this engine."""
        if self._loaded and self._market.settlements:
            loaded = np.concatenate(self._loaded)
            waiting = np.intersect1d(loaded, self._holders(self._market.settlements))
            for number in sorted(waiting.tolist(), key=self._columns.name):
                held = self._desk.take(number).positions.keys() & self._market.settlements.keys()
                for name in sorted(held):
                    self._settle(number, name)
        self._loaded.clear()

    def _settle(self, number: int, name: str) -> None:
        instrument, price_e8 = self._market.instruments[name], self._market.settlements[name].price_e8
        book = self._desk.take(number)
        self._touched.add(number)
        self._watch.note_account(number)
        self._report_settled(book, name, settle_position(book, instrument, price_e8))

    def _report_settled(self, book: AccountBook, name: str, settled: SettledPosition) -> None:
        settlement = self._market.settlements[name]
        report = PositionSettled(
            account=book.account,
            instrument=name,
            quantity_e8=settled.quantity_e8,
            price_e8=settlement.price_e8,
            cash_e8=settled.cash_e8,
            settlement_version=settlement.version,
            versions=self._market.versions(book.applied),
        )
        self._commands.append((book.account, report))


def _opens_account(event: AccountEvent) -> bool:
    """Facts open an account; requests and answers need one, as topics have no mutual order."""
    if isinstance(event, CollateralEvent):
        return event.kind in _INCOMING
    return not isinstance(event, LiquidationAck)


def _credit(payer: AccountBook, event: CollateralEvent) -> TransferCredit:
    return TransferCredit(
        event_id=transfer_credit_id(payer.account, payer.transfer_sequence),
        account=event.counterparty,
        payer=payer.account,
        transfer_sequence=payer.transfer_sequence,
        asset=event.asset,
        amount_e8=event.amount_e8,
        event_time_us=event.event_time_us,
    )
