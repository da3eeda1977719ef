"""The watch: which accounts must be looked at, and what follows when they are.

Owns the set of accounts that a batch could have moved, their recomputation in one pass over the columns, the walk on
the status table, holds and rounds of liquidation. Refuses events; ``engine.margin_engine`` says what they touched.

An account is looked at when it had an event of its own, when the market has moved further than its guard band allows
(``engine.liquidation.lookout``), when its deadline (an open command's, a hold's) passed, and when parameters or
collateral terms changed. An account that no band describes, because it is being liquidated or waits for a price to be
refreshed, is restless: it is looked at whenever a mark it is exposed to changes, and every second of engine time if it
holds options. Looking at more accounts than that would find nothing.

Trail: before it ``engine.margin_engine``, after it ``engine.risk.verdicts`` and ``engine.liquidation.status``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.books.account import AccountBook
from engine.books.exposure import TIME_FACTOR, AccountIndex
from engine.books.market_book import MarketBook
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import Int32s
from engine.columns.desk import Desk
from engine.commands import AccountCommand, AccountFigures, StatusChanged
from engine.liquidation import case, status
from engine.liquidation.calm import calm
from engine.liquidation.decision import decide
from engine.liquidation.lookout import Lookout
from engine.liquidation.timers import Timers
from engine.outcomes import MarginStatus
from engine.reference.parameters import RiskParameters
from engine.risk.exposures import feeds_of
from engine.risk.margin import margin_figures
from engine.risk.revaluation import RiskFrame
from engine.risk.verdicts import Verdicts


@dataclass(slots=True)
class Findings:
    """Accounts whose book the watch changed, and commands in order of decision, each under its account."""

    changed: set[int] = field(default_factory=set)
    commands: list[tuple[str, AccountCommand]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Standing:
    """One recomputed account that is not calm: its next status, and until when it is held (None: not)."""

    number: int
    account: str
    after: MarginStatus
    held_until_us: int | None


class AccountWatch:
    """Watches ``columns`` under ``market``; books are taken from ``desk``. All three belong to the engine."""

    def __init__(self, columns: AccountColumns, desk: Desk, market: MarketBook) -> None:
        self._columns = columns
        self._desk = desk
        self._market = market
        self._lookout = Lookout(columns, market)
        self._restless = AccountIndex()
        self._timers = Timers()
        self._noted: list[Int32s] = []
        self._noted_few: set[int] = set()
        self._frame: RiskFrame | None = None

    def note_account(self, number: int) -> None:
        """The account had an event: look at it."""
        self._noted_few.add(number)

    def note_accounts(self, numbers: Int32s) -> None:
        """The accounts had events."""
        self._noted.append(numbers)

    def note_mark(self, feed: str) -> None:
        """The mark of ``feed`` changed."""
        self._lookout.note_mark(feed)
        self._noted_few |= self._restless.accounts(feed)

    def note_time(self) -> None:
        """Engine time moved."""
        if self._lookout.note_time():
            self._noted_few |= self._restless.accounts(TIME_FACTOR)
        self._noted_few.update(self._timers.due(self._market.time_us))

    def note_everyone(self) -> None:
        """Parameters or terms changed: every figure may have moved."""
        self._lookout.note_terms()
        self._noted.append(self._columns.numbers())

    def forget(self, numbers: Int32s) -> None:
        """The accounts are no longer ours; call it while the columns still have them."""
        self._lookout.release(numbers)
        gone = set(numbers.tolist())
        for number in gone & self._restless.members():
            self._restless.drop(number)
        for number in gone & self._timers.members():
            self._timers.put(number, None)
        self._noted_few -= gone
        self._noted = [np.setdiff1d(noted, numbers) for noted in self._noted]

    def frame(self, parameters: RiskParameters) -> RiskFrame:
        """The revaluation rows of the market as it stands, for the few whose figures somebody wants in full."""
        market = self._market.view()
        if self._frame is None or self._frame.market is not market or self._frame.parameters is not parameters:
            self._frame = RiskFrame(market, parameters)
        return self._frame

    def memory_bytes(self) -> int:
        """What the guard bands take."""
        return self._lookout.memory_bytes()

    def evaluate(self) -> Findings:
        """Look at every account that may have moved. Without parameters in force nobody can be judged."""
        findings = Findings()
        parameters = self._market.parameters
        if parameters is None:
            return findings
        numbers = self._take_noted(self._lookout.moved(parameters))
        standings: list[_Standing] = []
        while numbers.size:
            self._close_expired(numbers, parameters, findings)
            self._desk.put_back()
            verdicts = self._lookout.evaluate(numbers)
            expiry_us = self._expiries(numbers, parameters)
            open_N = np.isin(numbers, np.fromiter(expiry_us, dtype=np.int32, count=len(expiry_us)))
            found = calm(numbers, self._columns.accounts.status_A, open_N, verdicts, parameters)
            evicted = self._lookout.guard(numbers[found.calm], found.slack, found.two_sided)
            self._lookout.release(numbers[~found.calm])
            self._settle_down(numbers[found.calm], expiry_us)
            standings += self._recompute(numbers, found.calm, verdicts, parameters)
            numbers = np.unique(evicted)
        standings.sort(key=lambda standing: standing.account)
        self._move(standings, parameters, findings)
        self._desk.put_back()
        return findings

    def _take_noted(self, moved: Int32s) -> Int32s:
        """The numbers of all accounts to look at, each once, ascending."""
        few = np.fromiter(self._noted_few, dtype=np.int32, count=len(self._noted_few))
        numbers = np.unique(np.concatenate([*self._noted, moved, few]))
        self._noted.clear()
        self._noted_few.clear()
        return numbers

    def _close_expired(self, numbers: Int32s, parameters: RiskParameters, findings: Findings) -> None:
        for number, expiry_us in self._expiries(numbers, parameters).items():
            if expiry_us < self._market.time_us:
                case.close_expired(self._desk.take(number), self._market.time_us, parameters)
                findings.changed.add(number)

    def _expiries(self, numbers: Int32s, parameters: RiskParameters) -> dict[int, int]:
        """When the first open command is given up, of those accounts that have one."""
        expiries = {}
        for number in numbers[self._columns.accounts.has_cold_A[numbers] != 0].tolist():
            expiry_us = case.next_expiry_us(self._columns.cold[number].open_commands, parameters)
            if expiry_us is not None:
                expiries[number] = expiry_us
        return expiries

    def _settle_down(self, numbers: Int32s, expiry_us: Mapping[int, int]) -> None:
        """Who is calm needs no restless looks, and no deadline but that of an open command."""
        restless, timed = self._restless.members(), self._timers.members()
        if restless or timed or expiry_us:
            for number in numbers.tolist():
                if number in restless:
                    self._restless.drop(number)
                if number in timed or number in expiry_us:
                    self._timers.put(number, expiry_us.get(number))

    def _recompute(
        self, numbers: Int32s, calm_N: np.ndarray[tuple[int], np.dtype[np.bool_]], verdicts: Verdicts,
        parameters: RiskParameters,
    ) -> list[_Standing]:  # fmt: skip
        """The accounts that are not calm, with their next status. Sets what they wait for."""
        standings = []
        columns = (verdicts.equity_A, verdicts.initial_margin_A, verdicts.maintenance_margin_A, verdicts.priced_A)
        for at in np.flatnonzero(~calm_N).tolist():
            number, book = int(numbers[at]), self._desk.take(int(numbers[at]))
            equity, initial, maintenance, priced = (column[at].item() for column in columns)
            held_until_us = None
            self._restless.put(number, self._factors(book))
            if priced:
                if equity < maintenance or status.in_liquidation(book.status):
                    held_until_us = self._held_until(number, parameters)
                held, open_ = held_until_us is not None, bool(book.open_commands)
                found = status.conditions(equity, initial, maintenance, parameters, open_, held)
                standings.append(_Standing(number, book.account, status.next_status(book.status, found), held_until_us))
            self._set_deadline(number, book, parameters, held_until_us)
        return standings

    def _factors(self, book: AccountBook) -> frozenset[str]:
        instruments = self._market.instruments
        feeds = feeds_of(book, instruments, self._market.assets)
        held = (instruments.get(name) for name in book.positions)
        has_option = any(instrument is not None and instrument.kind.is_option for instrument in held)
        return feeds | {TIME_FACTOR} if has_option else feeds

    def _move(self, standings: list[_Standing], parameters: RiskParameters, findings: Findings) -> None:
        """Make the transitions and open the rounds that are due, account by account."""
        books = [self._desk.take(standing.number) for standing in standings]
        moving = [book for book, standing in zip(books, standings, strict=True) if standing.after is not book.status]
        figures: Iterable[AccountFigures | None] = ()
        if moving:
            frame = self.frame(parameters)
            figures = margin_figures(moving, frame.market, parameters, frame)
        next_figures = iter(figures)
        for book, standing in zip(books, standings, strict=True):
            if standing.after is not book.status:
                self._change_status(book, standing, next(next_figures), findings)
            if status.in_liquidation(book.status) and not book.open_commands and standing.held_until_us is None:
                self._open_round(book, standing, parameters, findings)

    def _change_status(
        self, book: AccountBook, standing: _Standing, figures: AccountFigures | None, findings: Findings
    ) -> None:
        assert figures is not None, "only priced accounts change their status"
        before, book.status = book.status, standing.after
        book.status_changes += 1
        if status.in_liquidation(book.status) and not status.in_liquidation(before):
            case.enter(book)
        versions = self._market.versions(book.applied)
        changed = StatusChanged(book.account, book.status_changes, before, book.status, figures, versions)
        findings.changed.add(standing.number)
        findings.commands.append((book.account, changed))

    def _open_round(
        self, book: AccountBook, standing: _Standing, parameters: RiskParameters, findings: Findings
    ) -> None:
        versions = self._market.versions(book.applied)
        decided = decide(book, self._market.view(), parameters, versions, self.frame(parameters))
        if decided is None:
            return
        decision, commands = decided
        case.open_round(book, commands)
        self._set_deadline(standing.number, book, parameters, None)
        findings.changed.add(standing.number)
        findings.commands.append((book.account, decision))
        findings.commands += [(book.account, command) for command in commands]

    def _set_deadline(
        self, number: int, book: AccountBook, parameters: RiskParameters, held_until_us: int | None
    ) -> None:
        deadlines = (case.next_expiry_us(book.open_commands, parameters), held_until_us)
        self._timers.put(number, min((at for at in deadlines if at is not None), default=None))

    def _held_until(self, number: int, parameters: RiskParameters) -> int | None:
        """The end of the account's hold: the latest deadline among its marks that are too old but not yet given up."""
        age_us_max = parameters.mark_age_us_max
        deadlines = []
        for feed in self._restless.keys(number):
            age_us = self._market.age_us(feed)
            if age_us is not None and age_us_max < age_us <= status.HOLD_AGE_FACTOR * age_us_max:
                deadlines.append(self._market.marks[feed].mark_time_us + status.HOLD_AGE_FACTOR * age_us_max)
        return max(deadlines, default=None)
