"""Coverage by hand, alerts with hysteresis, and the tail formulas against numeric integration."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from engine.errors import InvalidReference
from engine.waterfall.coverage import (
    AlertLevel,
    AlertTerms,
    PeaksOverThreshold,
    Switch,
    alert_level,
    coverage,
    switches,
    tail_expected_shortfall,
    tail_value_at_risk,
)

SHORTFALL_AS = np.array([[10.0, 0.0], [5.0, 40.0], [1.0, 0.0], [0.0, 2.0]])
TERMS = AlertTerms()


def test_cover_ratio_and_cover_k() -> None:
    judged = coverage(SHORTFALL_AS, 60.0, k=1)
    assert judged.total_S.tolist() == [16.0, 42.0]
    assert judged.cover_k_S.tolist() == [10.0, 40.0]
    assert (judged.worst_scenario, judged.used) == (1, 0.7)
    assert judged.used_by_k == pytest.approx(40 / 60)
    assert judged.guaranteed
    assert judged.covers_k == 3
    assert coverage(SHORTFALL_AS, 41.0).covers_k == 1  # the second scenario fails with its second account
    assert coverage(SHORTFALL_AS, 39.0).covers_k == 0
    assert not coverage(SHORTFALL_AS, 41.0).guaranteed


def test_without_resources_any_shortfall_is_too_much() -> None:
    assert coverage(SHORTFALL_AS, 0.0).used == inf
    assert coverage(np.zeros((0, 2)), 0.0).used == 0.0
    assert coverage(np.zeros((3, 2)), 0.0).guaranteed


def test_impossible_inputs_are_refused() -> None:
    for shortfall, resources, k in (
        (np.full((1, 1), -1.0), 1.0, 1),
        (np.full((1, 1), np.nan), 1.0, 1),
        (SHORTFALL_AS, -1.0, 1),
        (SHORTFALL_AS, 1.0, 0),
    ):
        with pytest.raises(InvalidReference):
            coverage(shortfall, resources, k)
    with pytest.raises(InvalidReference):
        AlertTerms(shares=(0.5, 0.5, 1.0))


def test_alerts_rise_at_once_and_fall_late() -> None:
    level, seen = AlertLevel.CALM, []
    for used in (0.3, 0.5, 0.46, 0.44, 1.2, 0.95, 0.89, 0.73, 0.71, 0.2):
        level = alert_level(used, level, TERMS)
        seen.append(int(level))
    assert seen == [0, 1, 1, 0, 3, 3, 2, 2, 1, 0]


def test_switches_of_each_level() -> None:
    assert switches(AlertLevel.NOTICE, TERMS) == frozenset() == switches(AlertLevel.CALM, TERMS)
    assert Switch.STOP_PROFIT_WITHDRAWALS not in switches(AlertLevel.WARNING, TERMS)
    assert Switch.STOP_PROFIT_WITHDRAWALS in switches(AlertLevel.EXCEEDED, TERMS)
    assert Switch.RAISE_INITIAL_MARGIN_FOR_NEW_RISK in switches(AlertLevel.EXCEEDED, TERMS)


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3, 0.8])
def test_expected_shortfall_is_the_mean_of_the_tail(shape: float) -> None:
    tail = PeaksOverThreshold(100.0, 20.0, shape, 1_000, 50)
    mean, _ = quad(lambda share: tail_value_at_risk(tail, 1.0 - share), 0.0, 0.01, limit=200)
    assert tail_expected_shortfall(tail, 0.99) == pytest.approx(mean / 0.01, rel=1e-4)


def test_the_threshold_is_the_quantile_of_its_exceedances() -> None:
    tail = PeaksOverThreshold(100.0, 20.0, 0.3, 1_000, 50)
    assert tail_value_at_risk(tail, 0.95) == pytest.approx(100.0)
    # McNeil & Frey's form by hand: 100 + 20 / 0.3 * (0.2^-0.3 - 1)
    assert tail_value_at_risk(tail, 0.99) == pytest.approx(100 + 20 / 0.3 * (0.2**-0.3 - 1))
    with pytest.raises(InvalidReference):
        tail_value_at_risk(tail, 0.9)


def test_a_tail_as_heavy_as_account_sizes_has_no_mean() -> None:
    # a Hill exponent of 0.87 is a shape of 1.15
    assert tail_expected_shortfall(PeaksOverThreshold(1.0, 1.0, 1 / 0.87, 100, 10), 0.99) == inf
    assert tail_expected_shortfall(PeaksOverThreshold(1.0, 1.0, 1.0, 100, 10), 0.99) == inf
    with pytest.raises(InvalidReference):
        PeaksOverThreshold(1.0, 0.0, 0.5, 100, 10)


@given(
    shortfalls=st.lists(st.lists(st.integers(0, 1000), min_size=3, max_size=3), min_size=1, max_size=8),
    resources=st.integers(0, 5000),
)
def test_the_guarantee_is_that_the_worst_scenario_is_paid(shortfalls: list[list[int]], resources: int) -> None:
    judged = coverage(np.array(shortfalls, np.float64), float(resources), k=2)
    worst = max(sum(column) for column in zip(*shortfalls, strict=True))
    assert judged.guaranteed == (worst <= resources)
    for column in zip(*shortfalls, strict=True):
        largest = sorted(column, reverse=True)
        assert sum(largest[: judged.covers_k]) <= resources
    assert judged.used_by_k <= judged.used


@given(path=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=30))
def test_no_level_is_below_what_is_used(path: list[float]) -> None:
    level = AlertLevel.CALM
    for used in path:
        before, level = level, alert_level(used, level, TERMS)
        plain = alert_level(used, AlertLevel.CALM, TERMS)
        assert plain <= level <= max(before, plain)
