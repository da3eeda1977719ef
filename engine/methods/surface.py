"""The liquidation surface: how far the market may move before an account is below maintenance margin, and the cheapest
single trade that brings it back.

Owns the search. Refuses to know how a portfolio is margined: it asks for the excess after moves and trades.

Distances are relative moves of one factor, everything else unchanged: an underlying's price up or down, its volatility
up or down, and all of them together along the gradient of the excess (steepest descent, the largest component is the
distance). A search first walks its range in equal steps, so that it finds the nearest breach unless one opens and
closes inside a step, and then bisects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from engine.errors import InvalidReference
from engine.methods.context import MarginContext
from engine.methods.greeks import position_greeks
from engine.methods.method import MarginMethod
from engine.methods.modes import AccountMargin, account_margin
from engine.methods.statement import ONE, StatedPortfolio, StatedPosition
from engine.methods.what_if import Fill, filled, marks, moved

STEPS = 40
TOLERANCE = 1e-6
"""Of a relative move; of a traded quantity relative to itself."""
SPOT_UP, SPOT_DOWN, VOL_UP, VOL_DOWN = 2.0, 0.99, 4.0, 0.95
"""How far a factor is followed: prices to three times and a hundredth, volatilities to five times and a twentieth."""
GRADIENT_STEP = 1e-4

Move = tuple[Mapping[str, float], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Distance:
    """Where one factor breaches maintenance margin: the relative ``move`` (None: not within ``searched``; 0: breached
    already) and by underlying the price there. ``spot`` and ``vol`` are the moves of all factors at the breach."""

    factor: str
    searched: float
    move: float | None
    spot: Mapping[str, float]
    vol: Mapping[str, float]
    prices: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RestoringTrade:
    """The cheapest single trade after which no pool is below its requirement. ``cost`` is paid out of cash and counted
    in ``margin``."""

    instrument: str
    quantity: Decimal
    cost: float
    closes: bool
    margin: AccountMargin


def liquidation_surface(portfolio: StatedPortfolio, method: MarginMethod) -> tuple[Distance, ...]:
    """Distances to the breach of maintenance margin along every factor; raises ``InvalidReference``."""
    left = account_margin(portfolio, method).maintenance_left
    result = []
    for unit in portfolio.markets:
        for label, reach, kind in (
            ("price up", SPOT_UP, 0), ("price down", -SPOT_DOWN, 0),
            ("volatility up", VOL_UP, 1), ("volatility down", -VOL_DOWN, 1),
        ):  # fmt: skip
            if kind == 1 and not _has_options(portfolio, unit):
                continue
            moves: Move = ({unit: reach}, {}) if kind == 0 else ({}, {unit: reach})
            result.append(_distance(portfolio, method, f"{unit} {label}", moves, abs(reach), left))
    worst = _worst_direction(portfolio, method)
    if worst is not None:
        result.append(_distance(portfolio, method, "joint", worst, max(map(abs, _flat(worst))), left))
    return tuple(result)


def _distance(
    portfolio: StatedPortfolio, method: MarginMethod, factor: str, whole: Move, reach: float, left: float
) -> Distance:
    def excess(share: float) -> float:
        return account_margin(_moved(portfolio, method, _times(whole, share)), method).maintenance_left

    share = 0.0 if left < 0.0 else _first_breach(excess, TOLERANCE / reach)
    at = _times(whole, share or 0.0)
    signed = next((reach if move > 0 else -reach for move in _flat(whole)), reach) if factor != "joint" else reach
    return Distance(
        factor, reach, None if share is None else share * signed, at[0] if share else {}, at[1] if share else {},
        {unit: float(market.spot) * (1.0 + at[0].get(unit, 0.0)) for unit, market in portfolio.markets.items()}
        if share is not None else {},
    )  # fmt: skip


def _first_breach(excess: Callable[[float], float], tolerance: float) -> float | None:
    """Smallest share of the range with a negative excess, from above, to ``tolerance``; None if there is none."""
    low = 0.0
    for step in range(1, STEPS + 1):
        high = step / STEPS
        if excess(high) < 0.0:
            while high - low > tolerance:
                middle = (low + high) / 2.0
                low, high = (low, middle) if excess(middle) < 0.0 else (middle, high)
            return high
        low = high
    return None


def _worst_direction(portfolio: StatedPortfolio, method: MarginMethod) -> Move | None:
    """All factors against the gradient of the excess, scaled until the first reaches the end of its range; None where
    the excess does not depend on any."""
    slope: list[tuple[int, str, float]] = []
    for kind in (0, 1):
        for unit in portfolio.markets:
            if kind == 1 and not _has_options(portfolio, unit):
                continue
            ends = [
                account_margin(
                    _moved(portfolio, method, ({unit: h}, {}) if kind == 0 else ({}, {unit: h})), method
                ).maintenance_left
                for h in (GRADIENT_STEP, -GRADIENT_STEP)
            ]
            slope.append((kind, unit, -(ends[0] - ends[1]) / (2.0 * GRADIENT_STEP)))
    slope = [(kind, unit, value) for kind, unit, value in slope if value != 0.0]
    if not slope:
        return None
    reach = {(0, True): SPOT_UP, (0, False): SPOT_DOWN, (1, True): VOL_UP, (1, False): VOL_DOWN}
    scale = min(reach[kind, value > 0.0] / abs(value) for kind, _, value in slope)
    spot = {unit: value * scale for kind, unit, value in slope if kind == 0}
    vol = {unit: value * scale for kind, unit, value in slope if kind == 1}
    return spot, vol


def _has_options(portfolio: StatedPortfolio, unit: str) -> bool:
    return any(p.underlying == unit and p.strike is not None for p in portfolio.positions)


def _moved(portfolio: StatedPortfolio, method: MarginMethod, moves: Move) -> StatedPortfolio:
    spot, vol = ({unit: _exact(value) for unit, value in part.items()} for part in moves)
    return moved(portfolio, method, spot, vol)


def _times(moves: Move, share: float) -> Move:
    return {u: m * share for u, m in moves[0].items()}, {u: m * share for u, m in moves[1].items()}


def _flat(moves: Move) -> list[float]:
    return [*moves[0].values(), *moves[1].values()]


def _exact(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def cheapest_restoring_trade(
    portfolio: StatedPortfolio, method: MarginMethod, spread: Decimal, *, initial: bool = False
) -> RestoringTrade | None:
    """The cheapest trade in one of the portfolio's instruments, at mark, that lifts every pool to its maintenance (or
    ``initial``) requirement. It costs ``spread`` x units x price, of options and spot x units x spot, paid in cash.
    Looked at, on both sides: quantities up to the position or the notional of all positions, whichever is more, in
    steps that include tenths of the position and of what makes delta neutral. None if the account is in order or none
    of them helps. Raises ``InvalidReference``."""
    if spread < 0:
        raise InvalidReference("spread", "must not be negative")
    before = account_margin(portfolio, method)
    if _left(before, initial=initial) >= 0.0:
        return None
    prices = _unit_prices(portfolio, method)
    gross = sum(abs(p.quantity * p.multiplier) * price for p, price in zip(portfolio.positions, prices, strict=True))
    neutral = _neutral_quantities(portfolio, method)
    best: RestoringTrade | None = None
    for i, (position, price) in enumerate(zip(portfolio.positions, prices, strict=True)):
        worth = position.multiplier * price
        if worth <= 0:
            continue
        most = float(max(abs(position.quantity), gross / worth))
        sizes = _looked_at(float(abs(position.quantity)), min(neutral[i], most), most)
        for side in (1, -1):
            trade = _curing_trade(portfolio, method, position, side, sizes, spread * worth, initial)
            if trade is not None and (best is None or trade.cost < best.cost):
                best = trade
    return best


def _neutral_quantities(portfolio: StatedPortfolio, method: MarginMethod) -> list[float]:
    """Contracts of each instrument that bring its underlying's delta to 0; 0 for what has no delta."""
    one = replace(portfolio, positions=tuple(replace(p, quantity=ONE, delta=None) for p in portfolio.positions))
    context = MarginContext(portfolio, method)
    net_U = context.sum_by_unit(position_greeks(context)["delta"])
    unit_P = position_greeks(MarginContext(one, method))["delta"]
    return [
        float(abs(net_U[u] / delta)) if delta else 0.0 for u, delta in zip(context.table.unit_P, unit_P, strict=True)
    ]


def _looked_at(held: float, neutral: float, most: float) -> list[float]:
    """Quantities to try, rising: tenths of the position and of what makes delta neutral, and halvings of ``most``."""
    tenths = [whole * k / 10.0 for whole in (held, neutral) for k in range(1, 11)]
    return sorted({size for size in (*tenths, *(most * 0.5**k for k in range(14))) if size > 0.0})


def _curing_trade(
    portfolio: StatedPortfolio,
    method: MarginMethod,
    position: StatedPosition,
    side: int,
    sizes: Sequence[float],
    unit_cost: Decimal,
    initial: bool,
) -> RestoringTrade | None:
    """The smallest trade of one instrument on one side that leaves nothing short; None if there is none."""

    def after(size: float) -> AccountMargin:
        quantity = _exact(size)
        fill = Fill(position.instrument, quantity * side, None, quantity * unit_cost)
        return account_margin(filled(portfolio, method, fill), method)

    size = _smallest_cure(lambda size: _left(after(size), initial=initial), sizes)
    if size is None:
        return None
    closes = position.quantity * side < 0 and size <= abs(float(position.quantity))
    return RestoringTrade(
        position.instrument, _exact(size) * side, float(_exact(size) * unit_cost), closes, after(size)
    )


def _left(account: AccountMargin, *, initial: bool) -> float:
    return account.initial_left if initial else account.maintenance_left


def _unit_prices(portfolio: StatedPortfolio, method: MarginMethod) -> list[Decimal]:
    """What one unit is worth as notional: the mark of linear contracts, spot of options, 1 of inverse contracts."""
    return [
        Decimal(1) if p.inverse else portfolio.markets[p.underlying].spot if p.strike is not None else mark
        for p, mark in zip(portfolio.positions, marks(portfolio, method), strict=True)
    ]


def _smallest_cure(left: Callable[[float], float], sizes: Sequence[float]) -> float | None:
    """Smallest quantity with nothing short, from above, between the first of ``sizes`` that cures and the one before
    it; to ``TOLERANCE`` relative. None if none of them cures."""
    low = 0.0
    for high in sizes:
        if left(high) >= 0.0:
            while high - low > TOLERANCE * high:
                middle = (low + high) / 2.0
                low, high = (low, middle) if left(middle) >= 0.0 else (middle, high)
            return high
        low = high
    return None
