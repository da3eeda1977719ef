"""The step: fates of events, withdrawals, settlement, snapshots, adoption of accounts."""

from __future__ import annotations

from copy import deepcopy

import pytest

from engine import MarginEngine
from engine.books.account import AccountBook, Position
from engine.commands import PositionSettled, StepResult, TransferCredit, WithdrawalDecided
from engine.errors import InvariantBroken
from engine.events import AckState, CollateralAssetListed, Event, InstrumentListed
from engine.outcomes import APPLIED, DUPLICATE, MarginStatus, Refusal, Rejection
from engine.reference.gap_policy import GapLayer, GapPolicy
from tests.builders import (
    ASSETS,
    EXPIRY_US,
    FUTURE,
    MINUTE_US,
    PERP,
    START_US,
    ack,
    bad_record,
    deposit,
    e8,
    engine,
    fill,
    mark,
    marks,
    parameters,
    reference,
    settlement,
    transfer,
    transfer_credit,
    withdrawal,
)


def fates(result: StepResult) -> list[str]:
    """Rejection or disposition of each event, as text."""
    return [(outcome.rejection or outcome.disposition).value for outcome in result.outcomes]


def refusals(result: StepResult) -> list[Refusal | None]:
    return [command.refusal for _, command in result.commands if isinstance(command, WithdrawalDecided)]


def held(made: MarginEngine, account: str) -> AccountBook:
    book = made.book(account)
    assert book is not None
    return book


# Fates.


@pytest.mark.parametrize(
    ("event", "fate", "opened"),
    [
        (fill("a", "BTC-PERP", 1, 20_000, 0), "applied", True),
        (deposit("a", "USD", 1, 0), "applied", True),
        (transfer_credit("a", "b", "USD", 1, 0, 1), "applied", True),
        (bad_record("a", "fills", 0), "applied", True),
        (withdrawal("a", "USD", 1, 0), "unknown_account", False),
        (transfer("a", "b", "USD", 1, 0), "unknown_account", False),
        (ack("a", "0" * 32, AckState.FILLED, 1, 0), "unknown_account", False),
    ],
)
def test_facts_open_an_account_and_requests_need_one(event: Event, fate: str, opened: bool) -> None:
    made = engine()
    result = made.step([event])
    assert [fate] == fates(result)
    assert opened == (made.book("a") is not None)
    assert (("a",) if opened else ()) == result.touched


def test_rejected_event_moves_the_watermark_and_nothing_else() -> None:
    made = engine()
    made.step([deposit("a", "USD", 5, 0)])
    before = deepcopy(held(made, "a"))
    result = made.step([fill("a", "BTC-PERP", 1, "20000.3", 7)])
    assert ["price_off_tick"] == fates(result)
    assert ("a",) == result.touched
    before.applied["fills"] = 7
    assert before == held(made, "a")


def test_replay_at_or_below_the_watermark_is_a_duplicate_and_touches_nothing() -> None:
    made = engine()
    events: list[Event] = [deposit("a", "USD", 5, 3), fill("a", "BTC-PERP", 1, 20_000, 4), bad_record("a", "fills", 5)]
    made.step(events)
    state = made.state_hash()
    result = made.step(events)
    assert ["duplicate"] * 3 == fates(result)
    assert ((), state) == (result.touched, made.state_hash())


def test_retry_under_the_same_id_is_a_duplicate_and_a_reuse_of_it_a_conflict() -> None:
    made = engine()
    first = fill("a", "BTC-PERP", 1, 20_000, 0, event_id="f")
    retry = fill("a", "BTC-PERP", 1, 20_000, 1, event_id="f")
    reuse = fill("a", "BTC-PERP", 2, 20_000, 2, event_id="f")
    assert ["applied", "duplicate", "event_id_conflict"] == fates(made.step([first, retry, reuse]))
    assert (e8(1), 2) == (held(made, "a").positions["BTC-PERP"].quantity_e8, held(made, "a").applied["fills"])


def test_conflict_of_ids_comes_before_any_other_rejection() -> None:
    made = engine()
    made.step([fill("a", "BTC-PERP", 1, 20_000, 0, event_id="f")])
    assert ["event_id_conflict"] == fates(made.step([fill("a", "NONE", 1, 20_000, 1, event_id="f")]))


def test_rejected_event_may_come_again_under_its_id_once_its_cause_is_mended() -> None:
    made = MarginEngine()
    made.step([CollateralAssetListed(0, ASSETS[0])])
    event = fill("a", "BTC-PERP", 1, 20_000, 0, event_id="f")
    again = fill("a", "BTC-PERP", 1, 20_000, 1, event_id="f")
    assert ["unknown_instrument"] == fates(made.step([event]))
    assert ["applied", "applied"] == fates(made.step([InstrumentListed(1, PERP), again]))


def test_bad_records_flag_their_account() -> None:
    made = engine()
    made.step([bad_record("a", "fills", 0), bad_record("a", "collateral", 0), bad_record("a", "fills", 0)])
    assert 2 == held(made, "a").bad_records


def test_instrument_can_be_booked_once_its_assets_are_listed() -> None:
    made = MarginEngine()
    assert not made.has_instrument("BTC-PERP")
    made.step([InstrumentListed(0, PERP)])
    assert not made.has_instrument("BTC-PERP")
    made.step([CollateralAssetListed(1, ASSETS[0])])
    assert made.has_instrument("BTC-PERP")
    assert (True, False) == (made.has_asset("USD"), made.has_asset("BTC"))


def test_outcomes_align_with_the_batch() -> None:
    made = engine()
    result = made.step([deposit("a", "USD", 1, 0), deposit("a", "DOGE", 1, 1), deposit("a", "USD", 1, 0)])
    assert (APPLIED, DUPLICATE) == (result.outcomes[0], result.outcomes[2])
    assert (Rejection.UNKNOWN_ASSET, "asset") == (result.outcomes[1].rejection, result.outcomes[1].field)


def test_funding_is_paid_when_a_position_is_touched() -> None:
    made = engine()
    made.step([deposit("a", "USD", 50_000, 0), fill("a", "BTC-PERP", 2, 20_000, 0)])
    made.step([mark("BTC-PERP", 20_000, 50, linear_e12=3 * 10**12)])
    assert {"USD": e8(50_000)} == held(made, "a").balances
    made.step([fill("a", "BTC-PERP", "0.01", 20_000, 1)])
    assert {"USD": e8(50_000 - 6)} == held(made, "a").balances
    assert e8(6) == held(made, "a").totals["USD"].funding_paid_e8
    assert 3 * 10**12 == held(made, "a").positions["BTC-PERP"].funding_index_e12


# Withdrawals and transfers.


def funded(*events: Event) -> MarginEngine:
    """An engine whose account a has 10,000 USD and 0.1 BTC, and went through ``events``."""
    made = engine()
    made.step([deposit("a", "USD", 10_000, 0), deposit("a", "BTC", "0.1", 1), *events])
    return made


@pytest.mark.parametrize(
    ("quantity", "asset", "amount", "refusal"),
    [
        # position   asset    amount    answer; initial margin of 1 BTC is 3,200
        (None, "USD", 10_000, None),
        (None, "USD", "10000.00000001", Refusal.INSUFFICIENT_BALANCE),
        (None, "USDC", 1, Refusal.INSUFFICIENT_BALANCE),
        (1, "USD", 8_000, None),
        (1, "USD", 9_500, Refusal.BELOW_INITIAL_MARGIN),
        (-1, "BTC", "0.1", None),
        (4, "USD", "0.5", Refusal.BELOW_INITIAL_MARGIN),
    ],
)
def test_withdrawal_is_decided_on_balance_and_initial_margin(
    quantity: int | None, asset: str, amount: int | str, refusal: Refusal | None
) -> None:
    made = funded(*([] if quantity is None else [fill("a", "BTC-PERP", quantity, 20_000, 0)]))
    before = held(made, "a").balances.get(asset, 0)
    result = made.step([withdrawal("a", asset, amount, 2)])
    assert (["applied"], [refusal]) == (fates(result), refusals(result))
    assert before - held(made, "a").balances.get(asset, 0) == (0 if refusal else e8(amount))


def test_withdrawal_sees_the_events_before_it_in_its_batch() -> None:
    made = funded()
    batch: list[Event] = [
        fill("a", "BTC-PERP", 3, 20_000, 0),
        withdrawal("a", "USD", 9_000, 2),
        withdrawal("a", "USD", 1, 3),
    ]
    assert [Refusal.BELOW_INITIAL_MARGIN, None] == refusals(made.step(batch))


def test_withdrawal_waits_for_prices() -> None:
    made = MarginEngine()
    made.step([*reference(), mark("BTC", 20_000, 0)])
    batch: list[Event] = [
        deposit("a", "USD", 9_000, 0),
        fill("a", "BTC-PERP", "0.1", 20_000, 0),
        withdrawal("a", "USD", 1, 1),
    ]
    assert [Refusal.PRICE_UNAVAILABLE] == refusals(made.step(batch))


def test_withdrawal_does_not_go_out_on_a_stale_mark() -> None:
    made = funded(fill("a", "BTC-PERP", "0.1", 20_000, 0))
    made.step([mark("ETH-PERP", 1_500, 50, START_US + MINUTE_US)])
    assert [None] == refusals(made.step([withdrawal("a", "USD", 1, 2)]))
    made.step([mark("ETH-PERP", 1_500, 51, START_US + MINUTE_US + 1)])
    assert [Refusal.PRICE_UNAVAILABLE] == refusals(made.step([withdrawal("a", "USD", 1, 3)]))


def test_who_holds_no_position_and_owes_nothing_needs_no_price() -> None:
    made = MarginEngine()
    made.step([CollateralAssetListed(number, asset) for number, asset in enumerate(ASSETS)])
    batch: list[Event] = [deposit("a", "BTC", 2, 0), withdrawal("a", "BTC", 2, 1)]
    assert [None] == refusals(made.step(batch))
    assert {} == held(made, "a").balances


def test_account_in_liquidation_keeps_its_collateral() -> None:
    made = funded(fill("a", "BTC-PERP", 8, 20_000, 0))
    assert MarginStatus.LIQUIDATING is held(made, "a").status
    assert [Refusal.ACCOUNT_IN_LIQUIDATION] == refusals(made.step([withdrawal("a", "USD", 1, 2)]))


def test_refusals_have_precedence() -> None:
    made = funded(fill("a", "BTC-PERP", 8, 20_000, 0))
    made.step([mark("ETH-PERP", 1_500, 50, START_US + 2 * MINUTE_US)])
    batch: list[Event] = [withdrawal("a", "USD", 10**6, 2), withdrawal("a", "USD", 1, 3)]
    assert [Refusal.INSUFFICIENT_BALANCE, Refusal.PRICE_UNAVAILABLE] == refusals(made.step(batch))


def test_transfer_leaves_at_once_and_arrives_as_a_credit_once() -> None:
    made = funded()
    result = made.step([transfer("a", "b", "USD", 400, 2), transfer("a", "b", "USD", 11_000, 3)])
    credits = [(owner, command) for owner, command in result.commands if isinstance(command, TransferCredit)]
    assert [None, Refusal.INSUFFICIENT_BALANCE] == refusals(result)
    ((owner, credit),) = credits
    assert ("a", "b", "a", 1, e8(400)) == (
        owner,
        credit.account,
        credit.payer,
        credit.transfer_sequence,
        credit.amount_e8,
    )
    arrived = [transfer_credit("b", "a", "USD", 400, offset, 1) for offset in (0, 1)]
    assert ["applied", "duplicate"] == fates(made.step(arrived))
    assert (e8(9_600), e8(400)) == (held(made, "a").balances["USD"], held(made, "b").balances["USD"])


# Settlement.


def settled(result: StepResult) -> list[tuple[str, str, int]]:
    return [
        (account, command.instrument, command.cash_e8)
        for account, command in result.commands
        if isinstance(command, PositionSettled)
    ]


def test_settlement_turns_every_position_into_cash_once() -> None:
    made = engine()
    made.step([deposit(account, "USD", 50_000, number) for number, account in enumerate("ab")])
    made.step([fill("b", "BTC-FUTURE", -1, 20_000, 0), fill("a", "BTC-FUTURE", 1, 20_000, 0)])
    final = settlement("BTC-FUTURE", 21_000, 4)
    result = made.step([final])
    assert [("a", "BTC-FUTURE", e8(1_000)), ("b", "BTC-FUTURE", e8(-1_000))] == settled(result)
    assert ("a", "b") == result.touched
    assert (e8(51_000), e8(49_000)) == (held(made, "a").balances["USD"], held(made, "b").balances["USD"])
    again = made.step([final])
    assert (["duplicate"], (), ()) == (fates(again), again.commands, again.touched)


def test_settlement_finds_positions_opened_earlier_in_its_batch() -> None:
    made = engine()
    result = made.step([fill("a", "BTC-CALL", 2, 300, 0), settlement("BTC-CALL", 23_000)])
    assert [("a", "BTC-CALL", e8(2_000))] == settled(result)


def test_late_fill_of_a_settled_instrument_is_settled_at_once() -> None:
    made = engine()
    made.step([settlement("BTC-FUTURE", 21_000, 4), deposit("a", "USD", 100, 0)])
    late = fill("a", "BTC-FUTURE", 1, 20_000, 0, fee=1, time_us=EXPIRY_US - 1)
    result = made.step([late, fill("a", "BTC-FUTURE", 1, 20_000, 1, time_us=EXPIRY_US)])
    assert ["applied", "instrument_expired"] == fates(result)
    assert [("a", "BTC-FUTURE", e8(1_000))] == settled(result)
    assert ({"USD": e8(1_099)}, {}) == (held(made, "a").balances, held(made, "a").positions)


def test_account_adopted_after_a_settlement_is_settled_at_the_next_step() -> None:
    made = engine()
    made.step([settlement("BTC-FUTURE", 21_000, 4)])
    made.load(AccountBook("a", positions={"BTC-FUTURE": Position(e8(1), e8(20_000), 0)}))
    result = made.step([])
    assert ([("a", "BTC-FUTURE", e8(1_000))], ("a",)) == (settled(result), result.touched)


def test_settlement_that_would_overflow_a_book_is_rejected_and_changes_none() -> None:
    made = engine()
    made.step([deposit("a", "USD", 90_000_000_000, 0), fill("a", "BTC-FUTURE", 10_000, 20_000, 0)])
    made.step([fill("b", "BTC-FUTURE", 1, 20_000, 0)])
    result = made.step([settlement("BTC-FUTURE", 90_000_000_000)])
    assert ["amount_out_of_range"] == fates(result)
    assert {"BTC-FUTURE"} == set(held(made, "a").positions) == set(held(made, "b").positions)
    assert ["applied"] == fates(made.step([settlement("BTC-FUTURE", 20_000, 1)]))


# Snapshots and adoption.


def test_snapshots_are_taken_when_time_enters_a_new_interval() -> None:
    made = engine(parameters(snapshot_interval_us=MINUTE_US))
    entry = START_US // MINUTE_US * MINUTE_US + MINUTE_US
    made.step([deposit(account, "USD", 10_000, number) for number, account in enumerate("ba")])
    made.step([fill("a", "BTC-PERP", 1, 20_000, 0)])
    assert () == made.step([mark("BTC", 20_000, 50, entry - 1)]).snapshots
    snapshots = made.step([mark("BTC", 20_000, 51, entry)]).snapshots
    assert ["a", "b"] == [snapshot.account for snapshot in snapshots]
    assert (10_000.0, 1.0) == (snapshots[0].figures.equity, snapshots[0].greeks["BTC"]["delta"])
    assert () == made.step([mark("BTC", 20_000, 52, entry + 1)]).snapshots


def test_first_mark_of_all_enters_no_interval() -> None:
    made = MarginEngine()
    made.step([*reference(), deposit("a", "USD", 1, 0)])
    assert () == made.step(marks()).snapshots


def test_account_that_is_not_priced_has_no_snapshot() -> None:
    made = engine(parameters(snapshot_interval_us=1))
    made.load(AccountBook("a", positions={"NONE": Position(1, 1, 0)}))
    made.step([deposit("b", "USD", 1, 0)])
    assert ["b"] == [snapshot.account for snapshot in made.step([mark("BTC", 20_000, 50, START_US + 1)]).snapshots]


def test_adopted_account_goes_on_where_it_stood() -> None:
    first, second = funded(fill("a", "BTC-PERP", 1, 20_000, 0)), engine()
    second.load(deepcopy(held(first, "a")))
    first.drop(["a", "never seen"])
    assert [] == list(first.accounts())
    assert () == second.step([]).commands
    assert ["duplicate", "applied"] == fates(
        second.step([fill("a", "BTC-PERP", 1, 20_000, 0), fill("a", "BTC-PERP", 1, 20_000, 1)])
    )
    assert ["a"] == list(second.accounts())


def test_account_is_loaded_once() -> None:
    made = funded()
    with pytest.raises(InvariantBroken):
        made.load(AccountBook("a"))


def test_account_loaded_before_its_instrument_is_listed_is_judged_when_it_is() -> None:
    made = MarginEngine()
    made.step([event for event in reference() if event != InstrumentListed(6, FUTURE)])
    made.load(AccountBook("a", balances={"USD": 1}, positions={"BTC-FUTURE": Position(e8(1), e8(20_100), 0)}))
    assert () == made.step(marks()).commands
    assert InstrumentListed(6, FUTURE) in reference()
    made.step([InstrumentListed(6, FUTURE)])
    assert MarginStatus.BACKSTOP is held(made, "a").status


def test_nobody_is_judged_before_parameters_are_in_force() -> None:
    made = MarginEngine()
    made.step([*reference(parameters(effective_us=START_US + 1)), *marks()])
    assert () == made.step([fill("a", "BTC-PERP", 1, 20_000, 0)]).commands
    assert made.parameters is None
    made.step([mark("USDC", 1, 50, START_US + 1)])
    assert MarginStatus.BACKSTOP is held(made, "a").status
    assert made.parameters is not None


def test_a_step_that_must_not_judge_leaves_the_breach_to_the_next_that_does() -> None:
    made = engine()
    made.step([deposit("a", "USD", 1_000, 0)])
    unjudged = made.step([fill("a", "BTC-PERP", 10, 20_000, 0)], judge=False)
    assert ("applied", ()) == (fates(unjudged)[0], unjudged.commands)
    assert MarginStatus.HEALTHY is held(made, "a").status
    assert made.step(()).commands
    assert MarginStatus.LIQUIDATING is held(made, "a").status


# Gap-at-risk.


def test_gap_at_risk_follows_a_whole_sweep_shard_by_shard_however_it_is_cut() -> None:
    layers = (GapLayer("fund", e8(1_000)),)
    settings = parameters(snapshot_interval_us=MINUTE_US, gap=GapPolicy(layers=layers))
    entry = START_US // MINUTE_US * MINUTE_US + MINUTE_US
    found = []
    for slices in (None, 1, 2):
        made = engine(settings)
        for number, account in enumerate("abc"):
            made.load(
                AccountBook(account, {"USD": e8(5_000)}, {"BTC-PERP": Position(e8(1), e8(20_000), 0)}), number % 2
            )
        first = made.step([mark("BTC", 20_000, 50, entry)], sweep_max=slices)
        gaps = list(first.gaps)
        while slices and not gaps:
            gaps += made.step((), sweep_max=slices).gaps
        found.append(gaps)
        assert () == made.step((), sweep_max=slices).gaps
    assert found[0] == found[1] == found[2]
    even, odd = found[0]
    assert (0, 2, 0, layers) == (even.shard, even.accounts, even.unpriced, even.layers)
    assert (1, 1) == (odd.shard, odd.accounts)
    worst = {each.jump: each for each in even.jumps}["all -30%"]
    assert (2_000.0, 2, (1_000.0, 1_000.0)) == (worst.total, worst.accounts, worst.largest)
    assert 0.0 == {each.jump: each for each in odd.jumps}["all +50%"].total


def test_a_sweep_that_gives_way_reports_no_gap_at_risk_and_without_jumps_there_is_none() -> None:
    settings = parameters(snapshot_interval_us=MINUTE_US)
    entry = START_US // MINUTE_US * MINUTE_US + MINUTE_US
    made = engine(settings)
    made.step([deposit(account, "USD", 10_000, number) for number, account in enumerate("abc")])
    assert () == made.step([mark("BTC", 20_000, 50, entry)], sweep_max=2).gaps
    assert () == made.step([mark("BTC", 20_000, 51, entry + MINUTE_US)], sweep_max=2).gaps
    (whole,) = made.step((), sweep_max=2).gaps
    assert (3, entry + MINUTE_US) == (whole.accounts, whole.versions.time_us)
    none = engine(parameters(snapshot_interval_us=MINUTE_US, gap=GapPolicy(jumps=())))
    none.step([deposit("a", "USD", 10_000, 0)])
    assert () == none.step([mark("BTC", 20_000, 50, entry)]).gaps


def test_profit_that_is_not_realized_stays_when_the_parameters_say_so() -> None:
    """A bitcoin bought at 10,000 and worth 20,000: 10,000 of profit on 5,000 of dollars."""
    for allowed, refusal in ((True, None), (False, "below_initial_margin")):
        made = engine(parameters(gap=GapPolicy(profit_withdrawals=allowed)))
        made.step([deposit("a", "USD", 5_000, 0), fill("a", "BTC-PERP", 1, 10_000, 0)])
        assert [refusal] == refusals(made.step([withdrawal("a", "USD", 3_000, 1)]))
