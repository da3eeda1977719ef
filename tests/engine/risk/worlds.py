"""Markets, parameters and portfolios for risk tests, named by content.

Two underlyings (BTC, ETH), every kind of contract, collateral that moves and collateral that does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from hypothesis import strategies as st

from engine.events import MarkPrice, VolatilityNode
from engine.market import Market
from engine.portfolio import Portfolio, PortfolioPosition
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument, InstrumentKind
from engine.reference.parameters import RiskParameters, TailScenario, UnderlyingParameters
from engine.units import DAY_US, E8

TIME_US = 1_700_000_000_000_000

BTC_SURFACE = tuple(
    VolatilityNode(tenor, moneyness, base + slope * moneyness * moneyness)
    for tenor, base, slope in ((7.0, 0.62, 0.9), (30.0, 0.58, 0.5), (90.0, 0.55, 0.3))
    for moneyness in (-0.4, -0.1, 0.0, 0.1, 0.4)
)
ETH_SURFACE = (VolatilityNode(14.0, 0.0, 0.7), VolatilityNode(60.0, -0.2, 0.75), VolatilityNode(60.0, 0.2, 0.66))


def mark(
    feed: str, price: float, volatility: tuple[VolatilityNode, ...] = (), linear_e12: int = 0, inverse_e12: int = 0
) -> MarkPrice:
    return MarkPrice(1, feed, round(price * E8), 0, volatility, linear_e12, inverse_e12, TIME_US)


def listed(name: str, kind: InstrumentKind, feed: str, settlement: str = "USD", **terms: object) -> Instrument:
    """An instrument whose underlying is the first word of its name; ``days`` and ``strike`` for what expires."""
    days, strike, multiplier = terms.get("days"), terms.get("strike"), terms.get("multiplier", 1.0)
    assert isinstance(multiplier, float)
    return Instrument(
        instrument_id=name,
        kind=kind,
        underlying=name.split("-")[0],
        settlement_asset=settlement,
        mark_feed=feed,
        multiplier_e8=round(multiplier * E8),
        tick_e8=E8,
        lot_e8=E8,
        expiry_us=TIME_US + round(float(str(days)) * DAY_US) if days is not None else None,
        strike_e8=round(float(str(strike)) * E8) if strike is not None else None,
    )


INSTRUMENTS = {
    instrument.instrument_id: instrument
    for instrument in (
        listed("BTC-PERP", InstrumentKind.LINEAR_PERPETUAL, "BTC-PERP"),
        listed("BTC-PERP-USDC", InstrumentKind.LINEAR_PERPETUAL, "BTC-PERP", "USDC", multiplier=0.001),
        listed("BTC-INVERSE", InstrumentKind.INVERSE_PERPETUAL, "BTC-PERP", "BTC", multiplier=100.0),
        listed("BTC-FUTURE", InstrumentKind.FUTURE, "BTC-FUTURE", days=45),
        # Settled in their own coin, whose mark moves with them; at 50 000 a contract is worth about as much as in USD.
        listed("BTC-FUTURE-COIN", InstrumentKind.FUTURE, "BTC-FUTURE", "BTC", days=45, multiplier=0.00002),
        listed(
            "BTC-45D-60000-C-COIN", InstrumentKind.CALL, "BTC-FUTURE", "BTC", days=45, strike=60000, multiplier=0.00002
        ),
        listed("BTC-45D-50000-C", InstrumentKind.CALL, "BTC-FUTURE", days=45, strike=50000),
        listed(
            "BTC-45D-50000-C-SMALL", InstrumentKind.CALL, "BTC-FUTURE", "USDC", days=45, strike=50000, multiplier=0.1
        ),
        listed("BTC-45D-50000-P", InstrumentKind.PUT, "BTC-FUTURE", days=45, strike=50000),
        listed("BTC-45D-60000-C", InstrumentKind.CALL, "BTC-FUTURE", days=45, strike=60000),
        listed("BTC-2H-49000-P", InstrumentKind.PUT, "BTC", days=1 / 12, strike=49000),
        listed("BTC-EXPIRED-C", InstrumentKind.CALL, "BTC", days=-1, strike=48000),
        listed("ETH-PERP", InstrumentKind.LINEAR_PERPETUAL, "ETH-PERP"),
        # Settled in the coin of another underlying, whose mark stays where it is.
        listed("ETH-PERP-COIN", InstrumentKind.LINEAR_PERPETUAL, "ETH-PERP", "BTC", multiplier=0.00002),
        listed("ETH-20D-2500-P", InstrumentKind.PUT, "ETH", days=20, strike=2500),
        listed("ETH-20D-3200-C", InstrumentKind.CALL, "ETH", days=20, strike=3200),
    )
}
ASSETS = {
    asset.asset_id: asset
    for asset in (
        CollateralAsset("USD", None, 0),
        CollateralAsset("USDC", "USDC", 10_000),
        CollateralAsset("BTC", "BTC", 50_000, "BTC"),
        CollateralAsset("ETH", "ETH", 100_000, "ETH"),
    )
}
MARKS = {
    item.feed: item
    for item in (
        mark("BTC", 50_000.0, BTC_SURFACE),
        mark("BTC-PERP", 50_020.5, linear_e12=7_000_000_000_000, inverse_e12=3_000),
        mark("BTC-FUTURE", 50_400.25),
        mark("ETH", 2_800.0, ETH_SURFACE),
        mark("ETH-PERP", 2_801.3, linear_e12=-1_500_000_000_000),
        mark("USDC", 0.9987),
    )
}
MARKET = Market(INSTRUMENTS, ASSETS, MARKS, TIME_US)

PARAMETERS = RiskParameters(
    version=1,
    effective_us=0,
    underlyings={
        "BTC": UnderlyingParameters(160_000, 500_000, 250_000, 300_000, 5_000, 3_000, 500),
        "ETH": UnderlyingParameters(180_000, 400_000, 250_000, 300_000, 6_000, 4_000, 700),
    },
    price_steps_ppm=(-1_000_000, -750_000, -500_000, -250_000, 0, 250_000, 500_000, 750_000, 1_000_000),
    tails=(
        TailScenario(-660_000, 210_000),
        TailScenario(-330_000, 420_000),
        TailScenario(500_000, 277_200),
        TailScenario(1_000_000, 138_600),
        TailScenario(2_000_000, 69_300),
        TailScenario(5_000_000, 27_720),
    ),
    maintenance_factor_ppm=800_000,
    liquidation_target_ppm=1_100_000,
    release_buffer_ppm=1_050_000,
    limit_price_band_ppm=50_000,
    mark_age_us_max=60_000_000,
    command_ttl_us=30_000_000,
    snapshot_interval_us=60_000_000,
)


def without_mark(feed: str) -> Market:
    """The market with no mark for ``feed``."""
    return replace(MARKET, marks={name: item for name, item in MARKS.items() if name != feed})


def with_mark(changed: MarkPrice) -> Market:
    """The market with another mark for one feed."""
    return replace(MARKET, marks={**MARKS, changed.feed: changed})


def portfolio(
    positions: Mapping[str, float] | None = None, balances: Mapping[str, float] | None = None, account: str = "a"
) -> Portfolio:
    """Holdings in whole units, positions at zero cost."""
    return Portfolio(
        account,
        {name: round(amount * E8) for name, amount in (balances or {}).items()},
        {name: PortfolioPosition(round(quantity * E8)) for name, quantity in (positions or {}).items()},
    )


def scaled(holding: Portfolio, factor: int) -> Portfolio:
    """``holding`` times a whole number, costs included."""
    return Portfolio(
        holding.account,
        {name: amount * factor for name, amount in holding.balances.items()},
        {
            name: PortfolioPosition(item.quantity_e8 * factor, item.cost_e8 * factor, item.funding_index_e12)
            for name, item in holding.positions.items()
        },
    )


def reordered(holding: Portfolio, names: Iterable[str], assets: Iterable[str]) -> Portfolio:
    """``holding`` with its mappings in another order."""
    positions = {name: holding.positions[name] for name in names}
    return Portfolio(holding.account, {name: holding.balances[name] for name in assets}, positions)


QUANTITIES = st.integers(-50 * E8, 50 * E8)
AMOUNTS = st.integers(-1_000_000 * E8, 1_000_000 * E8)
POSITIONS = st.builds(
    PortfolioPosition,
    quantity_e8=QUANTITIES.filter(bool),
    cost_e8=AMOUNTS,
    funding_index_e12=st.integers(-(10**13), 10**13),
)
PORTFOLIOS = st.builds(
    Portfolio,
    account=st.just("a"),
    balances=st.dictionaries(st.sampled_from(sorted(ASSETS)), AMOUNTS, max_size=4),
    positions=st.dictionaries(st.sampled_from(sorted(INSTRUMENTS)), POSITIONS, max_size=8),
)
