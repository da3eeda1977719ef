"""Measures of a margin series, and the tools that dampen one: hand-made series."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.errors import InvalidReference
from engine.pricing.axes import Floats
from engine.statistics import procyclicality as cyclical

series = arrays(np.float64, st.integers(3, 40), elements=st.floats(0.01, 100.0))


def test_measures_by_hand() -> None:
    margin = np.array([2.0, 1.0, 3.0, 4.0])
    assert 4.0 == cyclical.peak_to_trough(margin)
    assert 2.0 == cyclical.largest_increase(margin, 1)  # 1 to 3
    assert 3.0 == cyclical.largest_increase(margin, 2)  # 1 to 4
    assert 3.0 == cyclical.largest_increase(margin, 30)
    changes = [math.log(0.5), math.log(3), math.log(4 / 3)]
    assert np.std(changes, ddof=1) == pytest.approx(cyclical.log_change_deviation(margin))


def test_a_margin_that_only_falls_has_no_increase() -> None:
    assert 0.0 == cyclical.largest_increase(np.array([3.0, 2.0, 1.0]), 5)


def test_a_buffer_is_used_up_before_anyone_is_called() -> None:
    charged = cyclical.with_buffer(np.array([100.0, 110.0, 125.0, 150.0, 130.0, 100.0]), 0.25)
    # Held at 125 while it lies between margin and margin x 1.25, called at 150, released to 125 when above it.
    assert [125.0, 125.0, 125.0, 150.0, 150.0, 125.0] == list(charged)


def test_margin_falls_slowly_and_rises_at_once() -> None:
    charged = cyclical.with_slow_decrease(np.array([100.0, 50.0, 50.0, 200.0]), 0.1)
    assert [100.0, 90.0, 81.0, 200.0] == pytest.approx(list(charged))


def test_margin_falls_after_a_lag() -> None:
    assert [3.0, 3.0, 3.0, 1.0] == list(cyclical.with_lag(np.array([3.0, 1.0, 1.0, 1.0]), 2))
    assert [3.0, 1.0] == list(cyclical.with_lag(np.array([3.0, 1.0]), 0))


def test_floors_and_weights() -> None:
    margin = np.array([4.0, 1.0, 1.0, 1.0])
    assert [4.0, 2.0, 2.0, 1.0] == list(cyclical.lookback_floor(margin, 3, 0.5))
    assert [4.0, 2.0, 1.0, 1.0] == list(cyclical.with_floor(margin, np.array([1.0, 2.0, 0.5, 1.0])))
    assert [5.0, 2.75, 2.75, 2.75] == list(cyclical.with_stressed_weight(margin, np.full(4, 8.0)))


@given(series)
def test_no_tool_charges_less_than_the_margin_and_each_dampens(margin: Floats) -> None:
    for tool in (
        cyclical.with_buffer,
        lambda values: cyclical.with_slow_decrease(values, 0.05),
        lambda values: cyclical.with_lag(values, 5),
        lambda values: cyclical.lookback_floor(values, 10, 0.8),
    ):
        charged = tool(margin)
        assert (charged >= margin).all()
        assert cyclical.peak_to_trough(charged) <= cyclical.peak_to_trough(margin) * (1 + 1e-12)


@given(series, st.floats(0.0, 1.0))
def test_a_buffer_is_bounded(margin: Floats, buffer: float) -> None:
    assert (cyclical.with_buffer(margin, buffer) <= (1 + buffer) * margin * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: cyclical.procyclicality_measures(np.array([1.0, 0.0, 1.0])), "margin"),
        (lambda: cyclical.log_change_deviation(np.array([1.0, 2.0])), "margin"),
        (lambda: cyclical.largest_increase(np.ones(4), 0), "periods"),
        (lambda: cyclical.with_buffer(np.ones(4), -0.1), "buffer"),
        (lambda: cyclical.with_slow_decrease(np.ones(4), 1.5), "decrease_max"),
        (lambda: cyclical.lookback_floor(np.ones(4), 0, 0.5), "lookback"),
        (lambda: cyclical.with_stressed_weight(np.ones(4), np.ones(4), 2.0), "weight"),
    ],
)
def test_a_refusal_names_the_field(call: object, field: str) -> None:
    assert callable(call)
    with pytest.raises(InvalidReference) as refused:
        call()
    assert field == refused.value.field
