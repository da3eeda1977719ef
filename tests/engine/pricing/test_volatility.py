"""Surface look-up by hand and against its twin; shocks."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import VolatilityNode
from engine.pricing.volatility import implied_volatility, volatility_shock, volatility_surface
from tests.reference import margin as twin

NODES = (
    VolatilityNode(10.0, -0.2, 0.9),
    VolatilityNode(10.0, 0.0, 0.6),
    VolatilityNode(10.0, 0.2, 0.8),
    VolatilityNode(40.0, 0.0, 0.5),
)


def look_up(nodes: tuple[VolatilityNode, ...], tenor_days: float, log_moneyness: float) -> float:
    surface = volatility_surface(nodes)
    assert surface is not None
    return float(implied_volatility(surface, np.array([tenor_days]), np.array([log_moneyness]))[0])


@pytest.mark.parametrize(
    ("tenor_days", "log_moneyness", "expected"),
    [
        (10.0, 0.0, 0.6),  # on a node
        (40.0, 0.0, 0.5),
        (10.0, -0.1, 0.75),  # halfway in log-moneyness
        (10.0, 0.05, 0.65),
        (10.0, -3.0, 0.9),  # flat in the wings
        (10.0, 3.0, 0.8),
        (1.0, 0.0, 0.6),  # flat before the first tenor
        (0.0, 0.0, 0.6),
        (400.0, 0.0, 0.5),  # flat after the last
        (20.0, 0.0, np.sqrt((0.36 * 10 + (0.25 * 40 - 0.36 * 10) / 3) / 20)),  # a third of the way in variance
    ],
)
def test_look_up_by_hand(tenor_days: float, log_moneyness: float, expected: float) -> None:
    assert abs(look_up(NODES, tenor_days, log_moneyness) - expected) <= 1e-15


def test_surface_of_no_nodes_is_none() -> None:
    assert volatility_surface(()) is None


def test_one_node_is_flat_everywhere() -> None:
    node = (VolatilityNode(30.0, 0.1, 0.7),)
    assert {0.7} == {look_up(node, tenor, moneyness) for tenor in (0.0, 30.0, 900.0) for moneyness in (-2.0, 0.1, 2.0)}


def test_order_of_nodes_means_nothing() -> None:
    shuffled = list(NODES)
    random.Random(7).shuffle(shuffled)
    assert look_up(NODES, 17.0, 0.07) == look_up(tuple(shuffled), 17.0, 0.07)


def test_tenor_zero_node_divides_by_nothing() -> None:
    nodes = (VolatilityNode(0.0, 0.0, 0.9), VolatilityNode(30.0, 0.0, 0.6))
    assert 0.9 == look_up(nodes, 0.0, 0.0)
    assert abs(look_up(nodes, 10.0, 0.0) - 0.6) <= 1e-15


@given(
    nodes=st.lists(
        st.builds(
            VolatilityNode,
            tenor_days=st.sampled_from([1.0, 7.0, 30.0, 91.0, 365.0]),
            log_moneyness=st.sampled_from([-0.5, -0.25, 0.0, 0.125, 0.5]),
            volatility=st.floats(0.05, 3.0),
        ),
        min_size=1,
        max_size=12,
        unique_by=lambda node: (node.tenor_days, node.log_moneyness),
    ),
    tenor_days=st.floats(0.0, 800.0),
    log_moneyness=st.floats(-1.0, 1.0),
)
def test_look_up_agrees_with_twin(nodes: list[VolatilityNode], tenor_days: float, log_moneyness: float) -> None:
    slow = twin.implied_volatility(tuple(nodes), tenor_days, log_moneyness)
    assert abs(look_up(tuple(nodes), tenor_days, log_moneyness) - slow) <= 1e-12 * slow


def test_shock_is_as_stated_at_thirty_days_and_floored_at_one() -> None:
    tenors = np.array([30.0, 1.0, 0.0, 120.0])
    up, down = volatility_shock(tenors, np.full(4, 0.5), np.full(4, 0.25), np.full(4, 0.5))
    assert [1.5, 1 + 0.5 * 30**0.5, 1 + 0.5 * 30**0.5, 1.25] == up.tolist()
    assert [0.75, 0.0, 0.0, 0.875] == down.tolist()  # 1 - 0.25 sqrt(30) is below zero
