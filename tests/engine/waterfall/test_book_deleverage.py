"""Deleveraging a book of several instruments: pairs shrink together, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.waterfall.book_deleverage import BookDeleveraging, BookLeg, Counterparty, deleverage_book
from engine.waterfall.deleverage import Stage

PAIR = (BookLeg("A", 100, 2), BookLeg("B", 100, 3))


def party(
    account: str, lots: tuple[int, ...], reliefs: tuple[int, ...], relief: int = 0, profit: int = 10**6,
    equity: int = 10**6, maintenance: int = 0,
) -> Counterparty:  # fmt: skip
    return Counterparty(account, lots, reliefs, relief, profit, equity, maintenance)


def lots_of(result: BookDeleveraging, account: str) -> dict[str, int]:
    lots = {instrument: 0 for instrument, _ in result.remaining}
    for each in result.reductions:
        if each.account == account:
            lots[each.instrument] += each.lots
    return lots


def test_hedged_pairs_shrink_together() -> None:
    # two hedged books that could take all of it alone, and outright holders of one leg each
    parties = [
        party("hedged1", (150, 150), (-50, -50)),
        party("hedged2", (50, 50), (-50, -50)),
        party("outrightA", (200, 0), (10, 0), 2_000),
        party("outrightB", (0, 200), (0, 10), 2_000),
    ]
    result = deleverage_book(PAIR, parties)
    assert lots_of(result, "hedged1") == {"A": 38, "B": 38}  # 37.5 by largest remainder, then by name
    assert lots_of(result, "hedged2") == {"A": 12, "B": 12}
    assert lots_of(result, "outrightA") == {"A": 50, "B": 0}
    assert {each.stage for each in result.reductions} == {Stage.WINNER}
    assert all(each.together for each in result.reductions)
    assert result.remaining == (("A", 0), ("B", 0))


def test_a_pair_is_left_alone_when_its_other_leg_is_absorbed() -> None:
    # B is small: after it is absorbed, the rest of A goes to the outright holder, not to the hedged book
    legs = (BookLeg("A", 100, 2), BookLeg("B", 10, 3))
    result = deleverage_book(legs, [party("hedged", (100, 100), (-50, -50)), party("outright", (300, 0), (10, 0))])
    assert lots_of(result, "hedged") == {"A": 10, "B": 10}
    assert lots_of(result, "outright") == {"A": 90, "B": 0}


def test_hedges_are_broken_when_nobody_else_is_there() -> None:
    legs = (BookLeg("A", 100, 2), BookLeg("B", 10, 3))
    result = deleverage_book(legs, [party("hedged", (100, 100), (-50, -50))])
    assert lots_of(result, "hedged") == {"A": 100, "B": 10}
    assert [(each.lots, each.stage, each.together) for each in result.reductions] == [
        (10, Stage.WINNER, True), (10, Stage.WINNER, True), (90, Stage.HEDGE, False),
    ]  # fmt: skip


def test_pairs_are_spent_where_outright_holders_do_not_suffice() -> None:
    # the outright holder of A alone could fill A, but B needs the pairs: they close first, and whole
    legs = (BookLeg("A", 100, 2), BookLeg("B", 80, 3))
    parties = [
        party("hedged", (100, 100), (-50, -50)),
        party("outrightA", (1000, 0), (10, 0), 10_000),
        party("outrightB", (0, 10), (0, 10), 100),
    ]
    result = deleverage_book(legs, parties)
    assert Stage.HEDGE not in {each.stage for each in result.reductions}
    hedged = lots_of(result, "hedged")
    assert hedged["A"] == hedged["B"] >= 70
    assert result.remaining == (("A", 0), ("B", 0))


def test_winners_come_before_the_others() -> None:
    parties = [party("winner", (50, 0), (0, 0)), party("loser", (500, 0), (0, 0), profit=-1)]
    result = deleverage_book((BookLeg("A", 100, 2),), [_first_leg(each) for each in parties])
    assert lots_of(result, "winner") == {"A": 50}
    assert lots_of(result, "loser") == {"A": 50}


def _first_leg(each: Counterparty) -> Counterparty:
    return Counterparty(
        each.account, each.lots[:1], each.reliefs_per_lot_e8[:1], each.relief_e8, each.profit_e8, each.equity_e8,
        each.maintenance_e8,
    )  # fmt: skip


def test_rounds_follow_what_earlier_ones_left_of_the_margin() -> None:
    # 200 to spare, and each lot costs 10 and frees 5: 40 lots, 9 of them within the profit, then down to no equity
    one = Counterparty("a", (100,), (5,), 500, 100, 1_000, 800)
    result = deleverage_book((BookLeg("A", 100, 10),), [one])
    lots = {stage: sum(each.lots for each in result.reductions if each.stage is stage) for stage in Stage}
    assert lots == {Stage.WINNER: 9, Stage.SOUND: 31, Stage.HEDGE: 0, Stage.SOLVENT: 60}


def test_books_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidReference, match="twice"):
        deleverage_book((PAIR[0], PAIR[0]), [])
    with pytest.raises(InvalidReference, match="twice"):
        deleverage_book(PAIR, [party("a", (1, 1), (0, 0)), party("a", (1, 1), (0, 0))])
    with pytest.raises(InvalidReference, match="fit"):
        deleverage_book(PAIR, [party("a", (1,), (0,))])
    with pytest.raises(InvalidReference):
        BookLeg("A", 0, 1)


LEGS = st.integers(1, 3).flatmap(
    lambda count: st.tuples(
        st.tuples(*[st.builds(BookLeg, st.just(name), st.integers(1, 10**5), st.integers(-1000, 1000))
                    for name in "ABC"[:count]]),
        st.lists(
            st.builds(
                Counterparty,
                account=st.text("abcdef", min_size=1, max_size=4),
                lots=st.tuples(*[st.integers(0, 10**5)] * count),
                reliefs_per_lot_e8=st.tuples(*[st.integers(-1000, 1000)] * count),
                relief_e8=st.integers(-(10**4), 10**8),
                profit_e8=st.integers(-(10**8), 10**8),
                equity_e8=st.integers(-(10**4), 10**8),
                maintenance_e8=st.integers(0, 10**8),
            ),
            max_size=6,
            unique_by=lambda each: each.account,
        ),
    )
)  # fmt: skip


@given(event=LEGS, data=st.data())
def test_exact_solvent_and_independent_of_order(
    event: tuple[tuple[BookLeg, ...], list[Counterparty]], data: st.DataObject
) -> None:
    legs, parties = event
    result = deleverage_book(legs, parties)
    for leg, (name, left) in zip(legs, result.remaining, strict=True):
        assert sum(each.lots for each in result.reductions if each.instrument == name) + left == leg.lots
    for each in parties:
        mine = [part for part in result.reductions if part.account == each.account]
        lots = lots_of(result, each.account)
        assert all(lots[leg.instrument] <= held for leg, held in zip(legs, each.lots, strict=True))
        assert not mine or each.equity_e8 - sum(part.haircut_e8 for part in mine) >= 0
    assert result == deleverage_book(legs, data.draw(st.permutations(parties)))


@given(event=LEGS)
def test_slices_keep_the_shape_of_a_book_to_a_lot_each(event: tuple[tuple[BookLeg, ...], list[Counterparty]]) -> None:
    legs, parties = event
    result = deleverage_book(
        legs, [each for each in parties if each.profit_e8 <= 0]
    )  # two slices: beyond outright, sound
    for each in parties:
        closed = {
            part.instrument: part.lots for part in result.reductions if part.account == each.account and part.together
        }
        rows = [(closed.get(leg.instrument, 0), held) for leg, held in zip(legs, each.lots, strict=True) if held]
        low = max(((part - 2) / held for part, held in rows), default=0.0)
        high = min(((part + 2) / held for part, held in rows), default=0.0)
        assert low <= high
