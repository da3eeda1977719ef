"""The part of a forward that settlement has already fixed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.pricing.settlement_window import settlement_window_forward


def test_outside_the_window_all_is_variable_and_after_expiry_all_is_fixed() -> None:
    seconds = np.array([1e9, 1801.0, 1800.0, 900.0, 450.0, 0.0, -60.0])
    variable, fixed = settlement_window_forward(2400.0, seconds)
    assert variable.tolist() == [2400.0, 2400.0, 2400.0, 1200.0, 600.0, 0.0, 0.0]
    assert fixed.tolist() == [0.0, 0.0, 0.0, 1200.0, 1800.0, 2400.0, 2400.0]


def test_another_window_and_broadcasting() -> None:
    variable, fixed = settlement_window_forward(np.array([[100.0], [200.0]]), np.array([15.0, 60.0]), 60.0)
    assert variable.tolist() == [[25.0, 100.0], [50.0, 200.0]]
    assert fixed.tolist() == [[75.0, 0.0], [150.0, 0.0]]


@settings(max_examples=1000, deadline=None)
@given(forward=st.floats(1e-6, 1e9), seconds=st.floats(-1e4, 1e4), window=st.floats(1.0, 1e4))
def test_the_parts_make_up_the_forward(forward: float, seconds: float, window: float) -> None:
    variable, fixed = settlement_window_forward(forward, seconds, window)
    assert variable >= 0.0
    assert fixed >= 0.0
    assert variable + fixed == pytest.approx(forward, rel=1e-15)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [("forward", (-1.0, 5.0, 60.0)), ("seconds", (1.0, np.nan, 60.0)), ("window", (1.0, 5.0, 0.0))],
)
def test_an_argument_out_of_range_is_named(field: str, arguments: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidReference) as error:
        settlement_window_forward(*arguments)
    assert error.value.field == field
