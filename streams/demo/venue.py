"""The venue of the demonstration: its contracts, its collateral and its risk parameters.

Owns the reference data that is published before anything else. Refuses prices and accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from msgspec.structs import replace

from schemas.events.reference import (
    CollateralAssetV1,
    InstrumentV1,
    ReferenceV1,
    RiskParametersV1,
    TailScenarioV1,
    UnderlyingParametersV1,
)
from streams.demo.prices import FUTURE, FUTURE_EXPIRY_US, INDEX, INVERSE, PERPETUAL, USDC, USDT

WEEKLY_EXPIRY_US = int(datetime(2023, 3, 11, 8, tzinfo=UTC).timestamp()) * 1_000_000
"""The short-dated options expire ten minutes after USDC is cheapest."""

SPOT = "BTC-USD"
_TTL_US = 3600 * 1_000_000
_MARK_AGE_US = 900 * 1_000_000


@dataclass(frozen=True, slots=True)
class Option:
    """A listed option. The short-dated ones are priced off the index, the others off the future of their expiry."""

    name: str
    strike: int
    is_call: bool
    expiry_us: int
    forward_feed: str


def _options(
    expiry: str, expiry_us: int, forward_feed: str, puts: tuple[int, ...], calls: tuple[int, ...]
) -> list[Option]:
    listed = [(strike, False) for strike in puts] + [(strike, True) for strike in calls]
    return [
        Option(f"BTC-{expiry}-{strike}-{'C' if is_call else 'P'}", strike, is_call, expiry_us, forward_feed)
        for strike, is_call in listed
    ]


WEEKLY_OPTIONS = tuple(_options("11MAR23", WEEKLY_EXPIRY_US, INDEX, (19_000, 20_000), (20_000, 21_000, 22_000)))
MONTHLY_OPTIONS = tuple(
    _options("31MAR23", FUTURE_EXPIRY_US, FUTURE, (18_000, 19_000, 20_000), (22_000, 24_000, 26_000))
)
OPTIONS = {option.name: option for option in WEEKLY_OPTIONS + MONTHLY_OPTIONS}

LOTS = {
    SPOT: Decimal("0.001"),
    PERPETUAL: Decimal("0.001"),
    FUTURE: Decimal("0.001"),
    INVERSE: Decimal(1),
    **dict.fromkeys(OPTIONS, Decimal("0.01")),
}
INVERSE_MULTIPLIER = 100
"""US dollars per contract of the inverse perpetual."""
OPTION_TICK = Decimal("0.5")


def reference_records(snapshot_minutes: int) -> list[ReferenceV1]:
    """Collateral, instruments and parameters, in the order in which they are published."""
    return [*_collateral_assets(), *_instruments(), _parameters(snapshot_minutes)]


def _collateral_assets() -> list[CollateralAssetV1]:
    return [
        CollateralAssetV1(v=1, asset="USD", haircut="0"),
        CollateralAssetV1(v=1, asset="USDC", haircut="0.03", mark_feed=USDC),
        CollateralAssetV1(v=1, asset="USDT", haircut="0.05", mark_feed=USDT),
        CollateralAssetV1(v=1, asset="BTC", haircut="0.1", mark_feed=INDEX, underlying="BTC"),
    ]


def _instruments() -> list[InstrumentV1]:
    spot = _listed(SPOT, "spot", INDEX, "0.01")
    inverse = _listed(INVERSE, "inverse_perpetual", INVERSE, "0.5")
    return [
        replace(spot, base_asset="BTC"),
        _listed(PERPETUAL, "linear_perpetual", PERPETUAL, "0.1"),
        replace(inverse, settlement_asset="BTC", multiplier=str(INVERSE_MULTIPLIER)),
        replace(_listed(FUTURE, "future", FUTURE, "0.5"), expiry_us=FUTURE_EXPIRY_US),
        *(_listed_option(option) for option in OPTIONS.values()),
    ]


def _listed_option(option: Option) -> InstrumentV1:
    listed = _listed(option.name, "call" if option.is_call else "put", option.forward_feed, str(OPTION_TICK))
    return replace(listed, strike=str(option.strike), expiry_us=option.expiry_us)


def _listed(
    name: str,
    contract: Literal["spot", "linear_perpetual", "inverse_perpetual", "future", "call", "put"],
    feed: str,
    tick: str,
) -> InstrumentV1:
    """A contract on one bitcoin that settles in dollars; the others are made from it."""
    return InstrumentV1(
        v=1,
        instrument=name,
        contract=contract,
        underlying="BTC",
        settlement_asset="USD",
        mark_feed=feed,
        multiplier="1",
        tick=tick,
        lot=str(LOTS[name]),
    )


def _parameters(snapshot_minutes: int) -> RiskParametersV1:
    """Twelve percent initial and nearly ten percent maintenance margin on an outright position."""
    bitcoin = UnderlyingParametersV1(
        price_range="0.12",
        volatility_up="0.4",
        volatility_down="0.25",
        volatility_term_power="0.3",
        short_option_minimum_initial="0.01",
        short_option_minimum_maintenance="0.0075",
        close_cost="0.0005",
    )
    return RiskParametersV1(
        v=1,
        version=1,
        effective_us=0,
        underlyings={"BTC": bitcoin},
        price_steps=("-1", "-0.75", "-0.5", "-0.25", "0", "0.25", "0.5", "0.75", "1"),
        tails=(TailScenarioV1(price_move="-0.36", weight="0.3"), TailScenarioV1(price_move="0.36", weight="0.3")),
        maintenance_factor="0.8",
        liquidation_target="1.15",
        release_buffer="1.05",
        limit_price_band="0.03",
        mark_age_us_max=_MARK_AGE_US,
        command_ttl_us=_TTL_US,
        snapshot_interval_us=snapshot_minutes * 60_000_000,
    )
