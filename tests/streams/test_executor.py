from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from engine.reference.instruments import Instrument, InstrumentKind
from engine.units import E8
from schemas.codec import Record
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1, VersionsV1
from schemas.events.prices import MarkV1, VolatilityNodeV1
from schemas.events.reference import CollateralAssetV1, InstrumentV1
from streams.executor import LiquidationExecutor, MarketHistory, execution_price, fair_price

NOW_US = 1_678_320_000_000_000
HOUR_US = 3_600_000_000
EXPIRY_US = NOW_US + 10 * 86_400_000_000

PERPETUAL = InstrumentV1(
    v=1, instrument="BTC-PERP", contract="linear_perpetual", underlying="BTC", settlement_asset="USD",
    mark_feed="BTC-PERP", multiplier="1", tick="0.1", lot="0.001",
)  # fmt: skip
CALL = replace(
    PERPETUAL, instrument="BTC-C", contract="call", mark_feed="BTC", tick="0.5", strike="21000", expiry_us=EXPIRY_US
)
TERMS = Instrument("BTC-PERP", InstrumentKind.LINEAR_PERPETUAL, "BTC", "USD", "BTC-PERP", E8, E8 // 10, E8 // 1000)


def mark(feed: str, price: str, time_us: int = NOW_US, volatility: str | None = None) -> MarkV1:
    nodes = (VolatilityNodeV1(tenor_days="30", log_moneyness="0", volatility=volatility),) if volatility else ()
    return MarkV1(
        v=1, feed=feed, price=price, confidence="0", volatility=nodes, funding_rate="0", funding_index_linear="0",
        funding_index_inverse="0", mark_time_us=time_us, sources=("test",),
    )  # fmt: skip


def command(**changes: object) -> LiquidationCommandV1:
    plain = LiquidationCommandV1(
        v=1, command_id="c1", decision_id="d1", account="alice", liquidation_sequence=1, round=0, leg=0,
        instrument="BTC-PERP", side="sell", quantity="0.5", limit_price="19000", reduce_only=True,
        expires_us=NOW_US + HOUR_US,
        versions=VersionsV1(
            mark_version=1, reference_version=0, settlement_version=-1, parameters_version=1, time_us=NOW_US,
            offsets={"fills": 7},
        ),
    )  # fmt: skip
    return replace(plain, **changes)


def at_version(version: int) -> VersionsV1:
    return replace(command().versions, mark_version=version)


@dataclass
class World:
    """An executor whose marks are BTC 20000 at version 0 and BTC-PERP 20010 at version 1."""

    history: MarketHistory = field(default_factory=MarketHistory)

    def __post_init__(self) -> None:
        for record in (CollateralAssetV1(v=1, asset="USD", haircut="0"), PERPETUAL, CALL):
            self.history.learn(record, 0)
        self.history.learn(mark("BTC", "20000", volatility="0.6"), 0)
        self.history.learn(mark("BTC-PERP", "20010"), 1)
        self.executor = LiquidationExecutor(self.history, "backstop")


@pytest.fixture
def world() -> World:
    return World()


def fills(records: list[Record]) -> list[FillV1]:
    return [record for record in records if isinstance(record, FillV1)]


def states(records: list[Record]) -> list[str]:
    return [record.state for record in records if isinstance(record, LiquidationAckV1)]


def test_a_command_is_accepted_filled_on_both_sides_and_answered(world: World) -> None:
    records = world.executor.offer([command()])

    account, counterparty = fills(records)
    assert ["accepted", "filled"] == states(records)
    assert ("alice", "sell", "0.5", "c1") == (account.account, account.side, account.quantity, account.command_id)
    assert ("backstop", "buy", "0.5", None) == (
        counterparty.account, counterparty.side, counterparty.quantity, counterparty.command_id,
    )  # fmt: skip
    assert account.price == counterparty.price == "19999.9"
    assert account.trade_time_us == NOW_US
    filled = records[-1]
    assert isinstance(filled, LiquidationAckV1) and filled.filled_quantity == "0.5"


def test_a_repeated_command_is_ignored(world: World) -> None:
    world.executor.offer([command()])

    assert [] == world.executor.offer([command(), command()])


def test_a_command_answered_before_a_restart_is_ignored(world: World) -> None:
    restarted = LiquidationExecutor(world.history, "backstop", answered=["c1"])

    assert [] == restarted.offer([command()])


def test_an_execution_repeated_after_a_crash_repeats_its_records_though_marks_have_moved(world: World) -> None:
    before = world.executor.offer([command()])
    world.history.learn(mark("BTC-PERP", "15000", NOW_US + 60_000_000), 2)

    assert before == LiquidationExecutor(world.history, "backstop").offer([command()])


def test_an_expired_command_is_answered_once_and_not_executed(world: World) -> None:
    world.history.learn(mark("BTC", "20000", NOW_US + HOUR_US), 2)

    assert ["expired"] == states(records := world.executor.offer([command()]))
    assert [] == fills(records)
    assert [] == world.executor.offer([command()])


def test_a_command_waits_for_the_marks_it_was_decided_on(world: World) -> None:
    assert [] == world.executor.offer([command(versions=at_version(2))])
    assert 1 == world.executor.waiting
    world.history.learn(mark("BTC-PERP", "20020"), 2)

    assert ["20009.9", "20009.9"] == [fill.price for fill in fills(world.executor.offer([]))]
    assert 0 == world.executor.waiting


def test_a_limit_beyond_the_fair_price_is_rejected(world: World) -> None:
    records = world.executor.offer([command(limit_price="20010.1")])

    assert ["rejected"] == states(records)
    assert [] == fills(records)


def test_an_unknown_instrument_and_a_missing_mark_are_rejected(world: World) -> None:
    unmarked = replace(PERPETUAL, instrument="ETH-PERP", mark_feed="ETH-PERP")
    world.history.learn(unmarked, 1)

    records = world.executor.offer(
        [command(command_id="a", instrument="XYZ"), command(command_id="b", instrument="ETH-PERP")]
    )

    assert ["unknown instrument", "no mark"] == [
        record.reason for record in records if isinstance(record, LiquidationAckV1)
    ]


def test_an_option_is_filled_near_its_model_value(world: World) -> None:
    records = world.executor.offer([command(instrument="BTC-C", side="buy", limit_price="2000", quantity="1")])

    fair = fair_price(world.history.instruments["BTC-C"], world.history.as_of(1, NOW_US))
    price = float(fills(records)[0].price)
    assert fair is not None and fair < price <= fair * 1.001 + 0.5
    assert 0 == price % 0.5


@pytest.mark.parametrize(
    ("fair", "is_buy", "limit", "expected"),
    [
        (20_000.0, True, 25_000.0, 20_010.0),
        (20_000.0, False, 15_000.0, 19_990.0),
        (20_000.0, True, 20_005.04, 20_005.0),
        (20_000.0, False, 19_999.96, 20_000.0),
        (20_000.0, True, 19_999.9, None),
        (20_000.0, False, 20_000.1, None),
        (0.0, False, 0.1, 0.1),
        (0.0, True, 0.1, 0.1),
    ],
)
def test_execution_price_is_on_the_tick_and_within_the_limit(
    fair: float, is_buy: bool, limit: float, expected: float | None
) -> None:
    price_e8 = execution_price(TERMS, fair, is_buy, round(limit * E8))

    assert price_e8 == (None if expected is None else round(expected * E8))


def test_history_answers_as_of_a_version_and_clamps_to_the_oldest_it_has(world: World) -> None:
    world.history.learn(mark("BTC-PERP", "20020"), 5)

    assert 20_010 * E8 == world.history.as_of(4, NOW_US).marks["BTC-PERP"].price_e8
    assert 20_020 * E8 == world.history.as_of(5, NOW_US).marks["BTC-PERP"].price_e8
    assert 20_010 * E8 == world.history.as_of(0, NOW_US).marks["BTC-PERP"].price_e8
