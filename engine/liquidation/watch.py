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

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.books.account import AccountBook
from engine.books.exposure import TIME_FACTOR, AccountIndex
from engine.books.market_book import MarketBook
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import Int32s
from engine.columns.desk import Desk
from engine.commands import AccountCommand, CommandKind, ExecutionAnomaly, StatusChanged
from engine.liquidation import case, status
from engine.liquidation.calm import Waiting, calm
from engine.liquidation.closing import can_close, is_partly_held, may_close
from engine.liquidation.decision import decide
from engine.liquidation.lookout import Lookout
from engine.liquidation.status import Circumstances, Condition
from engine.liquidation.timers import Timers
from engine.outcomes import MarginStatus
from engine.pricing.axes import Bools
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
    """One recomputed account that is not calm: what holds of it, and its next status."""

    number: int
    account: str
    at: Circumstances
    found: frozenset[Condition]
    after: MarginStatus


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
            deadlines_us = self._deadlines(numbers, parameters)
            found = calm(
                numbers, self._columns.accounts.status_A, self._waiting(numbers, parameters), verdicts, parameters
            )
            evicted = self._lookout.guard(numbers[found.calm], found.slack, found.two_sided)
            self._lookout.release(numbers[~found.calm])
            self._settle_down(numbers[found.calm], deadlines_us)
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
        time_us = self._market.time_us
        for number in self._cold(numbers):
            expiry_us = case.next_expiry_us(self._columns.cold[number].open_commands, parameters)
            if expiry_us is None or expiry_us >= time_us:
                continue
            book = self._desk.take(number)
            versions = self._market.versions(book.applied)
            findings.changed.add(number)
            for id, anomaly in case.close_expired(book, time_us, parameters):
                reported = ExecutionAnomaly(book.account, id, "", anomaly, versions)
                findings.commands.append((book.account, reported))

    def _cold(self, numbers: Int32s) -> list[int]:
        """Those of ``numbers`` that have anything outside the columns."""
        found: list[int] = numbers[self._columns.accounts.has_cold_A[numbers] != 0].tolist()
        return found

    def _deadlines(self, numbers: Int32s, parameters: RiskParameters) -> dict[int, int]:
        """When each account must be looked at again though nothing happens to it; those without a deadline left out."""
        deadlines = {}
        for number in self._cold(numbers):
            cold, at = self._columns.cold[number], int(self._columns.accounts.status_A[number])
            expiry_us = case.next_expiry_us(cold.open_commands, parameters)
            wait_us = cold.ladder.wait_until_us if at in status.WAITING else None
            if expiry_us is not None or wait_us is not None:
                deadlines[number] = min(at for at in (expiry_us, wait_us) if at is not None)
        return deadlines

    def _waiting(self, numbers: Int32s, parameters: RiskParameters) -> Waiting:
        """What the accounts ``numbers`` are waiting for in their cases."""
        waiting_N, released_N, offered_N = np.zeros((3, numbers.size), dtype=np.bool_)
        for at in np.flatnonzero(self._columns.accounts.has_cold_A[numbers]).tolist():
            number = int(numbers[at])
            cold = self._columns.cold[number]
            rests = int(self._columns.accounts.status_A[number]) == MarginStatus.COOLDOWN
            if rests and self._market.controls().modes:
                rests = not self._is_halted(self._desk.look(number), parameters)  # else it is to be held at once
            waiting_N[at] = bool(cold.open_commands) or rests
            released_N[at], offered_N[at] = cold.ladder.released, cold.ladder.offered
        return Waiting(waiting_N, released_N, offered_N)

    def _settle_down(self, numbers: Int32s, deadlines_us: Mapping[int, int]) -> None:
        """Who is calm needs no restless looks, and no deadline but that of an open command or a rest."""
        restless, timed = self._restless.members(), self._timers.members()
        if restless or timed or deadlines_us:
            for number in numbers.tolist():
                if number in restless:
                    self._restless.drop(number)
                if number in timed or number in deadlines_us:
                    self._timers.put(number, deadlines_us.get(number))

    def _recompute(
        self, numbers: Int32s, calm_N: Bools, verdicts: Verdicts, parameters: RiskParameters
    ) -> list[_Standing]:
        """The accounts that are not calm, with their next status. Sets what they wait for."""
        standings = []
        columns = (verdicts.equity_A, verdicts.initial_margin_A, verdicts.maintenance_margin_A, verdicts.priced_A)
        for place in np.flatnonzero(~calm_N).tolist():
            number, book = int(numbers[place]), self._desk.take(int(numbers[place]))
            equity, initial, maintenance, priced = (column[place].item() for column in columns)
            held_until_us = None
            self._restless.put(number, self._factors(book))
            if priced:
                if equity < maintenance or status.in_liquidation(book.status):
                    held_until_us = self._held_until(number, parameters)
                at = self._circumstances(book, parameters, stale=held_until_us is not None)
                found = status.conditions(equity, initial, maintenance, parameters, at)
                standings.append(_Standing(number, book.account, at, found, status.next_status(book.status, found)))
            self._set_deadline(number, book, parameters, held_until_us)
        return standings

    def _circumstances(self, book: AccountBook, parameters: RiskParameters, *, stale: bool) -> Circumstances:
        ladder, policy = book.ladder, parameters.policy
        rests = book.status is not MarginStatus.LIQUIDATING or policy.cooldown_us > 0
        return Circumstances(
            stale=stale,
            halted=self._is_halted(book, parameters),
            commands_open=bool(book.open_commands),
            round_made=ladder.round_made and rests,
            offered=ladder.offered,
            rested=self._market.time_us > ladder.wait_until_us,
            fruitless=ladder.fruitless_rounds >= policy.fruitless_rounds_max,
            flat=not can_close(book, self._market.view()),
        )

    def _is_halted(self, book: AccountBook, parameters: RiskParameters) -> bool:
        """Whether people have stopped whatever would be commanded. Where only trading is stopped, the orders of an
        account that comes into liquidation are cancelled all the same; it goes no further."""
        controls = self._market.controls()
        if not controls.modes or may_close(book, self._market.view()):
            return False
        comes = book.status in status.AT_LARGE or book.status is MarginStatus.SUSPECT
        if comes and parameters.policy.cancel_us_max and controls.permits(CommandKind.CANCEL_ORDERS, book.account):
            return False
        return can_close(book, self._market.view()) or not controls.permits(CommandKind.CLOSE, book.account)

    def _factors(self, book: AccountBook) -> frozenset[str]:
        instruments = self._market.instruments
        feeds = feeds_of(book, instruments, self._market.assets)
        held = (instruments.get(name) for name in book.positions)
        has_option = any(instrument is not None and instrument.kind.is_option for instrument in held)
        return feeds | {TIME_FACTOR} if has_option else feeds

    def _move(self, standings: list[_Standing], parameters: RiskParameters, findings: Findings) -> None:
        """Make the transitions and open the rounds that are due, account by account."""
        for standing in standings:
            book = self._desk.take(standing.number)
            if self._is_to_be_released(book, standing):
                self._open_round(book, standing, parameters, findings)
            if standing.after is not book.status:
                self._change_status(book, standing, standing.after, parameters, findings)
            if not self._is_due(book, standing, parameters) or self._open_round(book, standing, parameters, findings):
                continue
            if is_partly_held(book, self._market.view()):
                continue  # There is a plan, maybe, once the hold has ended.
            after = status.next_status(book.status, frozenset({Condition.NO_PLAN}))
            if after is not book.status:
                self._change_status(book, standing, after, parameters, findings)
                self._open_round(book, standing, parameters, findings)

    def _is_to_be_released(self, book: AccountBook, standing: _Standing) -> bool:
        """Whether executors must hear that the account is cured: while they work, or on its way out."""
        if book.status not in status.ACTIVE or book.ladder.released or standing.at.stale:
            return False
        if not self._market.controls().permits(CommandKind.RELEASE, book.account):
            return False
        reached = Condition.TARGET_REACHED if book.open_commands else Condition.CURED
        return reached in standing.found

    def _is_due(self, book: AccountBook, standing: _Standing, parameters: RiskParameters) -> bool:
        """Whether a new round has to be opened."""
        if book.status not in status.ACTIVE or book.status is MarginStatus.COOLDOWN:
            return False
        if book.open_commands or standing.at.stale or standing.at.halted:
            return False
        again = book.status is MarginStatus.LIQUIDATING and not parameters.policy.cooldown_us
        return again or not book.ladder.round_made

    def _change_status(
        self,
        book: AccountBook,
        standing: _Standing,
        after: MarginStatus,
        parameters: RiskParameters,
        findings: Findings,
    ) -> None:
        frame = self.frame(parameters)
        (figures,) = margin_figures((book,), frame.market, parameters, frame)
        assert figures is not None, "only priced accounts change their status"
        before, book.status = book.status, after
        book.status_changes += 1
        case.arrive(book, before, self._market.time_us, parameters)
        self._set_deadline(standing.number, book, parameters, None)
        versions = self._market.versions(book.applied)
        changed = StatusChanged(book.account, book.status_changes, before, book.status, figures, versions)
        findings.changed.add(standing.number)
        findings.commands.append((book.account, changed))

    def _open_round(
        self, book: AccountBook, standing: _Standing, parameters: RiskParameters, findings: Findings
    ) -> bool:
        """Decide and open a round; False if there is nothing to command."""
        versions = self._market.versions(book.applied)
        decided = decide(book, self._market.view(), parameters, versions, self.frame(parameters))
        if decided is None:
            return False
        decision, commands = decided
        case.open_round(book, commands)
        self._set_deadline(standing.number, book, parameters, None)
        findings.changed.add(standing.number)
        findings.commands.append((book.account, decision))
        findings.commands += [(book.account, command) for command in commands]
        return True

    def _set_deadline(
        self, number: int, book: AccountBook, parameters: RiskParameters, held_until_us: int | None
    ) -> None:
        wait_us = book.ladder.wait_until_us if book.status in status.WAITING else None
        deadlines = (case.next_expiry_us(book.open_commands, parameters), held_until_us, wait_us)
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
