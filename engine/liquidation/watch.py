"""The watch: which accounts must be looked at, and what follows when they are.

Owns the set of accounts that a batch could have moved, their recomputation in one vectorized pass, the walk on the
status table, holds and rounds of liquidation. Refuses events; ``engine.margin_engine`` says what they touched.

An account is looked at when it had an event of its own, when a mark it is exposed to changed, when time passed and it
holds options, when its deadline (an open command's, a hold's) passed, and when parameters or collateral terms
changed. Looking at more accounts than that would find nothing: no other figure has moved.

Trail: before it ``engine.margin_engine``, after it ``engine.risk.margin`` and ``engine.liquidation.status``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.books.account import AccountBook
from engine.books.exposure import TIME_FACTOR, AccountIndex
from engine.books.market_book import MarketBook
from engine.commands import AccountCommand, AccountFigures, StatusChanged
from engine.liquidation import case, status
from engine.liquidation.decision import decide
from engine.liquidation.timers import Timers
from engine.outcomes import MarginStatus
from engine.reference.parameters import RiskParameters
from engine.risk.exposures import feeds_of
from engine.risk.margin import account_risk, margin_figures
from engine.risk.revaluation import RiskFrame


@dataclass(slots=True)
class Findings:
    """Accounts whose book the watch changed, and commands in order of decision, each under its account."""

    changed: set[str] = field(default_factory=set)
    commands: list[tuple[str, AccountCommand]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Standing:
    """One recomputed account that is not at ease: its next status, and until when it is held (None: not)."""

    book: AccountBook
    after: MarginStatus
    held_until_us: int | None


class AccountWatch:
    """Watches ``books`` under ``market``; both belong to the engine and are read when needed."""

    def __init__(self, books: Mapping[str, AccountBook], market: MarketBook) -> None:
        self._books = books
        self._market = market
        self._by_factor = AccountIndex()
        self._timers = Timers()
        self._holdings_changed: set[str] = set()
        self._pending: set[str] = set()
        self._frame: RiskFrame | None = None

    def note_account(self, account: str) -> None:
        """The account had an event: look at it, and at what it is exposed to from now on."""
        self._holdings_changed.add(account)

    def note_mark(self, feed: str) -> None:
        """The mark of ``feed`` changed."""
        self._pending |= self._by_factor.accounts(feed)

    def note_time(self) -> None:
        """Engine time moved."""
        self._pending |= self._by_factor.accounts(TIME_FACTOR)
        self._pending.update(self._timers.due(self._market.time_us))

    def note_everyone(self) -> None:
        """Parameters or terms changed: every figure may have moved."""
        self._holdings_changed.update(self._books)

    def forget(self, account: str) -> None:
        """The account is no longer ours."""
        self._by_factor.drop(account)
        self._timers.put(account, None)
        self._holdings_changed.discard(account)
        self._pending.discard(account)

    def frame(self, parameters: RiskParameters) -> RiskFrame:
        """The revaluation rows of the market as it stands, shared by all computations until it moves."""
        market = self._market.view()
        if self._frame is None or self._frame.market is not market or self._frame.parameters is not parameters:
            self._frame = RiskFrame(market, parameters)
        return self._frame

    def evaluate(self) -> Findings:
        """Look at every account that may have moved. Without parameters in force nobody can be judged."""
        for account in self._holdings_changed:
            self._by_factor.put(account, self._factors(self._books[account]))
        self._pending |= self._holdings_changed
        self._holdings_changed.clear()
        findings = Findings()
        parameters = self._market.parameters
        if parameters is not None and self._pending:
            books = [self._books[account] for account in sorted(self._pending)]
            self._pending.clear()
            for book in books:
                if book.open_commands and case.close_expired(book, self._market.time_us, parameters):
                    findings.changed.add(book.account)
            standings = self._recompute(books, parameters)
            self._move(standings, parameters, findings)
        return findings

    def _factors(self, book: AccountBook) -> frozenset[str]:
        instruments = self._market.instruments
        feeds = feeds_of(book, instruments, self._market.assets)
        held = (instruments.get(name) for name in book.positions)
        has_option = any(instrument is not None and instrument.kind.is_option for instrument in held)
        return feeds | {TIME_FACTOR} if has_option else feeds

    def _recompute(self, books: list[AccountBook], parameters: RiskParameters) -> list[_Standing]:
        """The accounts among ``books`` that are not simply healthy, with their next status. Sets their deadlines."""
        frame = self.frame(parameters)
        risk = account_risk(books, frame.market, parameters, frame)
        columns = (risk.equity_A, risk.initial_margin_A, risk.maintenance_margin_A, risk.priced_A)
        standings = []
        for book, equity, initial, maintenance, priced in zip(books, *(c.tolist() for c in columns), strict=True):
            if priced and book.status is MarginStatus.HEALTHY and equity >= initial:
                self._timers.put(book.account, None)
                continue
            held_until_us = None
            if priced:
                if equity < maintenance or status.in_liquidation(book.status):
                    held_until_us = self._held_until(book, parameters)
                held, open_ = held_until_us is not None, bool(book.open_commands)
                found = status.conditions(equity, initial, maintenance, parameters, open_, held)
                standings.append(_Standing(book, status.next_status(book.status, found), held_until_us))
            self._set_deadline(book, parameters, held_until_us)
        return standings

    def _move(self, standings: list[_Standing], parameters: RiskParameters, findings: Findings) -> None:
        """Make the transitions and open the rounds that are due, account by account."""
        moving = [standing.book for standing in standings if standing.after is not standing.book.status]
        frame = self.frame(parameters)
        figures = iter(margin_figures(moving, frame.market, parameters, frame) if moving else ())
        for standing in standings:
            book = standing.book
            if standing.after is not book.status:
                self._change_status(book, standing.after, next(figures), findings)
            if status.in_liquidation(book.status) and not book.open_commands and standing.held_until_us is None:
                self._open_round(book, parameters, findings)

    def _change_status(
        self, book: AccountBook, after: MarginStatus, figures: AccountFigures | None, findings: Findings
    ) -> None:
        assert figures is not None, "only priced accounts change their status"
        before, book.status = book.status, after
        book.status_changes += 1
        if status.in_liquidation(after) and not status.in_liquidation(before):
            case.enter(book)
        versions = self._market.versions(book.applied)
        changed = StatusChanged(book.account, book.status_changes, before, after, figures, versions)
        findings.changed.add(book.account)
        findings.commands.append((book.account, changed))

    def _open_round(self, book: AccountBook, parameters: RiskParameters, findings: Findings) -> None:
        versions = self._market.versions(book.applied)
        decided = decide(book, self._market.view(), parameters, versions, self.frame(parameters))
        if decided is None:
            return
        decision, commands = decided
        case.open_round(book, commands)
        self._set_deadline(book, parameters, None)
        findings.changed.add(book.account)
        findings.commands.append((book.account, decision))
        findings.commands += [(book.account, command) for command in commands]

    def _set_deadline(self, book: AccountBook, parameters: RiskParameters, held_until_us: int | None) -> None:
        deadlines = (case.next_expiry_us(book, parameters), held_until_us)
        self._timers.put(book.account, min((at for at in deadlines if at is not None), default=None))

    def _held_until(self, book: AccountBook, parameters: RiskParameters) -> int | None:
        """The end of the account's hold: the latest deadline among its marks that are too old but not yet given up."""
        age_us_max = parameters.mark_age_us_max
        deadlines = []
        for feed in self._by_factor.keys(book.account):
            age_us = self._market.age_us(feed)
            if age_us is not None and age_us_max < age_us <= status.HOLD_AGE_FACTOR * age_us_max:
                deadlines.append(self._market.marks[feed].mark_time_us + status.HOLD_AGE_FACTOR * age_us_max)
        return max(deadlines, default=None)
