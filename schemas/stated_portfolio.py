"""The stated portfolio: version 2 of the portfolio document, which any margin method can be asked about.

Owns its contract: positions, collateral and markets in plain numbers, with overrides of a method's parameters. Numbers
may be JSON numbers or decimal strings; both are read exactly. Version 1 holds records that travel on topics; this one
holds what a person or a venue writes down (stated forwards, volatilities, confidences).
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from schemas.diagnosis import diagnose
from schemas.errors import Reason, SchemaError
from schemas.fields import Identifier

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class _Stated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A closed part of the document."""


class StatedExpiryV2(_Stated, frozen=True):
    """An expiry of a market: seconds to it, the whole forward and, if known, its part already fixed by a settlement
    window; the rate per year, confidences in 0..1, and a raw SVI slice for options that state no volatility."""

    seconds_to_expiry: Decimal
    forward: Decimal
    forward_fixed: Decimal | None = None
    forward_confidence: Decimal = Decimal(1)
    rate: Decimal = Decimal(0)
    rate_confidence: Decimal = Decimal(1)
    vol_confidence: Decimal = Decimal(1)
    svi: dict[str, Decimal] | None = None


class StatedMarketV2(_Stated, frozen=True):
    """One underlying: spot, the perpetual's price, expiries by name, and overrides of the method's parameters."""

    spot: Decimal
    spot_confidence: Decimal = Decimal(1)
    perpetual_price: Decimal | None = None
    perpetual_confidence: Decimal = Decimal(1)
    expiries: dict[Name, StatedExpiryV2] = {}
    parameters: dict[Name, object] = {}


class StatedPositionV2(_Stated, frozen=True):
    """A signed holding of contracts; see ``docs/portfolio-document.md`` for what each kind needs."""

    kind: Literal["perpetual", "future", "option", "spot"]
    underlying: Name
    quantity: Decimal
    instrument: Name | None = None
    multiplier: Decimal = Decimal(1)
    inverse: bool = False
    expiry: Name | None = None
    strike: Decimal | None = None
    is_call: bool | None = None
    volatility: Decimal | None = None
    mark_price: Decimal | None = None
    entry_price: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    unrealized_funding: Decimal = Decimal(0)
    delta: Decimal | None = None
    scenario_pnl: tuple[Decimal, ...] | None = None
    mode: Literal["cross", "isolated"] = "cross"
    isolated_collateral: Decimal = Decimal(0)
    parameters: dict[Name, object] = {}


class StatedOrderV2(_Stated, frozen=True):
    """An open order in an instrument of ``positions``; ``quantity`` is signed, positive buys."""

    instrument: Name
    quantity: Decimal
    price: Decimal | None = None
    reduce_only: bool = False


class StatedCollateralV2(_Stated, frozen=True):
    """An amount of an asset at a price; ``underlying`` names the market it moves with and can hedge."""

    asset: Name
    amount: Decimal
    price: Decimal
    confidence: Decimal = Decimal(1)
    underlying: Name | None = None
    maintenance_haircut: Decimal = Decimal(0)
    initial_haircut: Decimal = Decimal(0)
    parameters: dict[Name, object] = {}


class StatedPortfolioV2(_Stated, frozen=True):
    """One portfolio and everything that its margin under any method depends on."""

    v: Literal[2]
    account: Identifier = "portfolio"
    method: Name | None = None
    cash: Decimal = Decimal(0)
    stable_price: Decimal = Decimal(1)
    markets: dict[Name, StatedMarketV2] = {}
    positions: tuple[StatedPositionV2, ...] = ()
    collateral: tuple[StatedCollateralV2, ...] = ()
    orders: tuple[StatedOrderV2, ...] = ()
    parameters: dict[Name, object] = {}
    scenarios: tuple[dict[Name, object], ...] | None = None
    correlations: dict[Name, dict[Name, Decimal]] = {}


def decode_stated_portfolio(value: bytes) -> StatedPortfolioV2:
    """The stated portfolio in ``value``; raises ``SchemaError`` and nothing else."""
    try:
        plain = json.loads(value, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise SchemaError(Reason.MALFORMED_JSON, "", str(error)) from None
    try:
        return msgspec.convert(plain, type=StatedPortfolioV2)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise diagnose(error, value, StatedPortfolioV2, version=2) from None


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a number")
