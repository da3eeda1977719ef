"""Size-dependent weights by hand, and their bounds and directions for any size."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.rules.weights import (
    HighLeverage,
    MarginType,
    asset_weight,
    by_type,
    liability_weight,
    margin_ratio,
    scaled_asset_weight,
    size_discount,
    size_premium,
    unrealized_pnl_weight,
)

F = Fraction
STEP = F(1, 10**4)
sizes = st.fractions(min_value=0, max_value=10**9, max_denominator=10**9)
weights = st.integers(min_value=0, max_value=20_000).map(lambda units: F(units, 10**4))
factors = st.integers(min_value=0, max_value=100_000).map(lambda units: F(units, 10**6))


@pytest.mark.parametrize(
    ("weight", "size", "imf", "wanted"),
    [
        ("0.9", 1_000, "0", "0.9"),
        ("0.9", 1, "0.01", "0.9"),  # 1.1 / 1.01 is larger
        ("0.9", 400, "0.1", "0.3666"),  # 1.1 / (1 + 0.1 * 20)
        ("0.9", 10_000, "0.1", "0.1"),
        ("0", 10_000, "0.1", "0"),
    ],
)
def test_a_large_deposit_earns_less(weight: str, size: int, imf: str, wanted: str) -> None:
    assert size_discount(weight, size, imf) == F(wanted)


@pytest.mark.parametrize(
    ("weight", "size", "imf", "wanted"),
    [
        ("1.1", 1_000_000, "0", "1.1"),
        ("1.1", 4, "0.01", "1.1"),  # 0.88 + 0.02 is smaller
        ("1.1", 10_000, "0.01", "1.88"),  # 0.88 + 0.01 * 100
        ("0.1", 3_000, "0.0005", "0.1073"),  # 0.08 + 0.0005 * 54.772 = 0.10738, rounded down
    ],
)
def test_a_large_debt_needs_more(weight: str, size: int, imf: str, wanted: str) -> None:
    assert size_premium(weight, size, imf) == F(wanted)


def test_fill_is_the_mean_rounded_down() -> None:
    assert by_type("fill", F("0.1"), F("0.05")) == F("0.075")
    assert by_type("fill", F("0.1001"), F("0.05")) == F("0.075")
    assert asset_weight("fill", 1, 0, "0.8", "0.9") == F("0.85")
    assert liability_weight("fill", 1, 0, "1.2", "1.1") == F("1.15")
    with pytest.raises(InvalidReference, match="type: 'opening' is none of"):
        asset_weight("opening", 1, 0, 1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("deposits", "start", "wanted"),
    [
        (19_999, 500_000, "0.9"),
        (20_000, 500_000, "0.9"),
        (40_000, 500_000, "0.45"),
        (70_000, 500_000, "0.2571"),
        (10**9, 0, "0.9"),
    ],
)
def test_what_the_venue_holds_scales_the_initial_weight(deposits: int, start: int, wanted: str) -> None:
    assert scaled_asset_weight("0.9", deposits, 25, start) == F(wanted)


def test_scaling_touches_initial_and_half_of_fill_but_not_maintenance() -> None:
    scale = {"scale_start": 500_000, "deposits": 40_000, "price": 25}
    found = [asset_weight(kind, 1, 0, "0.9", "0.95", **scale) for kind in ("initial", "fill", "maintenance")]
    assert found == [F("0.45"), F("0.7"), F("0.95")]


def test_profit_weight() -> None:
    assert unrealized_pnl_weight(-5, "0.001", "0.5") == 1
    assert unrealized_pnl_weight(0, "0.001", "0.5") == 1
    assert unrealized_pnl_weight(10_000, 0, "0.8") == F("0.8")
    assert unrealized_pnl_weight(10_000, "0.01", "0.8") == F("0.55")  # 1.1 / (1 + 0.01 * 100)
    assert unrealized_pnl_weight(10_000, "0.01", "0.8", "0.9", "maintenance") == F("0.9")
    assert unrealized_pnl_weight(10_000, "0.01", 0, 1, "fill") == 0


def test_profit_weight_shrinks_with_what_the_market_owes() -> None:
    assert unrealized_pnl_weight(1, 0, "0.8", max_imbalance=100, net_unsettled_pnl=100) == F("0.8")
    assert unrealized_pnl_weight(1, 0, "0.8", max_imbalance=100, net_unsettled_pnl=300) == F("0.2666")
    assert unrealized_pnl_weight(1, 0, "0.8", 1, "maintenance", 100, 300) == 1


MODE = HighLeverage(F("0.01"), F("0.005"))


@pytest.mark.parametrize(
    ("kind", "size", "imf", "wanted"),
    [
        ("initial", 1, "0", "0.01"),
        ("fill", 1, "0", "0.0075"),
        ("maintenance", 10**6, "0", "0.005"),
        ("initial", 1, "0.00005", "0.01"),  # the premium is below one weight step
        # ordinary 0.1: 0.08 + 0.00005 * 100 = 0.085; a quarter of the fifth is used up: 0.01 + 0.09 / 4
        ("initial", 10_000, "0.00005", "0.0325"),
        ("initial", 160_000, "0.00005", "0.01"),  # exactly used up: the source keeps the mode's ratio there
        ("initial", 640_000, "0.00005", "0.12"),  # beyond: the ordinary ratio with premium, 0.08 + 0.04
        ("maintenance", 10_000, "0.00005", "0.009"),  # 0.004 + 0.005
    ],
)
def test_high_leverage_rises_to_the_ordinary_ratio(kind: MarginType, size: int, imf: str, wanted: str) -> None:
    assert margin_ratio(kind, size, imf, "0.1", "0.05", MODE) == F(wanted)


def test_high_leverage_needs_both_ratios_and_settlement_needs_none() -> None:
    assert margin_ratio("initial", 1, 0, "0.1", "0.05", HighLeverage(F("0.01"), F(0))) == F("0.1")
    assert margin_ratio("initial", 1, 0, "0.1", "0.05", MODE, settlement=True) == 0


@given(weights, sizes, sizes, factors)
def test_the_discount_falls_with_size_and_never_exceeds_weight_or_formula(
    weight: Fraction, first: Fraction, second: Fraction, imf: Fraction
) -> None:
    small, large = sorted((first, second))
    found = size_discount(weight, small, imf)
    assert size_discount(weight, large, imf) <= found <= weight
    if imf > 0:
        # 1.1 / (1 + f sqrt(size)) with a root that is short by less than 1e-5 of a unit
        formula = 1.1 / (1.0 + float(imf) * float(small) ** 0.5)
        assert float(found) <= min(float(weight), formula) + 2e-4


@given(weights, sizes, sizes, factors)
def test_the_premium_rises_with_size_and_never_falls_below_weight(
    weight: Fraction, first: Fraction, second: Fraction, imf: Fraction
) -> None:
    small, large = sorted((first, second))
    found = size_premium(weight, small, imf)
    assert weight <= found <= size_premium(weight, large, imf)
    formula = 0.8 * float(weight) + float(imf) * float(small) ** 0.5
    assert abs(float(found) - max(float(weight), formula)) <= 2.1e-4
    assert size_premium(weight, small, imf, bounded=False) <= found


@given(sizes, factors, st.sampled_from(["initial", "fill"]))
def test_the_mode_is_between_its_own_and_the_ordinary_ratio_with_premium(
    size: Fraction, imf: Fraction, kind: MarginType
) -> None:
    found = margin_ratio(kind, size, imf, "0.1", "0.05", MODE)
    own = by_type(kind, MODE.initial, MODE.maintenance)
    assert own <= found <= margin_ratio(kind, size, imf, "0.1", "0.05")
    assert (found / STEP).denominator == 1
