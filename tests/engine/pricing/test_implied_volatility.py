"""Implied volatility: the inverse of the price, over the whole range of prices that have one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.pricing.implied_volatility import implied_black76_volatility
from engine.pricing.option_greeks import black76_option


def test_out_of_the_money_round_trip_over_the_grid() -> None:
    grid = np.array(
        list(
            product(
                (1e-6, 0.1, 0.5, 0.9, 0.999999, 1.0, 1.000001, 1.01, 1.5, 10.0, 1e4),
                (1 / 31_536_000, 1 / 8760, 1 / 365, 0.25, 10.0),
                (0.01, 0.05, 0.3, 1.0, 3.0, 25.0),
            )
        )
    )
    strike, years, volatility = 60_000.0 * grid[:, 0], grid[:, 1], grid[:, 2]
    sign = np.where(strike >= 60_000.0, 1.0, -1.0)
    price = black76_option(60_000.0, strike, years, volatility, sign, discount=0.97).price
    share = price / 0.97 / np.minimum(60_000.0, strike)
    usable = (price > 1e-280) & (share < 0.9)
    assert np.count_nonzero(usable) > 170
    found = implied_black76_volatility(
        price[usable], 60_000.0, strike[usable], years[usable], sign[usable], discount=0.97
    )
    assert np.max(np.abs(found / volatility[usable] - 1.0)) <= 1e-13


def test_a_price_near_the_forward_is_explained_by_its_volatility() -> None:
    # Volatility itself is lost here (a change of 1e-3 in it moves no digit of the price), the price is not.
    for volatility in (5.0, 10.0, 14.0):
        price = black76_option(100.0, 140.0, 1.0, volatility, 1.0).price
        found = implied_black76_volatility(price, 100.0, 140.0, 1.0, 1.0)
        assert black76_option(100.0, 140.0, 1.0, found, 1.0).price == pytest.approx(float(price), rel=1e-15)


@settings(max_examples=1000, deadline=None)
@given(
    ratio=st.floats(0.2, 5.0), years=st.floats(1e-4, 5.0), volatility=st.floats(0.02, 4.0),
    sign=st.sampled_from([1.0, -1.0]),
)  # fmt: skip
def test_what_is_implied_gives_the_price_back(ratio: float, years: float, volatility: float, sign: float) -> None:
    strike = 1000.0 * ratio
    price = float(black76_option(1000.0, strike, years, volatility, sign).price)
    found = implied_black76_volatility(price, 1000.0, strike, years, sign)
    again = float(black76_option(1000.0, strike, years, found, sign).price)
    # At 1e-290 one unit in the last place of a volatility is 3e-13 of the price.
    assert again == pytest.approx(price, rel=1e-12, abs=1e-290)


def test_intrinsic_value_implies_no_volatility() -> None:
    price = np.array([10.0, 0.0, 20.0 * (1 - 2.0**-52)])
    found = implied_black76_volatility(price, 100.0, np.array([90.0, 110.0, 120.0]), 0.5, np.array([1.0, 1.0, -1.0]))
    assert found.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("price", (9.99, 100.0, 90.0, 1.0, 1.0)),
        ("price", (-0.01, 100.0, 110.0, 1.0, 1.0)),
        ("price", (100.0, 100.0, 90.0, 1.0, 1.0)),
        ("price", (90.0, 100.0, 90.0, 1.0, -1.0)),
        ("price", (np.nan, 100.0, 90.0, 1.0, -1.0)),
        ("forward", (1.0, 0.0, 90.0, 1.0, 1.0)),
        ("strike", (1.0, 100.0, 0.0, 1.0, 1.0)),
        ("years", (1.0, 100.0, 110.0, 0.0, 1.0)),
        ("sign", (1.0, 100.0, 110.0, 1.0, 2.0)),
    ],
)
def test_a_price_without_volatility_or_a_bad_argument_is_named(field: str, arguments: tuple[float, ...]) -> None:
    with pytest.raises(InvalidReference) as error:
        implied_black76_volatility(*arguments)
    assert error.value.field == field
