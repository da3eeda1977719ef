"""Revaluation: what one unit of everything gains or loses in every scenario.

Owns the frame: the rows of instruments and assets under one market and one set of parameters, computed on first use.
A margin run only multiplies these rows by quantities, so an option is repriced once per market and not once per
holder. Refuses formulas (``risk.live_rows``), holdings (``risk.holdings``) and sums (``risk.verdicts``).

A frame is an explicit cache with the lifetime of its market: make one per market, pass it to every call that uses
that market, drop it with the market. Rows are computed lane by lane, so what else a frame holds changes no bit.
"""

from __future__ import annotations

from engine.market import Market
from engine.reference.parameters import RiskParameters
from engine.risk.live_rows import LiveRows
from engine.risk.row_arrays import RowArrays
from engine.risk.scenarios import ScenarioGrid


class RowNumbers(dict[str, int]):
    """Row by id; an id that is asked for first gets the next row. ``RiskFrame.extend`` then computes it."""

    def __missing__(self, name: str) -> int:
        row = self[name] = len(self)
        return row


class RiskFrame:
    """Rows by id, under one market and one set of parameters. Not safe to share between threads while it grows."""

    def __init__(self, market: Market, parameters: RiskParameters) -> None:
        self.market = market
        self.parameters = parameters
        self.instrument_rows = RowNumbers()
        self.asset_rows = RowNumbers()
        self._live = LiveRows(market, parameters)

    @property
    def grid(self) -> ScenarioGrid:
        """The scenarios of the parameters."""
        return self._live.grid

    @property
    def rows(self) -> RowArrays:
        """The rows as far as they are computed."""
        return self._live.arrays

    def extend(self) -> None:
        """Compute the rows that were numbered since the last call."""
        instruments = tuple(self.instrument_rows)[self.rows.value_I.size :]
        assets = tuple(self.asset_rows)[self.rows.price_C.size :]
        if instruments or assets:
            self._live.extend(instruments, assets)
