"""Events, terms and worlds for tests of the engine, in whole units; every amount is exact in 10^-8.

A world trades one instrument of each kind on one underlying: BTC at 20,000, options and future on their own forward.
Account events take their offset from the call; ids and digests follow from topic and offset unless given.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from hashlib import blake2b

from engine import MarginEngine
from engine.events import (
    AckState,
    BadRecord,
    CollateralAssetListed,
    CollateralEvent,
    CollateralKind,
    Event,
    Fill,
    InstrumentListed,
    LiquidationAck,
    MarkPrice,
    ParametersSet,
    Settlement,
    Source,
    VolatilityNode,
)
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument, InstrumentKind
from engine.reference.liquidation_policy import LiquidationPolicy
from engine.reference.parameters import RiskParameters, TailScenario, UnderlyingParameters
from engine.units import DAY_US, E8

START_US = 1_700_000_000_000_000
EXPIRY_US = START_US + 30 * DAY_US
MINUTE_US = 60_000_000

Amount = int | str | float


def e8(amount: Amount) -> int:
    """``amount`` in 10^-8, which must be exact."""
    scaled = Decimal(str(amount)) * E8
    assert scaled == int(scaled), f"{amount} is finer than 10^-8"
    return int(scaled)


# Terms.


def instrument(name: str, kind: InstrumentKind, **terms: object) -> Instrument:
    """Terms with a tick of 0.5, a lot of 0.01 and multiplier 1, settled in USD, on its own feed."""
    defaults: dict[str, object] = {
        "underlying": name.split("-")[0],
        "settlement_asset": "USD",
        "mark_feed": name,
        "multiplier_e8": E8,
        "tick_e8": e8("0.5"),
        "lot_e8": e8("0.01"),
    }
    if kind.expires:
        defaults["expiry_us"] = EXPIRY_US
    return Instrument(instrument_id=name, kind=kind, **{**defaults, **terms})  # type: ignore[arg-type]


SPOT = instrument("BTC-SPOT", InstrumentKind.SPOT, mark_feed="BTC", base_asset="BTC")
PERP = instrument("BTC-PERP", InstrumentKind.LINEAR_PERPETUAL)
INVERSE = instrument(
    "BTC-INVERSE",
    InstrumentKind.INVERSE_PERPETUAL,
    settlement_asset="BTC",
    mark_feed="BTC-PERP",
    multiplier_e8=e8(100),
    lot_e8=E8,
)
FUTURE = instrument("BTC-FUTURE", InstrumentKind.FUTURE)
CALL = instrument("BTC-CALL", InstrumentKind.CALL, mark_feed="BTC-FUTURE", strike_e8=e8(22_000))
PUT = instrument("BTC-PUT", InstrumentKind.PUT, mark_feed="BTC-FUTURE", strike_e8=e8(18_000))
ETH_PERP = instrument("ETH-PERP", InstrumentKind.LINEAR_PERPETUAL, tick_e8=e8("0.05"), lot_e8=e8("0.1"))
INSTRUMENTS = (SPOT, PERP, INVERSE, FUTURE, CALL, PUT, ETH_PERP)

ASSETS = (
    CollateralAsset("USD", None, 0),
    CollateralAsset("USDC", "USDC", 10_000),
    CollateralAsset("BTC", "BTC", 50_000, "BTC"),
)

SURFACE = (VolatilityNode(30.0, -0.2, 0.7), VolatilityNode(30.0, 0.0, 0.6), VolatilityNode(30.0, 0.2, 0.65))

PRICES: dict[str, Amount] = {
    "BTC": 20_000,
    "BTC-PERP": 20_000,
    "BTC-FUTURE": 20_100,
    "ETH-PERP": 1_500,
    "USDC": "0.999",
}


AT_ONCE = LiquidationPolicy(cancel_us_max=0, cooldown_us=0)
"""Positions are closed at once and round after round: no orders to cancel, no rest."""


def parameters(version: int = 1, **changes: object) -> RiskParameters:
    """A valid parameter set, in force at once."""
    terms = UnderlyingParameters(160_000, 500_000, 250_000, 300_000, 5_000, 3_000, 500)
    made = RiskParameters(
        version=version,
        effective_us=0,
        underlyings={"BTC": terms, "ETH": replace(terms, price_range_ppm=200_000, close_cost_ppm=800)},
        price_steps_ppm=(-1_000_000, -500_000, 0, 500_000, 1_000_000),
        tails=(TailScenario(-660_000, 210_000), TailScenario(1_000_000, 138_600)),
        maintenance_factor_ppm=800_000,
        liquidation_target_ppm=1_100_000,
        release_buffer_ppm=1_050_000,
        limit_price_band_ppm=50_000,
        mark_age_us_max=MINUTE_US,
        command_ttl_us=30_000_000,
        snapshot_interval_us=3600 * 1_000_000,
        policy=AT_ONCE,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


# Broadcast events.


def mark(
    feed: str,
    price: Amount,
    version: int,
    time_us: int = START_US,
    linear_e12: int = 0,
    inverse_e12: int = 0,
) -> MarkPrice:
    """A mark; the underlying's feed carries the surface."""
    surface = SURFACE if feed == "BTC" else ()
    return MarkPrice(version, feed, e8(price), 0, surface, linear_e12, inverse_e12, time_us)


def marks(version: int = 0, time_us: int = START_US, **prices: Amount) -> list[Event]:
    """Marks of all feeds at one instant, with consecutive versions; keywords with _ for - replace prices."""
    changed = {name.replace("_", "-"): price for name, price in prices.items()}
    return [
        mark(feed, price, version + number, time_us)
        for number, (feed, price) in enumerate(sorted({**PRICES, **changed}.items()))
    ]


def reference(settings: RiskParameters | None = None) -> list[Event]:
    """All assets, all instruments and one parameter set."""
    events: list[Event] = [CollateralAssetListed(number, asset) for number, asset in enumerate(ASSETS)]
    events += [InstrumentListed(len(events) + number, listed) for number, listed in enumerate(INSTRUMENTS)]
    return [*events, ParametersSet(len(events), settings or parameters())]


def settlement(name: str, price: Amount, version: int = 0, time_us: int = EXPIRY_US) -> Settlement:
    return Settlement(version, name, e8(price), time_us)


def engine(settings: RiskParameters | None = None) -> MarginEngine:
    """An engine that knows all terms and has a mark for every feed."""
    made = MarginEngine()
    made.step([*reference(settings), *marks()])
    return made


# Account events.


def source(topic: str, offset: int) -> Source:
    return Source(topic, 0, offset)


def _digest(*parts: object) -> bytes:
    return blake2b(repr(parts).encode(), digest_size=8).digest()


def fill(
    account: str,
    name: str,
    quantity: Amount,
    price: Amount,
    offset: int,
    fee: Amount = 0,
    time_us: int = START_US,
    command_id: str = "",
    event_id: str = "",
) -> Fill:
    """A fill; ``quantity`` is signed."""
    body = (e8(quantity), e8(price), e8(fee))
    return Fill(
        source("fills", offset),
        event_id or f"fill-{offset}",
        _digest(account, name, body, time_us, command_id),
        account,
        name,
        *body,
        time_us,
        command_id,
    )


def collateral(
    account: str,
    kind: CollateralKind,
    asset: str,
    amount: Amount,
    offset: int,
    counterparty: str = "",
    transfer_sequence: int = 0,
    event_id: str = "",
) -> CollateralEvent:
    return CollateralEvent(
        source("collateral", offset),
        event_id or f"collateral-{offset}",
        _digest(account, kind, asset, amount, counterparty, transfer_sequence),
        account,
        kind,
        asset,
        e8(amount),
        START_US,
        counterparty,
        transfer_sequence,
    )


def deposit(account: str, asset: str, amount: Amount, offset: int) -> CollateralEvent:
    return collateral(account, CollateralKind.DEPOSIT, asset, amount, offset)


def withdrawal(account: str, asset: str, amount: Amount, offset: int) -> CollateralEvent:
    return collateral(account, CollateralKind.WITHDRAWAL, asset, amount, offset)


def transfer(account: str, payee: str, asset: str, amount: Amount, offset: int) -> CollateralEvent:
    return collateral(account, CollateralKind.TRANSFER, asset, amount, offset, payee)


def transfer_credit(
    account: str, payer: str, asset: str, amount: Amount, offset: int, transfer_sequence: int
) -> CollateralEvent:
    kind = CollateralKind.TRANSFER_CREDIT
    return collateral(account, kind, asset, amount, offset, payer, transfer_sequence)


def ack(
    account: str, command_id: str, state: AckState, filled: Amount, offset: int, event_id: str = ""
) -> LiquidationAck:
    return LiquidationAck(
        source("liquidation-acks", offset),
        event_id or f"ack-{offset}",
        _digest(account, command_id, state, filled),
        account,
        command_id,
        state,
        e8(filled),
        START_US,
    )


def bad_record(account: str, topic: str, offset: int) -> BadRecord:
    return BadRecord(source(topic, offset), account)
