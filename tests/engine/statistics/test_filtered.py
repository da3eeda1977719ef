"""Filtered history: the recursion, what rescaling keeps, and that nothing looks ahead."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.errors import InvalidReference
from engine.statistics.filtered import HorizonRule, decay_of_half_life, ewma_volatility, filtered_moves

RETURNS = np.random.default_rng(5).normal(0.0, 0.01, (300, 3))


def test_the_recursion_by_hand() -> None:
    volatility = ewma_volatility(np.array([0.02, -0.01, 0.03]), 0.9)
    second = 0.0004
    third = 0.9 * second + 0.1 * 0.0001
    current = 0.9 * third + 0.1 * 0.0009
    assert [0.02, math.sqrt(second), math.sqrt(third), math.sqrt(current)] == pytest.approx(list(volatility))


def test_a_forecast_knows_only_the_past() -> None:
    changed = RETURNS.copy()
    changed[200:] *= 10
    before, after = ewma_volatility(RETURNS, 0.97), ewma_volatility(changed, 0.97)
    assert np.array_equal(before[:201], after[:201])
    assert (after[201:] > before[201:]).all()


def test_factors_are_filtered_each_by_itself_and_moved_together() -> None:
    joint = filtered_moves(RETURNS, decay=0.94, burn_in=50)
    assert (250, 3) == joint.shape
    for factor in range(3):
        alone = filtered_moves(RETURNS[:, factor], decay=0.94, burn_in=50)
        assert np.array_equal(alone, joint[:, factor])


def test_doubling_all_moves_doubles_all_scenarios() -> None:
    assert filtered_moves(2 * RETURNS, decay=0.94) == pytest.approx(2 * filtered_moves(RETURNS, decay=0.94))


def test_a_calm_day_long_ago_is_scaled_up_to_a_wild_today() -> None:
    returns = np.concatenate([np.tile([0.01, -0.01], 100), np.tile([0.04, -0.04], 100)])
    moves = filtered_moves(returns, decay=0.9, burn_in=100)
    assert [0.04] * 100 == pytest.approx(list(np.abs(moves[:100])), rel=1e-6)
    assert abs(moves[100]) == pytest.approx(0.16, rel=1e-6)  # the first wild day was four deviations


def test_volatility_can_be_given() -> None:
    floor = np.array([0.02, 0.03, 0.04])
    moves = filtered_moves(RETURNS, decay=0.94, target_volatility_F=floor)
    current = ewma_volatility(RETURNS, 0.94)[-1]
    assert moves == pytest.approx(filtered_moves(RETURNS, decay=0.94) * floor / current)


def test_two_rules_for_a_longer_horizon() -> None:
    one = filtered_moves(RETURNS, decay=0.94)
    assert filtered_moves(RETURNS, decay=0.94, horizon=4) == pytest.approx(2.0 * one)
    summed = filtered_moves(RETURNS, decay=0.94, horizon=3, horizon_rule=HorizonRule.OVERLAPPING)
    assert (one.shape[0] - 2, 3) == summed.shape
    assert summed[0] == pytest.approx(one[0] + one[1] + one[2])
    assert summed[-1] == pytest.approx(one[-3] + one[-2] + one[-1])


def test_a_factor_that_stands_still_has_no_scenarios_but_breaks_none() -> None:
    returns = RETURNS.copy()
    returns[:, 1] = 0.0
    moves = filtered_moves(returns, decay=0.94)
    assert not moves[:, 1].any() and np.isfinite(moves).all()


def test_a_first_move_after_standing_still_has_no_scale() -> None:
    returns = RETURNS.copy()
    returns[:200, 1] = 0.0
    with pytest.raises(InvalidReference, match="standing still"):
        filtered_moves(returns, decay=0.94)


def test_half_life() -> None:
    assert 0.5 == pytest.approx(decay_of_half_life(23) ** 23)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"decay": 1.0}, "decay"),
        ({"burn_in": 300}, "burn_in"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 201}, "horizon"),
        ({"target_volatility_F": np.array([1.0])}, "target_volatility"),
        ({"target_volatility_F": np.array([1.0, -1.0, 1.0])}, "target_volatility"),
    ],
)
def test_a_refusal_names_the_field(changed: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidReference) as refused:
        filtered_moves(RETURNS, **({"decay": 0.94} | changed))  # type: ignore[arg-type]
    assert field == refused.value.field


def test_a_hole_in_the_history_is_refused() -> None:
    returns = RETURNS.copy()
    returns[7, 2] = np.nan
    with pytest.raises(InvalidReference, match="observation 8"):
        ewma_volatility(returns, 0.94)
