"""The position table: a stated portfolio's positions as arrays, ready to be revalued.

Owns the checks that every position can be priced and the conversion to float64. Refuses scenarios.

Axes: P positions, U margin units (underlyings), E expiries (of all underlyings).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from engine.errors import InvalidReference
from engine.methods.statement import PositionKind, StatedExpiry, StatedMarket, StatedPortfolio, StatedPosition
from engine.pricing.axes import Bools, Floats, Ints
from engine.pricing.black76 import black76
from engine.pricing.settlement_window import WINDOW_SECONDS, settlement_window_forward
from engine.pricing.svi import svi_volatility

DAY_SECONDS = 86_400.0
YEAR_SECONDS = 365.0 * DAY_SECONDS
SVI_NAMES = ("a", "b", "rho", "m", "sigma")
VOLATILITY_MAX = 10
"""A volatility above 1,000 % is a unit error, not a market; inside the settlement window only the deviation counts."""
DEVIATION_MAX = 12
"""Volatility x sqrt(years) at most, the bound of published surfaces (total variance 144)."""


@dataclass(frozen=True, slots=True)
class PositionTable:
    """One row per position. ``quantity_P`` is contracts x multiplier, signed; ``price_P`` the mark per unit.
    ``forward_variable_P`` moves with the market, ``forward_fixed_P`` is already fixed by a settlement window.
    ``sign_P`` is +1 for calls, -1 for puts, 0 else. ``expiry_P`` is -1 without an expiry. ``rate_P`` is as stated,
    ``discount_P`` the factor on option values (1 where the method does not discount)."""

    positions: tuple[StatedPosition, ...]
    units: tuple[str, ...]
    expiries: tuple[tuple[str, StatedExpiry], ...]
    unit_P: Ints
    expiry_P: Ints
    quantity_P: Floats
    perpetual_P: Bools
    future_P: Bools
    option_P: Bools
    spot_P: Bools
    inverse_P: Bools
    sign_P: Floats
    strike_P: Floats
    seconds_P: Floats
    years_P: Floats
    forward_variable_P: Floats
    forward_fixed_P: Floats
    volatility_P: Floats
    rate_P: Floats
    discount_P: Floats
    price_P: Floats
    stated_mark_P: Bools
    unrealized_pnl_P: Floats
    spot_U: Floats
    unit_E: Ints
    seconds_E: Floats
    years_E: Floats
    forward_E: Floats
    rate_E: Floats

    @property
    def forward_P(self) -> Floats:
        """The whole forward of each row."""
        result: Floats = self.forward_variable_P + self.forward_fixed_P
        return result


def position_table(portfolio: StatedPortfolio, *, discounted: bool, expired_allowed: bool = False) -> PositionTable:
    """The table of all positions, in the portfolio's order; raises ``InvalidReference`` naming the field.

    ``discounted``: whether option values are discounted at max(rate, 0) to expiry. ``expired_allowed``: whether an
    option whose time is over counts at its intrinsic value until it is settled; else it is refused.
    """
    units = tuple(portfolio.markets)
    for i, position in enumerate(portfolio.positions):
        _check(position, portfolio, f"positions[{i}]")
        if position.kind is PositionKind.OPTION and not expired_allowed:
            assert position.expiry is not None
            if portfolio.markets[position.underlying].expiries[position.expiry].seconds_to_expiry <= 0:
                raise InvalidReference(f"positions[{i}].expiry", f"{position.expiry} is over: settle the option first")
    for name, market in portfolio.markets.items():
        _check_market(name, market)
    expiries = tuple((unit, expiry) for unit in units for expiry in portfolio.markets[unit].expiries.values())
    rank = {(unit, expiry.name): e for e, (unit, expiry) in enumerate(expiries)}
    positions = portfolio.positions
    expiry_P = np.array(
        [rank[(p.underlying, p.expiry)] if p.expiry is not None else -1 for p in positions], dtype=np.int64
    )
    seconds_E = np.array([max(float(expiry.seconds_to_expiry), 0.0) for _, expiry in expiries])
    forward_E = np.array([float(expiry.forward) for _, expiry in expiries])
    fixed_E = np.array([_fixed(expiry) for _, expiry in expiries])
    rate_E = np.array([float(expiry.rate) for _, expiry in expiries])
    seconds_P = _by_expiry(seconds_E, expiry_P, 0.0)
    kind = np.array([p.kind.value for p in positions], dtype=np.str_)
    option_P = kind == PositionKind.OPTION
    sign_P = np.array([0.0 if p.is_call is None else (1.0 if p.is_call else -1.0) for p in positions]) * option_P
    strike_P = np.array([float(p.strike or 0) for p in positions])
    volatility_P = np.array([_volatility(p, portfolio, i) for i, p in enumerate(positions)])
    forward_P, fixed_P = _by_expiry(forward_E, expiry_P, 0.0), _by_expiry(fixed_E, expiry_P, 0.0)
    rate_P = _by_expiry(rate_E, expiry_P, 0.0)
    years_P = seconds_P / YEAR_SECONDS
    discount_P = np.exp(-np.maximum(rate_P, 0.0) * years_P) if discounted else np.ones(len(positions))
    model_P = black76(forward_P, strike_P, years_P, volatility_P, np.where(option_P, sign_P, 1.0)) * discount_P
    inverse_P = np.array([p.inverse for p in positions], dtype=np.bool_)
    model_P = np.divide(model_P, forward_P, out=model_P, where=inverse_P & (forward_P > 0.0))
    price_P = np.array([_price(p, portfolio, float(model_P[i])) for i, p in enumerate(positions)])
    quantity_P = np.array([float(p.quantity * p.multiplier) for p in positions])
    return PositionTable(
        positions=positions, units=units, expiries=expiries,
        unit_P=np.array([units.index(p.underlying) for p in positions], dtype=np.int64),
        expiry_P=expiry_P, quantity_P=quantity_P,
        perpetual_P=kind == PositionKind.PERPETUAL, future_P=kind == PositionKind.FUTURE, option_P=option_P,
        spot_P=kind == PositionKind.SPOT, inverse_P=inverse_P,
        sign_P=sign_P, strike_P=strike_P, seconds_P=seconds_P, years_P=years_P,
        forward_variable_P=forward_P - fixed_P, forward_fixed_P=fixed_P, volatility_P=volatility_P, rate_P=rate_P,
        discount_P=discount_P, price_P=price_P,
        stated_mark_P=np.array([p.mark_price is not None for p in positions], dtype=np.bool_),
        unrealized_pnl_P=np.array([_unrealized(p, float(price_P[i])) for i, p in enumerate(positions)]),
        spot_U=np.array([float(portfolio.markets[unit].spot) for unit in units]),
        unit_E=np.array([units.index(unit) for unit, _ in expiries], dtype=np.int64),
        seconds_E=seconds_E, years_E=seconds_E / YEAR_SECONDS, forward_E=forward_E, rate_E=rate_E,
    )  # fmt: skip


def _check(position: StatedPosition, portfolio: StatedPortfolio, path: str) -> None:
    market = portfolio.markets.get(position.underlying)
    if market is None:
        raise InvalidReference(f"{path}.underlying", f"{position.underlying} is not among the markets")
    if position.multiplier <= 0:
        raise InvalidReference(f"{path}.multiplier", "must be positive")
    if position.expiry is not None and position.expiry not in market.expiries:
        raise InvalidReference(f"{path}.expiry", f"{position.expiry} is not among the expiries of {market.underlying}")
    if position.kind is PositionKind.PERPETUAL and position.mark_price is None and market.perpetual_price is None:
        raise InvalidReference(f"{path}.mark_price", "a perpetual needs its own or its market's perpetual_price")
    if position.kind is PositionKind.FUTURE and position.expiry is None and position.mark_price is None:
        raise InvalidReference(f"{path}.expiry", "a future needs an expiry or a mark_price")
    if position.kind is PositionKind.OPTION:
        for field in ("strike", "is_call", "expiry"):
            if getattr(position, field) is None:
                raise InvalidReference(f"{path}.{field}", "an option needs it")
        assert position.expiry is not None and position.strike is not None
        if position.strike < 0:
            raise InvalidReference(f"{path}.strike", "must not be negative")
        expiry = market.expiries[position.expiry]
        if position.volatility is None and expiry.svi is None:
            raise InvalidReference(f"{path}.volatility", "is missing, and the expiry states no svi")
        if position.volatility is not None:
            _check_volatility(float(position.volatility), float(expiry.seconds_to_expiry), f"{path}.volatility")


def _check_volatility(volatility: float, seconds: float, field: str) -> None:
    if volatility <= 0.0:
        raise InvalidReference(field, "must be above 0")
    if seconds >= WINDOW_SECONDS and volatility > VOLATILITY_MAX:
        raise InvalidReference(field, f"must be at most {VOLATILITY_MAX} (1,000 %)")
    if seconds > 0.0 and volatility * np.sqrt(seconds / YEAR_SECONDS) > DEVIATION_MAX:
        raise InvalidReference(field, f"its deviation until expiry must be at most {DEVIATION_MAX}")


def _check_market(name: str, market: StatedMarket) -> None:
    if market.spot < 0:
        raise InvalidReference(f"markets.{name}.spot", "must not be negative")
    for expiry in market.expiries.values():
        path = f"markets.{name}.expiries.{expiry.name}"
        if expiry.forward < 0:
            raise InvalidReference(f"{path}.forward", "must not be negative")
        if expiry.forward_fixed is not None and not 0 <= expiry.forward_fixed <= expiry.forward:
            raise InvalidReference(f"{path}.forward_fixed", "must lie between 0 and the forward")


def _fixed(expiry: StatedExpiry) -> float:
    """The part of the forward that the settlement window has fixed."""
    if expiry.forward_fixed is not None:
        return float(expiry.forward_fixed)
    _, fixed = settlement_window_forward(float(expiry.forward), float(expiry.seconds_to_expiry))
    return float(fixed)


def _volatility(position: StatedPosition, portfolio: StatedPortfolio, index: int) -> float:
    if position.kind is not PositionKind.OPTION:
        return 0.0
    if position.volatility is not None:
        return float(position.volatility)
    assert position.expiry is not None and position.strike is not None
    return slice_volatility(portfolio.markets[position.underlying].expiries[position.expiry], position.strike, index)


def slice_volatility(expiry: StatedExpiry, strike: Decimal, index: int) -> float:
    """Volatility of ``strike`` on the expiry's raw SVI slice; see ``engine.pricing.svi``."""
    assert expiry.svi is not None
    path, svi = f"positions[{index}].expiry.svi", {name: float(value) for name, value in expiry.svi.items()}
    for name in SVI_NAMES:
        if name not in svi:
            raise InvalidReference(f"{path}.{name}", "is missing")
    forward = svi.get("forward", float(expiry.forward))
    years = svi.get("tau", float(expiry.seconds_to_expiry) / YEAR_SECONDS)
    try:
        return float(svi_volatility(float(strike), forward, years, *(svi[name] for name in SVI_NAMES)))
    except InvalidReference as error:
        raise InvalidReference(f"{path}.{error.field}", error.detail) from error


def _price(position: StatedPosition, portfolio: StatedPortfolio, model: float) -> float:
    if position.mark_price is not None:
        return float(position.mark_price)
    market = portfolio.markets[position.underlying]
    match position.kind:
        case PositionKind.OPTION:
            return model
        case PositionKind.SPOT:
            return float(market.spot) / float(portfolio.stable_price)
        case PositionKind.FUTURE:
            assert position.expiry is not None
            return float(market.expiries[position.expiry].forward)
        case PositionKind.PERPETUAL:
            assert market.perpetual_price is not None
            return float(market.perpetual_price)


def _unrealized(position: StatedPosition, price: float) -> float:
    if position.unrealized_pnl is not None:
        return float(position.unrealized_pnl)
    if position.entry_price is None or position.kind in (PositionKind.OPTION, PositionKind.SPOT):
        return 0.0
    entry = float(position.entry_price)
    quantity = float(position.quantity * position.multiplier)
    return quantity * (1.0 / entry - 1.0 / price) if position.inverse else quantity * (price - entry)


def _by_expiry(value_E: Floats, expiry_P: Ints, otherwise: float) -> Floats:
    if not value_E.size:
        return np.full(expiry_P.size, otherwise)
    return np.where(expiry_P >= 0, value_E[expiry_P], otherwise)
