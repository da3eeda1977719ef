"""Contributions of positions: they add up, they are the marginal risk, and ties are split evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.errors import InvalidReference
from engine.pricing.axes import Floats
from engine.statistics.components import component_expected_shortfall, component_value_at_risk
from engine.statistics.quantile_risk import es_fractional, var_order, weighted_expected_shortfall

amounts = st.floats(-1e6, 1e6, allow_nan=False)
books = st.tuples(st.integers(1, 6), st.integers(1, 40)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=amounts)
)
levels = st.sampled_from([0.5, 0.9, 0.975, 0.99])


@given(books, levels)
def test_contributions_add_up(pnl_PS: Floats, level: float) -> None:
    scale = 1e-9 * max(1.0, float(np.abs(pnl_PS).sum(axis=0).max()))
    total = pnl_PS.sum(axis=0)
    assert abs(component_expected_shortfall(pnl_PS, level).sum() - es_fractional(total, level)) <= scale
    assert abs(component_value_at_risk(pnl_PS, level).sum() - var_order(total, level)) <= scale


@given(books, levels, st.data())
def test_weighted_contributions_add_up(pnl_PS: Floats, level: float, data: st.DataObject) -> None:
    weights = data.draw(arrays(np.float64, pnl_PS.shape[1], elements=st.floats(0.01, 1.0)))
    scale = 1e-9 * max(1.0, float(np.abs(pnl_PS).sum(axis=0).max()))
    whole = weighted_expected_shortfall(pnl_PS.sum(axis=0), level, weights)
    assert abs(component_expected_shortfall(pnl_PS, level, weights).sum() - whole) <= scale


def test_a_contribution_is_the_marginal_risk_times_size() -> None:
    pnl_PS = np.random.default_rng(3).normal(size=(4, 500))
    step = 1e-6
    for position, contribution in enumerate(component_expected_shortfall(pnl_PS, 0.975)):
        more = pnl_PS.copy()
        more[position] *= 1 + step
        slope = (es_fractional(more.sum(axis=0), 0.975) - es_fractional(pnl_PS.sum(axis=0), 0.975)) / step
        assert contribution == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_a_hedge_contributes_less_than_nothing() -> None:
    move = np.linspace(-1.0, 1.0, 100)
    long, hedge = component_expected_shortfall(np.stack([3.0 * move, -move]), 0.9)
    assert long > 0 > hedge
    assert long == pytest.approx(-3 * hedge)


def test_scenarios_tied_on_the_boundary_count_alike() -> None:
    # Both scenarios lose 1; which of two equal positions is to blame must not depend on their order.
    pnl_PS = np.array([[-1.0, 0.0], [0.0, -1.0]])
    assert [0.5, 0.5] == list(component_expected_shortfall(pnl_PS, 0.5))
    assert [0.5, 0.5] == list(component_value_at_risk(pnl_PS, 0.5))


@pytest.mark.parametrize("pnl", [np.zeros(3), np.zeros((0, 3)), np.array([[np.inf]])])
def test_a_book_without_values_is_refused(pnl: Floats) -> None:
    with pytest.raises(InvalidReference, match="pnl"):
        component_expected_shortfall(pnl, 0.9)
