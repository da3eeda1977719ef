"""Slow, obvious twin of the margin figure: one account at a time, plain Python floats, formulas as in docs/formulas.md.

Owns a second opinion. Shares nothing with ``engine.pricing`` and ``engine.risk`` but the reference data types.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from math import erfc, log, sqrt

from engine.events import VolatilityNode
from engine.market import Market
from engine.portfolio import PortfolioLike, PositionLike
from engine.reference.instruments import Instrument, InstrumentKind
from engine.reference.parameters import RiskParameters, UnderlyingParameters
from engine.units import DAY_US, E8, E12, PPM


def cumulative_normal(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2.0))


def black76(forward: float, strike: float, years: float, volatility: float, call: bool) -> float:
    deviation = volatility * sqrt(years) if years > 0.0 else 0.0
    if deviation == 0.0:
        return max(forward - strike, 0.0) if call else max(strike - forward, 0.0)
    d1 = log(forward / strike) / deviation + deviation / 2.0
    d2 = d1 - deviation
    if call:
        return forward * cumulative_normal(d1) - strike * cumulative_normal(d2)
    return strike * cumulative_normal(-d2) - forward * cumulative_normal(-d1)


def smile_volatility(smile: list[VolatilityNode], log_moneyness: float) -> float:
    smile = sorted(smile, key=lambda node: node.log_moneyness)
    if log_moneyness <= smile[0].log_moneyness:
        return smile[0].volatility
    for left, right in pairwise(smile):
        if log_moneyness <= right.log_moneyness:
            share = (log_moneyness - left.log_moneyness) / (right.log_moneyness - left.log_moneyness)
            return left.volatility + share * (right.volatility - left.volatility)
    return smile[-1].volatility


def implied_volatility(nodes: tuple[VolatilityNode, ...], tenor_days: float, log_moneyness: float) -> float:
    tenors = sorted({node.tenor_days for node in nodes})
    at_tenor = [smile_volatility([n for n in nodes if n.tenor_days == t], log_moneyness) for t in tenors]
    if tenor_days <= tenors[0]:
        return at_tenor[0]
    for i in range(len(tenors) - 1):
        if tenor_days <= tenors[i + 1]:
            near, far = at_tenor[i] ** 2 * tenors[i], at_tenor[i + 1] ** 2 * tenors[i + 1]
            variance = near + (far - near) * (tenor_days - tenors[i]) / (tenors[i + 1] - tenors[i])
            return sqrt(variance / tenor_days)
    return at_tenor[-1]


def price(market: Market, feed: str | None) -> float:
    return 1.0 if feed is None else market.marks[feed].price_e8 / E8


def tenor_days(instrument: Instrument, market: Market) -> float:
    """Days from the last whole second to expiry."""
    assert instrument.expiry_us is not None
    seconds_since_epoch = market.time_us // 1_000_000
    return max(instrument.expiry_us - seconds_since_epoch * 1_000_000, 0) / DAY_US


def settlement_price(instrument: Instrument, market: Market, price_factor: float = 1.0) -> float:
    """Numeraire per unit of settlement asset after a move: a coin moves with contracts on itself only."""
    asset = market.assets[instrument.settlement_asset]
    is_own_coin = asset.underlying is not None and asset.underlying == instrument.underlying
    return price(market, asset.mark_feed) * (price_factor if is_own_coin else 1.0)


def contract_value(
    instrument: Instrument, market: Market, price_factor: float = 1.0, volatility_factor: float = 1.0
) -> float:
    """Value of one contract after a move, in the settlement asset."""
    mark = price(market, instrument.mark_feed)
    moved = mark * price_factor
    multiplier = instrument.multiplier_e8 / E8
    if instrument.kind.is_option:
        assert instrument.strike_e8 is not None
        days, strike = tenor_days(instrument, market), instrument.strike_e8 / E8
        nodes = market.marks[instrument.underlying].volatility
        volatility = implied_volatility(nodes, days, log(strike / mark)) * volatility_factor
        return multiplier * black76(moved, strike, days / 365.0, volatility, instrument.kind is InstrumentKind.CALL)
    if instrument.kind is InstrumentKind.INVERSE_PERPETUAL:
        return -multiplier / moved
    return moved * multiplier


def scenarios(terms: UnderlyingParameters, parameters: RiskParameters) -> list[tuple[float, int, float]]:
    """(relative price move, volatility direction, weight) in order."""
    grid = [
        (step / PPM * terms.price_range_ppm / PPM, direction, 1.0)
        for step in parameters.price_steps_ppm
        for direction in (1, 0, -1)
    ]
    return grid + [(tail.price_move_ppm / PPM, 1, tail.weight_ppm / PPM) for tail in parameters.tails]


def volatility_factor(terms: UnderlyingParameters, days: float, direction: int) -> float:
    scale: float = (30.0 / max(days, 1.0)) ** (terms.volatility_term_power_ppm / PPM)
    if direction > 0:
        return 1.0 + terms.volatility_up_ppm / PPM * scale
    if direction < 0:
        return max(0.0, 1.0 - terms.volatility_down_ppm / PPM * scale)
    return 1.0


def position_worth(
    instrument: Instrument,
    position: PositionLike,
    market: Market,
    price_factor: float = 1.0,
    volatility_factor: float = 1.0,
) -> float:
    """What a position adds to equity after a move, numeraire: all it is worth in coins, at the coin's price then."""
    contracts = position.quantity_e8 / E8
    worth = contracts * contract_value(instrument, market, price_factor, volatility_factor)
    if not instrument.kind.is_option:
        worth -= position.cost_e8 / E8 + accrued_funding(instrument, contracts, position.funding_index_e12, market)
    return worth * settlement_price(instrument, market, price_factor)


def position_pnl(
    instrument: Instrument, position: PositionLike, market: Market, parameters: RiskParameters
) -> list[float]:
    terms = parameters.underlyings[instrument.underlying]
    now = position_worth(instrument, position, market)
    pnl = []
    for move, direction, weight in scenarios(terms, parameters):
        shock = (
            volatility_factor(terms, tenor_days(instrument, market), direction) if instrument.kind.is_option else 1.0
        )
        pnl.append(weight * (position_worth(instrument, position, market, 1.0 + move, shock) - now))
    return pnl


def accrued_funding(instrument: Instrument, contracts: float, paid_e12: int, market: Market) -> float:
    mark = market.marks[instrument.mark_feed]
    if instrument.kind is InstrumentKind.LINEAR_PERPETUAL:
        index = mark.funding_index_linear_e12
    elif instrument.kind is InstrumentKind.INVERSE_PERPETUAL:
        index = mark.funding_index_inverse_e12
    else:
        return 0.0
    return contracts * instrument.multiplier_e8 / E8 * ((index - paid_e12) / E12)


def loss(pnl: list[float]) -> float:
    return max(0.0, -min(pnl))


def margin(portfolio: PortfolioLike, market: Market, parameters: RiskParameters) -> dict[str, float]:
    """Every float of ``AccountFigures`` by name, add-ons included."""
    total: dict[str, float] = defaultdict(float)
    pnl_of: dict[str, list[list[float]]] = defaultdict(list)
    short_units: dict[tuple[object, ...], float] = defaultdict(float)
    for asset_id, amount_e8 in portfolio.balances.items():
        asset = market.assets[asset_id]
        counted = amount_e8 / E8 * (1.0 - asset.haircut_ppm / PPM if amount_e8 > 0 else 1.0)
        worth = counted * price(market, asset.mark_feed)
        total["collateral_value"] += worth
        if asset.underlying is not None:
            grid = scenarios(parameters.underlyings[asset.underlying], parameters)
            pnl_of[asset.underlying].append([weight * worth * move for move, _, weight in grid])
    for name, position in portfolio.positions.items():
        instrument = market.instruments[name]
        contracts = position.quantity_e8 / E8
        worth = position_worth(instrument, position, market)
        if instrument.kind.is_option:
            total["option_value"] += worth
            key = (instrument.underlying, instrument.expiry_us, instrument.strike_e8, instrument.kind)
            units = contracts * instrument.multiplier_e8 / E8
            short_units[key] += units
            _charge(total, "isolated_", instrument.underlying, units, market, parameters)
        else:
            total["unrealized_pnl"] += worth
        pnl_of[instrument.underlying].append(position_pnl(instrument, position, market, parameters))
    for terms, units in short_units.items():
        _charge(total, "", str(terms[0]), units, market, parameters)
    netted = sum(loss([sum(column) for column in zip(*rows, strict=True)]) for rows in pnl_of.values())
    alone = sum(loss(row) for rows in pnl_of.values() for row in rows)
    factor = parameters.maintenance_factor_ppm / PPM
    return {
        "equity": total["collateral_value"] + total["unrealized_pnl"] + total["option_value"],
        "collateral_value": total["collateral_value"],
        "unrealized_pnl": total["unrealized_pnl"],
        "option_value": total["option_value"],
        "initial_margin": netted + total["initial"],
        "maintenance_margin": factor * netted + total["maintenance"],
        "isolated_initial_margin": alone + total["isolated_initial"],
        "isolated_maintenance_margin": factor * alone + total["isolated_maintenance"],
        "short_option_minimum_initial": total["initial"],
        "short_option_minimum_maintenance": total["maintenance"],
    }


def _charge(
    total: dict[str, float], prefix: str, underlying: str, units: float, market: Market, parameters: RiskParameters
) -> None:
    notional = max(0.0, -units) * price(market, underlying)
    terms = parameters.underlyings[underlying]
    total[prefix + "initial"] += notional * terms.short_option_minimum_initial_ppm / PPM
    total[prefix + "maintenance"] += notional * terms.short_option_minimum_maintenance_ppm / PPM
