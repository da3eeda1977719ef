"""The reference liquidation executor: takes commands, trades them against a liquidity provider, answers.

Owns what an executor owes the risk workers: each command is executed at most once, none past its expiry, none beyond
its limit, and every command is answered. What it publishes is a pure function of the command and of the marks up to
the mark version that the command names, so that an execution repeated after a crash repeats its event ids and bodies,
and the workers recognize it. Refuses to find liquidity: the counterparty takes everything at the mark plus a small
half-spread. Refuses to be clever about time: its clock is the newest mark.

A venue's own executor differs in ``execution_price`` and in the records it need not publish itself.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import click
import numpy as np
from kafka import KafkaConsumer, TopicPartition

from engine.events import CollateralAssetListed, InstrumentListed, MarkPrice
from engine.market import Market
from engine.pricing.valuation import contract_table, mark_of, unit_value
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument
from engine.units import E8, PPM
from schemas.codec import Record, decode_record
from schemas.errors import SchemaError
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1
from schemas.events.prices import MarkV1
from schemas.events.reference import CollateralAssetV1, InstrumentV1
from streams.sdk import Publisher, read_topic
from streams.settings import load_settings
from streams.translate import e8_text, to_e8, to_mark, to_reference_event

HALF_SPREAD_PPM = 500
MARKS_REMEMBERED = 2048
"""Marks kept per feed, to find the one that was newest at the version a command names."""
PAUSE_SECONDS = 0.05
FINAL_STATES = ("filled", "rejected", "expired", "cancelled")
_ONE = np.ones((1, 1))


def fair_price(instrument: Instrument, market: Market) -> float | None:
    """Price of ``instrument`` in its own quote at the marks of ``market``: the mark, or the model value of an option.

    None without all the marks it needs.
    """
    if not instrument.kind.is_option:
        return mark_of(market, instrument.mark_feed)
    table = contract_table((instrument.instrument_id,), market)
    if not table.priced_I[0]:
        return None
    value = float(unit_value(table, _ONE, _ONE)[0, 0])
    return value / (float(table.multiplier_I[0]) * float(table.settlement_price_I[0]))


def execution_price(instrument: Instrument, fair: float, is_buy: bool, limit_e8: int) -> int | None:
    """The fill price (10^-8): fair price and half-spread, on the tick, moved to the limit where it lies beyond it.

    None when nobody would trade: the limit is worse for the counterparty than the fair price itself.
    """
    tick_e8 = instrument.tick_e8
    fair_e8 = round(fair * E8)
    spread_e8 = fair_e8 * HALF_SPREAD_PPM // PPM
    if is_buy:
        price_e8 = min(_ceiling(max(tick_e8, fair_e8 + spread_e8), tick_e8), limit_e8 // tick_e8 * tick_e8)
        return price_e8 if price_e8 >= max(tick_e8, fair_e8) else None
    price_e8 = max(tick_e8, (fair_e8 - spread_e8) // tick_e8 * tick_e8, _ceiling(limit_e8, tick_e8))
    # One tick is the least a price can be: a worthless option is still taken off the account's hands for it.
    return price_e8 if price_e8 <= max(tick_e8, fair_e8) else None


def _ceiling(price_e8: int, tick_e8: int) -> int:
    return -(-price_e8 // tick_e8) * tick_e8


@dataclass(slots=True)
class MarketHistory:
    """Terms, and the recent marks of every feed: enough to see the market as of a mark version."""

    instruments: dict[str, Instrument] = field(default_factory=dict)
    assets: dict[str, CollateralAsset] = field(default_factory=dict)
    version: int = -1
    time_us: int = 0
    _marks: dict[str, deque[MarkPrice]] = field(default_factory=dict)

    def learn(self, record: Record, offset: int) -> None:
        """Take a record of ``marks`` or ``reference``; anything else on them is not of interest here."""
        if isinstance(record, MarkV1):
            mark = to_mark(record, offset)
            self._marks.setdefault(mark.feed, deque(maxlen=MARKS_REMEMBERED)).append(mark)
            self.version = offset
            self.time_us = max(self.time_us, mark.mark_time_us)
        elif isinstance(record, (InstrumentV1, CollateralAssetV1)):
            event = to_reference_event(record, offset)
            if isinstance(event, InstrumentListed):
                self.instruments[event.instrument.instrument_id] = event.instrument
            elif isinstance(event, CollateralAssetListed):
                self.assets[event.asset.asset_id] = event.asset

    def as_of(self, version: int, time_us: int) -> Market:
        """The market with the newest mark of each feed up to ``version``, or the oldest one remembered."""
        marks = {
            feed: next((mark for mark in reversed(history) if mark.version <= version), history[0])
            for feed, history in self._marks.items()
        }
        return Market(self.instruments, self.assets, marks, time_us)


class LiquidationExecutor:
    """Turns commands into the records that execute and answer them. Knows no Kafka."""

    def __init__(self, history: MarketHistory, counterparty: str, answered: Iterable[str] = ()) -> None:
        self._history = history
        self._counterparty = counterparty
        self._answered = set(answered)
        self._waiting: list[LiquidationCommandV1] = []

    @property
    def waiting(self) -> int:
        """Commands that name a mark which has not arrived yet."""
        return len(self._waiting)

    def offer(self, commands: Sequence[LiquidationCommandV1]) -> list[Record]:
        """Take new commands (none is fine) and return what to publish, in order."""
        self._waiting.extend(commands)
        records: list[Record] = []
        still_waiting = []
        for command in self._waiting:
            if command.versions.mark_version > self._history.version:
                still_waiting.append(command)
            elif command.command_id not in self._answered:
                self._answered.add(command.command_id)
                records.extend(self._execute(command))
        self._waiting = still_waiting
        return records

    def _execute(self, command: LiquidationCommandV1) -> list[Record]:
        if command.expires_us <= self._history.time_us:
            return [_answer(command, "expired")]
        instrument = self._history.instruments.get(command.instrument)
        if instrument is None:
            return [_answer(command, "rejected", "unknown instrument")]
        fair = fair_price(instrument, self._history.as_of(command.versions.mark_version, command.versions.time_us))
        if fair is None:
            return [_answer(command, "rejected", "no mark")]
        limit_e8 = to_e8(command.limit_price, "limit_price")
        price_e8 = execution_price(instrument, fair, command.side == "buy", limit_e8)
        if price_e8 is None:
            return [_answer(command, "rejected", "limit price")]
        return [
            _answer(command, "accepted"),
            _fill(command, command.account, price_e8, "account"),
            _fill(command, self._counterparty, price_e8, "counterparty"),
            _answer(command, "filled"),
        ]


def _fill(command: LiquidationCommandV1, account: str, price_e8: int, party: str) -> FillV1:
    is_account = party == "account"
    opposite: Literal["buy", "sell"] = "sell" if command.side == "buy" else "buy"
    return FillV1(
        v=1,
        event_id=f"{command.command_id}:{party}",
        account=account,
        instrument=command.instrument,
        side=command.side if is_account else opposite,
        quantity=command.quantity,
        price=e8_text(price_e8),
        trade_time_us=command.versions.time_us,
        command_id=command.command_id if is_account else None,
    )


def _answer(
    command: LiquidationCommandV1,
    state: Literal["accepted", "filled", "rejected", "expired"],
    reason: str | None = None,
) -> LiquidationAckV1:
    return LiquidationAckV1(
        v=1,
        event_id=f"{command.command_id}:{state}",
        command_id=command.command_id,
        account=command.account,
        state=state,
        filled_quantity=command.quantity if state == "filled" else "0",
        event_time_us=command.versions.time_us,
        reason=reason,
    )


class ExecutorService:
    """Runs a ``LiquidationExecutor`` on Kafka until it is told to stop.

    Reads commands and marks without a consumer group, from the beginning: what it has answered before stands on
    ``liquidation-acks`` and is read first, so a restart repeats nothing.
    """

    TOPICS = ("reference", "marks", "liquidations")

    def __init__(self, bootstrap: str, counterparty: str) -> None:
        answered = (
            received.record.command_id
            for received in read_topic(bootstrap, "liquidation-acks", from_beginning=True, follow=False)
            if isinstance(received.record, LiquidationAckV1) and received.record.state in FINAL_STATES
        )
        self._history = MarketHistory()
        self._executor = LiquidationExecutor(self._history, counterparty, answered)
        self._publisher = Publisher(bootstrap)
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), group_id=None, enable_auto_commit=False)
        partitions = [
            TopicPartition(topic, number)
            for topic in self.TOPICS
            for number in sorted(self._consumer.partitions_for_topic(topic) or ())
        ]
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)
        self._running = True

    def stop(self) -> None:
        """Finish the current round and return from ``run``."""
        self._running = False

    def run(self) -> None:
        """Execute until ``stop``; raises ``streams.sdk.NotDelivered`` when Kafka does not take an answer."""
        try:
            while self._running:
                commands: list[LiquidationCommandV1] = []
                for messages in self._consumer.poll(timeout_ms=0).values():
                    for message in messages:
                        self._take(message.topic, message.key, message.value, message.offset, commands)
                records = self._executor.offer(commands)
                for record in records:
                    self._publisher.publish(record)
                if records:
                    self._publisher.flush()
                # A pause of our own rather than a blocking poll: marks come in ones and twos, and are not urgent.
                time.sleep(PAUSE_SECONDS)
        finally:
            self._publisher.close()
            self._consumer.close()

    def _take(
        self, topic: str, key: bytes | None, value: bytes | None, offset: int, commands: list[LiquidationCommandV1]
    ) -> None:
        try:
            record = decode_record(topic, key, value)
            if isinstance(record, LiquidationCommandV1):
                commands.append(record)
            else:
                self._history.learn(record, offset)
        except SchemaError as error:
            click.echo(f"{topic} offset {offset}: {error}", err=True)


@click.command()
@click.option("--counterparty", required=True, help="Account of the liquidity provider that takes the other side.")
def main(counterparty: str) -> None:
    """Execute liquidation commands of the cluster named by CROSSMARGIN_KAFKA."""
    service = ExecutorService(load_settings().kafka, counterparty)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: service.stop())
    signal.signal(signal.SIGINT, lambda _signal, _frame: service.stop())
    service.run()


if __name__ == "__main__":
    sys.exit(main())
