"""The lookout: market rows, and who has to be recomputed because they moved.

Owns the rows that the columns are valued with and the guard bands set on them, both made anew when parameters or terms
change. Refuses statuses: which accounts get a band, and how far they are from a threshold, the watch says.
"""

from __future__ import annotations

import numpy as np

from engine.books.market_book import MarketBook
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import Int32s
from engine.columns.holders import holders
from engine.guard.bands import GuardBands
from engine.liquidation.calm import weight_max
from engine.pricing.axes import Bools, Floats
from engine.pricing.valuation import valuation_time_us
from engine.reference.parameters import RiskParameters
from engine.risk.live_rows import LiveRows
from engine.risk.verdicts import Verdicts, empty_verdicts, evaluate

_NOBODY = np.zeros(0, dtype=np.int32)


class Lookout:
    """Looks at ``market`` for the accounts of ``columns``."""

    def __init__(self, columns: AccountColumns, market: MarketBook) -> None:
        self._columns = columns
        self._market = market
        self._rows: LiveRows | None = None
        self._bands = GuardBands()
        self._marked: dict[str, None] = {}
        self._second_us = 0

    def note_mark(self, feed: str) -> None:
        """The mark of ``feed`` changed."""
        self._marked[feed] = None

    def note_time(self) -> bool:
        """Engine time moved; whether it entered another second, which is when options age."""
        before_us, self._second_us = self._second_us, valuation_time_us(self._market.time_us)
        return before_us != self._second_us

    def note_terms(self) -> None:
        """Terms of something that has rows changed: rows and bands are void."""
        self._rows = None

    def moved(self, parameters: RiskParameters) -> Int32s:
        """Accounts that may have crossed a threshold since the last call, because the market moved; their bands are
        gone. All accounts when the rows had to be made anew."""
        rows = self._rows
        if rows is None or rows.parameters is not parameters:
            rows = self._rows = LiveRows(self._market, parameters)
            self._marked.clear()
            self._number(rows)
            self._bands.reset(rows.arrays, rows.fixed_C, len(rows.grid.underlyings), weight_max(parameters))
            return self._columns.numbers()
        self._extend(rows)
        if not self._marked and valuation_time_us(self._market.time_us) == rows.time_us:
            return _NOBODY
        priced_I, priced_C = rows.arrays.priced_I.copy(), rows.arrays.priced_C.copy()
        changed = rows.refresh(self._marked)
        self._marked.clear()
        moved = self._bands.moved(changed.instruments, changed.assets, rows.arrays)
        newly_I, newly_C = priced_I != rows.arrays.priced_I, priced_C != rows.arrays.priced_C
        if newly_I.any() or newly_C.any():
            held = holders(self._columns.numbers(), self._columns.holdings(), newly_I, newly_C)
            self._bands.remove(held)
            moved = np.concatenate([moved, held])
        return moved

    def evaluate(self, numbers: Int32s) -> Verdicts:
        """Equity and requirements of the accounts ``numbers``, in their order."""
        verdicts = empty_verdicts(numbers.size)
        evaluate(numbers, self._columns.holdings(), self._current().arrays, verdicts)
        return verdicts

    def guard(self, numbers: Int32s, slack: Floats, two_sided: Bools) -> Int32s:
        """Set the bands of accounts that are ``slack`` away from a threshold below them, or on either side. Returns
        others who lost theirs on that occasion: evaluate and guard them again."""
        return self._bands.put(numbers, slack, two_sided, self._columns.holdings(), self._current().arrays)

    def release(self, numbers: Int32s) -> None:
        """Take away the bands of accounts, if they have any."""
        self._bands.remove(numbers)

    def memory_bytes(self) -> int:
        """What the bands take."""
        return self._bands.memory_bytes()

    def _current(self) -> LiveRows:
        assert self._rows is not None, "moved() comes first"
        self._extend(self._rows)
        return self._rows

    def _extend(self, rows: LiveRows) -> None:
        """Give rows, and a place among the anchors, to what was numbered since."""
        if self._number(rows):
            self._bands.extend(rows.arrays, rows.fixed_C)

    def _number(self, rows: LiveRows) -> bool:
        instruments, assets = self._columns.instruments, self._columns.assets
        first_I, first_C = rows.arrays.value_I.size, rows.arrays.price_C.size
        if first_I == instruments.names.numbered and first_C == assets.names.numbered:
            return False
        rows.extend(
            [instruments.id(number) for number in range(first_I, instruments.names.numbered)],
            [assets.id(number) for number in range(first_C, assets.names.numbered)],
        )
        return True
