"""Conventions of value at risk and expected shortfall: hand-made numbers, and what makes a risk measure coherent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.errors import InvalidReference
from engine.pricing.axes import Floats
from engine.statistics import quantile_risk as risk
from engine.statistics.tails import tail_shares

HUNDRED = -np.arange(1.0, 101.0)
"""Losses of 1 to 100."""

amounts = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
levels = st.sampled_from([0.5, 0.85, 0.9, 0.95, 0.975, 0.99, 0.997])
samples = arrays(np.float64, st.integers(1, 60), elements=amounts)
pairs = st.integers(1, 60).flatmap(lambda n: arrays(np.float64, (2, n), elements=amounts))


def close(left: float, right: float) -> bool:
    return abs(left - right) <= 1e-9 * max(1.0, abs(left), abs(right))


def test_conventions_on_a_hundred_losses() -> None:
    assert 95.05 == pytest.approx(risk.var_linear(HUNDRED, 0.95))
    assert 96.0 == risk.var_order(HUNDRED, 0.95)
    assert 98.0 == risk.es_worst_k(HUNDRED, 0.95)
    assert 98.0 == pytest.approx(risk.es_fractional(HUNDRED, 0.95))
    assert 98.0 == risk.es_below_quantile(HUNDRED, 0.95)
    assert 98.0 == risk.es_int_rule(HUNDRED, 0.95)  # int(99 x 0.05) + 1 = 5


def test_a_tail_that_is_no_whole_number() -> None:
    ten = -np.arange(1.0, 11.0)  # the worst 15 % are one and a half of ten
    assert (10.0 + 0.5 * 9.0) / 1.5 == pytest.approx(risk.es_fractional(ten, 0.85))
    assert 10.0 == risk.es_worst_k(ten, 0.85)
    assert 9.0 == risk.var_order(ten, 0.85)


def test_a_tail_of_less_than_one_scenario_is_the_worst() -> None:
    ten = -np.arange(1.0, 11.0)
    assert [10.0, 10.0, 10.0] == [rule(ten, 0.99) for rule in (risk.var_order, risk.es_worst_k, risk.es_fractional)]


def test_binary_rounding_does_not_add_a_scenario_unless_asked_to() -> None:
    thousand = -np.arange(1.0, 1001.0)
    assert [951.0, 976.0, 991.0] == [risk.var_order(thousand, level) for level in (0.95, 0.975, 0.99)]
    assert [950.0, 975.0, 990.0] == [risk.var_unguarded(thousand, level) for level in (0.95, 0.975, 0.99)]
    assert np.mean(np.arange(951.0, 1001.0)) == risk.es_unguarded(thousand, 0.95)


def test_the_unguarded_rule_never_asks_for_less_than_nothing() -> None:
    gains = np.arange(1.0, 101.0)
    assert (0.0, 0.0) == (risk.var_unguarded(gains, 0.95), risk.es_unguarded(gains, 0.95))
    assert -6.0 == pytest.approx(risk.var_order(gains, 0.95) - 1.0)


def test_gaussian_numbers_of_a_table() -> None:
    sample = np.array([-1.0, 1.0]) / np.sqrt(2.0)  # mean 0, deviation 1
    assert 2.3263478740 == pytest.approx(risk.var_gaussian(sample, 0.99), abs=1e-9)
    assert 2.6652142203 == pytest.approx(risk.es_gaussian(sample, 0.99), abs=1e-9)


def test_recent_losses_weigh_more() -> None:
    weights = risk.age_weights(3, 0.5)
    assert [1 / 7, 2 / 7, 4 / 7] == pytest.approx(list(weights))
    assert 1.0 == risk.age_weighted_var(np.array([-9.0, 0.0, -1.0]), 0.6, 0.5)  # 1/7 of 9 is not 40 %
    assert 9.0 == risk.age_weighted_var(np.array([0.0, -1.0, -9.0]), 0.6, 0.5)
    assert [1 / 3] * 3 == pytest.approx(list(risk.age_weights(3, 1.0)))


def test_ties_on_the_boundary_share_by_weight() -> None:
    shares = tail_shares(np.array([5.0, 3.0, 3.0, 1.0]), 0.5)
    assert [0.5, 0.25, 0.25, 0.0] == pytest.approx(list(shares))


def test_a_scenario_without_weight_is_no_scenario() -> None:
    assert 3.0 == risk.weighted_value_at_risk(np.array([-9.0, -3.0, -1.0]), 0.9, np.array([0.0, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: risk.var_order(np.array([]), 0.99), "pnl"),
        (lambda: risk.var_order(np.array([1.0, np.nan]), 0.99), "pnl"),
        (lambda: risk.var_order(np.ones((2, 2)), 0.99), "pnl"),
        (lambda: risk.es_fractional(HUNDRED, 1.0), "level"),
        (lambda: risk.es_fractional(HUNDRED, float("nan")), "level"),
        (lambda: risk.var_unguarded(HUNDRED, 0.0), "level"),
        (lambda: risk.weighted_expected_shortfall(HUNDRED, 0.9, np.ones(3)), "weights"),
        (lambda: risk.weighted_expected_shortfall(HUNDRED, 0.9, -np.ones(100)), "weights"),
        (lambda: risk.age_weighted_var(HUNDRED, 0.9, 1.5), "decay"),
        (lambda: risk.var_gaussian(np.array([1.0]), 0.9), "pnl"),
        (lambda: risk.quantile_linear(HUNDRED, 1.5), "probability"),
    ],
)
def test_a_refusal_names_the_field(call: object, field: str) -> None:
    assert callable(call)
    with pytest.raises(InvalidReference) as refused:
        call()
    assert field == refused.value.field


@given(pairs, levels)
def test_expected_shortfall_rewards_no_splitting(pnl_PS: Floats, level: float) -> None:
    whole = risk.es_fractional(pnl_PS.sum(axis=0), level)
    parts = risk.es_fractional(pnl_PS[0], level) + risk.es_fractional(pnl_PS[1], level)
    assert whole <= parts + 1e-9 * max(1.0, float(np.abs(pnl_PS).max()))


@given(pairs, levels, st.data())
def test_weighted_expected_shortfall_rewards_no_splitting(pnl_PS: Floats, level: float, data: st.DataObject) -> None:
    weights = data.draw(arrays(np.float64, pnl_PS.shape[1], elements=st.floats(0.01, 1.0)))
    whole = risk.weighted_expected_shortfall(pnl_PS.sum(axis=0), level, weights)
    parts = sum(risk.weighted_expected_shortfall(pnl, level, weights) for pnl in pnl_PS)
    assert whole <= parts + 1e-8 * max(1.0, float(np.abs(pnl_PS).max()))


@given(samples, levels, st.floats(0.01, 100.0), st.sampled_from(sorted(risk.EXPECTED_SHORTFALL.keys() - {"gaussian"})))
def test_measures_scale_with_the_position(pnl: Floats, level: float, size: float, rule: str) -> None:
    measure = risk.EXPECTED_SHORTFALL[rule]
    # A product may tie two losses that differ in their last bit, so the boundary rules are given powers of two.
    exact = 2.0 ** round(np.log2(size))
    assert close(exact * measure(pnl, level), measure(exact * pnl, level))


@given(samples, levels, amounts)
def test_cash_reduces_the_requirement_by_itself(pnl: Floats, level: float, cash: float) -> None:
    for measure in (risk.var_linear, risk.var_order, risk.es_worst_k, risk.es_fractional):
        tolerance = 1e-9 * max(1.0, abs(cash), float(np.abs(pnl).max()))
        assert abs(measure(pnl, level) - cash - measure(pnl + cash, level)) <= tolerance


@given(samples, levels)
def test_shortfall_is_not_below_its_quantile(pnl: Floats, level: float) -> None:
    tolerance = 1e-9 * max(1.0, float(np.abs(pnl).max()))
    quantile = risk.var_order(pnl, level)
    assert quantile - tolerance <= risk.es_fractional(pnl, level) <= -pnl.min() + tolerance
    assert quantile == risk.weighted_value_at_risk(pnl, level)


@given(
    arrays(np.float64, 12, elements=amounts), arrays(np.int64, 12, elements=st.integers(0, 4)).filter(np.any), levels
)
def test_a_weight_is_a_repetition(pnl: Floats, times: np.ndarray[tuple[int], np.dtype[np.int64]], level: float) -> None:
    repeated, weights = np.repeat(pnl, times), times.astype(np.float64)
    assert risk.var_order(repeated, level) == risk.weighted_value_at_risk(pnl, level, weights)
    ours = risk.weighted_expected_shortfall(pnl, level, weights)
    assert abs(risk.es_fractional(repeated, level) - ours) <= 1e-9 * max(1.0, float(np.abs(pnl).max()))
