"""Many accounts due at the same mark: what they plan to pay is what they pay, bounded fleets drain, and a decision made
beside others is repeated from its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from engine import MarginEngine
from engine.commands import FORCED_FLOW, LiquidationCommand, LiquidationDecision, StepResult
from engine.events import AckState, Event
from engine.fleet.ledger import FleetLedger
from engine.fleet.waiting import severity
from engine.liquidation.decision import decide
from engine.reference.liquidation_policy import LiquidationPolicy
from engine.reference.parameters import RiskParameters
from engine.risk.depth import Depth, cost_to_close
from engine.state import book_from_text
from engine.units import E8
from schemas.codec import decode, encode
from schemas.events.margin_events import LiquidationDecisionV1
from streams.translate.commands import to_flow, to_wire
from tests.builders import AT_ONCE, START_US, ack, deposit, engine, fill, mark, parameters

ACCOUNTS = 60
VOLUME, IMPACT_PPM = 400_000_000, 40_000
CRASH = {"BTC": 19_300.0, "BTC-FUTURE": 19_400.0, "BTC-PERP": 19_300.0, "ETH-PERP": 1_450.0}
PAID = 20_000, 20_100, 1_500
CLOSE_COST = {"BTC-FUTURE": 0.0005, "BTC-PERP": 0.0005, "ETH-PERP": 0.0008}


def terms(policy: LiquidationPolicy = AT_ONCE) -> RiskParameters:
    underlyings = {
        name: replace(each, impact_ppm=IMPACT_PPM, daily_volume_e8=VOLUME * E8)
        for name, each in parameters().underlyings.items()
    }
    # Everybody falls at once here, on purpose: no breaker.
    policy = replace(policy, trust=replace(policy.trust, breaker_us=0))
    return parameters(
        underlyings=underlyings, mark_age_us_max=10**15, snapshot_interval_us=10**15, policy=policy
    )  # fmt: skip


class Fleet:
    """Accounts that are long in up to three instruments, and an executor that fills at the limit."""

    def __init__(self, policy: LiquidationPolicy = AT_ONCE) -> None:
        chance, events = Random(3), list[Event]()
        self.engine: MarginEngine = engine(terms(policy))
        self.offset, self.version, self.time_us = 0, 1_000, START_US
        for number in range(ACCOUNTS):
            account = f"a{number:03}"
            sizes = chance.randint(50, 200) / 100, chance.randint(1, 100) / 100, chance.randint(50, 300) / 10
            needed = 2_560 * (sizes[0] + sizes[1]) + 240 * sizes[2]
            events.append(deposit(account, "USD", round(needed * chance.uniform(1.05, 1.2), 2), self.next()))
            for name, size, price in zip(("BTC-PERP", "BTC-FUTURE", "ETH-PERP"), sizes, PAID, strict=True):
                events.append(fill(account, name, size, price, self.next()))
        self.engine.step(events)

    def next(self) -> int:
        self.offset += 1
        return self.offset

    def crash(self) -> StepResult:
        return self.engine.step([self.mark(feed, price) for feed, price in CRASH.items()])

    def mark(self, feed: str, price: float) -> Event:
        self.version += 1
        self.time_us += 1_000
        return mark(feed, price, self.version, self.time_us)

    def filled(self, command: LiquidationCommand) -> list[Event]:
        quantity = command.quantity_e8 / E8
        price = CRASH[command.instrument]
        return [
            fill(command.account, command.instrument, quantity, price, self.next(), command_id=command.command_id),
            ack(command.account, command.command_id, AckState.FILLED, abs(quantity), self.next()),
        ]


def legs(result: StepResult) -> list[LiquidationCommand]:
    return [made for _, made in result.commands if isinstance(made, LiquidationCommand) and made.kind in FORCED_FLOW]


def decisions(result: StepResult) -> list[LiquidationDecision]:
    return [made for _, made in result.commands if isinstance(made, LiquidationDecision) and made.certificate]


def paid(commands: Sequence[LiquidationCommand]) -> float:
    """What the whole flow pays at the marks: spread, and the impact of all of it in each instrument."""
    total, flow = 0.0, dict[str, float]()
    for command in commands:
        notional = abs(command.quantity_e8) / E8 * CRASH[command.instrument]
        flow[command.instrument] = flow.get(command.instrument, 0.0) + notional
        total += notional * CLOSE_COST[command.instrument]
    depth = Depth(0.0, 1.0, VOLUME, IMPACT_PPM / 1e6)
    return total + float(cost_to_close(np.array(list(flow.values())), depth).sum())


def planned(result: StepResult) -> float:
    return sum(made.certificate.cost for made in decisions(result) if made.certificate is not None)


def test_what_all_of_them_plan_to_pay_is_what_they_pay_and_less_than_if_each_thought_itself_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    priced = Fleet().crash()
    monkeypatch.setattr(FleetLedger, "of_others", lambda *_: {})
    alone = Fleet().crash()
    assert ACCOUNTS // 2 < len(decisions(priced)) == len(decisions(alone))
    assert planned(priced) == pytest.approx(paid(legs(priced)), rel=1e-6)
    assert planned(alone) < 0.7 * paid(legs(alone)), "each left out what the others do to its price"
    assert paid(legs(priced)) < 0.95 * paid(legs(alone))


def test_they_are_served_in_order_of_severity() -> None:
    served = [severity(made.figures.equity, made.figures.maintenance_margin) for made in decisions(Fleet().crash())]
    assert sorted(served) == served
    assert len(set(served)) > ACCOUNTS // 2


@pytest.mark.parametrize(
    "policy",
    [
        replace(AT_ONCE, live_accounts_max=4),
        replace(AT_ONCE, flow_max_e8=80_000 * E8),
        replace(AT_ONCE, flow_max_e8=20_000 * E8, live_accounts_max=7, participation_ppm=200_000),
    ],
    ids=["few at a time", "little at a time", "all bounds"],
)
def test_bounded_fleets_drain(policy: LiquidationPolicy) -> None:
    fleet = Fleet(policy)
    open_legs, rounds = legs(fleet.crash()), 0
    most = len({command.account for command in open_legs})
    assert 0 < most < ACCOUNTS // 2
    while open_legs and rounds < 3_000:
        rounds += 1
        command = open_legs.pop(0)
        open_legs += legs(fleet.engine.step(fleet.filled(command)))
        if policy.live_accounts_max:
            assert len({command.account for command in open_legs}) <= policy.live_accounts_max
    books = [book for account in fleet.engine.accounts() if (book := fleet.engine.book(account)) is not None]
    assert not any(book.open_commands for book in books)
    assert {"HEALTHY", "MARGIN_CALL"} >= {book.status.name for book in books}
    assert ACCOUNTS // 4 < rounds < 3_000


def test_who_waits_is_served_in_the_same_step_in_which_the_other_side_makes_room() -> None:
    made = engine(terms(replace(AT_ONCE, flow_max_e8=20_000 * E8)))
    opening: list[Event] = [deposit("seller", "USD", 8_000, 1), fill("seller", "BTC-PERP", 4, 20_000, 2)]
    opening += [deposit("waiting", "USD", 9_900, 3), fill("waiting", "BTC-PERP", 4, 20_000, 4)]
    opening += [deposit("buyer", "USD", 50_000, 5), fill("buyer", "BTC-PERP", -4, 20_000, 6)]
    (first,) = legs(made.step(opening))
    assert ("seller", -E8) == (first.account, first.quantity_e8)
    # A fee takes almost all that the buyer has: it is due by an event of its own, and more urgent than who waits.
    second, third = legs(made.step([fill("buyer", "BTC-PERP", "-0.01", 20_000, 7, fee=45_000)]))
    assert ("buyer", "waiting") == (second.account, third.account)
    assert 0 < -third.quantity_e8 <= second.quantity_e8


def test_a_decision_beside_others_is_repeated_from_its_record() -> None:
    fleet = Fleet(replace(AT_ONCE, flow_max_e8=40_000 * E8, participation_ppm=500_000))
    result = fleet.crash()
    market, settings = fleet.engine.market(), fleet.engine.parameters
    assert settings is not None
    beside = [made for made in decisions(result) if made.flow]
    assert beside
    for made in beside:
        record = decode("margin-events", encode(to_wire(made)[2]))
        assert isinstance(record, LiquidationDecisionV1)
        again = decide(book_from_text(made.book), market, settings, made.versions, flow=to_flow(record))
        assert again is not None
        assert made == again[0]
        mine = tuple(command for command in legs(result) if command.decision_id == made.decision_id)
        assert mine == again[1]
    alone = decide(book_from_text(beside[-1].book), market, settings, beside[-1].versions)
    assert alone is not None
    assert alone[0] != beside[-1]
