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

Number = Annotated[
    Decimal, msgspec.Meta(description="JSON number or decimal string", extra_json_schema={"type": ["number", "string"]})
]
"""A number, read in the digits that it is written in."""

OpenValue = Annotated[object, msgspec.Meta(extra_json_schema={"description": "as the method defines it"})]
"""A value whose form the method defines that reads it."""


class _Stated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A closed part of the document."""


class StatedExpiryV2(_Stated, frozen=True):
    """An expiry of a market: seconds to it, the whole forward and, if known, its part already fixed by a settlement
    window; the rate per year, confidences in 0..1, and a raw SVI slice for options that state no volatility."""

    seconds_to_expiry: Number
    forward: Number
    forward_fixed: Number | None = None
    forward_confidence: Number = Decimal(1)
    rate: Number = Decimal(0)
    rate_confidence: Number = Decimal(1)
    vol_confidence: Number = Decimal(1)
    svi: dict[str, Number] | None = None


class StatedMarketV2(_Stated, frozen=True):
    """One underlying: spot, the perpetual's price, expiries by name, and overrides of the method's parameters."""

    spot: Number
    spot_confidence: Number = Decimal(1)
    perpetual_price: Number | None = None
    perpetual_confidence: Number = Decimal(1)
    expiries: dict[Name, StatedExpiryV2] = {}
    parameters: dict[Name, OpenValue] = {}


class StatedPositionV2(_Stated, frozen=True):
    """A signed holding of contracts; see ``docs/portfolio-document.md`` for what each kind needs."""

    kind: Literal["perpetual", "future", "option", "spot"]
    underlying: Name
    quantity: Number
    instrument: Name | None = None
    multiplier: Number = Decimal(1)
    inverse: bool = False
    expiry: Name | None = None
    strike: Number | None = None
    is_call: bool | None = None
    volatility: Number | None = None
    mark_price: Number | None = None
    entry_price: Number | None = None
    unrealized_pnl: Number | None = None
    unrealized_funding: Number = Decimal(0)
    delta: Number | None = None
    scenario_pnl: tuple[Number, ...] | None = None
    mode: Literal["cross", "isolated"] = "cross"
    isolated_collateral: Number = Decimal(0)
    parameters: dict[Name, OpenValue] = {}


class StatedOrderV2(_Stated, frozen=True):
    """An open order in an instrument of ``positions``; ``quantity`` is signed, positive buys."""

    instrument: Name
    quantity: Number
    price: Number | None = None
    reduce_only: bool = False


class StatedCollateralV2(_Stated, frozen=True):
    """An amount of an asset at a price; ``underlying`` names the market it moves with and can hedge."""

    asset: Name
    amount: Number
    price: Number
    confidence: Number = Decimal(1)
    underlying: Name | None = None
    maintenance_haircut: Number = Decimal(0)
    initial_haircut: Number = Decimal(0)
    parameters: dict[Name, OpenValue] = {}


class StatedPortfolioV2(_Stated, frozen=True):
    """One portfolio and everything that its margin under any method depends on."""

    v: Literal[2]
    account: Identifier = "portfolio"
    method: Name | None = None
    cash: Number = Decimal(0)
    stable_price: Number = Decimal(1)
    markets: dict[Name, StatedMarketV2] = {}
    positions: tuple[StatedPositionV2, ...] = ()
    collateral: tuple[StatedCollateralV2, ...] = ()
    orders: tuple[StatedOrderV2, ...] = ()
    parameters: dict[Name, OpenValue] = {}
    scenarios: tuple[dict[Name, OpenValue], ...] | None = None
    correlations: dict[Name, dict[Name, Number]] = {}


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
