"""Liquidation prices by hand, and the definition they must satisfy: margin at that price equals maintenance."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.rules.liquidation_price import (
    Side,
    bankruptcy_price_inverse,
    cross_inverse,
    cross_linear,
    from_margin_available,
    isolated_inverse,
    isolated_linear,
    to_tick,
)

F = Fraction


def test_isolated_linear() -> None:
    # Bybit help center, liquidation price (USDT contract), example 1: 1 BTC at 20,000, 50x, 0.5 % -> 19,700
    assert isolated_linear("long", 1, 20_000, 50, "0.005") == 19_700
    assert isolated_linear("short", 1, 20_000, 50, "0.005") == 20_300
    assert isolated_linear("long", 2, 20_000, 50, "0.005", extra_margin=3_000) == 18_200
    assert isolated_linear("long", 1, 20_000, 50, "0.005", deduction=50) == 19_650
    assert isolated_linear("long", 1, 20_000, 1, 0) is None


def test_isolated_inverse() -> None:
    # Bybit help center, isolated mode: 60,000 USD at 50,000, 10x, 0.5 %: 60,000 / (1.2 + 0.114) and - 0.114
    assert isolated_inverse("long", 60_000, 50_000, 10, "0.005") == F(60_000) / F("1.314")
    assert isolated_inverse("short", 60_000, 50_000, 10, "0.005") == F(60_000) / F("1.086")
    assert isolated_inverse("short", 60_000, 50_000, 1, 0) is None


def test_cross_inverse_reaches_the_printed_tick() -> None:
    # Bybit help center, inverse contract, cross: 10,000 at 8,000, balance 0.5, 0.5 %, fee 0.075 %: 5739.50 printed
    broke = bankruptcy_price_inverse("long", 10_000, 8_000, "0.5", "0.00075")
    assert broke is not None and round(float(broke), 2) == 5718.57
    exact_price = cross_inverse("long", 10_000, 8_000, "0.5", "0.005", fee="0.00075")
    assert exact_price is not None and round(float(exact_price), 2) == 5739.08
    assert cross_inverse("long", 10_000, 8_000, "0.5", "0.005", fee="0.00075", tick="0.5") == F("5739.5")
    assert cross_inverse("short", 10_000, 8_000, 10, "0.005") is None


def test_cross_linear_and_the_form_with_margin_available_agree() -> None:
    # long 2 at 100 with 50: (200 - 50) / (2 * 0.99)
    assert cross_linear("long", 2, 100, 50, "0.01") == F(150) / F("1.98")
    # the same seen from a mark of 90: value 50 - 20, maintenance 1.8
    assert from_margin_available("long", 90, 2, 30 - F("1.8"), "0.01") == F(150) / F("1.98")
    assert cross_linear("long", 2, 100, 500, "0.01") is None
    assert cross_linear("short", 2, 100, 50, "0.01", other_maintenance=10) == F(240) / F("2.02")


def test_ticks_round_toward_the_earlier_liquidation() -> None:
    assert (to_tick(F("99.01"), "0.5", "long"), to_tick(F("99.49"), "0.5", "short")) == (F("99.5"), F(99))
    assert to_tick(F("99.01"), 0, "long") == F("99.01")


def test_sides_and_sizes_are_checked() -> None:
    with pytest.raises(InvalidReference, match="side: 'buy' is neither"):
        isolated_linear("buy", 1, 1, 1, 0)  # type: ignore[arg-type]
    with pytest.raises(InvalidReference, match="size: 0 is not above zero"):
        isolated_linear("long", 0, 1, 1, 0)


sides = st.sampled_from(["long", "short"])
prices = st.fractions(min_value=1, max_value=10**5, max_denominator=100)
rates = st.fractions(min_value=0, max_value=F(1, 2), max_denominator=1000)


@given(sides, prices, prices, st.fractions(min_value=0, max_value=10**6, max_denominator=100), rates)
def test_at_the_cross_linear_price_equity_equals_maintenance(
    side: Side, size: Fraction, entry: Fraction, balance: Fraction, mmr: Fraction
) -> None:
    price = cross_linear(side, size, entry, balance, mmr)
    assume(price is not None)
    assert price is not None
    sign = 1 if side == "long" else -1
    assert balance + sign * size * (price - entry) == size * price * mmr


@given(sides, prices, prices, prices, st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=100), rates)
def test_margin_available_is_zero_at_the_price_found_from_any_mark(
    side: Side, size: Fraction, entry: Fraction, mark: Fraction, balance: Fraction, rate: Fraction
) -> None:
    sign = 1 if side == "long" else -1

    def available(at: Fraction) -> Fraction:
        return balance + sign * size * (at - entry) - size * at * rate

    price = from_margin_available(side, mark, size, available(mark), rate)
    assume(price is not None)
    assert price is not None and available(price) == 0


@given(sides, prices, prices, st.integers(min_value=1, max_value=125), rates)
def test_more_margin_moves_the_price_away(
    side: Side, size: Fraction, entry: Fraction, leverage: int, mmr: Fraction
) -> None:
    for rule in (isolated_linear, isolated_inverse):
        near, far = rule(side, size, entry, leverage, mmr), rule(side, size, entry, leverage, mmr, extra_margin=1)
        if near is not None and far is not None:
            assert far < near if side == "long" else far > near
