"""The planner: which positions to close, and how much of each, to reach the liquidation target at least cost.

Owns the way from a book to whole lots. ``engine.unwind`` finds the cheapest close-out of the model and bounds the cost
of every other; here it is rounded up to lots, what would stay as dust is closed with it, and the result is valued
exactly, as the fills will make it. What the model left out is made good by closing an equal share of all that is left.

A plan never grows a position, is made of whole lots, and reaches the target when all legs trade at the marks; there is
none when even closing everything would not reach it. Legs are in an order in which none of them, traded alone, raises
what is missing, as far as there is such an order. Balances are not sold. Expired positions are not touched; they await
settlement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.books.account import AccountBook
from engine.commands import BindingScenario, Certificate, CommandKind
from engine.liquidation.closing import Closing
from engine.liquidation.statement import Statement, state
from engine.market import Market
from engine.reference.parameters import RiskParameters
from engine.risk.margin import account_risk
from engine.risk.revaluation import RiskFrame
from engine.units import E8, PPM, div_up
from engine.unwind.least_cost import Solution, least_cost

PARTS = 16
"""Shares of all that is left that are tried at once to make good what the model left out, twice."""

ORDERED_MAX = 12
"""Legs that are put in order by trying every next one; more are ordered by what each frees per cost."""


@dataclass(frozen=True, slots=True)
class PlanLeg:
    """Trade ``quantity_e8`` (signed) of ``instrument`` no worse than ``limit_price_e8``."""

    instrument: str
    quantity_e8: int
    limit_price_e8: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Legs in the order in which to begin them, and the figures the account will have if all trade at the marks
    (numeraire)."""

    kinds: tuple[CommandKind, ...]
    legs: tuple[PlanLeg, ...]
    equity_after: float
    maintenance_margin_after: float
    explanation: str
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class _Trial:
    """Unsigned quantities to close and what that leads to; ``shortfall`` (in 10^-6) is target less equity."""

    closes: Mapping[str, int]
    equity: float
    maintenance_margin: float
    shortfall: float


def plan(book: AccountBook, market: Market, parameters: RiskParameters, frame: RiskFrame | None = None) -> Plan | None:
    """The plan for an account below its target; None if there is nothing to close or closing would not reach it.

    The account must be priced. ``frame`` is that of this market and these parameters, if the caller has one; it
    saves time and changes no bit.
    """
    closing = Closing(book, market, parameters)
    if not closing.closable:
        return None
    planner = _Planner(closing, market, parameters, frame or RiskFrame(market, parameters))
    (start,) = planner.evaluate([{}])
    if start.shortfall <= 0:
        return None
    stated = state(book, closing, parameters, planner.frame, start.equity)
    solution = least_cost(stated.problem)
    wanted = dict(zip(stated.instruments, solution.x_I.tolist(), strict=True))
    chosen = planner.enough({name: planner.on_lots(name, units) for name, units in wanted.items() if units > 0.0})
    if chosen is None:
        return None
    names = planner.in_order(start, chosen)
    cost = closing.cost(chosen.closes)
    certificate = _certificate(stated, solution, cost)
    kinds = (
        CommandKind.CLOSE if chosen.closes[name] == closing.size_e8(name) else CommandKind.REDUCE for name in names
    )
    return Plan(
        kinds=tuple(kinds),
        legs=tuple(
            PlanLeg(name, closing.signed(name, chosen.closes[name]), closing.limit_price(name)) for name in names
        ),
        equity_after=chosen.equity,
        maintenance_margin_after=chosen.maintenance_margin,
        explanation=_explanation(start, chosen, certificate, names[0]),
        certificate=certificate,
    )


class _Planner:
    """Exact values of what can be closed of one account."""

    def __init__(self, closing: Closing, market: Market, parameters: RiskParameters, frame: RiskFrame) -> None:
        self.frame = frame
        self._closing = closing
        self._market = market
        self._parameters = parameters
        self._sizes = {name: closing.size_e8(name) for name in closing.closable}

    def on_lots(self, name: str, units: float) -> int:
        """``units`` contracts in whole lots, rounded up; all of the position if the rest would be dust."""
        size_e8, lot_e8 = self._sizes[name], self._closing.lot_e8(name)
        # A millionth of a lot is noise of the model, not a reason for another lot.
        quantity_e8 = min(max(div_up(round(units * E8) - lot_e8 // PPM, lot_e8), 1) * lot_e8, size_e8)
        rest = (size_e8 - quantity_e8) / E8 * self._closing.notional_each(name)
        return size_e8 if rest * E8 <= self._parameters.policy.dust_e8 else quantity_e8

    def enough(self, closes: Mapping[str, int]) -> _Trial | None:
        """``closes``, with the least equal share of all that is left that it takes to reach the target; None if even
        closing everything does not reach it."""
        (trial, everything) = self.evaluate([closes, self._sizes])
        if trial.shortfall <= 0:
            return trial
        if everything.shortfall > 0:
            return None
        low, high = 0, PARTS * PARTS
        for step in (PARTS, 1):
            shares = range(low + step, high + 1, step)
            trials = self.evaluate([self._further(closes, share) for share in shares])
            at = next(place for place, further in enumerate(trials) if further.shortfall <= 0)
            trial, low, high = trials[at], shares[at] - step, shares[at]
        return trial

    def _further(self, closes: Mapping[str, int], share: int) -> dict[str, int]:
        """``closes`` and ``share`` / PARTS^2 of what they leave, on lots."""
        made = {}
        for name, size_e8 in self._sizes.items():
            lot_e8, done_e8 = self._closing.lot_e8(name), closes.get(name, 0)
            more_e8 = div_up((size_e8 - done_e8) * share, PARTS * PARTS * lot_e8) * lot_e8
            if quantity_e8 := min(done_e8 + more_e8, size_e8):
                made[name] = quantity_e8
        return made

    def in_order(self, start: _Trial, chosen: _Trial) -> list[str]:
        """The instruments of ``chosen``: first that which lowers the shortfall most, then of the rest likewise."""
        left, done, order = sorted(chosen.closes), dict[str, int](), list[str]()
        while left:
            trials = self.evaluate([{**done, name: chosen.closes[name]} for name in left])
            ranked = sorted(zip(trials, left, strict=True), key=lambda pair: (pair[0].shortfall, pair[1]))
            taken = [ranked[0][1]] if len(left) <= ORDERED_MAX else [name for _, name in ranked]
            order += taken
            done |= {name: chosen.closes[name] for name in taken}
            left = [name for name in left if name not in done]
        return order

    def evaluate(self, closes: Sequence[Mapping[str, int]]) -> list[_Trial]:
        """What the account is after closing each of ``closes`` at the marks and paying for it."""
        portfolios = [self._closing.after(trial) for trial in closes]
        risk = account_risk(portfolios, self._market, self._parameters, self.frame)
        target = self._parameters.liquidation_target_ppm
        rows = zip(closes, risk.equity_A.tolist(), risk.maintenance_margin_A.tolist(), strict=True)
        return [
            _Trial(trial, equity, maintenance, target * maintenance - equity * PPM)
            for trial, equity, maintenance in rows
        ]


def _certificate(stated: Statement, solution: Solution, cost: float) -> Certificate:
    lower_bound = min(solution.lower_bound, cost)
    return Certificate(
        cost=cost,
        lower_bound=lower_bound,
        gap=1.0 - lower_bound / cost if cost > 0.0 else 0.0,
        target=stated.problem.target,
        binding=_binding(stated, solution),
    )


def _binding(stated: Statement, solution: Solution) -> tuple[BindingScenario, ...]:
    """The scenarios of the cuts with their shares, heaviest first; cuts that share a scenario add up."""
    weights: dict[tuple[str, str], float] = {}
    total = float(solution.share_T.sum())
    for scenario_K, share in zip(solution.scenario_TK.tolist(), solution.share_T.tolist(), strict=True):
        for group, scenario in enumerate(scenario_K):
            if scenario >= 0 and share > 0.0:
                key = stated.underlyings[group], stated.scenarios[group][scenario]
                weights[key] = weights.get(key, 0.0) + share / total
    ranked = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
    return tuple(BindingScenario(underlying, scenario, weight) for (underlying, scenario), weight in ranked)


def _explanation(start: _Trial, chosen: _Trial, certificate: Certificate, first: str) -> str:
    freed = start.maintenance_margin - chosen.maintenance_margin
    why = ""
    if certificate.binding:
        heaviest = certificate.binding[0]
        why = f"{heaviest.underlying} {heaviest.scenario} binds with weight {heaviest.weight:.2f}; "
    each = f", {freed / certificate.cost:,.1f} per 1 of cost" if certificate.cost > 0.0 else ""
    return (
        f"{why}closing {len(chosen.closes)} positions, {first} first, frees {freed:,.2f} of maintenance margin{each}; "
        f"no plan costs less than {1 - certificate.gap:.1%} of this one's {certificate.cost:,.2f}"
    )
