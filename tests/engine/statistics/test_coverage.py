"""Exceedance tests against published tables and numbers worked out beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, chi2

from engine.errors import InvalidReference
from engine.statistics import coverage
from engine.statistics.quantile_risk import var_order
from tests.engine.statistics.series import returns

CRITICAL = 3.841458820694124
"""95 % point of chi-squared with one degree of freedom."""


@pytest.mark.parametrize(
    ("level", "observations", "fewest", "most"),
    # Non-rejection regions at 95 %: Kupiec (1995), as printed in Jorion, "Value at Risk", table 6.2.
    [
        (0.99, 255, 1, 6),  # printed as N < 7: the statistic of none, 5.13, is not counted against a model
        (0.99, 510, 2, 10),
        (0.99, 1000, 5, 16),
        (0.975, 255, 3, 11),
        (0.975, 510, 7, 20),
        (0.975, 1000, 16, 35),
        (0.95, 255, 7, 20),
        (0.95, 510, 17, 35),
        (0.95, 1000, 38, 64),
    ],
)
def test_the_region_that_kupiec_does_not_reject(level: float, observations: int, fewest: int, most: int) -> None:
    kept = [x for x in range(120) if coverage.kupiec(x, observations, level).statistic < CRITICAL]
    assert list(range(fewest, most + 1)) == kept


def test_kupiec_by_hand() -> None:
    # 8 in 250 at 99 %: 2 [242 ln(0.968/0.99) + 8 ln(0.032/0.01)]
    by_hand = 2 * (242 * math.log(0.968 / 0.99) + 8 * math.log(3.2))
    test = coverage.kupiec(8, 250, 0.99)
    assert 7.73355 == pytest.approx(by_hand, abs=1e-5)
    assert by_hand == pytest.approx(test.statistic)
    assert chi2.sf(by_hand, 1) == pytest.approx(test.p_value)


def test_kupiec_at_both_ends() -> None:
    assert -2 * 250 * math.log(0.99) == pytest.approx(coverage.kupiec(0, 250, 0.99).statistic)
    assert -2 * 250 * math.log(0.01) == pytest.approx(coverage.kupiec(250, 250, 0.99).statistic)
    assert 0.0 == coverage.kupiec(10, 1000, 0.99).statistic


def test_christoffersen_by_hand() -> None:
    # 20 days: 1 1 1 1 0 ... 0; after a hit: 3 hits, 1 miss; after a miss: 15 misses, no hit.
    hits = np.array([True] * 4 + [False] * 16)
    assert coverage.Transitions(n00=15, n01=0, n10=1, n11=3) == coverage.transitions(hits)
    together = 16 * math.log(16 / 19) + 3 * math.log(3 / 19)
    apart = 1 * math.log(1 / 4) + 3 * math.log(3 / 4)
    by_hand = 2 * (apart - together)
    test = coverage.independence(hits)
    assert 12.07549 == pytest.approx(by_hand, abs=1e-5)
    assert by_hand == pytest.approx(test.statistic)
    assert chi2.sf(by_hand, 1) == pytest.approx(test.p_value)


def test_the_joint_test_adds_both() -> None:
    hits = np.zeros(500, dtype=bool)
    hits[[10, 11, 12, 200, 201, 400]] = True
    joint = coverage.conditional_coverage(hits, 0.99)
    parts = coverage.kupiec(6, 500, 0.99).statistic + coverage.independence(hits).statistic
    assert parts == pytest.approx(joint.statistic)
    assert math.exp(-parts / 2) == pytest.approx(joint.p_value)  # chi-squared with two degrees


def test_without_a_hit_there_is_nothing_to_cluster() -> None:
    assert coverage.LikelihoodRatio(0.0, 1.0) == coverage.independence(np.zeros(100, dtype=bool))
    assert coverage.LikelihoodRatio(0.0, 1.0) == coverage.independence(np.ones(100, dtype=bool))


@pytest.mark.parametrize(("count", "zone"), [(0, "green"), (4, "green"), (5, "yellow"), (9, "yellow"), (10, "red")])
def test_the_basel_zones_of_250_days(count: int, zone: str) -> None:
    assert zone == coverage.traffic_light(count, 250, 0.99)


def test_the_chance_of_so_many() -> None:
    # Basel (1996), table 2: probability of at most 4 exceedances of 250 is 89.22 %.
    assert 0.1078 == pytest.approx(coverage.too_many_p_value(5, 250, 0.99), abs=5e-5)
    assert binom.sf(11, 510, 0.025) == pytest.approx(coverage.too_many_p_value(12, 510, 0.975))
    assert 1.0 == coverage.too_many_p_value(0, 250, 0.99)


def test_a_loss_of_exactly_the_requirement_is_covered() -> None:
    hits = coverage.exceedances(np.array([-2.0, -2.1, 5.0]), np.full(3, 2.0))
    assert [False, True, False] == list(hits)


def test_a_rolling_requirement_sees_only_the_days_before() -> None:
    pnl = -np.arange(1.0, 11.0)
    rolled = coverage.rolling_requirement(pnl, 4, 0.5, var_order)
    assert [var_order(pnl[t - 4 : t], 0.5) for t in range(4, 10)] == list(rolled)
    assert (6,) == rolled.shape


def test_the_plain_backtest_of_an_index() -> None:
    pnl = returns("sp500")
    told = coverage.rolling_coverage(pnl, 500, 0.99, var_order)
    hits = [bool(-pnl[t] > np.sort(-pnl[t - 500 : t])[-5]) for t in range(500, pnl.size)]
    assert (4530, sum(hits)) == (told.observations, told.exceedances)
    assert coverage.independence(np.array(hits)) == told.independence


def test_the_shortfall_statistic_is_zero_when_losses_are_as_expected() -> None:
    pnl = np.zeros(200)
    pnl[[50, 150]] = -3.0  # 1 % of days, each exactly the expected shortfall
    assert 0.0 == pytest.approx(coverage.shortfall_z2(pnl, np.full(200, 2.0), np.full(200, 3.0), 0.99))
    assert 1.0 == pytest.approx(coverage.shortfall_z2(pnl, np.full(200, 2.0), np.full(200, 1.5), 0.99))


def test_a_report_says_all_of_it() -> None:
    hits = np.zeros(250, dtype=bool)
    hits[[3, 100]] = True
    told = coverage.coverage_report(hits, 0.99)
    assert (250, 2, 2.5, coverage.Zone.GREEN) == (told.observations, told.exceedances, told.expected, told.zone)
    assert coverage.kupiec(2, 250, 0.99) == told.kupiec


@pytest.mark.parametrize(
    "call",
    [
        lambda: coverage.kupiec(5, 4, 0.99),
        lambda: coverage.kupiec(0, 0, 0.99),
        lambda: coverage.transitions(np.array([True])),
        lambda: coverage.independence(np.array([0.0, 1.0])),
        lambda: coverage.exceedances(np.zeros(3), np.zeros(2)),
        lambda: coverage.rolling_requirement(np.zeros(3), 3, 0.9, var_order),
        lambda: coverage.shortfall_z2(np.zeros(3), np.ones(3), np.zeros(3), 0.9),
    ],
)
def test_what_cannot_be_tested_is_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(InvalidReference):
        call()
