"""The parts of a tick on their own: shares to close, routing, deleveraging rules, the liquidation map, moments."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cascade.adl import counterparties
from engine.cascade.books import CascadeBooks
from engine.cascade.closing import route
from engine.cascade.density import branching_ratio, liquidation_map
from engine.cascade.health import health, share_to_close
from engine.cascade.impact import ImpactLaw, ImpactState
from engine.cascade.moments import Moment, busiest, moments, rebound, time_to_quiet
from engine.cascade.policy import AdlRule
from engine.cascade.population import Population
from engine.cascade.shock import Shock, outside_path
from engine.cascade.simulation import Run
from engine.errors import InvalidReference
from engine.risk.depth import Depth
from engine.waterfall.queue_rule import Queued, hyperliquid_score, ranked
from tests.engine.cascade.books import DEEP, FREE, falls, population, run, uniform


@settings(max_examples=200)
@given(st.floats(-50.0, 99.0), st.floats(100.0, 1000.0), st.floats(0.0, 20.0), st.floats(1.0, 2.0))
def test_the_share_to_close_restores_the_target_where_anything_does(
    equity: float, requirement: float, cost: float, target: float
) -> None:
    (share,) = share_to_close(np.array([equity]), np.array([requirement]), np.array([cost]), target)
    after, required = equity - share * cost, (1.0 - share) * requirement
    assert 0.0 <= share <= 1.0
    if share < 1.0:
        assert after == pytest.approx(target * required, abs=1e-6)
    else:
        assert equity - cost <= 1e-6


def test_health_nets_hedges_as_far_as_margin_does() -> None:
    quantity_AK, none_AK = np.array([[100.0, -50.0]]), np.array([[0.0, 10.0]])
    for offset, expected in ((0.0, 11.0 + 3.6), (0.5, 11.0 + 3.6 - 3.6), (1.0, 11.0 - 3.6)):
        equity_A, requirement_A = np.empty(1), np.empty(1)
        health(
            quantity_AK, none_AK, np.array([20.0]), np.ones(1), np.array([0.1, 0.08]), offset, np.array([1.1, 0.9]),
            equity_A, requirement_A,
        )  # fmt: skip
        assert equity_A[0] == pytest.approx(20.0 + 110.0 - 45.0 + 9.0)
        assert requirement_A[0] == pytest.approx(expected)


def test_routes_cross_first_and_share_out_what_the_throttle_leaves() -> None:
    policy = replace(FREE, participation=0.1, flow_per_s=12.0)
    buys_K, sells_K, volume_K = np.array([5.0, 30.0]), np.array([20.0, 0.0]), np.array([100.0, 100.0])
    routing = route(buys_K, sells_K, volume_K, policy, 1.0)
    assert routing.crossed_K.tolist() == [5.0, 0.0]
    assert routing.sell_K + routing.buy_K == pytest.approx([6.0, 6.0])  # 10 each by volume, 12 together
    buy_share_K, sell_share_K = routing.filled()
    assert buy_share_K == pytest.approx([1.0, 0.2])
    assert sell_share_K == pytest.approx([0.55, 0.0])
    _, sold_at_K = routing.fill_prices(np.ones(2), np.full(2, 0.9), np.zeros(2))
    assert sold_at_K[0] == pytest.approx((5.0 * 1.0 + 6.0 * 0.9) / 11.0)


def shorts() -> CascadeBooks:
    """Shorts in profit at 0.9: 10, 20 and 30, the first with the least equity; a long and a bankrupt short beside."""
    books = CascadeBooks(
        population(np.array([2.0, 8.0, 30.0, 5.0, 1.0]), np.array([-10.0, -20.0, -30.0, 5.0, -8.0])), 0
    )
    books.cash_A[4] -= 20.0
    books.look(np.array([0.9]))
    return books


@given(st.floats(0.0, 100.0), st.sampled_from(list(AdlRule)))
def test_deleveraging_closes_what_is_asked_or_all_there_is(wanted: float, rule: AdlRule) -> None:
    spared_A = np.array([False, False, True, False, False])
    closed_A = counterparties(shorts(), 0, wanted, 0.9, spared_A, rule)
    assert closed_A.sum() == pytest.approx(min(wanted, 30.0))
    assert closed_A[2:].tolist() == [0.0, 0.0, 0.0]
    assert (closed_A <= np.array([10.0, 20.0, 0.0, 0.0, 0.0])).all()


def test_pro_rata_takes_the_same_share_and_the_queue_the_most_leveraged_first() -> None:
    nobody_A = np.zeros(5, np.bool_)
    assert counterparties(shorts(), 0, 30.0, 0.9, nobody_A, AdlRule.PRO_RATA)[:3] == pytest.approx([5.0, 10.0, 15.0])
    assert counterparties(shorts(), 0, 30.0, 0.9, nobody_A, AdlRule.QUEUE)[:3] == pytest.approx([10.0, 20.0, 0.0])


def test_the_queue_ranks_as_the_exact_one_does() -> None:
    """Who is closed first is what ``engine.waterfall`` says of the same positions, longs as well as shorts."""
    rng = np.random.default_rng(5)
    for side, price in ((-1.0, 0.7), (1.0, 1.3)):
        size_A = rng.uniform(1.0, 50.0, 40)
        books = CascadeBooks(population(size_A * rng.uniform(0.5, 2.0, 40), side * size_A), 0)
        books.look(np.array([price]))
        queue = [
            Queued(
                f"{a:02}", 1, hyperliquid_score(price, 1, float(size_A[a] * price), float(books.equity_A[a]), int(side))
            )
            for a in range(40)
            if books.equity_A[a] > 0.0
        ]
        asked = 0.5 * float(size_A.sum())
        closed_A = counterparties(books, 0, -side * asked, price, np.zeros(40, np.bool_), AdlRule.QUEUE)
        order = [int(each.account) for each in ranked(queue)]
        touched = np.flatnonzero(closed_A)
        assert sorted(order[: touched.size]) == touched.tolist()
        assert closed_A[order[: touched.size - 1]] == pytest.approx(size_A[order[: touched.size - 1]])


def test_pro_rata_spares_accounts_below_maintenance_until_the_others_are_used_up() -> None:
    books = shorts()
    books.equity_A[0] = 0.5 * books.requirement_A[0]
    nobody_A = np.zeros(5, np.bool_)
    assert counterparties(books, 0, 50.0, 0.9, nobody_A, AdlRule.PRO_RATA)[:3] == pytest.approx([0.0, 20.0, 30.0])
    assert counterparties(books, 0, 56.0, 0.9, nobody_A, AdlRule.PRO_RATA)[:3] == pytest.approx([6.0, 20.0, 30.0])


def test_the_map_of_a_uniform_density_is_flat() -> None:
    books = CascadeBooks(uniform(10_000, 3.0, 0.3), 0.0)
    rungs_BK = -np.linspace(0.0, 0.3, 31)[:, None]
    planned_BK = liquidation_map(books, np.ones(1), rungs_BK, FREE, np.zeros(1))
    # an account beyond its trigger is worth less than at it: what a fall has passed shrinks with the price
    inside = np.arange(30) * 0.01
    expected = -3.0 * 0.01 + 3.0 * 0.01 * np.exp(-0.005) * (1.0 - np.exp(-inside))
    assert planned_BK[0, 0] == pytest.approx(-0.03, rel=0.01)
    assert (planned_BK[:, 0] < 0.0).all()
    assert planned_BK[:, 0] == pytest.approx(expected, rel=0.02)


def test_the_branching_ratio_is_lambda_times_density() -> None:
    books = CascadeBooks(uniform(20_000, 2.0, 0.3), 0.0)
    impact = ImpactState(ImpactLaw(decay_s=1e18, linear=0.3), (Depth(0.0, 0.0, 1.0),), 1.0)
    ratio, ratio_K = branching_ratio(books, np.ones(1), np.array([-0.01]), FREE, impact)
    assert ratio == pytest.approx(0.6, rel=0.02)
    assert ratio_K.tolist() == [ratio]


def test_the_path_falls_by_its_size_times_beta() -> None:
    shock = Shock(0.1, calm_s=10.0, fast=0.5, fast_s=5.0, slow_s=50.0, noise_rise=3.0, noise_s=50.0, correlation=0.7)
    beta_K, volatility_K = np.array([1.0, 2.0]), np.array([0.03, 0.06])
    quiet_TK = outside_path(shock, beta_K, volatility_K, np.zeros(1_000), np.zeros((1_000, 2)), 1.0)
    assert quiet_TK[:11].tolist() == np.zeros((11, 2)).tolist()
    assert quiet_TK[-1] == pytest.approx([-0.1, -0.2], rel=1e-6)
    rng = np.random.default_rng(1)
    noisy_TK = outside_path(shock, beta_K, volatility_K, rng.standard_normal(1_000), rng.standard_normal((1_000, 2)), 1)
    step_TK = np.diff(noisy_TK - quiet_TK, axis=0)
    assert np.atleast_2d(np.corrcoef(step_TK.T))[0, 1] == pytest.approx(0.7, abs=0.06)


def made(forced: list[float], adl: list[float], price: list[float]) -> Run:
    """A run of which only the series matter."""
    ran = run(population(np.array([10.0]), np.array([100.0])), DEEP, FREE, falls(np.zeros(len(forced))))
    return replace(
        ran, forced_TK=np.array(forced)[:, None], adl_T=np.array(adl), price_TK=np.array(price)[:, None], tick_s=60.0
    )


def test_moments_are_what_they_say() -> None:
    minutes = 120
    forced, adl, price = np.zeros(minutes), np.zeros(minutes), np.ones(minutes)
    forced[10:50] = 1.0
    forced[20] = 61.0
    forced[110] = 25.0
    adl[11], adl[30] = 3.0, 1.0
    price[10:] = np.exp(-0.2)
    price[60:] = np.exp(-0.15)
    found = {moment.name: moment for moment in moments(made(forced.tolist(), adl.tolist(), price.tolist()))}
    assert found["burst"].value == pytest.approx(100.0 / 125.0)
    assert found["peak minute"].value == pytest.approx(0.61)
    assert found["first ADL"].value == pytest.approx(60.0)
    assert found["ADL peak"].value == pytest.approx(0.75)
    assert [moment.lands for moment in found.values()] == [True, False, True, True, False]


def test_a_rebound_needs_its_thirty_minutes() -> None:
    price = [1.0, *([np.exp(-0.2)] * 10), *([np.exp(-0.13)] * 40)]
    zeros = [0.0] * len(price)
    assert rebound(made(zeros, zeros, price)) == pytest.approx(0.35)
    assert rebound(made(zeros[:20], zeros[:20], price[:20])) is None


def test_an_event_that_never_came_misses_its_band() -> None:
    nothing = made([0.0] * 5, [0.0] * 5, [1.0] * 5)
    assert [None] * 5 == [moment.value for moment in moments(nothing)]
    assert not Moment("x", "", None, 0.0, 1.0).lands
    assert time_to_quiet(nothing) == 0.0


def test_quiet_is_five_minutes_without_a_forced_trade() -> None:
    forced = [0.0, 1.0, 0.0, 1.0, *([0.0] * 8), 1.0, 0.0]
    assert time_to_quiet(made(forced, [0.0] * 14, [1.0] * 14)) == 120.0
    assert time_to_quiet(made(forced[:7], [0.0] * 7, [1.0] * 7)) is None


def test_busiest_window() -> None:
    assert busiest(np.array([1.0, 0.0, 5.0, 4.0, 0.0, 9.0]), 2) == (2, 9.0)
    assert busiest(np.array([1.0, 2.0]), 10) == (0, 3.0)


@pytest.mark.parametrize(
    "changes", [{"target": 0.9}, {"participation": 0.0}, {"takeover": 1.5}, {"fund": -1.0}, {"fund": float("nan")}]
)
def test_policies_that_make_no_sense_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(InvalidReference):
        replace(FREE, **changes)  # type: ignore[arg-type]


def test_populations_that_do_not_fit_together_are_refused() -> None:
    good = population(np.array([1.0]), np.array([5.0]))
    for changes in (
        {"equity_A": np.ones(2)},
        {"equity_A": np.array([inf])},
        {"rate_K": np.array([-0.1])},
        {"offset": 2.0},
    ):
        with pytest.raises(InvalidReference):
            replace(good, **changes)
    with pytest.raises(InvalidReference):
        Population((), np.ones(0), np.zeros((0, 0)), np.zeros((0, 0)), np.ones(0), np.zeros(0), 0.0)
