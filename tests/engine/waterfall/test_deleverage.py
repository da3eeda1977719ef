"""Deleveraging one instrument: stages by hand, and what must hold for any candidates."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.waterfall.deleverage import Candidate, Deleveraging, Stage, Weighting, deleverage, lot_limit


def candidate(
    account: str, lots: int, profit: int = 0, equity: int = 10_000, mm: int = 0, relief: int = 0
) -> Candidate:
    return Candidate(account, lots, profit, equity, mm, relief)


def closed(result: Deleveraging) -> dict[tuple[str, Stage], int]:
    return {(each.account, each.stage): each.lots for each in result.reductions}


def test_winners_give_the_same_share_of_their_profit() -> None:
    winners = [candidate("a", 100, 300), candidate("b", 100, 100), candidate("c", 5, 400)]
    result = deleverage(25, 1, 10, winners)
    # c is full at 5; the other 20 in proportion 3 : 1
    assert closed(result) == {("a", Stage.WINNER): 15, ("b", Stage.WINNER): 5, ("c", Stage.WINNER): 5}
    assert (result.haircut_e8(), result.remaining_lots) == (250, 0)
    by_position = deleverage(20, 1, 10, winners[:2], Weighting.POSITION)
    assert closed(by_position) == {("a", Stage.WINNER): 10, ("b", Stage.WINNER): 10}


def test_hedges_are_broken_last_but_before_anybody_falls_below_maintenance() -> None:
    candidates = [
        candidate("hedged", 50, 5_000, 10_000, 1_000, -50),
        candidate("loser", 10, -500, 10_000, 1_000, 20),
        candidate("weak", 10, 5_000, 1_050, 1_000, 0),
        candidate("winner", 10, 5_000, 10_000, 1_000, 20),
    ]
    result = deleverage(100, 1, 10, candidates)
    assert closed(result) == {
        ("weak", Stage.WINNER): 5,
        ("winner", Stage.WINNER): 10,
        ("loser", Stage.SOUND): 10,
        ("hedged", Stage.HEDGE): 50,
        ("weak", Stage.SOLVENT): 5,
    }
    assert result.remaining_lots == 20


def test_hedges_are_broken_where_that_costs_least() -> None:
    hedges = [candidate("a", 10, relief=-30), candidate("b", 10, relief=-20), candidate("c", 10, relief=-20)]
    assert closed(deleverage(15, 1, 10, hedges)) == {("b", Stage.HEDGE): 10, ("c", Stage.HEDGE): 5}


def test_a_winner_loses_no_more_than_its_profit_while_others_can_pay() -> None:
    result = deleverage(30, 1, 10, [candidate("a", 100, 105), candidate("b", 100, 0)])
    assert closed(result) == {("a", Stage.WINNER): 10, ("a", Stage.SOUND): 10, ("b", Stage.SOUND): 10}


def test_the_insolvent_are_never_used() -> None:
    result = deleverage(5, 1, -10, [candidate("a", 100, 10, -1)])
    assert (result.reductions, result.remaining_lots) == ((), 5)


def test_a_price_better_than_mark_needs_no_limit() -> None:
    result = deleverage(100, 1, -10, [candidate("a", 100, 1, 10_000, 9_999)])
    assert closed(result) == {("a", Stage.WINNER): 100}
    assert result.haircut_e8() == -1_000


def test_quantities_between_lots_are_rounded_up() -> None:
    result = deleverage(25, 10, 1, [candidate("a", 100, 300)])
    assert (result.closed_lots, result.overshoot_e8) == (3, 5)


@pytest.mark.parametrize("quantity, lot", [(0, 1), (1, 0)])
def test_impossible_events_are_refused(quantity: int, lot: int) -> None:
    with pytest.raises(InvalidReference):
        deleverage(quantity, lot, 1, [])
    with pytest.raises(InvalidReference, match="twice"):
        deleverage(1, 1, 1, [candidate("a", 1), candidate("a", 1)])
    with pytest.raises(InvalidReference):
        candidate("a", 0)


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        account=st.text("abcdef", min_size=1, max_size=4),
        lots=st.integers(1, 10**6),
        profit_e8=st.integers(-(10**12), 10**12),
        equity_e8=st.integers(-(10**10), 10**12),
        maintenance_e8=st.integers(0, 10**12),
        relief_per_lot_e8=st.integers(-(10**6), 10**6),
    ),
    max_size=8,
    unique_by=lambda each: each.account,
)
EVENT = {
    "quantity": st.integers(1, 10**7),
    "lot": st.sampled_from((1, 10, 1000)),
    "haircut": st.integers(-(10**6), 10**6),
}


@given(candidates=CANDIDATES, **EVENT)
def test_nothing_is_lost_and_nobody_is_closed_beyond_its_position(
    candidates: list[Candidate], quantity: int, lot: int, haircut: int
) -> None:
    result = deleverage(quantity, lot, haircut, candidates)
    lots = {each.account: 0 for each in candidates}
    for each in result.reductions:
        lots[each.account] += each.lots
        assert each.haircut_e8 == each.lots * haircut
    assert sum(lots.values()) == result.closed_lots
    assert (result.closed_lots + result.remaining_lots) * lot - quantity == result.overshoot_e8
    assert 0 <= result.overshoot_e8 < lot
    assert all(lots[each.account] <= each.lots for each in candidates)


@given(candidates=CANDIDATES, **EVENT)
def test_the_solvent_stay_solvent_and_the_sound_stay_sound(
    candidates: list[Candidate], quantity: int, lot: int, haircut: int
) -> None:
    result = deleverage(quantity, lot, haircut, candidates)
    for each in candidates:
        mine = [part for part in result.reductions if part.account == each.account]
        total = sum(part.lots for part in mine)
        equity = each.equity_e8 - haircut * total
        assert not mine or equity >= 0
        if mine and all(part.stage is not Stage.SOLVENT for part in mine):
            assert equity >= each.maintenance_e8 - each.relief_per_lot_e8 * total


@given(candidates=CANDIDATES, **EVENT)
def test_a_stage_is_used_only_when_the_one_before_is_full(
    candidates: list[Candidate], quantity: int, lot: int, haircut: int
) -> None:
    result = deleverage(quantity, lot, haircut, candidates)
    order = list(Stage)
    if not result.reductions:
        return
    last = max(order.index(each.stage) for each in result.reductions)
    for earlier in order[:last]:
        allowed = order[: order.index(earlier) + 1]
        for each in candidates:
            used = sum(p.lots for p in result.reductions if p.account == each.account and p.stage in allowed)
            assert used >= lot_limit(each, earlier, haircut)


@given(
    lots=st.integers(1, 40),
    rows=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 50)), min_size=2, max_size=5),
)
def test_no_two_lots_moved_to_another_lower_the_weighted_haircut(lots: int, rows: list[tuple[int, int]]) -> None:
    # sum of lots^2 / profit over winners; two lots, because each part is within one of its exact share
    winners = [candidate(str(at), held, 10**6 * profit) for at, (held, profit) in enumerate(rows)]
    result = deleverage(lots, 1, 1, winners)
    parts = [0] * len(rows)
    for each in result.reductions:
        parts[int(each.account)] += each.lots
    for giver, (_, profit) in enumerate(rows):
        for taker, (held, other_profit) in enumerate(rows):
            if giver != taker and parts[giver] > 1 and parts[taker] < held:
                saved = Fraction(parts[giver] ** 2 - (parts[giver] - 2) ** 2, profit)
                added = Fraction((parts[taker] + 2) ** 2 - parts[taker] ** 2, other_profit)
                assert added >= saved


@given(candidates=CANDIDATES, data=st.data(), **EVENT)
def test_the_order_of_candidates_does_not_matter(
    candidates: list[Candidate], data: st.DataObject, quantity: int, lot: int, haircut: int
) -> None:
    shuffled = data.draw(st.permutations(candidates))
    assert deleverage(quantity, lot, haircut, candidates) == deleverage(quantity, lot, haircut, shuffled)
