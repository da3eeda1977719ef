"""Arithmetic on pairs of doubles against exact rationals and 60-digit arithmetic."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pricing.compensated import (
    LN_2,
    Pair,
    add,
    divide,
    half,
    log_quotient,
    multiply_root,
    negative,
    two_product,
    two_sum,
)

numbers = st.floats(min_value=1e-100, max_value=1e100) | st.floats(min_value=-1e100, max_value=-1e-100)
positive = st.floats(min_value=1e-100, max_value=1e100)


def exactly(pair: Pair) -> Fraction:
    return Fraction(float(pair.high)) + Fraction(float(pair.low))


def of(number: float) -> Pair:
    return Pair(np.float64(number), np.float64(0.0))


def mpf(pair: Pair) -> mpmath.mpf:
    return mpmath.mpf(float(pair.high)) + mpmath.mpf(float(pair.low))


@settings(max_examples=1000, deadline=None)
@given(a=numbers, b=numbers)
def test_sum_and_product_are_exact(a: float, b: float) -> None:
    assert exactly(two_sum(np.float64(a), np.float64(b))) == Fraction(a) + Fraction(b)
    assert exactly(two_product(np.float64(a), np.float64(b))) == Fraction(a) * Fraction(b)


@settings(max_examples=1000, deadline=None)
@given(a=numbers, b=numbers, c=numbers)
def test_pairs_keep_95_bits(a: float, b: float, c: float) -> None:
    sum_ab = two_sum(np.float64(a), np.float64(b))
    true = Fraction(a) + Fraction(b)
    quotient = divide(sum_ab, of(c))
    assert abs(exactly(quotient) * Fraction(c) - true) <= abs(true) * Fraction(2) ** -95
    together = add(sum_ab, of(c))
    assert abs(exactly(together) - true - Fraction(c)) <= (abs(true) + abs(Fraction(c))) * Fraction(2) ** -95
    assert exactly(negative(half(sum_ab))) == -true / 2


@settings(max_examples=1000, deadline=None)
@given(a=positive, b=positive)
def test_product_with_a_root_keeps_95_bits(a: float, b: float) -> None:
    with mpmath.workdps(60):
        true = mpmath.mpf(a) * mpmath.sqrt(mpmath.mpf(b))
        assert abs(mpf(multiply_root(np.float64(a), np.float64(b))) - true) <= true * mpmath.mpf(2) ** -95


@settings(max_examples=1000, deadline=None)
@given(a=positive, b=positive | st.just(0.0), ratio=st.floats(min_value=0.4, max_value=2.5))
def test_logarithm_is_within_an_ulp_also_of_a_quotient_near_one(a: float, b: float, ratio: float) -> None:
    b = b or a * ratio
    with mpmath.workdps(60):
        true = mpmath.log(mpmath.mpf(a) / mpmath.mpf(b))
        assert abs(mpf(log_quotient(np.float64(a), np.float64(b))) - true) <= abs(true) * mpmath.mpf(2) ** -52


@pytest.mark.parametrize("ratio", [1 + 2.0**-52, 1 - 2.0**-53, 1 + 1e-9, 0.99999, 1.0])
def test_logarithm_of_neighbors(ratio: float) -> None:
    with mpmath.workdps(60):
        for b in (1.0, 60_000.0, 2.0**-900):
            a = b * ratio
            true = mpmath.log(mpmath.mpf(a) / mpmath.mpf(b))
            assert abs(mpf(log_quotient(np.float64(a), np.float64(b))) - true) <= abs(true) * mpmath.mpf(2) ** -52


def test_quotients_beyond_the_doubles_have_a_logarithm() -> None:
    with mpmath.workdps(60):
        true = mpmath.log(mpmath.mpf(1e300)) - mpmath.log(mpmath.mpf(5e-324))
        assert abs(mpf(log_quotient(np.float64(1e300), np.float64(5e-324))) - true) <= true * mpmath.mpf(2) ** -52
        assert abs(mpf(LN_2) - mpmath.log(2)) <= mpmath.mpf(2) ** -105
