"""Loss allocation: exact, capped, and the published charge on withdrawals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.units import E8
from engine.waterfall.allocation import LossShares, share_loss, withdrawal_charge


def test_winners_pay_in_proportion_to_profit() -> None:
    assert share_loss(10, {"c": 30, "a": 60, "b": -50, "d": 10}) == LossShares((("a", 6), ("c", 3), ("d", 1)), 0)
    assert share_loss(100, {"a": 60, "c": 30}) == LossShares((("a", 60), ("c", 30)), 10)
    assert share_loss(100, {"a": 60, "c": 30}, 500_000) == LossShares((("a", 30), ("c", 15)), 55)


def test_the_published_charge_on_a_withdrawal() -> None:
    # Paradex documentation, socialized losses: 25 % of a withdrawal in the example
    charge = withdrawal_charge(0, 4_000 * E8, {"x": 1_000 * E8}, 100 * E8)
    assert (charge.factor, charge.charge_e8, charge.received_e8) == (Fraction(1, 4), 25 * E8, 75 * E8)
    assert withdrawal_charge(1_000 * E8, 4_000 * E8, {"x": 1_000 * E8}, 100 * E8).received_e8 == 100 * E8
    assert withdrawal_charge(0, 3, {"x": 1}, 10).charge_e8 == 4


def test_negative_amounts_are_refused() -> None:
    with pytest.raises(InvalidReference):
        share_loss(-1, {})
    with pytest.raises(InvalidReference):
        withdrawal_charge(0, 1, {"x": -1}, 1)


@given(
    loss=st.integers(0, 10**15),
    bases=st.dictionaries(st.text("abcd", min_size=1, max_size=3), st.integers(-(10**12), 10**14), max_size=7),
    cap=st.integers(0, 10**6),
)
def test_exact_capped_and_independent_of_order(loss: int, bases: dict[str, int], cap: int) -> None:
    result = share_loss(loss, bases, cap)
    assert sum(part for _, part in result.parts_e8) + result.remaining_e8 == loss
    assert all(part * 10**6 <= bases[account] * cap for account, part in result.parts_e8)
    assert result == share_loss(loss, dict(reversed(bases.items())), cap)


@given(
    fund=st.integers(0, 10**15), total=st.integers(1, 10**15), debt=st.integers(0, 10**15), asked=st.integers(0, 10**15)
)
def test_a_withdrawal_is_charge_and_payment(fund: int, total: int, debt: int, asked: int) -> None:
    charge = withdrawal_charge(fund, total, {"x": debt}, asked)
    assert charge.charge_e8 + charge.received_e8 == asked
    assert 0 <= charge.charge_e8 <= asked
    assert charge.charge_e8 == 0 or debt > fund
