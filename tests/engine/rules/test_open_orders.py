from __future__ import annotations

from fractions import Fraction

import pytest

from engine.errors import InvalidReference
from engine.rules.open_orders import (
    OptionRates,
    long_option_margin,
    open_size_margin,
    otm_amount,
    short_option_margin,
)

F = Fraction


def test_the_larger_open_side_is_margined() -> None:
    # Paradex documentation, cross margin requirement: short 1 with 3 bids and 2 asks
    margin = open_size_margin(-1, 3, 2, "0.02", 90_000)
    assert (margin.buy_open_size, margin.sell_open_size, margin.initial_margin) == (2, 3, 5_400)
    # orders that only close leave the position
    assert open_size_margin(5, 0, 3, "0.1", 10).sell_open_size == 0
    assert open_size_margin(5, 0, 3, "0.1", 10).initial_margin == 5
    with pytest.raises(InvalidReference, match="sell_orders"):
        open_size_margin(5, 0, -3, "0.1", 10)


def test_moneyness() -> None:
    assert [otm_amount(True, 100, strike) for strike in (90, 100, 110)] == [0, 0, 10]
    assert [otm_amount(False, 100, strike) for strike in (90, 100, 110)] == [10, 0, 0]


def test_option_margin_by_rule() -> None:
    rates = OptionRates(F("0.15"), F("0.1"))
    assert short_option_margin(True, 100, 102, 3, rates) == 16  # 15 - 2 + 3
    assert short_option_margin(True, 100, 120, 1, rates) == 11  # the floor
    assert short_option_margin(False, 100, 98, 3, rates, include_mark=False) == 13
    capped = OptionRates(F("0.15"), F("0.1"), F("0.5"))
    assert short_option_margin(False, 100, 10, 0, capped) == 5  # never more than half of a small strike
    assert [long_option_margin(100, mark, "0.2") for mark in (5, 50)] == [5, 20]
