"""Seeded streams of engine events: everything that can happen to a handful of accounts, sound and unsound.

Unlike a workload for whole-system tests this one breaches, cures, settles and goes bankrupt freely; it is for
properties that hold on any stream at all.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from engine.commands import LiquidationCommand, StepResult, TransferCredit
from engine.events import AccountEvent, AckState, BadRecord, CollateralKind, Event, MarkPrice, Source
from engine.reference.instruments import Instrument, InstrumentKind
from tests.builders import (
    EXPIRY_US,
    INSTRUMENTS,
    START_US,
    ack,
    bad_record,
    collateral,
    fill,
    mark,
    settlement,
)

ACCOUNTS = ("ann", "bob", "cyd", "dan", "eve")
LEVELS = {"BTC": 20_000, "BTC-PERP": 20_000, "BTC-FUTURE": 20_100, "ETH-PERP": 1_500, "USDC": 1}
EXPIRING = ("BTC-FUTURE", "BTC-CALL", "BTC-PUT")


class Workload:
    """Makes events one by one; offsets rise per topic, mark versions and time rise."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._offsets: dict[str, int] = {}
        self._mark_version = 100
        self._time_us = START_US
        self._indices = {feed: (0, 0) for feed in LEVELS}
        self._sent: list[AccountEvent] = []
        self._answers: list[AccountEvent] = []

    def batch(self, size: int, broadcast: bool = True) -> list[Event]:
        """``size`` events, led by the answers to what the engine commanded before."""
        answers, self._answers = self._answers, []
        events: list[Event] = [self._place(event) for event in answers]
        for _ in range(size):
            if broadcast and self._random.random() < 0.25:
                events.append(self._mark())
            else:
                events.append(self._account_event())
        return events

    def expire(self) -> list[Event]:
        """Move time past expiry and settle everything that expired."""
        self._time_us = EXPIRY_US
        prices = {"BTC-FUTURE": 20_500, "BTC-CALL": 20_400, "BTC-PUT": 17_000}
        return [self._mark(), *(settlement(name, prices[name], number) for number, name in enumerate(EXPIRING))]

    def observe(self, result: StepResult) -> None:
        """Answer commands: credits are delivered twice, liquidations filled whole, in part or not at all."""
        for _, command in result.commands:
            if isinstance(command, TransferCredit):
                credit = CollateralKind.TRANSFER_CREDIT
                delivered = replace(
                    collateral(command.account, credit, command.asset, 1, 0, command.payer, command.transfer_sequence),
                    amount_e8=command.amount_e8,
                    event_id=command.event_id,
                )
                self._answers += [delivered, delivered]
            elif isinstance(command, LiquidationCommand):
                self._answers += self._execute(command)

    def _execute(self, command: LiquidationCommand) -> list[AccountEvent]:
        if not command.kind.is_leg:
            state = self._random.choice((AckState.FILLED, AckState.REJECTED))
            answer = replace(ack(command.account, command.command_id, state, 0, 0), event_id="")
            return [answer] if self._random.random() < 0.7 else []
        lot = next(listed.lot_e8 for listed in INSTRUMENTS if listed.instrument_id == command.instrument)
        done_e8 = self._random.choice((0, 1, 2)) * abs(command.quantity_e8) // 2 // lot * lot
        signed = done_e8 if command.quantity_e8 > 0 else -done_e8
        answer = replace(
            ack(command.account, command.command_id, AckState.EXPIRED, 0, 0), filled_e8=done_e8, event_id=""
        )
        if not done_e8:
            return [answer]
        made = replace(
            fill(command.account, command.instrument, 0, 0, 0, command_id=command.command_id),
            quantity_e8=signed,
            price_e8=command.limit_price_e8,
            event_id="",
        )
        return self._random.sample([made, answer], 2)

    def _account_event(self) -> AccountEvent:
        draw = self._random.random()
        if self._sent and draw < 0.06:
            again = self._random.choice(self._sent)  # a replay at its own offset, or a retry at a new one
            return again if self._random.random() < 0.5 else self._place(again, retry=True)
        if draw < 0.09:
            account = self._random.choice(ACCOUNTS)
            return bad_record(account, "fills", self._next_offset("fills"))
        return self._place(self._fill() if draw < 0.6 else self._collateral())

    def _fill(self) -> AccountEvent:
        listed = self._random.choice(INSTRUMENTS)
        lots = self._random.choice((-1, 1)) * self._random.randint(1, 300)
        level = 300 if listed.kind.is_option else LEVELS[listed.mark_feed]
        price_e8 = round(level * self._random.uniform(0.9, 1.1) * 10**8) // listed.tick_e8 * listed.tick_e8
        if self._random.random() < 0.05:
            price_e8 += 1
        return replace(
            fill(self._random.choice(ACCOUNTS), listed.instrument_id, 0, 0, 0, time_us=self._time_us),
            quantity_e8=lots * _step_e8(listed),
            price_e8=price_e8,
            fee_e8=self._random.randint(-(10**7), 10**8),
            event_id="",
        )

    def _collateral(self) -> AccountEvent:
        kinds = (CollateralKind.DEPOSIT, CollateralKind.WITHDRAWAL, CollateralKind.TRANSFER)
        account, payee = self._random.sample(ACCOUNTS, 2)
        kind = self._random.choices(kinds, (2, 1, 1))[0]
        asset, most = self._random.choice((("USD", 20_000), ("USDC", 20_000), ("BTC", 1), ("DOGE", 1)))
        amount_e8 = self._random.randint(1, most * 10**8)
        return replace(collateral(account, kind, asset, 1, 0, payee), amount_e8=amount_e8, event_id="")

    def _mark(self) -> MarkPrice:
        feed = self._random.choice(sorted(LEVELS))
        linear, inverse = self._indices[feed]
        if feed.endswith("PERP"):
            linear += self._random.randint(-(10**13), 10**13)
            inverse += self._random.randint(-(10**5), 10**5)
            self._indices[feed] = linear, inverse
        price_e8 = round(LEVELS[feed] * self._random.uniform(0.85, 1.15) * 10**8)
        self._mark_version += 1
        self._time_us += self._random.randint(0, 20_000_000)
        made = mark(feed, 1, self._mark_version, self._time_us, linear, inverse)
        return replace(made, price_e8=price_e8)

    def _place(self, event: AccountEvent, retry: bool = False) -> AccountEvent:
        """Give the event the next offset of its topic, and an id unless it has one."""
        topic = event.source.topic
        offset = self._next_offset(topic)
        event = replace(event, source=Source(topic, 0, offset))
        if not retry and not isinstance(event, BadRecord) and not event.event_id:
            event = replace(event, event_id=f"{topic}-{offset}", body_digest=offset.to_bytes(8, "big"))
        self._sent.append(event)
        return event

    def _next_offset(self, topic: str) -> int:
        self._offsets[topic] = self._offsets.get(topic, -1) + 1
        return self._offsets[topic]


def _step_e8(listed: Instrument) -> int:
    """Lot size, scaled so that no kind of contract dwarfs the others."""
    return listed.lot_e8 // 10 if listed.kind is InstrumentKind.SPOT and listed.lot_e8 > 10**7 else listed.lot_e8
