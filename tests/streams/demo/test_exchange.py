"""The population, its trades, and a rehearsal of the depeg on a bare engine."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal

import pytest

from schemas.codec import Record, encode
from schemas.events.collateral import CollateralV1
from schemas.events.fills import FillV1
from schemas.events.margin_events import PositionSettledV1, WithdrawalDecidedV1
from streams.demo.exchange import Exchange
from streams.demo.population import ACCOUNTS_MIN, BACKSTOP, PROBE, Group
from streams.demo.prices import load_minutes, window
from tests.streams.demo.rehearsal import Rehearsal


def exchange(seed: int = 1, accounts: int = 40, minutes: int = 240) -> Exchange:
    return Exchange(window(load_minutes(), minutes), accounts, seed)


def everything(played: Exchange) -> list[Record]:
    return [
        *played.reference(),
        *played.deposits(),
        *(record for at in range(len(played.minutes)) for record in played.minute(at)[0]),
    ]


def test_the_same_seed_publishes_the_same_bytes() -> None:
    first, second, other = (b"\n".join(map(encode, everything(exchange(seed)))) for seed in (5, 5, 6))

    assert first == second
    assert first != other


def test_fills_are_matched_trade_by_trade() -> None:
    net: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    prices: dict[str, set[str]] = defaultdict(set)
    for fill in everything(exchange()):
        if isinstance(fill, FillV1):
            trade = fill.event_id.rpartition("-")[0]
            net[trade, fill.instrument] += Decimal(fill.quantity) * (1 if fill.side == "buy" else -1)
            prices[trade].add(fill.price)

    assert len(net) > 100
    assert {Decimal(0)} == set(net.values())
    assert {1} == {len(quoted) for quoted in prices.values()}


def test_event_ids_are_unique() -> None:
    ids = Counter(record.event_id for record in everything(exchange()) if isinstance(record, (FillV1, CollateralV1)))

    assert [1] == list(set(ids.values()))


@pytest.mark.parametrize("accounts", [ACCOUNTS_MIN, 24, 200, 1001])
def test_every_group_is_present_whatever_the_number_of_accounts(accounts: int) -> None:
    population = exchange(accounts=accounts, minutes=60).population

    assert accounts == len({account.name for account in population.accounts})
    assert set(Group) == {account.group for account in population.accounts}


def test_every_deliberate_mistake_and_nothing_else_ends_in_the_dead_letters(rehearsal: Rehearsal) -> None:
    assert 12 == rehearsal.exchange.dead_letters_due == rehearsal.dead_letters
    assert 1 == rehearsal.outcomes["duplicate"]


def test_the_depeg_calls_and_liquidates_some_accounts_and_spares_most(rehearsal: Rehearsal) -> None:
    tally = rehearsal.exchange.tally

    assert 0 < len(tally.liquidated) < 10
    assert len(tally.called) > 0
    assert tally.liquidated.isdisjoint({BACKSTOP, PROBE})
    assert rehearsal.exchange.oldest_open_command_us is None
    assert 0 == rehearsal.executor.waiting


def test_an_account_in_liquidation_trades_no_more(rehearsal: Rehearsal) -> None:
    """Its later fills are executions of commands, or trades of the same minute that were already done."""
    first_us: dict[str, int] = {}
    late = Counter[str]()
    for record in rehearsal.topics["fills"]:
        assert isinstance(record, FillV1)
        if record.command_id is not None:
            first_us.setdefault(record.account, record.trade_time_us)
        elif record.trade_time_us > first_us.get(record.account, 2**63) + 60_000_000:
            late[record.account] += 1

    assert first_us and not late


def test_netting_lowers_the_margin_and_saves_somebody(rehearsal: Rehearsal) -> None:
    cross = sum(snapshot.figures.initial_margin for snapshot in rehearsal.snapshots)
    isolated = sum(snapshot.figures.isolated_initial_margin for snapshot in rehearsal.snapshots)
    saved = {
        snapshot.account
        for snapshot in rehearsal.snapshots
        if snapshot.figures.isolated_maintenance_margin > snapshot.figures.equity >= snapshot.figures.maintenance_margin
    }

    assert 0 < cross < 0.7 * isolated
    assert saved - rehearsal.exchange.tally.liquidated


def test_options_settle_and_requests_are_granted_and_refused(rehearsal: Rehearsal) -> None:
    events = rehearsal.topics["margin-events"]

    assert any(isinstance(event, PositionSettledV1) for event in events)
    decisions = [event for event in events if isinstance(event, WithdrawalDecidedV1)]
    assert {False} == {decision.granted for decision in decisions if decision.account == PROBE}
    assert {True, False} == {decision.granted for decision in decisions if decision.account != PROBE}


def test_the_probe_echoes_the_time_of_the_market(rehearsal: Rehearsal) -> None:
    played = rehearsal.exchange

    assert played.echoed_us >= played.minutes[-5].time_us


def test_one_probe_is_on_its_way_at_a_time() -> None:
    asking = exchange(minutes=60)

    assert asking.probe() is not None
    assert asking.probe() is None
