"""A crowd: accounts of two partitions with like positions and little equity, marks that take many of them at once, and
executors that fill, fill in part, refuse or say nothing, sooner or later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from engine import MarginEngine
from engine.commands import LiquidationCommand, StepResult
from engine.events import AccountEvent, AckState, BadRecord, Event, Source
from engine.reference.liquidation_policy import LiquidationPolicy
from engine.reference.parameters import RiskParameters
from engine.units import E8
from tests.builders import AT_ONCE, INSTRUMENTS, START_US, ack, deposit, engine, fill, mark, parameters

ACCOUNTS = tuple(f"a{number:02}" for number in range(20))
PARTITIONS = (0, 1)
SECOND_US = 1_000_000
LOTS_E8 = {listed.instrument_id: listed.lot_e8 for listed in INSTRUMENTS}


def crowded(policy: LiquidationPolicy) -> RiskParameters:
    """Parameters with thin depth and marks that never grow old."""
    terms = {
        name: replace(each, impact_ppm=20_000, daily_volume_e8=2_000_000 * E8)
        for name, each in parameters().underlyings.items()
    }
    return parameters(mark_age_us_max=10**15, snapshot_interval_us=10**15, underlyings=terms, policy=policy)


TERMS = {
    "unbounded": crowded(AT_ONCE),
    "few at a time": crowded(replace(AT_ONCE, live_accounts_max=2)),
    "little at a time": crowded(replace(AT_ONCE, flow_max_e8=2_500 * E8)),
    "all bounds": crowded(
        replace(AT_ONCE, flow_max_e8=4_000 * E8, live_accounts_max=2, participation_ppm=500_000)
    ),
    "all bounds, with rests and orders": crowded(
        LiquidationPolicy(
            cancel_us_max=3 * SECOND_US,
            cooldown_us=5 * SECOND_US,
            flow_max_e8=4_000 * E8,
            live_accounts_max=2,
            participation_ppm=500_000,
            fruitless_rounds_max=4,
        )
    ),
}  # fmt: skip


def partition_of(account: str) -> int:
    """Which input partition an account belongs to."""
    return int(account[1:]) % len(PARTITIONS)


class Crowd:
    """Makes batches: a single mark, or events of one partition."""

    def __init__(self, seed: int, accounts: Sequence[str] = ACCOUNTS) -> None:
        self._chance = Random(seed)
        self._accounts = accounts
        self._offsets: dict[tuple[str, int], int] = {}
        self._version, self._time_us = 1_000, START_US
        self._prices = {"BTC-PERP": 20_000.0, "ETH-PERP": 1_500.0}
        self._commands: list[LiquidationCommand] = []

    def opening(self) -> Iterator[list[Event]]:
        """Deposits and positions, one batch per partition."""
        for partition in PARTITIONS:
            events: list[Event] = []
            for account in self._accounts:
                if partition_of(account) != partition:
                    continue
                side = 1 if self._chance.random() < 0.7 else -1
                btc, eth = side * self._chance.randint(20, 150) / 100, self._chance.randint(-150, 150) / 10
                needed = 2_560 * abs(btc) + 240 * abs(eth)
                money = round(needed * self._chance.uniform(1.0, 1.25), 2)
                events.append(self._place(deposit(account, "USD", money, 0), account))
                events.append(self._place(fill(account, "BTC-PERP", btc, 20_000, 0), account))
                if eth:
                    events.append(self._place(fill(account, "ETH-PERP", eth, 1_500, 0), account))
            yield events

    def batches(self, count: int) -> Iterator[list[Event]]:
        """``count`` batches, then the rest of the answers; ``observe`` each batch's result before the next."""
        for _ in range(count):
            draw = self._chance.random()
            if draw < 0.5:
                yield [self._mark()]
            elif draw < 0.9:
                yield self._answers(self._chance.choice(PARTITIONS))
            else:
                account = self._chance.choice(self._accounts)
                money = self._chance.randint(1, 2_000)
                yield [self._place(deposit(account, "USD", money, 0), account)]

    def observe(self, result: StepResult) -> None:
        """Keep what was commanded, to be answered some time."""
        self._commands += [made for _, made in result.commands if isinstance(made, LiquidationCommand)]

    def _mark(self) -> Event:
        feed = self._chance.choice(sorted(self._prices))
        self._prices[feed] *= self._chance.uniform(0.985, 1.013)
        self._version += 1
        self._time_us += self._chance.randint(0, 8 * SECOND_US)
        return replace(mark(feed, 1, self._version, self._time_us), price_e8=round(self._prices[feed] * E8))

    def _answers(self, partition: int) -> list[Event]:
        mine = [command for command in self._commands if partition_of(command.account) == partition]
        taken = self._chance.sample(mine, min(len(mine), self._chance.randint(1, 3)))
        self._commands = [command for command in self._commands if command not in taken]
        return [event for command in taken for event in self._answer(command)]

    def _answer(self, command: LiquidationCommand) -> list[Event]:
        account, id, draw = command.account, command.command_id, self._chance.random()
        if draw < 0.15:
            return []  # silence
        if not command.kind.is_leg:
            return [self._place(ack(account, id, AckState.FILLED, 0, 0), account)]
        whole_e8 = abs(command.quantity_e8)
        part_e8 = 0 if draw < 0.25 else whole_e8
        if draw > 0.65:
            part_e8 = whole_e8 // 2 // LOTS_E8[command.instrument] * LOTS_E8[command.instrument]
        answer = replace(ack(account, id, AckState.CANCELLED, 0, 0), filled_e8=part_e8)
        if not part_e8:
            return [self._place(answer, account)]
        made = replace(
            fill(account, command.instrument, 0, 0, 0, command_id=id),
            quantity_e8=part_e8 if command.quantity_e8 > 0 else -part_e8,
            price_e8=command.limit_price_e8,
        )
        events: list[Event] = [self._place(made, account)]
        return [*events, self._place(answer, account)] if draw < 0.9 else events  # the answer may be long in coming

    def _place(self, event: AccountEvent, account: str) -> AccountEvent:
        assert not isinstance(event, BadRecord)
        partition = partition_of(account)
        key = (event.source.topic, partition)
        offset = self._offsets[key] = self._offsets.get(key, -1) + 1
        source, id = Source(key[0], partition, offset), f"{key[0]}-{partition}-{offset}"
        return replace(event, source=source, event_id=id, body_digest=offset.to_bytes(8, "big"))


def opened(terms: RiskParameters) -> MarginEngine:
    """An engine under ``terms``, without accounts."""
    return engine(terms)
