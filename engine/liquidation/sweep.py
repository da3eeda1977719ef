"""The sweep: every account is recomputed once per snapshot interval, a slice at a time.

Owns the place where the sweep stands, the snapshots it takes on its way, and gap-at-risk at its end. What it
recomputes is judged like everything else, so the sweep is also the net below the guard bands. Refuses clocks: engine
time begins a sweep, the caller says how large a slice may be, and a caller who is busy lets it rest. A sweep that is
still under way when the next one is due gives way to it: the rest of its snapshots is never taken.
"""

from __future__ import annotations

import numpy as np

from engine.books.market_book import MarketBook
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import Int32s
from engine.columns.desk import Desk
from engine.commands import GapAtRisk, MarginSnapshot
from engine.liquidation.gaps import GapTally
from engine.liquidation.watch import AccountWatch
from engine.risk.margin import margin_figures
from engine.risk.sensitivities import greeks

_NOBODY = np.zeros(0, dtype=np.int32)


class Sweep:
    """Goes over the accounts of ``columns``; the parts belong to the engine."""

    def __init__(self, columns: AccountColumns, desk: Desk, market: MarketBook, watch: AccountWatch) -> None:
        self._columns = columns
        self._desk = desk
        self._market = market
        self._watch = watch
        self._due: Int32s = _NOBODY
        self._gaps = GapTally(columns, market)
        self.shed = 0

    def note_time(self, before_us: int) -> None:
        """Engine time moved on from ``before_us``: begin if it entered a new interval. Engine time before the first
        mark is no time, so the first mark enters nothing."""
        parameters = self._market.parameters
        if parameters is None or not before_us:
            return
        interval_us = parameters.snapshot_interval_us
        if self._market.time_us // interval_us != before_us // interval_us:
            self.shed += self._due.size
            self._due = self._columns.numbers()
            self._gaps.begin(parameters)

    def take(self, accounts_max: int | None) -> Int32s:
        """The next accounts, at most ``accounts_max`` of them, which the caller now recomputes."""
        taken, self._due = (
            self._due[:accounts_max],
            self._due[len(self._due) if accounts_max is None else accounts_max :],
        )
        return taken[self._columns.accounts.shard_A[taken] >= 0]

    def gaps(self, numbers: Int32s) -> tuple[GapAtRisk, ...]:
        """Tally the accounts ``numbers``, which were taken; when they are the last, what the whole sweep has found."""
        self._gaps.add(numbers)
        return () if self._due.size else self._gaps.finish()

    def snapshots(self, numbers: Int32s) -> tuple[MarginSnapshot, ...]:
        """Figures and Greeks of those accounts that are priced, by id."""
        parameters = self._market.parameters
        if parameters is None or not numbers.size:
            return ()
        books = [self._desk.look(number) for number in sorted(numbers.tolist(), key=self._columns.name)]
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
