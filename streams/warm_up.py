"""Warming up: every kernel of the risk role has run once before the worker joins its group.

Owns a venue in miniature that goes through all of them: listings, an option, marks, deposits, fills, liquidations, rows
out and in. The first start of a version on a machine compiles here for most of a minute; a worker that did so as a
member of a group would miss its heartbeats and lose its partitions. Later starts load what was compiled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from engine.columns.arrays import Int64s
from schemas.codec import Record, encode, key_of, topic_of
from schemas.events.collateral import CollateralV1
from schemas.events.fills import FillV1
from schemas.events.prices import MarkV1, VolatilityNodeV1
from schemas.events.reference import (
    CollateralAssetV1,
    InstrumentV1,
    RiskParametersV1,
    TailScenarioV1,
    UnderlyingParametersV1,
)
from streams.outbox import Outbox
from streams.rows import OutboxEntry
from streams.runner import RiskRunner

START_US = 1_700_000_000_000_000
DAY_US = 86_400_000_000
ACCOUNTS = ("one", "two")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Records:
    """Records of one partition, made here."""

    topic: str
    records: Sequence[Record]
    first: int
    partition: int = 0

    @property
    def keys(self) -> list[bytes | None]:
        return [key_of(record) for record in self.records]

    @property
    def values(self) -> list[bytes | None]:
        return [encode(record) for record in self.records]

    @property
    def offsets(self) -> Int64s:
        return np.arange(self.first, self.first + len(self.records))

    @property
    def timestamps(self) -> Int64s:
        return np.zeros(len(self.records), dtype=np.int64)


class _Broadcast(msgspec.Struct):
    key: bytes
    value: bytes
    offset: int
    timestamp: int = 0


def warm_up() -> None:
    """Run everything once; nothing of it is seen outside."""
    started = time.monotonic()
    log.info("loading or compiling the kernels of the risk role")
    runner = RiskRunner(Outbox(_unsent, lambda account: None), partitions=1)
    for offset, record in enumerate(_market()):
        value = _Broadcast(key_of(record), encode(record), offset)
        runner.apply_broadcast(topic_of(record), [value])
    for offset, account in enumerate(ACCOUNTS):
        runner.apply(runner.scan(_Records("collateral", [_deposit(account)], offset)))
    for first in (0, 4):
        fills = [_fill(account, instrument, first) for account in ACCOUNTS for instrument in ("WARM-PERP", "WARM-CALL")]
        runner.apply(runner.scan(_Records("fills", fills, first)))
    for version, factor in ((1_000, 1.05), (1_001, 0.4)):
        for record in _marks(factor):
            runner.apply_broadcast("marks", [_Broadcast(key_of(record), encode(record), version)])
    runner.evaluate()
    assert runner.outbox.owing() == list(ACCOUNTS), "both were liquidated"
    keys = [account.encode() for account in ACCOUNTS]
    rows = dict(zip(keys, runner.encode(0, keys), strict=True))
    runner.load(0, rows)
    runner.evaluate()
    runner.drop(0)
    log.info("kernels are ready after %.1f s", time.monotonic() - started)


async def _unsent(message: OutboxEntry) -> asyncio.Future[object]:
    raise AssertionError(f"nothing is sent while warming up: {message.topic}")


def _market() -> Iterator[Record]:
    yield CollateralAssetV1(v=1, asset="USD", mark_feed=None, haircut="0", underlying=None)
    yield CollateralAssetV1(v=1, asset="WARM", mark_feed="WARM", haircut="0.1", underlying="WARM")
    yield InstrumentV1(
        v=1, instrument="WARM-PERP", contract="linear_perpetual", underlying="WARM", settlement_asset="USD",
        mark_feed="WARM", multiplier="1", tick="0.1", lot="0.001",
    )  # fmt: skip
    yield InstrumentV1(
        v=1, instrument="WARM-CALL", contract="call", underlying="WARM", settlement_asset="USD", mark_feed="WARM",
        multiplier="1", tick="0.1", lot="0.001", expiry_us=START_US + 30 * DAY_US, strike="100",
    )  # fmt: skip
    terms = UnderlyingParametersV1(
        price_range="0.16", volatility_up="0.5", volatility_down="0.25", volatility_term_power="0.3",
        short_option_minimum_initial="0.02", short_option_minimum_maintenance="0.01", close_cost="0.001",
    )  # fmt: skip
    yield RiskParametersV1(
        v=1, version=1, effective_us=0, underlyings={"WARM": terms}, price_steps=("-1", "0", "1"),
        tails=(TailScenarioV1(price_move="-0.66", weight="0.3"),), maintenance_factor="0.8", liquidation_target="1.1",
        release_buffer="1.05", limit_price_band="0.02", mark_age_us_max=60_000_000, command_ttl_us=30_000_000,
        snapshot_interval_us=60_000_000,
    )  # fmt: skip
    yield from _marks(1.0)


def _marks(factor: float) -> Iterator[MarkV1]:
    seconds = round(abs(factor - 1.0) * 100)
    yield MarkV1(
        v=1, feed="WARM", price=f"{100 * factor:.1f}", confidence="0", funding_rate="0", funding_index_linear="0",
        funding_index_inverse="0", mark_time_us=START_US + seconds * 1_000_000, sources=("warm",),
        volatility=(VolatilityNodeV1(tenor_days="30", log_moneyness="0", volatility="0.6"),),
    )  # fmt: skip


def _deposit(account: str) -> CollateralV1:
    return CollateralV1(
        v=1, event_id=f"deposit-{account}", account=account, kind="deposit", asset="USD", amount="1000",
        event_time_us=START_US,
    )  # fmt: skip


def _fill(account: str, instrument: str, number: int) -> FillV1:
    return FillV1(
        v=1, event_id=f"fill-{account}-{instrument}-{number}", account=account, instrument=instrument,
        side="sell" if number else "buy", quantity="1" if number else "20",
        price="100" if instrument == "WARM-PERP" else "7", trade_time_us=START_US,
    )  # fmt: skip
