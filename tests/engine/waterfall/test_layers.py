"""The waterfall: nothing lost, nothing twice, in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.waterfall.layers import (
    Layer,
    LayerKind,
    Waterfall,
    allocate,
    allocate_each,
    spent,
    with_capacities,
)

VENUE = Waterfall(
    (
        Layer("equity", LayerKind.OWN_EQUITY, 10),
        Layer("fund", LayerKind.INSURANCE_FUND, 100),
        Layer("capital", LayerKind.VENUE_CAPITAL, 50),
        Layer("makers", LayerKind.BACKSTOP, 30),
        Layer("adl", LayerKind.DELEVERAGING, 200),
        Layer("rest", LayerKind.LOSS_ALLOCATION, None),
    )
)


def test_layers_fill_in_order() -> None:
    allocation = allocate(VENUE, 175)
    assert dict(allocation.parts_e8) == {"equity": 10, "fund": 100, "capital": 50, "makers": 15, "adl": 0, "rest": 0}
    assert allocation.remaining_e8 == 0
    assert dict(allocate(VENUE, 1_000).parts_e8)["rest"] == 610


def test_only_layers_before_innocent_customers_are_a_guarantee() -> None:
    assert VENUE.guaranteed_e8() == 180


def test_what_no_layer_takes_is_returned() -> None:
    short = Waterfall(VENUE.layers[:3])
    assert allocate(short, 200).remaining_e8 == 40
    assert allocate(spent(short, allocate(short, 200)), 7).remaining_e8 == 7


def test_capacities_follow_the_day() -> None:
    assert allocate(with_capacities(VENUE, {"fund": 0}), 20).parts_e8[:3] == (
        ("equity", 10),
        ("fund", 0),
        ("capital", 10),
    )
    with pytest.raises(InvalidReference, match="nobody"):
        with_capacities(VENUE, {"nobody": 1})


@pytest.mark.parametrize(
    "layers",
    [
        (VENUE.layers[0], VENUE.layers[0]),
        (VENUE.layers[-1], VENUE.layers[0]),
    ],
    ids=["twice", "behind an unlimited one"],
)
def test_impossible_orders_are_refused(layers: tuple[Layer, ...]) -> None:
    with pytest.raises(InvalidReference):
        Waterfall(layers)
    with pytest.raises(InvalidReference):
        allocate(VENUE, -1)
    with pytest.raises(InvalidReference):
        Layer("fund", LayerKind.INSURANCE_FUND, -1)


CAPACITIES = st.lists(st.integers(0, 10**9), min_size=1, max_size=6)


@given(capacities=CAPACITIES, losses=st.lists(st.integers(0, 10**9), max_size=5))
def test_losses_in_parts_fill_as_their_sum_does(capacities: list[int], losses: list[int]) -> None:
    waterfall = Waterfall(
        tuple(Layer(str(number), LayerKind.BACKSTOP, capacity) for number, capacity in enumerate(capacities))
    )
    left, allocations = allocate_each(waterfall, losses)
    for allocation, loss in zip(allocations, losses, strict=True):
        assert sum(part for _, part in allocation.parts_e8) + allocation.remaining_e8 == loss
    at_once = allocate(waterfall, sum(losses))
    assert spent(waterfall, at_once) == left
    assert sum(allocation.remaining_e8 for allocation in allocations) == at_once.remaining_e8
