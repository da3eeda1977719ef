"""The planner: which positions to close, and how much of each, to reach the liquidation target at least cost.

Owns the way from a book to whole lots. ``engine.unwind`` finds the cheapest close-out of the model and bounds the cost
of every other; here it is rounded up to lots, what would stay as dust is closed with it, and the result is valued
exactly, as the fills will make it. What the model left out is made good by closing an equal share of all that is left.

A plan is made of whole lots and reaches the target when all legs trade at the marks; there is one whenever closing
everything would reach it, and sometimes when not. It never grows a position, except with instruments that the policy
names as hedges, where that is cheaper (``hedging``). Legs are in an order in which none of them, traded alone, raises
what is missing, as far as there is such an order. Balances are not sold. Expired positions are not touched; they await
settlement. What of the plan is commanded now, beside everybody else who is being closed, ``slices`` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.books.account import AccountBook
from engine.commands import BindingScenario, Certificate, CommandKind
from engine.fleet.flow import NO_FLOW
from engine.liquidation.closing import Closing
from engine.liquidation.ordering import EXHAUSTIVE_MAX, gentlest_order, worst_step
from engine.liquidation.slices import Throttled, candidates, is_full, limit_of, must_wait
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
    (numeraire). They are a slice where not all may be traded at once; the certificate is of the whole."""

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


def plan(
    book: AccountBook,
    market: Market,
    parameters: RiskParameters,
    frame: RiskFrame | None = None,
    flow: Mapping[str, int] = NO_FLOW,
) -> Plan | None:
    """The plan for an account below its target; None if there is nothing to close or closing would not reach it.
    Raises ``Throttled`` if others have to finish first.

    The account must be priced. ``frame`` is that of this market and these parameters, if the caller has one; it
    saves time and changes no bit. ``flow`` is what others are to trade, signed contracts in 10^-8 by instrument.
    """
    closing = Closing(book, market, parameters, flow)
    if not closing.closable:
        return None
    planner = _Planner(closing, market, parameters, frame or RiskFrame(market, parameters))
    (start,) = planner.evaluate([{}])
    if start.shortfall <= 0:
        return None
    if is_full(closing, parameters):
        raise Throttled
    stated = state(book, closing, parameters, planner.frame, start.equity)
    solution = least_cost(stated.problem)
    chosen = planner.enough(planner.lots_of(stated, solution))
    if closing.hedges:
        hedged = state(book, closing, parameters, planner.frame, start.equity, hedged=True)
        cheaper = least_cost(hedged.problem)
        if (with_hedges := planner.if_better(planner.lots_of(hedged, cheaper), chosen)) is not None:
            stated, solution, chosen = hedged, cheaper, with_hedges
    if chosen is None:
        return None
    names, chosen = planner.in_order(start, chosen)
    now = planner.slice(start, chosen)
    if now is not chosen:
        names, now = planner.in_order(start, now)
    cost = closing.cost(chosen.closes)
    certificate = _certificate(stated, solution, cost)
    kinds = (_kind(closing, name, now.closes[name]) for name in names)
    explanation = _explanation(closing, start, chosen, certificate, names[0])
    if now is not chosen and cost > 0.0:
        explanation += f"; a slice of it now, {closing.cost(now.closes) / cost:.1%} by cost"
    return Plan(
        kinds=tuple(kinds),
        legs=tuple(PlanLeg(name, closing.signed(name, now.closes[name]), closing.limit_price(name)) for name in names),
        equity_after=now.equity,
        maintenance_margin_after=now.maintenance_margin,
        explanation=explanation,
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
        size_e8, lot_e8 = self._closing.size_e8(name), self._closing.lot_e8(name)
        # A millionth of a lot is noise of the model, not a reason for another lot.
        quantity_e8 = min(max(div_up(round(units * E8) - lot_e8 // PPM, lot_e8), 1) * lot_e8, size_e8)
        rest = (size_e8 - quantity_e8) / E8 * self._closing.notional_each(name)
        is_dust = rest * E8 <= self._parameters.policy.dust_e8 and name in self._sizes
        return size_e8 if is_dust else quantity_e8

    def lots_of(self, stated: Statement, solution: Solution) -> dict[str, int]:
        """What the model would close, in whole lots."""
        wanted = zip(stated.instruments, solution.x_I.tolist(), strict=True)
        return {name: self.on_lots(name, units) for name, units in wanted if units > 0.0}

    def if_better(self, closes: Mapping[str, int], other: _Trial | None) -> _Trial | None:
        """``closes`` if they reach the target as they are, at less than what ``other`` costs."""
        (trial,) = self.evaluate([closes])
        if trial.shortfall > 0 or (
            other is not None and self._closing.cost(closes) >= self._closing.cost(other.closes)
        ):
            return None
        return trial

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

    def slice(self, start: _Trial, chosen: _Trial) -> _Trial:
        """What of ``chosen`` is traded now; raises ``Throttled``."""
        limits = {
            name: limit_of(name, quantity_e8, self._closing, self._parameters, (start.equity, start.maintenance_margin))
            for name, quantity_e8 in chosen.closes.items()
        }
        for closes in candidates(chosen.closes, limits):
            (trial,) = self.evaluate([closes])
            if trial.shortfall <= start.shortfall:
                return chosen if closes == chosen.closes else trial
        if must_wait(chosen.closes, limits):
            raise Throttled
        return chosen

    def in_order(self, start: _Trial, chosen: _Trial) -> tuple[list[str], _Trial]:
        """The instruments of ``chosen``: first that which lowers the shortfall most, then of the rest likewise; where
        that makes a step that raises it, the order with the gentlest steps. What is left once the target is reached
        was rounded up to a lot that nobody needs, and is left out."""
        left, path = sorted(chosen.closes), [start]
        while left and path[-1].shortfall > 0:
            done = path[-1].closes
            trials = self.evaluate([{**done, name: chosen.closes[name]} for name in left])
            ranked = sorted(zip(trials, left, strict=True), key=lambda pair: (pair[0].shortfall, pair[1]))
            if len(left) > ORDERED_MAX:
                return [*done, *(name for _, name in ranked)], chosen
            path.append(ranked[0][0])
            left.remove(ranked[0][1])
        if 1 < len(path[-1].closes) <= EXHAUSTIVE_MAX and worst_step([trial.shortfall for trial in path]) > 0.0:
            path = self._gentlest(path[-1])
        return list(path[-1].closes), path[-1]

    def _gentlest(self, chosen: _Trial) -> list[_Trial]:
        """The way to ``chosen``, or to less if that reaches the target, whose steps raise the shortfall least."""
        names = sorted(chosen.closes)
        subsets = [
            {name: chosen.closes[name] for at, name in enumerate(names) if subset >> at & 1}
            for subset in range(1 << len(names))
        ]
        trials, path, taken = self.evaluate(subsets), list[_Trial](), 0
        order = gentlest_order([trial.shortfall for trial in trials])
        for count in range(len(order) + 1):
            taken |= 1 << order[count - 1] if count else 0
            closes = {names[at]: chosen.closes[names[at]] for at in order[:count]}
            path.append(replace(trials[taken], closes=closes))
            if trials[taken].shortfall <= 0:
                break
        return path

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


def _kind(closing: Closing, name: str, quantity_e8: int) -> CommandKind:
    if name in closing.hedges:
        return CommandKind.HEDGE
    return CommandKind.CLOSE if quantity_e8 == closing.size_e8(name) else CommandKind.REDUCE


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


def _doing(closing: Closing, chosen: _Trial) -> str:
    hedges = [name for name in chosen.closes if name in closing.hedges]
    closed = f"closing {len(chosen.closes) - len(hedges)} positions"
    return f"{closed} and hedging with {', '.join(hedges)}" if hedges else closed


def _explanation(closing: Closing, start: _Trial, chosen: _Trial, certificate: Certificate, first: str) -> str:
    freed = start.maintenance_margin - chosen.maintenance_margin
    why = ""
    if certificate.binding:
        heaviest = certificate.binding[0]
        why = f"{heaviest.underlying} {heaviest.scenario} binds with weight {heaviest.weight:.2f}; "
    each = f", {freed / certificate.cost:,.1f} per 1 of cost" if certificate.cost > 0.0 else ""
    return (
        f"{why}{_doing(closing, chosen)}, {first} first, frees {freed:,.2f} of maintenance margin{each}; "
        f"no plan costs less than {1 - certificate.gap:.1%} of this one's {certificate.cost:,.2f}"
    )
