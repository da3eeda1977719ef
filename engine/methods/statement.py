"""The stated portfolio: positions, collateral and every market input, as a person or a venue writes them down.

Owns the value that any margin method can be asked about. Everything a figure depends on is stated in it, in exact
decimals; valuation converts to float64 at its edge. Refuses to know methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from engine.errors import InvalidReference

ParameterValue: TypeAlias = "Decimal | bool | str | Sequence[ParameterValue] | Mapping[str, ParameterValue] | None"
"""What a parameter may be: what TOML and JSON can state, numbers as exact decimals."""

ParameterMap: TypeAlias = Mapping[str, ParameterValue]

ONE = Decimal(1)
ZERO = Decimal(0)


class PositionKind(StrEnum):
    """What a position is in. A spot position is a holding of the underlying itself (a base asset)."""

    PERPETUAL = "perpetual"
    FUTURE = "future"
    OPTION = "option"
    SPOT = "spot"


class MarginMode(StrEnum):
    """Whether a position shares the pool or stands alone with its own collateral."""

    CROSS = "cross"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True)
class StatedExpiry:
    """One expiry of an underlying. ``forward`` is the whole forward price; ``forward_fixed`` the part of it that a
    settlement window has already fixed (None: by the clock, linearly over the last 30 minutes). ``svi`` states a
    raw SVI slice (a, b, rho, m, sigma, and optionally forward and tau) for options that state no volatility."""

    name: str
    seconds_to_expiry: Decimal
    forward: Decimal
    forward_fixed: Decimal | None = None
    forward_confidence: Decimal = ONE
    rate: Decimal = ZERO
    rate_confidence: Decimal = ONE
    vol_confidence: Decimal = ONE
    svi: Mapping[str, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class StatedMarket:
    """One underlying's market. ``parameters`` override the method's for this underlying."""

    underlying: str
    spot: Decimal
    spot_confidence: Decimal = ONE
    perpetual_price: Decimal | None = None
    perpetual_confidence: Decimal = ONE
    expiries: Mapping[str, StatedExpiry] = field(default_factory=dict)
    parameters: ParameterMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatedPosition:
    """A signed holding of ``quantity`` contracts of ``multiplier`` units each (an inverse contract: of ``multiplier``
    units of the quote currency).

    ``expiry`` names an expiry of the underlying's market. ``volatility`` is per 1.00 and year. ``mark_price`` is per
    unit; None takes the perpetual's or spot price, the forward, or the model's option value. Unrealized PnL is
    ``unrealized_pnl`` if stated, else quantity x multiplier x (mark - entry) if an entry is stated, else 0.
    ``delta`` replaces the model's, per contract. ``scenario_pnl`` states the PnL of one long contract in each
    scenario (a risk array). ``parameters`` override the method's for this position.
    """

    instrument: str
    kind: PositionKind
    underlying: str
    quantity: Decimal
    multiplier: Decimal = ONE
    inverse: bool = False
    expiry: str | None = None
    strike: Decimal | None = None
    is_call: bool | None = None
    volatility: Decimal | None = None
    mark_price: Decimal | None = None
    entry_price: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    unrealized_funding: Decimal = ZERO
    delta: Decimal | None = None
    scenario_pnl: tuple[Decimal, ...] | None = None
    mode: MarginMode = MarginMode.CROSS
    isolated_collateral: Decimal = ZERO
    parameters: ParameterMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatedOrder:
    """An open order: ``quantity`` signed (positive buys), ``price`` None at mark. ``instrument`` names a position of
    the portfolio, whose terms it shares (state a position of quantity 0 for an instrument not yet held)."""

    instrument: str
    quantity: Decimal
    price: Decimal | None = None
    reduce_only: bool = False


@dataclass(frozen=True, slots=True)
class StatedCollateral:
    """``amount`` of an asset (negative is borrowed) at ``price`` in the numeraire. ``underlying`` names the market it
    moves with and can hedge, None for none. Haircuts are shares of value; ``initial_haircut`` comes on top of
    ``maintenance_haircut``. ``parameters`` hold what a method needs beyond (tiers, weights)."""

    asset: str
    amount: Decimal
    price: Decimal
    confidence: Decimal = ONE
    underlying: str | None = None
    maintenance_haircut: Decimal = ZERO
    initial_haircut: Decimal = ZERO
    parameters: ParameterMap = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("maintenance_haircut", "initial_haircut"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidReference(name, "must lie in 0..1")


@dataclass(frozen=True, slots=True)
class StatedPortfolio:
    """Positions, collateral and markets of one account. ``cash`` is in the settlement currency, whose price in the
    numeraire is ``stable_price``. ``scenarios`` replace the method's list if stated; ``parameters`` override the
    method's for the whole account."""

    account: str
    cash: Decimal = ZERO
    stable_price: Decimal = ONE
    markets: Mapping[str, StatedMarket] = field(default_factory=dict)
    positions: tuple[StatedPosition, ...] = ()
    collateral: tuple[StatedCollateral, ...] = ()
    orders: tuple[StatedOrder, ...] = ()
    parameters: ParameterMap = field(default_factory=dict)
    scenarios: tuple[ParameterMap, ...] | None = None
    correlations: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
