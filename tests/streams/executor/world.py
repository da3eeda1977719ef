"""Two instruments, two marks, some positions, and an executor in the middle of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from engine.reference.instruments import Instrument, InstrumentKind
from engine.units import E8
from schemas.codec import Record
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1, VersionsV1
from schemas.events.prices import MarkV1, VolatilityNodeV1
from schemas.events.reference import CollateralAssetV1, InstrumentV1
from streams.executor import ExecutorOptions, LiquidationExecutor, MarketHistory
from streams.executor.positions import signed_e8

NOW_US = 1_678_320_000_000_000
MINUTE_US = 60_000_000
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
    """Alice sells half of her bitcoin: the first command of her account."""
    plain = LiquidationCommandV1(
        v=1, command_id="c1", decision_id="d1", account="alice", kind="reduce", epoch=1, sequence=1, account_version=8,
        liquidation_sequence=1, round=1, leg=0, reduce_only=True, reason="below_maintenance", instrument="BTC-PERP",
        side="sell", quantity="0.5", limit_price="19000", expires_us=NOW_US + HOUR_US,
        versions=VersionsV1(
            mark_version=1, reference_version=0, settlement_version=-1, parameters_version=1, time_us=NOW_US,
            offsets={"fills": 0},
        ),
    )  # fmt: skip
    return replace(plain, **changes)


def whole_account(kind: str, **changes: object) -> LiquidationCommandV1:
    """A command about all of alice's account."""
    plain = command(kind=kind, instrument=None, side=None, quantity=None, limit_price=None, reduce_only=False)
    return replace(plain, **changes)


def at_version(version: int) -> VersionsV1:
    return replace(command().versions, mark_version=version)


def fill(number: int, account: str, side: str, quantity: str, instrument: str = "BTC-PERP") -> FillV1:
    return FillV1(
        v=1, event_id=f"trade-{number}-{account}", account=account, instrument=instrument, side=side, quantity=quantity,
        price="20000", trade_time_us=NOW_US,
    )  # fmt: skip


POSITIONS = (
    fill(0, "alice", "buy", "1"),
    fill(0, "maker", "sell", "1"),
    fill(1, "bob", "buy", "1"),
    fill(1, "taker", "sell", "1"),
)
"""Alice and bob are long a bitcoin, maker and taker short."""


@dataclass
class World:
    """An executor whose marks are BTC 20000 at version 0 and BTC-PERP 20010 at version 1."""

    options: ExecutorOptions = field(default_factory=ExecutorOptions)
    fills: Sequence[FillV1] = POSITIONS

    def __post_init__(self) -> None:
        self.history = MarketHistory()
        for record in (CollateralAssetV1(v=1, asset="USD", haircut="0"), PERPETUAL, CALL):
            self.history.learn(record, 0)
        self.history.learn(mark("BTC", "20000", volatility="0.6"), 0)
        self.history.learn(mark("BTC-PERP", "20010"), 1)
        self.published: list[Record] = []
        self.executor = self.restarted(self.options, [])

    def restarted(
        self, options: ExecutorOptions | None = None, topics: Sequence[Record] | None = None
    ) -> LiquidationExecutor:
        """An executor that has read what stands on the topics (all that was published), and no command yet."""
        stands = self.published if topics is None else topics
        executor = LiquidationExecutor(self.history, "backstop", options or ExecutorOptions())
        for record in stands:
            if isinstance(record, LiquidationAckV1):
                executor.recall(record)
        fills = [*self.fills, *(record for record in stands if isinstance(record, FillV1))]
        for offset, each in enumerate(fills):
            executor.learn_fill(each, 0, offset)
        self.executor = executor
        return executor

    def offer(self, *commands: LiquidationCommandV1, replayed: bool = False) -> list[Record]:
        records = self.executor.offer(commands, replayed=replayed)
        self.published += records
        return records

    def pass_time(self, us: int, price: str = "20010") -> None:
        """A new mark ``us`` after the beginning."""
        self.history.learn(mark("BTC-PERP", price, NOW_US + us), self.history.version + 1)


def fills_in(records: Sequence[Record]) -> list[FillV1]:
    return [record for record in records if isinstance(record, FillV1)]


def answers_in(records: Sequence[Record]) -> list[LiquidationAckV1]:
    return [record for record in records if isinstance(record, LiquidationAckV1)]


def states(records: Sequence[Record]) -> list[str]:
    return [answer.state for answer in answers_in(records)]


def reasons(records: Sequence[Record]) -> list[str | None]:
    return [answer.reason for answer in answers_in(records)]


def traded_e8(records: Sequence[Record], account: str = "alice") -> int:
    return sum(signed_e8(each) for each in fills_in(records) if each.account == account)
