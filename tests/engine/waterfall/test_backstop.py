"""Transfer to the backstop: slices of the same shape, limits, reasons, and the whole book accounted for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.units import E8
from engine.waterfall.backstop import BackstopRefusal, BookSlice, Participant, transfer


def test_slices_by_share_up_to_the_limit() -> None:
    result = transfer((1000, -400), -90 * E8, 100 * E8, [Participant("b", 1, 1000 * E8), Participant("a", 3, 30 * E8)])
    assert result.slices == (
        BookSlice("a", 30_000_000, (300, -120), -27 * E8, 30 * E8),
        BookSlice("b", 70_000_000, (700, -280), -63 * E8, 70 * E8),
    )
    assert (result.refused, result.left_lots, result.left_cash_e8) == ((), (0, 0), 0)


def test_reasons_and_what_stays() -> None:
    result = transfer(
        (10,),
        7,
        100 * E8,
        [
            Participant("full", 1, 5 * E8, 5 * E8),
            Participant("none", 0, 500 * E8),
            Participant("out", 1, 500 * E8, suspended=True),
            Participant("small", 1, 4 * E8),
            Participant("taker", 1, 50 * E8),
        ],
        min_fraction_e8=E8 // 20,
    )
    assert dict(result.refused) == {
        "full": BackstopRefusal.LIMIT_USED,
        "none": BackstopRefusal.NO_SHARE,
        "out": BackstopRefusal.SUSPENDED,
        "small": BackstopRefusal.BELOW_MINIMUM,
    }
    assert [(each.participant, each.lots, each.cash_e8) for each in result.slices] == [("taker", (5,), 4)]
    assert (result.left_lots, result.left_cash_e8) == ((5,), 3)


def test_impossible_transfers_are_refused() -> None:
    with pytest.raises(InvalidReference):
        transfer((1,), 0, 0, [])
    with pytest.raises(InvalidReference, match="twice"):
        transfer((1,), 0, 1, [Participant("a", 1, 1), Participant("a", 1, 1)])
    with pytest.raises(InvalidReference):
        Participant("a", -1, 1)


PARTICIPANTS = st.lists(
    st.builds(
        Participant,
        name=st.text("abc", min_size=1, max_size=3),
        share=st.integers(0, 100),
        risk_limit_e8=st.integers(0, 10**12),
        risk_used_e8=st.integers(0, 10**11),
        suspended=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda each: each.name,
)


@given(
    lots=st.lists(st.integers(-(10**9), 10**9), max_size=4),
    cash=st.integers(-(10**14), 10**14),
    risk=st.integers(1, 10**12),
    participants=PARTICIPANTS,
    data=st.data(),
)
def test_the_book_is_the_sum_of_its_slices(
    lots: list[int], cash: int, risk: int, participants: list[Participant], data: st.DataObject
) -> None:
    result = transfer(lots, cash, risk, participants)
    for at, held in enumerate(lots):
        assert sum(each.lots[at] for each in result.slices) + result.left_lots[at] == held
        for each in result.slices:
            assert abs(each.lots[at] * E8 - held * each.fraction_e8) < E8
    assert sum(each.cash_e8 for each in result.slices) + result.left_cash_e8 == cash
    free = {each.name: each.risk_limit_e8 - each.risk_used_e8 for each in participants}
    assert all(each.risk_e8 <= free[each.participant] for each in result.slices)
    assert {each.participant for each in result.slices}.isdisjoint(name for name, _ in result.refused)
    assert result == transfer(lots, cash, risk, data.draw(st.permutations(participants)))
