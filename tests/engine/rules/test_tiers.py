"""Tier tables by hand (venues' own figures where a line says so), and the equality of both forms of marginal margin."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.rules.tiers import (
    CollateralAsset,
    NotionalTier,
    Tiers,
    bracket_of,
    collateral_value,
    collateral_value_by_tiers,
    tiered_margin,
    value_to_repay,
    with_deductions,
)

F = Fraction
RATES: Tiers = [(50_000, "0.004"), (250_000, "0.005"), (None, "0.01")]


@pytest.mark.parametrize(
    ("notional", "marginal", "whole"),
    [(0, "0", "0"), (50_000, "200", "200"), (50_001, "200.005", "250.005"), (300_000, "1700", "3000")],
)
def test_both_readings_of_a_margin_table(notional: int, marginal: str, whole: str) -> None:
    assert tiered_margin(notional, RATES) == F(marginal)
    assert tiered_margin(notional, RATES, "whole") == F(whole)


def test_size_multipliers_are_marginal_tiers() -> None:
    # OKX MR7: 10,000 at 1 and 20,000 at 2 make 50,000; MR9: 0.75 %, 1.75 %, 2.5 % of 1, 4, 5 million make 202,500
    assert tiered_margin(30_000, [(10_000, 1), (70_000, 2), (None, 4)]) == 50_000
    assert tiered_margin(10**7, [(10**6, "0.0075"), (5 * 10**6, "0.0175"), (None, "0.025")]) == 202_500


def test_collateral_by_value_and_by_amount() -> None:
    by_value: Tiers = [(200_000, 1), (400_000, "0.8"), (800_000, "0.7"), (1_000_000, "0.4"), (None, "0.2")]
    assert collateral_value_by_tiers(500_000, 1, by_value) == 200_000 + 160_000 + 70_000
    by_amount: Tiers = [(10, "0.98"), (20, "0.95"), (30, "0.9"), (40, "0.85"), (50, "0.8")]
    assert collateral_value_by_tiers(25, 100, by_amount, "amount") == 980 + 950 + 450
    # beyond the last bound nothing more is earned, with and without a closing row
    assert collateral_value_by_tiers(60, 100, by_amount, "amount") == 4_480
    assert collateral_value_by_tiers(60, 100, [*by_amount, (None, 0)], "amount") == 4_480


def test_a_debt_counts_in_full() -> None:
    assert collateral_value_by_tiers(-2, 100, [(None, "0.5")]) == -200
    assets = [CollateralAsset(F(1), F(100), F("0.05")), CollateralAsset(F(-1), F(10), F("0.05"))]
    assert collateral_value(assets) == 85


def test_value_to_repay() -> None:
    assert value_to_repay(20_000, "0.975") == F(20_000) / F("0.975")  # Binance prints 20,513
    with pytest.raises(InvalidReference, match="rate"):
        value_to_repay(1, 0)


@pytest.mark.parametrize("tiers", [[], [(10, 1), (10, 1)], [(None, 1), (10, 1)], [(20, 1), (10, 1)], [(0, 1)]], ids=str)
def test_a_table_that_does_not_rise_is_refused(tiers: Tiers) -> None:
    with pytest.raises(InvalidReference, match="tiers"):
        collateral_value_by_tiers(1, 1, tiers)


def test_a_notional_beyond_the_table_has_no_margin() -> None:
    for convention in ("marginal", "whole"):
        with pytest.raises(InvalidReference, match="the table ends at 10"):
            tiered_margin(11, [(10, 1)], convention)  # type: ignore[arg-type]
    with pytest.raises(InvalidReference, match="convention"):
        tiered_margin(1, [(10, 1)], "average")  # type: ignore[arg-type]
    with pytest.raises(InvalidReference, match="tiers_in"):
        collateral_value_by_tiers(1, 1, [(10, 1)], "coins")  # type: ignore[arg-type]


bounds = st.lists(st.integers(min_value=1, max_value=10**6), min_size=1, max_size=6, unique=True).map(sorted)
rates = st.lists(st.integers(min_value=0, max_value=10**4), min_size=7, max_size=7).map(sorted)


@given(bounds, rates, st.integers(min_value=0, max_value=2 * 10**6))
def test_slices_equal_rate_times_notional_less_deduction(upper: list[int], rate: list[int], notional: int) -> None:
    uppers = [*map(F, upper), None]
    table = [(bound, F(rate[i], 10**4)) for i, bound in enumerate(uppers)]
    tier = bracket_of(F(notional), with_deductions([NotionalTier(bound, share, share) for bound, share in table]))
    marginal = tiered_margin(notional, table)
    assert marginal == notional * tier.maintenance_rate - tier.maintenance_deduction
    # rates rise, so the bracket's rate on the whole is never less
    assert marginal <= tiered_margin(notional, table, "whole")


@given(bounds, rates, st.integers(min_value=0, max_value=10**6), st.integers(min_value=0, max_value=10**6))
def test_more_collateral_never_earns_less_nor_more_than_its_value(
    upper: list[int], rate: list[int], amount: int, more: int
) -> None:
    falling = [F(unit, 10**4) for unit in reversed(rate)]
    table = list(zip(map(F, upper), falling, strict=False))
    low, high = (collateral_value_by_tiers(value, 3, table, "amount") for value in (amount, amount + more))
    assert 0 <= low <= high <= 3 * (amount + more)
