"""Crowds in liquidation: the same commands as when everybody is recomputed, and however many partitions a worker has;
the ledger is that of the books; bounds are kept; nobody waits for ever."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from itertools import chain

import pytest

from engine import MarginEngine
from engine.commands import FORCED_FLOW, LiquidationCommand, LiquidationDecision
from engine.events import Event
from engine.fleet import waiting
from engine.fleet.ledger import FleetLedger, is_live
from engine.fleet.waiting import WaitingList
from engine.reference.parameters import RiskParameters
from engine.units import E8
from tests.engine.fleet.crowd import PARTITIONS, TERMS, Crowd, opened, partition_of

SEEDS = range(3)
BATCHES = 50
WORLDS = pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS.keys())


def adopt_anew(twin: MarginEngine) -> None:
    """Forget and adopt every account, so that the next step looks at all of them and rebuilds the ledger."""
    for account in twin.accounts():
        book, shard = deepcopy(twin.book(account)), twin.shard(account)
        assert book is not None and shard is not None
        twin.drop([account])
        twin.load(book, shard)


def ledger_of(made: MarginEngine) -> FleetLedger:
    return made._watch._ledger


def rebuilt(made: MarginEngine) -> FleetLedger:
    ledger = FleetLedger()
    for number, account in enumerate(made.accounts()):
        book = made.book(account)
        assert book is not None
        ledger.put(number, partition_of(account), book.open_commands)
    return ledger


@WORLDS
@pytest.mark.parametrize("seed", SEEDS)
def test_same_commands_as_recomputing_everybody_and_the_ledger_of_the_books(
    seed: int, terms: RiskParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "TRIES", seed + 1)
    crowd, made, twin = Crowd(seed), opened(terms), opened(terms)
    for batch in chain(crowd.opening(), crowd.batches(BATCHES)):
        adopt_anew(twin)
        result = made.step(batch)
        assert result.commands == twin.step(batch).commands
        crowd.observe(result)
        books = rebuilt(made)
        for partition in PARTITIONS:
            assert books.net_e8(partition) == ledger_of(made).net_e8(partition)
            assert books.live(partition) == ledger_of(made).live(partition)
    assert made.state_hash() == twin.state_hash()


def _of(events: list[Event], partition: int) -> list[Event]:
    """Marks, and the account events of one partition."""
    return [event for event in events if not hasattr(event, "source") or event.source.partition == partition]


@WORLDS
@pytest.mark.parametrize("seed", SEEDS)
def test_one_worker_of_two_partitions_decides_what_two_workers_do(seed: int, terms: RiskParameters) -> None:
    crowd, one, two = Crowd(seed), opened(terms), {partition: opened(terms) for partition in PARTITIONS}
    for batch in chain(crowd.opening(), crowd.batches(BATCHES)):
        result = one.step(batch)
        crowd.observe(result)
        for partition, worker in two.items():
            mine = _of(batch, partition)
            if not mine:
                continue
            expected = [made for made in result.commands if partition_of(made[0]) == partition]
            assert expected == list(worker.step(mine).commands)


def counted(terms: RiskParameters, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What happened in all seeds together."""
    found: Counter[str] = Counter()
    put = WaitingList.put

    def counting(self: WaitingList, number: int, shard: int, *, tried: bool = False) -> None:
        found["waited"] += 1
        put(self, number, shard, tried=tried)

    monkeypatch.setattr(WaitingList, "put", counting)
    for seed in SEEDS:
        crowd, made = Crowd(seed), opened(terms)
        for batch in chain(crowd.opening(), crowd.batches(BATCHES)):
            result = made.step(batch)
            crowd.observe(result)
            for _, command in result.commands:
                if isinstance(command, LiquidationDecision):
                    found["decided"] += 1
                    found["beside others"] += bool(command.flow)
                    found["sliced"] += "a slice" in command.explanation
            if terms.policy.live_accounts_max:
                books = [book for account in made.accounts() if (book := made.book(account)) is not None]
                for partition in PARTITIONS:
                    live = sum(is_live(book.open_commands) for book in books if partition_of(book.account) == partition)
                    assert live <= terms.policy.live_accounts_max
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_the_cap_on_flow_holds_when_somebody_is_ahead(seed: int) -> None:
    terms, checked = TERMS["little at a time"], 0
    crowd, made = Crowd(seed), opened(terms)
    for batch in chain(crowd.opening(), crowd.batches(BATCHES)):
        result = made.step(batch)
        crowd.observe(result)
        marks = made.market().marks
        legs = [each for _, each in result.commands if isinstance(each, LiquidationCommand)]
        for partition in PARTITIONS:
            ledger, net_e8 = ledger_of(made), ledger_of(made).net_e8(partition)
            for leg in legs:
                if partition_of(leg.account) != partition or leg.kind not in FORCED_FLOW:
                    continue
                number = made._columns.number(leg.account)
                ahead = ledger.of_others(number, partition, [leg.instrument]).get(leg.instrument, 0)
                if ahead * leg.quantity_e8 > 0:
                    notional_e8 = abs(net_e8[leg.instrument]) * marks[leg.instrument].price_e8 // E8
                    assert notional_e8 <= terms.policy.flow_max_e8
                    checked += 1
    assert checked > 0


@WORLDS
def test_crowds_try_what_they_are_for(terms: RiskParameters, monkeypatch: pytest.MonkeyPatch) -> None:
    found, policy = counted(terms, monkeypatch), terms.policy
    assert found["decided"] > 30
    assert found["beside others"] > 5
    assert bool(policy.live_accounts_max or policy.flow_max_e8) is (found["waited"] > 5)
    assert bool(policy.participation_ppm or policy.flow_max_e8) is (found["sliced"] > 5)
