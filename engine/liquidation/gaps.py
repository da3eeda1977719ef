"""The tally of gap-at-risk: shortfalls after every jump, gathered along the sweep over all accounts.

Owns what is remembered between slices: the rows of the market as it stood when the sweep began, and the accounts that
came short, shard by shard. Refuses to judge the sums against anything: a shard is only a part of the venue.

Sums are rounded once, from exact ones (``math.fsum``), so neither the order of accounts nor where the slices were cut
changes a bit.
"""

from __future__ import annotations

from math import fsum

import numpy as np

from engine.books.market_book import MarketBook
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import Int32s
from engine.commands import GapAtRisk, JumpShortfall, Versions
from engine.pricing.axes import Floats
from engine.reference.parameters import RiskParameters
from engine.risk.gap_at_risk import JumpRows, jump_rows, shortfalls


class GapTally:
    """Tallies accounts of ``columns`` under ``market``; both belong to the engine."""

    def __init__(self, columns: AccountColumns, market: MarketBook) -> None:
        self._columns = columns
        self._market = market
        self._parameters: RiskParameters | None = None
        self._rows: JumpRows | None = None
        self._versions: Versions | None = None
        self._short: dict[int, list[Floats]] = {}
        self._counted: dict[int, tuple[int, int]] = {}

    def begin(self, parameters: RiskParameters) -> None:
        """Forget what was tallied; the market of the next slice is the one that counts."""
        self._parameters, self._versions, self._rows = parameters, None, None
        self._short, self._counted = {}, {}

    def add(self, numbers: Int32s) -> None:
        """Tally the accounts ``numbers``."""
        parameters = self._parameters
        if parameters is None or not parameters.gap.jumps or not numbers.size:
            return
        if self._rows is None:
            self._rows, self._versions = self._current_rows(parameters), self._market.versions({})
        shortfall_NJ, priced_N = shortfalls(numbers, self._columns.holdings(), self._rows)
        shard_N = self._columns.accounts.shard_A[numbers]
        is_short_N = shortfall_NJ.any(axis=1)
        for shard in np.unique(shard_N).tolist():
            is_here_N = shard_N == shard
            accounts, priced = self._counted.get(shard, (0, 0))
            here = int(np.count_nonzero(is_here_N)), int(np.count_nonzero(is_here_N & priced_N))
            self._counted[shard] = accounts + here[0], priced + here[1]
            self._short.setdefault(shard, []).append(shortfall_NJ[is_here_N & is_short_N])

    def finish(self) -> tuple[GapAtRisk, ...]:
        """What was tallied since ``begin``, by shard; the tally ends."""
        parameters, versions = self._parameters, self._versions
        if parameters is None or versions is None:
            return ()
        found = []
        for shard, (accounts, priced) in sorted(self._counted.items()):
            short_NJ = np.concatenate(self._short[shard])
            jumps = tuple(
                _jump_shortfall(jump.name, short_NJ[:, j], parameters.gap.cover)
                for j, jump in enumerate(parameters.gap.jumps)
            )
            found.append(GapAtRisk(shard, accounts, accounts - priced, jumps, parameters.gap.layers, versions))
        self._parameters = self._versions = self._rows = None
        return tuple(found)

    def _current_rows(self, parameters: RiskParameters) -> JumpRows:
        instruments, assets = self._columns.instruments, self._columns.assets
        return jump_rows(
            self._market.view(),
            parameters,
            parameters.gap.jumps,
            [instruments.id(number) for number in range(instruments.names.numbered)],
            [assets.id(number) for number in range(assets.names.numbered)],
        )


def _jump_shortfall(name: str, shortfall_N: Floats, cover: int) -> JumpShortfall:
    short = sorted(shortfall_N[shortfall_N > 0.0].tolist(), reverse=True)
    return JumpShortfall(name, fsum(short), len(short), tuple(short[:cover]))
