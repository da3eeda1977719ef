"""Scenario grid: order, exact moves, names."""

from __future__ import annotations

import dataclasses

from engine.reference.parameters import TailScenario
from engine.risk.scenarios import scenario_grid, scenario_names
from tests.engine.risk.worlds import PARAMETERS


def test_names_state_the_moves_of_the_underlying() -> None:
    names = scenario_names(PARAMETERS, "BTC")
    assert ("price -16% vol up", "price -16% vol unchanged", "price -16% vol down", "price -12% vol up") == names[:4]
    assert ("tail -66% x0.21", "tail -33% x0.42", "tail +50% x0.2772") == names[27:30]
    assert "price 0% vol unchanged" in names
    assert "price -18% vol up" == scenario_names(PARAMETERS, "ETH")[0]


def test_names_are_distinct_for_moves_with_many_digits() -> None:
    parameters = dataclasses.replace(
        PARAMETERS, price_steps_ppm=(-1_000_000, -333_334, -333_333, 0, 1_000_000), tails=(TailScenario(-995_005, 1),)
    )
    names = scenario_names(parameters, "BTC")
    assert len(names) == len(set(names)) == 16
    assert "price -5.333328% vol down" in names
    assert "tail -99.5005% x0.000001" == names[-1]


def test_grid_holds_each_step_at_three_volatilities_then_the_tails() -> None:
    grid = scenario_grid(PARAMETERS)
    assert ("BTC", "ETH") == grid.underlyings
    assert (2, 33) == grid.price_factor_US.shape
    assert [0.84, 0.84, 0.84, 0.88] == grid.price_factor_US[0, :4].tolist()
    assert [0.34, 0.67, 1.5, 2.0, 3.0, 6.0] == grid.price_factor_US[1, 27:].tolist()
    assert [1, 0, -1] * 9 + [1] * 6 == grid.volatility_move_S.tolist()
    assert [1.0] * 27 + [0.21, 0.42, 0.2772, 0.1386, 0.0693, 0.02772] == grid.weight_S.tolist()


def test_names_and_grid_have_one_length() -> None:
    for underlying in PARAMETERS.underlyings:
        assert len(scenario_names(PARAMETERS, underlying)) == scenario_grid(PARAMETERS).weight_S.size
