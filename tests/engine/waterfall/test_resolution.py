"""A loss through the whole waterfall: nothing lost, nothing twice, and the same again when repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.waterfall.fund import EntryKind, FundEntry, InsuranceFund, book, check
from engine.waterfall.layers import Layer, LayerKind, Waterfall
from engine.waterfall.resolution import Loss, lots_by_layer, resolve

VENUE = Waterfall(
    (
        Layer("fund", LayerKind.INSURANCE_FUND, 0),
        Layer("makers", LayerKind.BACKSTOP, 30),
        Layer("adl", LayerKind.DELEVERAGING, 20),
        Layer("rest", LayerKind.LOSS_ALLOCATION, None),
    )
)


def fund_of(amount: int) -> InsuranceFund:
    return book(InsuranceFund(), FundEntry("start", "USDC", EntryKind.TOP_UP, amount))[0]


def test_the_fund_pays_first_and_winners_last() -> None:
    result = resolve(Loss("case", "USDC", 180), VENUE, fund_of(100), {"a": 40, "b": 10, "c": -5})
    assert dict(result.allocation.parts_e8) == {"fund": 100, "makers": 30, "adl": 20, "rest": 30}
    assert result.shares.parts_e8 == (("a", 24), ("b", 6))
    assert (result.unpaid_e8, result.fund.balance_e8("USDC")) == (0, 0)
    assert lots_by_layer(result.allocation, (18, -180)) == {
        "fund": (10, -100), "makers": (3, -30), "adl": (2, -20), "rest": (3, -30),
    }  # fmt: skip


def test_what_winners_cannot_pay_is_named() -> None:
    result = resolve(Loss("case", "USDC", 180), VENUE, fund_of(100), {"a": 40}, 500_000)
    assert (result.shares.parts_e8, result.unpaid_e8) == ((("a", 20),), 10)


def test_a_case_resolved_again_moves_nothing() -> None:
    loss, profits = Loss("case", "USDC", 180), {"a": 40}
    first = resolve(loss, VENUE, fund_of(100), profits)
    later, _ = book(first.fund, FundEntry("top-up", "USDC", EntryKind.TOP_UP, 500))
    again = resolve(loss, VENUE, later, profits)
    assert again.allocation == first.allocation
    assert again.fund.balance_e8("USDC") == 500
    broke = resolve(loss, VENUE, InsuranceFund(), profits)
    richer, _ = book(broke.fund, FundEntry("top-up", "USDC", EntryKind.TOP_UP, 500))
    assert resolve(loss, VENUE, richer, profits).allocation == broke.allocation
    assert resolve(Loss("other", "USDC", 180), VENUE, later, profits).fund.balance_e8("USDC") == 320


def test_impossible_cases_are_refused() -> None:
    with pytest.raises(InvalidReference):
        Loss("case", "USDC", 0)
    twice = Waterfall((VENUE.layers[0], Layer("second", LayerKind.INSURANCE_FUND, 1)))
    with pytest.raises(InvalidReference, match="two layers"):
        resolve(Loss("case", "USDC", 1), twice, fund_of(1), {})


@given(
    amount=st.integers(1, 10**12),
    held=st.integers(1, 10**12),
    capacities=st.tuples(st.integers(0, 10**11), st.integers(0, 10**11)),
    unlimited=st.booleans(),
    profits=st.dictionaries(st.text("abc", min_size=1, max_size=2), st.integers(-(10**9), 10**11), max_size=4),
    lots=st.lists(st.integers(-(10**9), 10**9), max_size=3),
)
def test_every_unit_of_a_loss_has_one_bearer(
    amount: int, held: int, capacities: tuple[int, int], unlimited: bool, profits: dict[str, int], lots: list[int]
) -> None:
    layers = (
        VENUE.layers[0],
        Layer("makers", LayerKind.BACKSTOP, capacities[0]),
        Layer("adl", LayerKind.DELEVERAGING, capacities[1]),
    )
    waterfall = Waterfall((*layers, VENUE.layers[3])) if unlimited else Waterfall(layers)
    result = resolve(Loss("case", "USDC", amount), waterfall, fund_of(held), profits)
    check(result.fund)
    parts = dict(result.allocation.parts_e8)
    borne = sum(part for name, part in parts.items() if name != "rest") + sum(p for _, p in result.shares.parts_e8)
    assert borne + result.unpaid_e8 == amount
    assert held - result.fund.balance_e8("USDC") == parts["fund"] == min(held, amount)
    taken = lots_by_layer(result.allocation, lots)
    if result.allocation.remaining_e8 == 0:
        assert [sum(each[at] for each in taken.values()) for at in range(len(lots))] == lots
    for name, part in parts.items():
        assert all(abs(moved * amount - whole * part) < amount for moved, whole in zip(taken[name], lots, strict=True))
