"""The algebra of cascades, and that the simulator gives what can be solved on paper."""

from __future__ import annotations

from math import inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cascade.closed_forms import branching_ratio, ignition_floor, linear_move, square_root_move
from engine.cascade.impact import ImpactLaw
from engine.cascade.simulation import Market
from engine.errors import InvalidReference
from engine.risk.depth import Depth
from tests.engine.cascade.books import FREE, run, slope, uniform


@given(st.floats(1e-6, 1.0), st.floats(0.0, 0.95))
def test_a_linear_cascade_is_the_sum_of_its_rounds(outside: float, ratio: float) -> None:
    rounds = sum(outside * ratio**n for n in range(2_000))
    assert linear_move(outside, ratio) == pytest.approx(rounds, rel=1e-9)


def test_a_linear_cascade_explodes_from_one_on() -> None:
    assert inf == linear_move(0.01, branching_ratio(0.5, 2.0)) == linear_move(0.01, 1.5)
    assert 0.0 == linear_move(0.0, 1.5)


@given(st.floats(1e-4, 0.5), st.floats(0.0, 1.0))
def test_a_square_root_cascade_is_the_limit_of_its_rounds(outside: float, root: float) -> None:
    move = outside
    for _ in range(200):
        move = outside + root * sqrt(move)
    assert square_root_move(outside, root) == pytest.approx(move, rel=1e-9)


def test_the_square_root_has_a_floor_and_amplifies_small_shocks_most() -> None:
    root = 0.08 * sqrt(5.0)
    assert ignition_floor(root) == pytest.approx(0.032)
    assert square_root_move(1e-12, root) == pytest.approx(0.032, rel=1e-4)
    assert square_root_move(0.02, root) == pytest.approx(0.0661, abs=2e-4)
    assert square_root_move(0.10, root) == pytest.approx(0.175, abs=5e-4)


def test_sizes_are_not_signed() -> None:
    with pytest.raises(InvalidReference):
        linear_move(-0.01, 0.5)
    with pytest.raises(InvalidReference):
        square_root_move(0.01, -0.5)


@pytest.mark.parametrize(("ratio", "outside"), [(0.5, 0.02), (0.8, 0.01), (0.95, 0.005)])
def test_the_simulator_reproduces_the_linear_form(ratio: float, outside: float) -> None:
    market = Market((Depth(0.0, 0.0, 1.0),), ImpactLaw(decay_s=1e18, linear=ratio), np.ones(1))
    ran = run(uniform(24_000, 1.0, 0.4), market, FREE, slope(outside, 400, 300))
    assert -log(ran.price_TK[-1, 0]) == pytest.approx(linear_move(outside, ratio), rel=5e-3)
    assert np.nanmax(ran.branching_T[:30]) == pytest.approx(ratio, rel=0.02)


@pytest.mark.parametrize("outside", [0.001, 0.02, 0.1])
def test_the_simulator_reproduces_the_square_root_form(outside: float) -> None:
    volatility, density = 0.08, 5.0
    market = Market((Depth(0.0, volatility, 1.0),), ImpactLaw(decay_s=1e18), np.ones(1))
    ran = run(uniform(8_000, density, 0.5), market, FREE, slope(outside, 400, 600))
    expected = square_root_move(outside, volatility * sqrt(density))
    assert -log(ran.price_TK[-1, 0]) == pytest.approx(expected, rel=5e-3)
