"""The watch: which accounts must be looked at, and what follows when they are.

Owns the set of accounts that a batch could have moved, their recomputation in one pass over the columns, the walk on
the status table, holds and rounds of liquidation. Refuses events; ``engine.margin_engine`` says what they touched.

An account is looked at when it had an event of its own, when the market has moved further than its guard band allows
(``engine.liquidation.lookout``), when its deadline (an open command's, a hold's) passed, and when parameters or
collateral terms changed. An account that no band describes, because it is being liquidated or waits for a price to be
refreshed, is restless: it is looked at whenever a mark it is exposed to changes, and every second of engine time if it
holds options or is suspected. Looking at more accounts than that would find nothing. What is doubtful about an account
(``engine.liquidation.suspicion``) may end by time alone, so that is a deadline too.

Trail: before it ``engine.margin_engine``, after it ``engine.risk.verdicts`` and ``engine.liquidation.status``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.books.account import AccountBook, OpenCommand
from engine.books.exposure import TIME_FACTOR, AccountIndex
from engine.books.market_book import MarketBook
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import Int32s
from engine.columns.desk import Desk
from engine.commands import AccountCommand, CommandKind, ExecutionAnomaly, StatusChanged
from engine.fleet.ledger import FleetLedger
from engine.fleet.waiting import WaitingList, severity
from engine.liquidation import case, status
from engine.liquidation.calm import Waiting, calm
from engine.liquidation.closing import can_close, is_partly_held, may_close
from engine.liquidation.decision import decide
from engine.liquidation.lookout import Lookout
from engine.liquidation.slices import Throttled
from engine.liquidation.status import Circumstances, Condition
from engine.liquidation.suspicion import Suspicions
from engine.liquidation.timers import Timers
from engine.outcomes import MarginStatus, Refusal
from engine.pricing.axes import Bools
from engine.reference.parameters import RiskParameters
from engine.risk.exposures import feeds_of
from engine.risk.margin import margin_figures
from engine.risk.revaluation import RiskFrame
from engine.risk.verdicts import Verdicts
from engine.risk.withdrawals import is_unencumbered, without
from engine.trust.actions import Action, Answer, PriceDoubt, answer, waiting


@dataclass(slots=True)
class Findings:
    """Accounts whose book the watch changed, and commands in order of decision, each under its account."""

    changed: set[int] = field(default_factory=set)
    commands: list[tuple[str, AccountCommand]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Standing:
    """One recomputed account that is not calm: its figures, what is doubtful about them and must therefore wait, what
    else holds of it, its next status, and how much it matters when it is served (``engine.fleet.waiting``)."""

    number: int
    account: str
    severity: float
    figures: tuple[float, float, float]
    doubts: frozenset[PriceDoubt]
    at: Circumstances
    found: frozenset[Condition]
    after: MarginStatus

    @property
    def waits(self) -> frozenset[Action]:
        return waiting(self.doubts)


class AccountWatch:
    """Watches ``columns`` under ``market``; books are taken from ``desk``. All three belong to the engine."""

    def __init__(self, columns: AccountColumns, desk: Desk, market: MarketBook) -> None:
        self._columns = columns
        self._desk = desk
        self._market = market
        self._lookout = Lookout(columns, market)
        self._suspicions = Suspicions(market)
        self._restless = AccountIndex()
        self._timers = Timers()
        self._ledger = FleetLedger()
        self._queue = WaitingList()
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
        self._suspicions.breaker.note_mark(feed)
        self._noted_few |= self._restless.accounts(feed)

    def note_time(self) -> None:
        """Engine time moved."""
        if self._lookout.note_time():
            self._noted_few |= self._restless.accounts(TIME_FACTOR)
        self._noted_few.update(self._timers.due(self._market.time_us))

    def note_everyone(self) -> None:
        """Parameters or terms changed: every figure may have moved."""
        self._lookout.note_terms()
        self._suspicions.note_terms()
        self._noted.append(self._columns.numbers())

    def forget(self, numbers: Int32s) -> None:
        """The accounts are no longer ours; call it while the columns still have them."""
        self._lookout.release(numbers)
        gone = set(numbers.tolist())
        for number in gone & self._restless.members():
            self._restless.drop(number)
        for number in gone & self._timers.members():
            self._timers.put(number, None)
        self._stir(self._ledger.members() & gone)
        self._ledger.drop(gone)
        self._queue.drop(gone)
        self._noted_few -= gone
        self._noted = [np.setdiff1d(noted, numbers) for noted in self._noted]

    def frame(self, parameters: RiskParameters) -> RiskFrame:
        """The revaluation rows of the market as it stands, for the few whose figures somebody wants in full."""
        market = self._market.view()
        if self._frame is None or self._frame.market is not market or self._frame.parameters is not parameters:
            self._frame = RiskFrame(market, parameters)
        return self._frame

    def withdrawal_refusal(self, book: AccountBook, asset: str, amount_e8: int) -> Refusal | None:
        """Whether doubts about prices forbid what ``engine.risk.withdrawals`` has granted."""
        parameters = self._market.parameters
        if parameters is None or is_unencumbered(book):
            return None
        doubts = self._suspicions.about_withdrawal(without(book, asset, amount_e8), parameters)
        return Refusal.PRICE_UNAVAILABLE if answer(Action.WITHDRAW, doubts) is Answer.REFUSE else None

    def memory_bytes(self) -> int:
        """What the guard bands take."""
        return self._lookout.memory_bytes()

    def evaluate(self) -> Findings:
        """Look at every account that may have moved. Without parameters in force nobody can be judged."""
        findings = Findings()
        parameters = self._market.parameters
        if parameters is None:
            return findings
        self._queue.begin()
        numbers = self._take_noted(self._lookout.moved(parameters))
        standings: list[_Standing] = []
        while numbers.size:
            self._close_expired(numbers, parameters, findings)
            self._desk.put_back()
            self._count_flow(numbers)
            verdicts = self._lookout.evaluate(numbers)
            deadlines_us = self._deadlines(numbers, parameters)
            found = calm(
                numbers, self._columns.accounts.status_A, self._waiting(numbers, parameters), verdicts, parameters
            )
            evicted = self._lookout.guard(numbers[found.calm], found.slack, found.two_sided)
            self._lookout.release(numbers[~found.calm])
            self._settle_down(numbers[found.calm], deadlines_us)
            standings += self._recompute(numbers, found.calm, verdicts, parameters)
            known = {standing.number for standing in standings}
            called = self._queue.take_stirred() - known
            numbers = np.unique(np.concatenate([evicted, np.fromiter(called, dtype=np.int32, count=len(called))]))
        standings.sort(key=lambda standing: standing.account)
        standings = self._break(standings, parameters)
        standings.sort(key=lambda standing: (standing.severity, standing.account))
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

    def _count_flow(self, numbers: Int32s) -> None:
        """Bring the ledger up to date with what the accounts ``numbers`` have open. Nobody else's can have changed."""
        self._queue.drop(numbers.tolist())
        for number in self._cold(numbers):
            self._put_flow(number, self._columns.cold[number].open_commands)

    def _put_flow(self, number: int, commands: Mapping[str, OpenCommand]) -> None:
        shard = self._shard(number)
        if self._ledger.put(number, shard, commands):
            self._queue.stir(shard)

    def _stir(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._queue.stir(self._shard(number))

    def _shard(self, number: int) -> int:
        return int(self._columns.accounts.shard_A[number])

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
            status_now = int(self._columns.accounts.status_A[number])
            rests = status_now == MarginStatus.COOLDOWN and self._market.time_us <= cold.ladder.wait_until_us
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
                figures = (equity, initial, maintenance)
                standings.append(self._stand(number, figures, self._doubts(book, figures, held_until_us), parameters))
                self._queue.stir(self._shard(number))  # It may open a round, which others wait before or behind.
            self._set_deadline(number, book, parameters, held_until_us)
        return standings

    def _stand(
        self,
        number: int,
        figures: tuple[float, float, float],
        doubts: frozenset[PriceDoubt],
        parameters: RiskParameters,
    ) -> _Standing:
        book = self._desk.take(number)
        at = self._circumstances(book, parameters, waiting(doubts))
        found = status.conditions(*figures, parameters, at)
        urgency, after = severity(figures[0], figures[2]), status.next_status(book.status, found)
        return _Standing(number, book.account, urgency, figures, doubts, at, found, after)

    def _doubts(
        self, book: AccountBook, figures: tuple[float, float, float], held_until_us: int | None
    ) -> frozenset[PriceDoubt]:
        if held_until_us is not None:
            return frozenset({PriceDoubt.STALE})
        equity, _, maintenance = figures
        parameters = self._market.parameters
        assert parameters is not None, "nobody is judged without parameters"
        flat = equity < maintenance and not can_close(book, self._market.view())
        return self._suspicions.found(book, equity, maintenance, parameters, flat=flat)

    def _break(self, standings: list[_Standing], parameters: RiskParameters) -> list[_Standing]:
        """Let the breaker see how many accounts come into liquidation; if it is open, they are suspected instead."""
        entries = {standing.number for standing in standings if self._is_entry(standing)}
        if not self._suspicions.judge(len(entries), len(self._columns), parameters):
            return standings
        return [
            self._stand(standing.number, standing.figures, standing.doubts | {PriceDoubt.CROWDED}, parameters)
            if standing.number in entries
            else standing
            for standing in standings
        ]

    def _is_entry(self, standing: _Standing) -> bool:
        """Whether an account comes into liquidation, or would if the breaker let it."""
        if self._desk.take(standing.number).status not in status.AT_LARGE or standing.after in status.AT_LARGE:
            return False
        return standing.after is not MarginStatus.SUSPECT or standing.doubts == {PriceDoubt.CROWDED}

    def _circumstances(self, book: AccountBook, parameters: RiskParameters, waits: frozenset[Action]) -> Circumstances:
        ladder, policy = book.ladder, parameters.policy
        first = Action.CANCEL_ORDERS if policy.cancel_us_max else Action.ENTER
        rests = book.status is not MarginStatus.LIQUIDATING or policy.cooldown_us > 0
        return Circumstances(
            stale=Action.CONTINUE in waits,
            doubtful=first in waits,
            handing_waits=Action.HAND_OVER in waits,
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
        # The age of a mark, which may explain a breach, counts in seconds as that of an option does.
        return feeds | {TIME_FACTOR} if has_option or book.status is MarginStatus.SUSPECT else feeds

    def _move(self, standings: list[_Standing], parameters: RiskParameters, findings: Findings) -> None:
        """Make the transitions and open the rounds that are due, account by account, the most urgent first."""
        for standing in standings:
            book = self._desk.take(standing.number)
            if self._is_to_be_released(book, standing):
                self._open_round(book, standing, parameters, findings)
            if standing.after is not book.status:
                self._change_status(book, standing, standing.after, parameters, findings)
            if self._is_due(book, standing, parameters):
                self._serve(book, standing, parameters, findings)

    def _serve(self, book: AccountBook, standing: _Standing, parameters: RiskParameters, findings: Findings) -> None:
        """Open the round that is due, or let the account wait for its turn."""
        shard = self._shard(standing.number)
        if book.status is MarginStatus.LIQUIDATING and not self._may_begin(shard, parameters):
            self._queue.put(standing.number, shard)
            return
        try:
            is_opened = self._open_round(book, standing, parameters, findings)
        except Throttled:
            self._queue.put(standing.number, shard, tried=True)
            return
        if not is_opened and not is_partly_held(book, self._market.view()):  # Else there is a plan, maybe, later.
            after = status.next_status(book.status, frozenset({Condition.NO_PLAN}))
            if after is not book.status:
                self._change_status(book, standing, after, parameters, findings)
                self._open_round(book, standing, parameters, findings)

    def _may_begin(self, shard: int, parameters: RiskParameters) -> bool:
        """Whether another account of a partition may be closed at prices of the market now."""
        most = parameters.policy.live_accounts_max
        return not (most and self._ledger.live(shard) >= most) and not self._queue.is_tried_enough(shard)

    def _is_to_be_released(self, book: AccountBook, standing: _Standing) -> bool:
        """Whether executors must hear that the account is cured: while they work, or on its way out."""
        if book.status not in status.ACTIVE or book.ladder.released or Action.RELEASE in standing.waits:
            return False
        if not self._market.controls().permits(CommandKind.RELEASE, book.account):
            return False
        reached = Condition.TARGET_REACHED if book.open_commands else Condition.CURED
        return reached in standing.found

    def _is_due(self, book: AccountBook, standing: _Standing, parameters: RiskParameters) -> bool:
        """Whether a new round has to be opened."""
        if book.status not in status.ACTIVE or book.status is MarginStatus.COOLDOWN:
            return False
        if book.open_commands or standing.at.stale or standing.at.halted or standing.at.handing_waits:
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
        # A call changes nothing about marks that are too old: the hold ends when it would have ended.
        held_until_us = self._held_until(standing.number, parameters) if standing.at.stale else None
        if after is MarginStatus.SUSPECT:
            book.ladder.wait_until_us = self._suspicions.until_us(standing.doubts, parameters)
            self._restless.put(standing.number, self._factors(book))
        self._set_deadline(standing.number, book, parameters, held_until_us)
        versions = self._market.versions(book.applied)
        changed = StatusChanged(book.account, book.status_changes, before, book.status, figures, versions)
        findings.changed.add(standing.number)
        findings.commands.append((book.account, changed))

    def _open_round(
        self, book: AccountBook, standing: _Standing, parameters: RiskParameters, findings: Findings
    ) -> bool:
        """Decide and open a round; False if there is nothing to command. Raises ``Throttled`` and opens none if others
        have to trade first."""
        versions = self._market.versions(book.applied)
        flow = self._ledger.of_others(standing.number, self._shard(standing.number), book.positions)
        decided = decide(book, self._market.view(), parameters, versions, self.frame(parameters), flow)
        if decided is None:
            return False
        decision, commands = decided
        case.open_round(book, commands)
        self._put_flow(standing.number, book.open_commands)
        self._set_deadline(standing.number, book, parameters, None)
        findings.changed.add(standing.number)
        findings.commands.append((book.account, decision))
        findings.commands += [(book.account, command) for command in commands]
        return True

    def _set_deadline(
        self, number: int, book: AccountBook, parameters: RiskParameters, held_until_us: int | None
    ) -> None:
        wait_us = book.ladder.wait_until_us if book.status in status.WAITING else None
        doubt_us = self._suspicions.look_again_us(book.status, self._restless.keys(number), parameters)
        deadlines = (case.next_expiry_us(book.open_commands, parameters), held_until_us, wait_us, doubt_us)
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
