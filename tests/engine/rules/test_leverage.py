"""Leverage margin by hand, and what must hold for any market."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.rules.funding import clamp_rate, funding_clamp, funding_settlement
from engine.rules.leverage import (
    LeverageMarket,
    Risk,
    compare_risk,
    effective_initial_fraction,
    initial_margin,
    maintenance_fraction,
    position_margin,
    risk_flags,
    transition,
)
from engine.rules.leverage_account import LeveragePosition, leverage_account
from engine.rules.rounding import MICRO
from engine.rules.tiers import NotionalTier, with_deductions

F = Fraction
BTC = LeverageMarket(F(50_000), F(1, 5), F(1, 2))
fractions = st.fractions(min_value=0, max_value=1, max_denominator=10**6)
amounts = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=10**6)
positive = st.fractions(min_value=0, max_value=10**6, max_denominator=10**6)


@pytest.mark.parametrize(
    ("interest", "wanted"),
    [
        ("0", "0.2"),
        ("1000000", "0.2"),
        ("1000001", "0.2"),  # 0.8 millionths, rounded down
        ("1500000", "0.6"),
        ("1333333.333333", "0.466666"),  # 0.2 + 0.8/3
        ("1999999.999999", "0.999999"),
        ("2000000", "1"),
        ("9000000", "1"),
    ],
)
def test_open_interest_scales_the_initial_fraction_between_its_caps(interest: str, wanted: str) -> None:
    assert effective_initial_fraction("0.2", interest, 1_000_000, 2_000_000) == F(wanted)


def test_caps_of_zero_switch_the_scaling_off_and_equal_caps_keep_the_base_at_the_cap() -> None:
    assert effective_initial_fraction("0.2", "1e12", 0, 0) == F("0.2")
    assert effective_initial_fraction("0.2", 5, 5, 5) == F("0.2")
    assert effective_initial_fraction("0.2", 6, 5, 5) == 1


@pytest.mark.parametrize(("im", "lower", "upper", "field"), [("1.1", 0, 0, "im_fraction"), (1, 3, 2, "oi_lower_cap")])
def test_parameters_that_contradict_themselves_are_named(im: str, lower: int, upper: int, field: str) -> None:
    with pytest.raises(InvalidReference) as refused:
        effective_initial_fraction(im, 1, lower, upper)
    assert refused.value.field == field


def test_maintenance_rounds_up_twice() -> None:
    # notional 0.000007, base 0.1 -> 0.0000007 -> 0.000001, half of it -> 0.0000005 -> 0.000001
    margin = position_margin("0.000007", LeverageMarket(F(1), F(1, 10), F(1, 2)))
    assert (margin.initial_margin, margin.maintenance_margin) == (MICRO, MICRO)


def test_a_stricter_fraction_chosen_by_the_holder_wins_a_laxer_one_does_not() -> None:
    assert initial_margin(100, "0.1", configured_fraction="0.25") == 25
    assert initial_margin(100, "0.1", configured_fraction="0.05") == 10


def test_open_interest_does_not_move_maintenance() -> None:
    scaled = LeverageMarket(F(50_000), F(1, 5), F(1, 2), F(1000), F(1), F(2))
    assert position_margin(-1, scaled).maintenance_margin == position_margin(1, BTC).maintenance_margin == 5000
    assert position_margin(-1, scaled).initial_margin == 50_000


def test_tiers_replace_the_fractions() -> None:
    tiers = with_deductions(
        [NotionalTier(F(50_000), F("0.008"), F("0.004")), NotionalTier(None, F("0.01"), F("0.005"))]
    )
    # Binance's own deduction at 50,000 between 0.4 % and 0.5 % is 50
    margin = position_margin(2, LeverageMarket(F(50_000), tiers=tiers))
    assert margin.maintenance_margin == 100_000 * F("0.005") - 50
    assert margin.initial_margin == 100_000 * F("0.01") - 100
    # a stricter fraction chosen by the holder has no deduction
    chosen = LeverageMarket(F(50_000), tiers=tiers, configured_fraction=F("0.02"))
    assert position_margin(2, chosen).initial_margin == 2_000
    assert position_margin(2, chosen).maintenance_margin == margin.maintenance_margin


def test_an_account_settles_funding_once_for_all_positions() -> None:
    # two shorts of 1 at an index rise of 0.0000005 receive 0.000001 together, nothing each
    terms = LeverageMarket(F(1), funding_index=F("0.0000005"))
    held = [LeveragePosition(name, F(-1), funding_index=F(0)) for name in ("A", "B")]
    account = leverage_account(10, held, {"A": terms, "B": terms})
    assert account.funding == MICRO
    assert account.net_collateral == 8 + MICRO


def test_updates_of_one_market_add_up_before_margin() -> None:
    held, change = [LeveragePosition("BTC", F(1))], [LeveragePosition("BTC", F(-1)), LeveragePosition("BTC", F("-0.5"))]
    account = leverage_account(0, held, {"BTC": BTC}, 100, change)
    assert account.positions["BTC"].notional == -25_000
    assert (account.net_collateral, account.initial_margin, account.maintenance_margin) == (-24_900, 5000, 2500)
    assert account.free_collateral == -29_900


def test_a_market_without_price_is_refused_never_valued_at_zero() -> None:
    with pytest.raises(InvalidReference, match="market: no parameters and price for 'ETH'"):
        leverage_account(0, [LeveragePosition("ETH", F(1))], {"BTC": BTC})


def test_a_debt_without_positions_is_not_liquidatable() -> None:
    assert risk_flags(-100, 0, 0) == {
        "initially_collateralized": False,
        "maintenance_collateralized": False,
        "liquidatable": False,
    }
    assert not Risk(F(100), F(200), F(100)).liquidatable
    assert Risk(F("99.999999"), F(200), F(100)).liquidatable


@pytest.mark.parametrize(
    ("before", "after", "allowed", "reason"),
    [
        ((50, 100, 60), (45, 90, 54), True, "allowed"),  # same ratio, smaller
        ((50, 100, 60), (44, 90, 54), False, "still_undercollateralized"),
        ((50, 100, 60), (70, 100, 61), False, "still_undercollateralized"),  # requirement grew
        ((100, 100, 60), (90, 100, 60), False, "newly_undercollateralized"),
        ((-2, 0, 0), (-1, 0, 0), True, "allowed"),
        ((-1, 0, 0), (-1, 0, 0), False, "still_undercollateralized"),
        ((-2, 1, 1), (-1, 0, 0), False, "still_undercollateralized"),
    ],
)
def test_an_under_margined_account_may_only_move_toward_safety(
    before: tuple[int, int, int], after: tuple[int, int, int], allowed: bool, reason: str
) -> None:
    verdict = transition(Risk(*map(F, before)), Risk(*map(F, after)))
    assert (verdict.allowed, verdict.reason) == (allowed, reason)


@given(positive, fractions, fractions, positive)
def test_requirements_are_ordered_and_within_one_step_of_the_exact_value(
    size: Fraction, base: Fraction, part: Fraction, price: Fraction
) -> None:
    margin = position_margin(size, LeverageMarket(price, base, part))
    assert 0 <= margin.maintenance_margin <= margin.initial_margin
    assert 0 <= margin.initial_margin - margin.notional * base < MICRO
    assert 0 <= margin.maintenance_margin - margin.initial_margin * part < MICRO
    assert position_margin(-size, LeverageMarket(price, base, part)).notional == -margin.notional


@given(fractions, positive, positive, positive, positive)
def test_the_initial_fraction_rises_with_open_interest(
    base: Fraction, first: Fraction, second: Fraction, lower: Fraction, width: Fraction
) -> None:
    low, high = sorted((first, second))
    fraction = [effective_initial_fraction(base, value, lower, lower + width) for value in (low, high)]
    assert base <= fraction[0] <= fraction[1] <= 1


@given(amounts, positive, amounts, positive)
def test_comparison_is_antisymmetric_and_agrees_with_the_ratios(
    nc: Fraction, mm: Fraction, other_nc: Fraction, other_mm: Fraction
) -> None:
    first, second = Risk(nc, maintenance_margin=mm + 1), Risk(other_nc, maintenance_margin=other_mm + 1)
    order = compare_risk(first, second)
    assert order == -compare_risk(second, first)
    ours, theirs = nc / first.maintenance_margin, other_nc / second.maintenance_margin
    assert order == (ours < theirs) - (ours > theirs)


@given(amounts, amounts, amounts)
def test_funding_is_a_transfer(size: Fraction, now: Fraction, last: Fraction) -> None:
    assert funding_settlement(size, now, last) + funding_settlement(-size, now, last) == 0


@given(fractions, fractions, positive)
def test_a_clamp_is_never_above_the_exact_spread(base: Fraction, part: Fraction, factor: Fraction) -> None:
    clamp = funding_clamp(factor, base, part)
    assert 0 <= factor * (base - maintenance_fraction(base, part)) - clamp < MICRO
    assert abs(clamp_rate(-factor, clamp)) <= clamp
