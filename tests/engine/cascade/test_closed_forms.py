"""Cascades on paper, and the simulator where it must agree with them."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest

from engine.cascade.impact import ImpactLaw
from engine.cascade.simulation import Cascade
from engine.errors import InvalidReference
from tests.engine.cascade.worlds import FOREVER, PLAIN, market, ramp, uniform
from tests.reference.cascades import branching_ratio, ignition_floor, linear_move, square_root_move

TICKS = 3000


def moved(size: float, density: float, law: ImpactLaw, volatility: float = 0.0) -> tuple[float, float]:
    """Log fall of the simulator, and the branching ratio it reported first."""
    cascade = Cascade(uniform(10_000, density, 0.6), market(law, volatility), PLAIN)
    run = cascade.run(ramp(size, TICKS), np.zeros((TICKS, 1)), sample_every=10)
    return -float(np.log(run.price_TK[-1, 0])), float(run.branching_T[0])


@pytest.mark.parametrize(("slope", "size"), [(0.0, 0.05), (0.25, 0.05), (0.5, 0.02), (0.8, 0.01), (0.9, 0.005)])
def test_linear_impact_gives_the_geometric_series(slope: float, size: float) -> None:
    ratio = branching_ratio(slope, 1.0)
    fall, reported = moved(size, 1.0, ImpactLaw(decay_s=FOREVER, linear=slope))
    assert linear_move(size, ratio) == pytest.approx(fall, rel=0.01)
    assert ratio == pytest.approx(reported, rel=0.02, abs=1e-9)


def test_linear_impact_above_one_takes_everything() -> None:
    fall, reported = moved(0.005, 1.0, ImpactLaw(decay_s=FOREVER, linear=1.2))
    assert inf == linear_move(0.005, 1.2)
    assert 1.2 * 0.6 + 0.005 == pytest.approx(fall, rel=0.03)  # all there is, some of it sold below its trigger
    assert 1.2 == pytest.approx(reported, rel=0.02)


@pytest.mark.parametrize("size", [0.001, 0.02, 0.1])
def test_square_root_impact_gives_the_closed_form(size: float) -> None:
    root = 0.08 * sqrt(5.0)
    fall, _ = moved(size, 5.0, ImpactLaw(decay_s=FOREVER), volatility=0.08)
    assert square_root_move(size, root) == pytest.approx(fall, rel=0.01)


def test_the_published_example() -> None:
    root = 0.08 * sqrt(5.0)
    assert 0.032 == pytest.approx(ignition_floor(root))
    assert 0.066 == pytest.approx(square_root_move(0.02, root), rel=0.01)
    assert 0.175 == pytest.approx(square_root_move(0.10, root), rel=0.01)
    assert ignition_floor(root) == pytest.approx(square_root_move(1e-15, root))


def test_both_solve_their_equations() -> None:
    for size in (0.0, 0.003, 0.2):
        move = square_root_move(size, 0.1)
        assert size + 0.1 * sqrt(move) == pytest.approx(move, abs=1e-15)
        assert linear_move(size, 0.7) == pytest.approx(size + 0.7 * linear_move(size, 0.7))


def test_sizes_are_not_signed() -> None:
    with pytest.raises(InvalidReference, match="outside"):
        linear_move(-0.1, 0.5)
    with pytest.raises(InvalidReference, match="outside"):
        square_root_move(0.1, -1.0)
