"""Compiled exact arithmetic against Python integers: over the whole range, at its edges, and where it must succeed."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.columns.exact import LEAST, add, mul_div_floor, mul_div_magnitude, mul_div_up, multiply
from engine.units import INT64_MAX, div_magnitude, div_up, fits_int64

EDGES = [
    sign * (edge + step)
    for edge in (0, 1, 2**31, 2**32, 2**33, 2**53, 2**62, INT64_MAX - 1, 10**8, 10**12, 10**16)
    for step in (-1, 0, 1)
    for sign in (1, -1)
]
INTEGERS = st.one_of(
    st.integers(LEAST, INT64_MAX),
    st.sampled_from([*EDGES, LEAST]),
    st.integers(0, 63).flatmap(lambda bits: st.integers(-(1 << bits) + 1, (1 << bits) - 1)),
)
DIVISORS = INTEGERS.map(lambda value: min(abs(value), INT64_MAX) or 1)
MANY = settings(max_examples=1000, deadline=None)


@MANY
@given(INTEGERS, INTEGERS)
@example(LEAST, 0)
@example(-INT64_MAX, -1)
@example(LEAST, LEAST)
def test_sums_and_products_are_exact_or_say_so(a: int, b: int) -> None:
    total, ok = add(a, b)
    assert ok == fits_int64(a + b)
    assert not ok or total == a + b
    product, ok = multiply(a, b)
    assert ok == fits_int64(a * b)
    assert not ok or product == a * b


@MANY
@given(INTEGERS, INTEGERS, DIVISORS)
@example(LEAST, LEAST, INT64_MAX)
@example(INT64_MAX, INT64_MAX, INT64_MAX)
@example(INT64_MAX, INT64_MAX - 1, INT64_MAX)
@example(INT64_MAX, -1, 1)
@example(LEAST, 1, 1)
@example(LEAST, 1, 2)
@example(2**32 - 1, 2**32 - 1, 2**32 - 1)
def test_quotients_of_products_are_exact_wherever_they_fit(a: int, b: int, d: int) -> None:
    """The flag is exact too, except that a quotient cut off at the last integer may be given up."""
    quotient, remainder, ok = mul_div_floor(a, b, d)
    assert ok == fits_int64(a * b // d)
    assert not ok or (quotient, remainder) == divmod(a * b, d)
    rounded_up, ok = mul_div_up(a, b, d)
    assert ok == fits_int64(div_up(a * b, d))
    assert not ok or rounded_up == div_up(a * b, d)
    rounded, ok = mul_div_magnitude(a, b, d)
    assert ok == fits_int64(div_magnitude(a * b, d))
    assert not ok or rounded == div_magnitude(a * b, d)


@MANY
@given(INTEGERS, INTEGERS.filter(bool), st.integers(-3, 3))
def test_quotients_next_to_whole_numbers(quotient: int, d: int, step: int) -> None:
    """The remainders where an estimate that is one off would show."""
    d = min(abs(d), INT64_MAX)
    near = quotient * d + step
    if fits_int64(near):
        assert mul_div_floor(near, 1, d) == (*divmod(near, d), True)
    found, left, ok = mul_div_floor(quotient, d, d)
    assert ok == fits_int64(quotient)
    assert not ok or (found, left) == (quotient, 0)


@MANY
@given(st.integers(-(10**16), 10**16), st.integers(-(10**16), 10**16), st.integers(10**14, 10**17))
def test_ordinary_magnitudes_are_always_certified(a: int, b: int, d: int) -> None:
    assert mul_div_floor(a, b, d) == (*divmod(a * b, d), True)
    assert mul_div_up(a, b, d) == (div_up(a * b, d), True)
    assert mul_div_magnitude(a, b, d) == (div_magnitude(a * b, d), True)


def test_no_quotient_by_what_is_not_positive() -> None:
    for d in (0, -1, LEAST):
        assert not mul_div_floor(1, 1, d)[-1] and not mul_div_up(1, 1, d)[-1] and not mul_div_magnitude(1, 1, d)[-1]
