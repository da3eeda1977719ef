"""The margin engine: events in, commands out.

Owns the order of a step and introduces books, risk and liquidation to one another; each of them knows only its own.
Refuses I/O, clocks and chance: the same events in the same batches give the same commands.

A step
  1. applies the batch in order to the exact books (``engine.books``); withdrawals are decided where they stand,
  2. looks at the accounts the batch could have moved (``engine.liquidation.watch``): one vectorized recomputation,
     then the status table, then the next round of commands for accounts in liquidation,
  3. takes snapshots of all accounts when engine time enters a new snapshot interval.

Trail: before it ``streams.runner`` (decoded events), after it ``engine.books.positions`` (one fill).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from engine.books import collateral, intake
from engine.books.account import AccountBook
from engine.books.exposure import AccountIndex
from engine.books.funding import funding_index
from engine.books.market_book import MarketBook
from engine.books.positions import apply_fill, fill_fault
from engine.books.settlement import SettledPosition, can_settle, settle_position
from engine.commands import (
    AccountCommand,
    MarginSnapshot,
    PositionSettled,
    StepResult,
    TransferCredit,
    WithdrawalDecided,
)
from engine.errors import InvariantBroken
from engine.events import (
    AccountEvent,
    BadRecord,
    BroadcastEvent,
    CollateralAssetListed,
    CollateralEvent,
    CollateralKind,
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
from engine.liquidation.watch import AccountWatch, Findings
from engine.market import Market
from engine.outcomes import APPLIED, DUPLICATE, Disposition, Outcome, Rejection, rejected
from engine.reference.parameters import RiskParameters
from engine.risk.margin import margin_figures
from engine.risk.sensitivities import greeks
from engine.risk.withdrawals import withdrawal_refusal
from engine.state import state_hash

_INCOMING = (CollateralKind.DEPOSIT, CollateralKind.TRANSFER_CREDIT)


class MarginEngine:
    """Books of the accounts it was given, the market they share, and what follows from both."""

    def __init__(self) -> None:
        self._books: dict[str, AccountBook] = {}
        self._market = MarketBook()
        self._watch = AccountWatch(self._books, self._market)
        self._holders = AccountIndex()  # by instrument
        self._loaded: set[str] = set()
        self._touched: set[str] = set()
        self._commands: list[tuple[str, AccountCommand]] = []

    def step(self, batch: Sequence[Event], *, judge: bool = True) -> StepResult:
        """Apply ``batch`` in order, then judge once every account it could have moved.

        Without ``judge`` the accounts are remembered and judged at the next step that does: for a caller who knows
        that more of the past is still on its way.

        Outcomes are aligned with the batch. Any exception is a bug or corrupted state: the books may then be half
        way through the batch, and the caller must not go on with this engine.
        """
        self._touched, self._commands = set(), []
        time_us, parameters = self._market.time_us, self._market.parameters
        self._settle_loaded()
        outcomes = tuple([self._apply(event) for event in batch])
        if self._market.time_us != time_us:
            self._watch.note_time()
        if self._market.parameters is not parameters:
            self._watch.note_everyone()
        findings = self._watch.evaluate() if judge else Findings()
        return StepResult(
            outcomes=outcomes,
            touched=tuple(sorted(self._touched | findings.changed)),
            commands=(*self._commands, *findings.commands),
            snapshots=self._snapshots(time_us),
        )

    def load(self, book: AccountBook) -> None:
        """Adopt a recovered account, which this engine now owns. It is judged at the next step, and positions that
        were settled meanwhile are settled then."""
        account = book.account
        if account in self._books:
            raise InvariantBroken(f"account {account} is loaded already")
        self._books[account] = book
        self._loaded.add(account)
        self._holders.put(account, frozenset(book.positions))
        self._watch.note_account(account)

    def drop(self, accounts: Iterable[str]) -> None:
        """Forget accounts that another worker owns now; unknown ones are ignored."""
        for account in accounts:
            if self._books.pop(account, None) is not None:
                self._loaded.discard(account)
                self._holders.drop(account)
                self._watch.forget(account)

    def book(self, account: str) -> AccountBook | None:
        """The account's book itself, not a copy: for reading only."""
        return self._books.get(account)

    def accounts(self) -> Iterable[str]:
        """Ids of all accounts, in no order."""
        return self._books.keys()

    def has_instrument(self, instrument: str) -> bool:
        """Whether fills of ``instrument`` can be booked: it is listed, and so are the assets it settles in."""
        terms = self._market.instruments.get(instrument)
        if terms is None:
            return False
        needed = (terms.settlement_asset, terms.base_asset)
        return all(asset is None or asset in self._market.assets for asset in needed)

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
        return state_hash(self._books.values())

    # One event.

    def _apply(self, event: Event) -> Outcome:
        match event:
            case Fill() | CollateralEvent() | LiquidationAck() | BadRecord():
                return self._apply_to_account(event)
            case _:
                return self._apply_to_market(event)

    def _apply_to_account(self, event: AccountEvent) -> Outcome:
        """Watermark, then repeats, then the event itself; the watermark moves whatever the event's fate."""
        book = self._books.get(event.account)
        if book is None:
            if not _opens_account(event):
                return rejected(Rejection.UNKNOWN_ACCOUNT, "account", event.account)
            book = self._books[event.account] = AccountBook(event.account)
        if not intake.advance(book, event.source):
            return DUPLICATE
        self._touched.add(event.account)
        if isinstance(event, BadRecord):
            book.bad_records += 1
            return APPLIED
        outcome = intake.repeat_of(book, event) or self._apply_new(book, event)
        if outcome.disposition is Disposition.APPLIED:
            intake.remember(book, event)
            self._watch.note_account(event.account)
        return outcome

    def _apply_new(self, book: AccountBook, event: Fill | CollateralEvent | LiquidationAck) -> Outcome:
        match event:
            case Fill():
                return self._apply_fill(book, event)
            case CollateralEvent():
                return self._apply_collateral(book, event)
            case LiquidationAck():
                return case.apply_ack(book, event)
        assert_never(event)

    def _apply_fill(self, book: AccountBook, fill: Fill) -> Outcome:
        instrument = self._market.instruments.get(fill.instrument)
        fault = fill_fault(fill, instrument, self._market.assets)
        if fault is not None:
            return fault
        assert instrument is not None
        index_e12 = funding_index(instrument, self._market.marks)
        held_before = fill.instrument in book.positions
        result = apply_fill(book, fill, instrument, index_e12, self._market.final_price(fill.instrument))
        if result.outcome.disposition is not Disposition.APPLIED:
            return result.outcome
        case.count_fill(book, fill)
        if (fill.instrument in book.positions) != held_before:
            self._holders.put(book.account, frozenset(book.positions))
        if result.settled is not None:
            self._report_settled(book, fill.instrument, result.settled)
        return result.outcome

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
                    self._watch.note_mark(event.feed)
            case Settlement():
                outcome = self._apply_settlement(event)
            case InstrumentListed():
                outcome = self._market.list_instrument(event)
                if outcome.disposition is Disposition.APPLIED:
                    for account in self._holders.accounts(event.instrument.instrument_id):
                        self._watch.note_account(account)
            case CollateralAssetListed():
                outcome = self._market.list_asset(event)
                if outcome.disposition is Disposition.APPLIED:
                    self._watch.note_everyone()
            case ParametersSet():
                outcome = self._market.set_parameters(event)
            case _:
                assert_never(event)
        return outcome

    # Settlement.

    def _apply_settlement(self, event: Settlement) -> Outcome:
        fault = self._market.settlement_fault(event)
        if fault is not None:
            return fault
        instrument = self._market.instruments[event.instrument]
        holders = sorted(self._holders.accounts(event.instrument))
        if not all(can_settle(self._books[account], instrument, event.price_e8) for account in holders):
            return rejected(Rejection.AMOUNT_OUT_OF_RANGE, "price", "a book would overflow")
        self._market.settle(event)
        for account in holders:
            self._settle(self._books[account], event.instrument)
        return APPLIED

    def _settle_loaded(self) -> None:
        """Settle what was settled while the account was on its way to this engine."""
        for account in sorted(self._loaded):
            book = self._books[account]
            for name in sorted(book.positions.keys() & self._market.settlements.keys()):
                self._settle(book, name)
        self._loaded.clear()

    def _settle(self, book: AccountBook, name: str) -> None:
        instrument, price_e8 = self._market.instruments[name], self._market.settlements[name].price_e8
        self._report_settled(book, name, settle_position(book, instrument, price_e8))
        self._holders.put(book.account, frozenset(book.positions))

    def _report_settled(self, book: AccountBook, name: str, settled: SettledPosition) -> None:
        self._touched.add(book.account)
        self._watch.note_account(book.account)
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

    # Snapshots.

    def _snapshots(self, time_before_us: int) -> tuple[MarginSnapshot, ...]:
        """Figures and Greeks of every priced account, when engine time has entered a new snapshot interval. Engine
        time before the first mark is no time, so the first mark enters nothing."""
        parameters = self._market.parameters
        if parameters is None or not time_before_us:
            return ()
        interval_us = parameters.snapshot_interval_us
        if self._market.time_us // interval_us == time_before_us // interval_us:
            return ()
        books = [self._books[account] for account in sorted(self._books)]
        frame = self._watch.frame(parameters)
        figures = margin_figures(books, frame.market, parameters, frame)
        return tuple(
            MarginSnapshot(
                account=book.account,
                status=book.status,
                figures=figured,
                greeks=greeks(book, frame.market),
                versions=self._market.versions(book.applied),
            )
            for book, figured in zip(books, figures, strict=True)
            if figured is not None
        )


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
