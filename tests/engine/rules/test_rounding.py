from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.rules.rounding import Number, at_least_zero, ceil_to, exact, floor_to, integer_root, share, truncate_to

values = st.fractions(min_value=-(10**9), max_value=10**9)
steps = st.sampled_from([Fraction(1, 10**6), Fraction(1, 10**4), Fraction(1, 3), Fraction(5)])


@pytest.mark.parametrize(
    ("given_value", "wanted"),
    [(0.1, Fraction(1, 10)), ("-0.25", Fraction(-1, 4)), (Decimal("1e-9"), Fraction(1, 10**9)), (7, Fraction(7))],
)
def test_a_float_means_the_decimal_it_prints_as(given_value: Number, wanted: Fraction) -> None:
    assert exact(given_value) == wanted


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "nan", "ten", "", True, "1/0", Decimal("Infinity")])
def test_what_is_no_number_is_refused_by_field(wrong: Number) -> None:
    with pytest.raises(InvalidReference) as refused:
        exact(wrong, "price")
    assert refused.value.field == "price"


def test_bounds_name_their_field() -> None:
    with pytest.raises(InvalidReference, match="size: -1 is below zero"):
        at_least_zero(-1, "size")
    with pytest.raises(InvalidReference, match=r"haircut: 1\.01 is above one"):
        share(1.01, "haircut")


@given(values, steps)
def test_floor_and_ceil_are_the_neighboring_multiples(value: Fraction, step: Fraction) -> None:
    low, high = floor_to(value, step), ceil_to(value, step)
    assert (low / step).denominator == 1 and (high / step).denominator == 1
    assert low <= value <= high and high - low in (0, step)


@given(values, steps)
def test_truncation_never_grows_the_magnitude_and_is_odd(value: Fraction, step: Fraction) -> None:
    cut = truncate_to(value, step)
    assert abs(cut) <= abs(value) < abs(cut) + step
    assert truncate_to(-value, step) == -cut


@given(values)
def test_a_step_of_zero_rounds_nothing(value: Fraction) -> None:
    assert floor_to(value, Fraction(0)) == ceil_to(value, Fraction(0)) == truncate_to(value, Fraction(0)) == value


@given(st.integers(min_value=0, max_value=10**40))
def test_the_integer_root_is_the_floor_of_the_root(value: int) -> None:
    root = integer_root(value)
    assert root * root <= value < (root + 1) * (root + 1)
