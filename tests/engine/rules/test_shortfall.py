"""Covering a shortage and sharing a loss by hand, and what must hold for any."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.rules.refusals import RuleRefusal
from engine.rules.shortfall import (
    asset_for_liability,
    base_to_cover,
    closable_share,
    escalating_fee,
    liability_for_asset,
    liability_to_cover,
    liquidation_limit_price,
    max_liquidator_fee,
    perp_insurance_fee,
    socialized_deposits,
    socialized_funding,
    socialized_loss,
    spot_insurance_fee,
)

F = Fraction


def test_base_to_cover() -> None:
    assert base_to_cover(10, "0.1", 0, 100) == 1  # 1 unit frees 10
    assert base_to_cover(10, "0.1", "0.01", 100, "0.01") == F("1.25")  # 0.08 of 100 freed per unit
    assert base_to_cover(10, "0.1", 0, 100, 0, "0.5") == 2


@pytest.mark.parametrize(
    ("price", "fee", "insurance"), [(0, 0, 0), (100, "0.1", 0), (100, "0.2", 0), (100, "0.05", "0.05")]
)
def test_no_finite_size_covers_when_closing_frees_nothing(price: int, fee: object, insurance: object) -> None:
    with pytest.raises(RuleRefusal, match="unbounded"):
        base_to_cover(10, "0.1", F(str(fee)), price, F(str(insurance)))


def test_liability_to_cover() -> None:
    assert liability_to_cover(10, "0.9", "1.1", 1, 1, 1) == 50  # 0.2 freed per unit
    assert liability_to_cover(10, "0.9", "1.1", "1.1", 1, 1) == F("90.909090909")  # 1.1 - 0.99 = 0.11
    assert liability_to_cover(10, "0.9", "1.1", 1, 1, 1, "0.1") == F("111.111111111")  # 0.2 - 0.1 * 1.1 = 0.09
    assert liability_to_cover(10, "0.9", "1.1", "1.1", 1, 1, decimals=6) == F("90.909090")
    with pytest.raises(RuleRefusal, match="unbounded"):
        liability_to_cover(10, "1.1", "1.1", 1, 1, 1)
    with pytest.raises(InvalidReference, match="liability_multiplier"):
        liability_to_cover(10, "0.9", "1.1", 1, 0, 1)


def test_transfers_of_the_two_sides_round_against_the_liquidator() -> None:
    # 1 unit at 100 with a premium of 10 % repays 100 / 1.1 of debt at 1, rounded up
    assert liability_for_asset(1, "1.1", 100, 1, 1, 6) == F("90.909091")
    assert asset_for_liability(10, "1.1", 100, "90.909091", 1, 1) == F("1.000000001")
    # less than one dollar would stay: all is taken
    assert asset_for_liability("1.005", "1.1", 100, "90.909091", 1, 1) == F("1.005")


def test_insurance_fee_is_what_the_liquidator_leaves() -> None:
    # 0.05 - 0.01 - 10 / (10 * 100) = 0.03, of which 95 %
    assert perp_insurance_fee(10, 10, "0.05", "0.01", 100, "0.05") == F("0.0285")
    assert perp_insurance_fee(10, -10, "0.05", "0.01", 100, "0.02") == F("0.02")
    assert perp_insurance_fee(0, 0, "0.05", "0.01", 100, "0.02") == 0
    assert perp_insurance_fee(0, 1, "0.05", "0.05", 100, "0.02") == 0
    # (1.1 - 1.01 - 0.0505) / 1.1
    assert spot_insurance_fee("5.05", 1, 1, "1.01", "1.1", 1, 100, "0.05") == F("0.035909")
    assert spot_insurance_fee(0, 1, 1, "1.01", "1.1", 1, 100, "0.05") == F("0.05")
    assert spot_insurance_fee(0, 1, "1.1", 1, "1.1", 1, 100, "0.05") == 0


@pytest.mark.parametrize(
    ("slots", "wanted"), [(0, "0.02"), (1_499, "0.02"), (1_500, "0.0215"), (30_000, "0.05"), (10**9, "0.05")]
)
def test_the_liquidators_fee_grows_after_the_grace(slots: int, wanted: str) -> None:
    assert escalating_fee("0.02", "0.05", slots) == F(wanted)


def test_bounds_of_the_fee_and_of_the_order() -> None:
    assert max_liquidator_fee("0.01", "0.05") == F("0.03")
    assert max_liquidator_fee("0.02", "0.05") == F("0.05")
    assert liquidation_limit_price(100, "0.01", closes_long=True) == 99
    assert liquidation_limit_price(100, "0.01", closes_long=False) == 101


@pytest.mark.parametrize(
    ("shortage", "slots", "freed", "wanted"),
    [
        (49, 0, 0, "1"),
        (100, 0, 0, "0.1"),
        (100, 75, 0, "0.6"),
        (100, 150, 0, "1"),
        (60, 75, 40, "0.3333"),
        (60, 0, 40, "0"),
    ],
)
def test_a_large_shortage_is_covered_over_time(shortage: int, slots: int, freed: int, wanted: str) -> None:
    assert closable_share(shortage, slots, 150, "0.1", freed) == F(wanted)


def test_losses_are_spread_rounded_up() -> None:
    assert socialized_funding(-100, 7, -4) == F("9.090910")
    assert socialized_funding(-100, 5, 5) == 10
    with pytest.raises(RuleRefusal, match="no open interest"):
        socialized_funding(-100, 0, 0)
    assert socialized_deposits(1, 3) == F("0.3333333334")
    assert socialized_deposits(1, 0) == 0


def test_withdrawals_carry_a_shortfall_beyond_the_fund() -> None:
    # Paradex documentation, socialized losses: 25 % in the example, 1000 / 5000 by the formula
    loss = socialized_loss(1_000, 4_000, [-2_000, 4_000, 1_000], 500)
    assert (loss.shortfall, loss.factor, loss.charge, loss.received) == (1_000, F("0.25"), 125, 375)
    assert socialized_loss(1_000, 4_000, [-2_000], 500, shortfall_in_total=True).factor == F("0.2")
    assert socialized_loss(-500, 4_000, [], 0).shortfall == 500
    assert socialized_loss(2_000, 4_000, [-2_000], 500).received == 500
    with pytest.raises(InvalidReference, match="total_balance"):
        socialized_loss(0, 0, [-1])


money = st.integers(min_value=0, max_value=10**12).map(lambda units: F(units, 10**6))


@given(money, st.integers(min_value=1, max_value=10**9))
def test_closing_the_size_frees_no_more_than_the_shortage(shortage: Fraction, price_units: int) -> None:
    price = F(price_units, 10**3)
    size = base_to_cover(shortage, "0.1", "0.01", price)
    assert size * price * F("0.09") <= shortage * (1 + F(1, 10)) + price
    assert (size * 10**9).denominator == 1


@given(money, st.integers(min_value=1, max_value=10**12), st.integers(min_value=0, max_value=10**12))
def test_the_sides_pay_the_loss_and_less_than_a_step_per_unit_more(loss: Fraction, long: int, short: int) -> None:
    total = F(long + short, 10**9)
    paid = socialized_funding(-loss, F(long, 10**9), F(-short, 10**9)) * total
    assert 0 <= paid - loss < total / 10**6


@given(money, money, st.lists(st.integers(min_value=-(10**6), max_value=10**6), max_size=5), money)
def test_a_withdrawal_is_split_into_charge_and_payment(
    fund: Fraction, total: Fraction, balances: list[int], asked: Fraction
) -> None:
    loss = socialized_loss(fund, total + 1, balances, asked)
    assert loss.charge + loss.received == asked
    assert 0 <= loss.factor <= 1
