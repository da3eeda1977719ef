"""What holds of the engine on any stream of events: conservation, determinism, and that looking at fewer accounts
finds what looking at all of them would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import MarginEngine
from engine.books.account import AccountBook
from engine.commands import StepResult, TransferCredit
from engine.events import BadRecord, CollateralEvent, CollateralKind, Event, Fill
from engine.outcomes import APPLIED, MarginStatus
from engine.reference.parameters import RiskParameters
from engine.units import E8, fits_int64
from tests.builders import INSTRUMENTS, MINUTE_US, deposit, engine, marks, parameters
from tests.engine.workload import ACCOUNTS, Workload

SEEDS = st.integers(0, 2**32)
STEPS, STEP_EVENTS = 12, 15
TERMS = {listed.instrument_id: listed for listed in INSTRUMENTS}

BRISK = parameters(mark_age_us_max=MINUTE_US, snapshot_interval_us=MINUTE_US)


def endowed(settings_: RiskParameters = BRISK) -> MarginEngine:
    """An engine whose accounts hold enough to trade and little enough to fail."""
    made = engine(settings_)
    made.step([deposit(account, "USD", 20_000, 0) for account in ACCOUNTS])
    return made


def run(seed: int, made: MarginEngine, expire: bool = True) -> list[tuple[list[Event], StepResult]]:
    """Drive ``made`` through a seeded workload, answering its commands; batches with their results."""
    workload = Workload(seed)
    workload.batch(0)
    history = []
    for number in range(STEPS):
        batch = workload.expire() if expire and number == STEPS - 2 else workload.batch(STEP_EVENTS)
        result = made.step(batch)
        workload.observe(result)
        history.append((batch, result))
    return history


def _later(event: Event, by: int) -> Event:
    """The account event ``by`` offsets later on its topic."""
    assert isinstance(event, Fill | CollateralEvent | BadRecord)
    return replace(event, source=replace(event.source, offset=event.source.offset + by))


def assert_conserved(book: AccountBook) -> None:
    """Balance less open cost equals everything that ever came in less everything that went out, exactly."""
    open_cost: Counter[str] = Counter()
    for name, position in book.positions.items():
        if not TERMS[name].kind.is_option:
            open_cost[TERMS[name].settlement_asset] += position.cost_e8
    assert set(book.balances) <= set(book.totals)
    for asset, totals in book.totals.items():
        flows = totals.deposited_e8 - totals.withdrawn_e8
        flows -= totals.traded_value_e8 + totals.fees_paid_e8 + totals.funding_paid_e8
        assert flows == book.balances.get(asset, 0) - open_cost[asset], asset


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_money_is_conserved_in_every_asset(seed: int) -> None:
    made = endowed()
    run(seed, made)
    for account in made.accounts():
        book = made.book(account)
        assert book is not None
        assert_conserved(book)
        assert all(map(fits_int64, book.balances.values()))


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_every_transfer_that_left_arrives_exactly_once(seed: int) -> None:
    made, workload = endowed(), Workload(seed)
    sent: Counter[str] = Counter()
    deposited: Counter[str] = Counter({"USD": 20_000 * E8 * len(ACCOUNTS)})
    for size in (*[STEP_EVENTS] * STEPS, 0):
        batch = workload.batch(size)
        result = made.step(batch)
        workload.observe(result)
        for _, command in result.commands:
            if isinstance(command, TransferCredit):
                sent[command.asset] += command.amount_e8
        for event, outcome in zip(batch, result.outcomes, strict=True):
            if isinstance(event, CollateralEvent) and event.kind is CollateralKind.DEPOSIT and outcome == APPLIED:
                deposited[event.asset] += event.amount_e8
    credited: Counter[str] = Counter()
    for account in made.accounts():
        book = made.book(account)
        assert book is not None
        credited.update({asset: totals.deposited_e8 for asset, totals in book.totals.items()})
    assert deposited + sent == +credited


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_same_batches_give_the_same_results_bit_for_bit(seed: int) -> None:
    one, two = endowed(), endowed()
    history = run(seed, one)
    assert [result for _, result in history] == [two.step(batch) for batch, _ in history]
    assert one.state_hash() == two.state_hash()


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_replaying_any_suffix_of_account_events_changes_no_book(seed: int) -> None:
    made = endowed()
    history = run(seed, made)
    before = made.state_hash()
    events = [event for batch, _ in history for event in batch if hasattr(event, "source")]
    result = made.step(events[Random(seed).randrange(len(events)) :])
    assert {"duplicate"} == {outcome.disposition.value for outcome in result.outcomes}
    assert ((), before) == (result.touched, made.state_hash())


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_looking_at_few_accounts_finds_what_looking_at_all_would(seed: int) -> None:
    """The twin forgets and adopts every account anew before every step, so it must recompute them all."""
    made, twin = endowed(), endowed()
    for batch, result in run(seed, made):
        for book in [deepcopy(twin.book(account)) for account in list(twin.accounts())]:
            assert book is not None
            twin.drop([book.account])
            twin.load(book)
        full = twin.step(batch)
        assert result.commands == full.commands
        assert result.snapshots == full.snapshots
    assert made.state_hash() == twin.state_hash()


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_order_of_entries_and_of_adoption_changes_nothing(seed: int) -> None:
    made = endowed()
    history = run(seed, made, expire=False)
    chance = Random(seed)
    books = [deepcopy(made.book(account)) for account in made.accounts()]
    turned = [deepcopy(book) for book in books]
    chance.shuffle(turned)
    for book in turned:
        assert book is not None
        for entries in (book.balances, book.positions, book.totals, book.open_commands):
            items = list(entries.items())
            chance.shuffle(items)
            entries.clear()
            entries.update(items)  # type: ignore[arg-type]
    results = []
    last = [event for batch, _ in history[-1:] for event in batch]
    for adopted in (books, turned):
        other = engine(BRISK)
        for book in adopted:
            assert book is not None
            other.load(book)
        results.append((other.step(last).commands, other.step(marks(version=500, BTC_PERP=15_000)).commands))
    assert results[0] == results[1]


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.lists(st.integers(0, 60), max_size=6))
def test_where_batches_are_cut_does_not_matter_while_marks_rest_and_nobody_breaches(
    seed: int, cuts: Sequence[int]
) -> None:
    events = Workload(seed).batch(60, broadcast=False)
    assets = [(account, asset) for account in ACCOUNTS for asset in ("USD", "BTC", "USDC")]
    rich = [deposit(account, asset, 10**7, number) for number, (account, asset) in enumerate(assets)]
    events = [_later(event, len(rich)) for event in events]
    whole, cut = engine(), engine()
    whole.step(rich)
    cut.step(rich)
    expected = whole.step(events)
    bounds = [0, *sorted(min(at, len(events)) for at in cuts), len(events)]
    pieces = [cut.step(events[a:b]) for a, b in pairwise(bounds)]
    assert expected.outcomes == tuple(outcome for piece in pieces for outcome in piece.outcomes)
    assert expected.commands == tuple(command for piece in pieces for command in piece.commands)
    assert whole.state_hash() == cut.state_hash()
    assert {MarginStatus.HEALTHY} == {book.status for account in ACCOUNTS if (book := whole.book(account))}
