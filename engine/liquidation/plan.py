"""The planner: which positions to close, and how much of each, to bring an account to its liquidation target.

Owns the choice. The rule is "least cost first", by trials that one risk computation values together:

1. Close the same eighths of everything. Closing a share of a whole book lowers its scenario losses by that share, so
   this way out exists whenever closing everything is affordable. It is the yardstick of cost.
2. In rounds, from what is chosen so far, close one position further, fully and in eighths. Is the target reached, the
   cheapest such trial ends the rounds; otherwise the one that lowers the shortfall most per cost is kept. After
   ``ROUNDS_MAX`` rounds the rest is closed alike, as in 1.
3. Of the ways that reach the target, each with its last step trimmed, the cheapest is the plan.
4. If there is none: close everything if that lowers the shortfall, else what was kept in 2. An account with negative
   equity has nothing left to protect: everything is closed at once.

A plan never grows a position, never leaves an account further from its target (negative equity aside), and is made
of whole lots. Balances are not sold. Expired positions are not touched; they await settlement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.books.account import AccountBook
from engine.commands import Certificate, CommandKind
from engine.liquidation.closing import Closing
from engine.market import Market
from engine.reference.parameters import RiskParameters
from engine.risk.margin import account_risk
from engine.risk.revaluation import RiskFrame
from engine.units import PPM, div_up

FRACTIONS = 8
"""Steps in which a position is tried. Linear risk needs only the full close; the steps catch hedges that would be
overdone and keep the overshoot small."""

FRACTIONED_MAX = 8
"""Positions tried in steps per round: those whose full close does most per cost. Bounds the time for large books."""

ROUNDS_MAX = 8
"""Rounds of choosing single positions before the rest is closed alike."""

RATIO_TOLERANCE = 1e-6
"""Trials whose shortfall reduction per cost is this close are alike; of these the larger is kept, so that rounding
does not split the close of a position into eighths."""


@dataclass(frozen=True, slots=True)
class PlanLeg:
    """Trade ``quantity_e8`` (signed) of ``instrument`` no worse than ``limit_price_e8``."""

    instrument: str
    quantity_e8: int
    limit_price_e8: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Legs by instrument id, and the figures the account will have if all trade at the marks (numeraire)."""

    kinds: tuple[CommandKind, ...]
    legs: tuple[PlanLeg, ...]
    equity_after: float
    maintenance_margin_after: float
    explanation: str
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class _Trial:
    """Unsigned quantities to close, what that costs and leads to; ``shortfall`` (in 10^-6) is target less equity."""

    closes: Mapping[str, int]
    cost: float
    equity: float
    maintenance_margin: float
    shortfall: float


def plan(book: AccountBook, market: Market, parameters: RiskParameters, frame: RiskFrame | None = None) -> Plan | None:
    """The plan for an account below its target; None if there is nothing to close or closing would not help.

    The account must be priced. ``frame`` is that of this market and these parameters, if the caller has one; it
    saves time and changes no bit.
    """
    search = _Search(book, market, parameters, frame or RiskFrame(market, parameters))
    if not search.closing.closable:
        return None
    chosen = search.run()
    closing = search.closing
    legs = tuple(
        PlanLeg(name, closing.signed(name, quantity), closing.limit_price(name))
        for name, quantity in sorted(chosen.closes.items())
    )
    kinds = tuple(
        CommandKind.CLOSE if quantity == closing.size_e8(name) else CommandKind.REDUCE
        for name, quantity in sorted(chosen.closes.items())
    )
    return Plan(kinds, legs, chosen.equity, chosen.maintenance_margin, "", None) if legs else None


class _Search:
    """The search for one account: what can be tried, and what has been chosen."""

    def __init__(self, book: AccountBook, market: Market, parameters: RiskParameters, frame: RiskFrame) -> None:
        self.closing = Closing(book, market, parameters)
        self._market = market
        self._parameters = parameters
        self._frame = frame
        self._sizes = {name: self.closing.size_e8(name) for name in self.closing.closable}

    def run(self) -> _Trial:
        """The trial to execute; one without closes if nothing helps."""
        start, everything = self._evaluate(({}, self._sizes))
        if start.equity < 0:
            return everything
        chosen, cures = start, self._cures(start, self._slices(start))
        for _ in range(min(len(self._sizes), ROUNDS_MAX)):
            singles = self._singles(chosen)
            found = self._cures(chosen, singles)
            best = None if found else _most_per_cost(chosen, singles)
            cures += found
            if best is None:
                break
            chosen = best
        else:
            cures += self._cures(chosen, self._slices(chosen))
        if cures:
            return min(cures, key=lambda trial: trial.cost)
        return everything if everything.shortfall < start.shortfall else chosen

    def _cures(self, chosen: _Trial, trials: Sequence[_Trial]) -> list[_Trial]:
        """The cheapest of ``trials`` that reaches the target, trimmed; empty if none does."""
        enough = [trial for trial in trials if trial.shortfall <= 0]
        return [self._trimmed(chosen, min(enough, key=lambda trial: trial.cost))] if enough else []

    def _singles(self, chosen: _Trial) -> list[_Trial]:
        """Trials that close one position further: all of them fully, the most useful ones also in steps."""
        left = [name for name, size in self._sizes.items() if chosen.closes.get(name, 0) < size]
        full = self._evaluate([{**chosen.closes, name: self._sizes[name]} for name in left])
        order = sorted(range(len(left)), key=lambda row: -_per_cost(chosen, full[row]))
        steps = [
            {**chosen.closes, name: quantity}
            for name in sorted(left[row] for row in order[:FRACTIONED_MAX])
            for quantity in self._steps(name, chosen.closes.get(name, 0), self._sizes[name])
        ]
        return full + self._evaluate(steps)

    def _slices(self, chosen: _Trial) -> list[_Trial]:
        """Trials that close the same share of everything left."""
        steps = {
            name: [*self._steps(name, chosen.closes.get(name, 0), size), size] for name, size in self._sizes.items()
        }
        return self._evaluate(
            [{name: at[min(step, len(at) - 1)] for name, at in steps.items()} for step in range(FRACTIONS)]
        )

    def _trimmed(self, chosen: _Trial, enough: _Trial) -> _Trial:
        """``enough`` with its last step from ``chosen`` cut to the least that still reaches the target."""
        added = {name: quantity - chosen.closes.get(name, 0) for name, quantity in enough.closes.items()}
        parts = FRACTIONS * FRACTIONS
        trials = [
            {
                name: quantity - added[name] + self._on_lots(name, added[name] * part, parts)
                for name, quantity in enough.closes.items()
            }
            for part in range(1, parts + 1)
        ]
        reached = [trial for trial in self._evaluate(trials) if trial.shortfall <= 0]
        return min(reached, key=lambda trial: trial.cost)

    def _steps(self, name: str, floor_e8: int, size_e8: int) -> list[int]:
        """Quantities strictly between ``floor_e8`` and ``size_e8`` in even steps of whole lots, rising."""
        steps = {floor_e8 + self._on_lots(name, (size_e8 - floor_e8) * step, FRACTIONS) for step in range(1, FRACTIONS)}
        return sorted(quantity for quantity in steps if quantity < size_e8)

    def _on_lots(self, name: str, numerator_e8: int, denominator: int) -> int:
        """The quotient rounded up to whole lots."""
        lot = self.closing.lot_e8(name)
        return div_up(numerator_e8, denominator * lot) * lot

    def _evaluate(self, closes: Sequence[Mapping[str, int]]) -> list[_Trial]:
        portfolios = [self.closing.after(trial) for trial in closes]
        risk = account_risk(portfolios, self._market, self._parameters, self._frame)
        target = self._parameters.liquidation_target_ppm
        rows = zip(closes, risk.equity_A.tolist(), risk.maintenance_margin_A.tolist(), strict=True)
        return [
            _Trial(trial, self.closing.cost(trial), equity, maintenance, target * maintenance - equity * PPM)
            for trial, equity, maintenance in rows
        ]


def _per_cost(chosen: _Trial, trial: _Trial) -> float:
    """Shortfall reduction per further cost; infinite if it is free."""
    reduction, cost = chosen.shortfall - trial.shortfall, trial.cost - chosen.cost
    if cost > 0:
        return reduction / cost
    return math.copysign(math.inf, reduction) if reduction else 0.0


def _most_per_cost(chosen: _Trial, trials: Sequence[_Trial]) -> _Trial | None:
    """The trial that lowers the shortfall most per cost, the larger of equals; None if none lowers it."""
    helpful = [trial for trial in trials if trial.shortfall < chosen.shortfall]
    if not helpful:
        return None
    best = max(_per_cost(chosen, trial) for trial in helpful)
    alike = [trial for trial in helpful if _per_cost(chosen, trial) >= best * (1 - RATIO_TOLERANCE)]
    return min(alike, key=lambda trial: trial.shortfall)
