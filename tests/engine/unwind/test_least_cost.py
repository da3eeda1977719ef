"""The planner: exact where it can be checked by hand, never beaten by what its bound excludes, never stuck."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize

from engine.pricing.axes import Floats
from engine.unwind.least_cost import CERTAIN, FEASIBLE, NONE_NEEDED, OPTIMAL, UNAFFORDABLE, Solution, least_cost
from engine.unwind.problem import CloseOut, cost
from tests.engine.unwind.hedged_books import (
    equal_share,
    hedged_book,
    largest_first,
    leg,
    missing,
    planned_first,
    required,
)

SHAPES = ((1, 4, 1, 0), (2, 5, 1, 0), (8, 16, 1, 0), (16, 16, 2, 1), (24, 24, 4, 2), (48, 32, 1, 0), (12, 9, 6, 3))
"""Items, scenarios, groups, option groups."""


def stated(
    loss_IS: list[list[float]], size_I: list[float], linear_I: list[float], impact_I: list[float], equity: float
) -> CloseOut:
    """One group, no options, target 1."""
    items = len(size_I)
    return CloseOut(
        loss_IS=np.array(loss_IS, dtype=np.float64).reshape(items, len(loss_IS[0]) if loss_IS else 1),
        group_I=np.zeros(items, np.int64),
        base_KS=np.zeros((1, len(loss_IS[0]) if loss_IS else 1)),
        weight=1.0,
        short_I=np.zeros(items),
        option_group_I=np.full(items, -1, np.int64),
        base_O=np.zeros(0),
        size_I=np.array(size_I, dtype=np.float64),
        linear_I=np.array(linear_I, dtype=np.float64),
        impact_I=np.array(impact_I, dtype=np.float64),
        pending_I=np.zeros(items),
        equity=equity,
        target=1.0,
    )


def tolerance(problem: CloseOut) -> float:
    """What counts as reached."""
    return 2e-9 * (abs(problem.equity) + problem.target * required(problem))


def assert_sound(problem: CloseOut, solution: Solution) -> None:
    """Within sizes, figures consistent, the target reached unless the status says that it is not."""
    assert (solution.x_I >= 0.0).all() and (solution.x_I <= problem.size_I).all()
    assert solution.cost == cost(problem, solution.x_I)
    assert 0.0 <= solution.lower_bound <= solution.cost
    assert solution.requirement_before == required(problem)
    assert solution.requirement_after == required(problem, solution.x_I)
    reached = missing(problem, solution.x_I) <= tolerance(problem)
    assert reached == (solution.status != UNAFFORDABLE)
    assert (solution.gap <= CERTAIN) if solution.status == OPTIMAL else True
    assert (solution.share_T >= 0.0).all() and solution.share_T.sum() <= 1.0


def marginal_costs(problem: CloseOut, x_I: Floats) -> Floats:
    return problem.linear_I + 1.5 * problem.impact_I * np.sqrt(problem.pending_I + x_I)


@pytest.mark.parametrize("seed", range(12))
def test_one_scenario_meets_the_conditions_of_an_optimum(seed: int) -> None:
    """At the optimum one price of margin rules: what is closed in part costs exactly what it frees at that price, what
    is closed whole costs no more, what is not touched no less; and the target is just met."""
    problem = hedged_book(np.random.default_rng(seed), 20, 1, pending=seed % 2 == 1).problem
    if required(problem) == 0.0:
        problem = problem._replace(loss_IS=-problem.loss_IS)
        problem = problem._replace(equity=0.8 * required(problem))
    solution = least_cost(problem)
    assert solution.status == OPTIMAL
    freed_I = problem.target * problem.loss_IS[:, 0]
    price = float(solution.share_T[0])
    slack_I = price * freed_I - marginal_costs(problem, solution.x_I)
    inside = (solution.x_I > 0.0) & (solution.x_I < problem.size_I)
    assert inside.any()
    assert slack_I[inside] == pytest.approx(0.0, abs=1e-6 * abs(freed_I).max())
    assert (slack_I[solution.x_I == 0.0] <= 1e-9).all()
    assert (slack_I[solution.x_I == problem.size_I] >= -1e-9).all()
    assert missing(problem, solution.x_I) == pytest.approx(0.0, abs=tolerance(problem))


def test_one_scenario_by_hand() -> None:
    """Cost 1 frees 10 of the first item, 5 of the second: only the first is closed, 150 - 10 x + x = 105."""
    problem = stated([[10.0], [5.0]], [10.0, 10.0], [1.0, 1.0], [0.0, 0.0], 105.0)
    solution = least_cost(problem)
    assert solution.x_I == pytest.approx([5.0, 0.0], abs=1e-4)
    assert solution.cost == pytest.approx(5.0, rel=1e-4)
    assert solution.status == OPTIMAL


@pytest.mark.parametrize("seed", range(6))
def test_two_items_by_brute_force(seed: int) -> None:
    """No plan on a fine grid that reaches the target is cheaper."""
    problem = hedged_book(np.random.default_rng(100 + seed), 2, 12).problem
    solution = least_cost(problem)
    steps = np.linspace(0.0, 1.0, 201)
    grid = (np.array([a, b]) * problem.size_I for a in steps for b in steps)
    cheapest = min((cost(problem, x_I) for x_I in grid if missing(problem, x_I) <= 0.0), default=np.inf)
    assert np.isfinite(cheapest)
    assert solution.cost <= cheapest * (1.0 + 1e-9)
    assert solution.cost >= cheapest * 0.93, "half a percent of a size is a coarse step for a small plan"


def by_slsqp(problem: CloseOut, start_I: Floats) -> float:
    """The cost that SciPy's sequential quadratic programming reaches: shares of sizes, costs in units of equity, one
    smooth constraint per scenario. Where it stops for want of precision its plan still has to be feasible."""
    size_I, scale = problem.size_I, abs(problem.equity)

    def each(u_I: Floats) -> Floats:
        left_I = size_I * (1.0 - u_I)
        slack: Floats = (
            problem.equity - cost(problem, size_I * u_I) - problem.target * (left_I @ problem.loss_IS)
        ) / scale
        return slack

    def jacobian(u_I: Floats) -> Floats:
        spent = marginal_costs(problem, size_I * u_I)[:, None]
        turned: Floats = ((problem.target * problem.loss_IS - spent) * size_I[:, None]).T / scale
        return turned

    done = minimize(
        lambda u_I: 1e3 * cost(problem, size_I * u_I) / scale,
        start_I / size_I,
        jac=lambda u_I: 1e3 * marginal_costs(problem, size_I * u_I) * size_I / scale,
        method="SLSQP",
        constraints=[
            NonlinearConstraint(each, 0.0, np.inf, jac=jacobian),
            LinearConstraint(np.eye(size_I.size), 0.0, 1.0),
        ],
        options={"maxiter": 500, "ftol": 1e-10},
    )
    u_I = np.clip(done.x, 0.0, 1.0)
    assert each(u_I).min() >= -1e-7
    return cost(problem, size_I * u_I)


@pytest.mark.parametrize("seed", range(10))
def test_cost_is_that_of_a_general_solver(seed: int) -> None:
    problem = hedged_book(np.random.default_rng(200 + seed), 8, 10, pending=seed % 2 == 0).problem
    solution = least_cost(problem)
    assert solution.cost == pytest.approx(by_slsqp(problem, equal_share(problem)), rel=1e-4)


def test_a_plan_is_found_whenever_closing_everything_is_affordable() -> None:
    rng, affordable, certified = np.random.default_rng(1), 0, 0
    for number in range(1_400):
        items, scenarios, groups, options = SHAPES[number % len(SHAPES)]
        problem = hedged_book(
            rng, items, scenarios, groups, impact=number % 3 > 0, options=options, pending=number % 2 == 0
        ).problem
        solution = least_cost(problem)
        assert_sound(problem, solution)
        if missing(problem, problem.size_I) <= 0.0:
            affordable += 1
            certified += solution.gap <= 0.02
            assert solution.status != UNAFFORDABLE
    assert affordable > 1_000
    assert certified / affordable >= 0.98


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(SHAPES), impact=st.booleans(), pending=st.booleans())
def test_no_feasible_plan_costs_less_than_the_bound(
    seed: int, shape: tuple[int, int, int, int], impact: bool, pending: bool
) -> None:
    rng = np.random.default_rng(seed)
    items, scenarios, groups, options = shape
    problem = hedged_book(rng, items, scenarios, groups, impact=impact, options=options, pending=pending).problem
    solution = least_cost(problem)
    others = [problem.size_I * rng.random(items) ** power for power in (0.2, 1.0, 5.0)]
    others += [problem.size_I * (rng.random(items) < 0.5), equal_share(problem)]
    others += [np.clip(solution.x_I * rng.normal(1.0, 0.1, items), 0.0, problem.size_I)]
    for x_I in others:
        for share in (0.0, 0.1, 0.3, 1.0):
            tried_I = np.minimum(x_I + share * (problem.size_I - x_I), problem.size_I)
            if missing(problem, tried_I) <= 0.0:
                assert cost(problem, tried_I) >= solution.lower_bound * (1.0 - 1e-9)


def test_the_same_input_gives_the_same_bits() -> None:
    for seed in range(40):
        problem = hedged_book(np.random.default_rng(seed), 24, 24, 4, options=2).problem
        one, other = least_cost(problem), least_cost(problem)
        assert one.x_I.tobytes() == other.x_I.tobytes()
        assert one.share_T.tobytes() == other.share_T.tobytes()
        assert (one.cost, one.lower_bound, one.status) == (other.cost, other.lower_bound, other.status)


def test_the_first_slice_of_a_plan_helps_where_that_of_the_largest_leg_often_hurts() -> None:
    rng, planned, largest, books = np.random.default_rng(5), 0, 0, 300
    for _ in range(books):
        book = hedged_book(rng, 64, 32)
        problem, solution = book.problem, least_cost(book.problem)
        if not solution.x_I.any():
            continue
        before = missing(problem, np.zeros(64))
        planned += missing(problem, planned_first(problem, solution.x_I)) > before
        largest += missing(problem, largest_first(book)) > before
    assert planned == 0
    assert largest > 0.1 * books


def test_a_slice_of_a_leg_that_helps_whole_helps() -> None:
    """What is missing is convex along a leg, so an executor that only fills part of it never does harm."""
    rng = np.random.default_rng(6)
    for _ in range(60):
        problem = hedged_book(rng, 16, 16, 2).problem
        solution, before = least_cost(problem), missing(problem, np.zeros(16))
        for item in np.flatnonzero(solution.x_I).tolist():
            if missing(problem, leg(problem, item, solution.x_I[item])) <= before:
                for share in (0.01, 0.3, 0.9):
                    assert missing(problem, leg(problem, item, share * solution.x_I[item])) <= before + 1e-9 * before


def test_nothing_is_closed_where_nothing_is_missing() -> None:
    problem = stated([[10.0]], [10.0], [1.0], [1.0], 100.0)
    solution = least_cost(problem)
    assert (solution.status, solution.cost, solution.x_I.tolist()) == (NONE_NEEDED, 0.0, [0.0])
    assert solution.scenario_TK.shape == (0, 1)


def test_without_any_cost_everything_that_frees_may_be_closed() -> None:
    problem = stated([[10.0, -10.0], [-4.0, 4.0]], [10.0, 10.0], [0.0, 0.0], [0.0, 0.0], 20.0)
    solution = least_cost(problem)
    assert_sound(problem, solution)
    assert (solution.status, solution.cost, solution.gap) == (OPTIMAL, 0.0, 0.0)


def test_impact_alone() -> None:
    problem = hedged_book(np.random.default_rng(9), 12, 12).problem._replace(linear_I=np.zeros(12))
    solution = least_cost(problem)
    assert_sound(problem, solution)
    assert solution.status == OPTIMAL


def test_two_items_that_are_alike_are_closed_alike_with_impact() -> None:
    problem = stated([[10.0, 2.0], [10.0, 2.0]], [10.0, 10.0], [0.5, 0.5], [0.1, 0.1], 150.0)
    solution = least_cost(problem)
    assert_sound(problem, solution)
    assert solution.status == OPTIMAL
    assert solution.x_I[0] == solution.x_I[1]


def test_scenarios_that_are_alike_make_one_cut() -> None:
    problem = stated([[10.0, 10.0, 10.0], [-5.0, -5.0, -5.0]], [10.0, 10.0], [0.5, 0.5], [0.1, 0.1], 30.0)
    solution = least_cost(problem)
    assert solution.scenario_TK.tolist() == [[0]]
    assert solution.x_I[1] == 0.0, "the hedge stays"


def test_nothing_to_close_is_unaffordable_not_an_error() -> None:
    problem = stated([], [], [], [], 10.0)._replace(base_KS=np.array([[50.0]]))
    solution = least_cost(problem)
    assert (solution.status, solution.cost, solution.x_I.size) == (UNAFFORDABLE, 0.0, 0)


def test_what_costs_more_than_it_frees_is_left_alone() -> None:
    problem = stated([[10.0], [10.0]], [10.0, 10.0], [11.0, 1.0], [0.0, 0.0], 150.0)
    assert least_cost(problem).x_I.tolist()[0] == 0.0


def test_a_book_that_cannot_pay_for_its_own_closing_is_told_apart() -> None:
    problem = stated([[10.0]], [10.0], [20.0], [0.0], 50.0)
    solution = least_cost(problem)
    assert solution.status == UNAFFORDABLE
    assert solution.x_I.tolist() == [10.0]


def test_a_plan_may_exist_though_closing_everything_is_unaffordable() -> None:
    """One leg is dear to close and frees nothing; the other cures the account alone."""
    problem = stated([[0.0], [10.0]], [10.0, 10.0], [50.0, 0.1], [0.0, 0.0], 60.0)
    solution = least_cost(problem)
    assert missing(problem, problem.size_I) > 0.0
    assert_sound(problem, solution)
    assert solution.status in (OPTIMAL, FEASIBLE)
    assert solution.x_I[0] == 0.0


def test_option_minima_bind_without_any_scenario() -> None:
    problem = stated([[0.0], [0.0]], [10.0, 10.0], [0.1, 0.1], [0.0, 0.0], 60.0)._replace(
        short_I=np.array([10.0, -2.0]), option_group_I=np.zeros(2, np.int64), base_O=np.zeros(1)
    )
    solution = least_cost(problem)
    assert_sound(problem, solution)
    assert solution.option_TO.tolist() == [[1]]
    assert solution.scenario_TK.tolist() == [[-1]]
    # 80 - 10 x + 0.1 x = 60
    assert solution.x_I == pytest.approx([20.0 / 9.9, 0.0], rel=1e-3)


def test_forced_flow_of_others_moves_the_plan_to_other_legs() -> None:
    problem = stated([[10.0], [10.0]], [10.0, 10.0], [0.1, 0.1], [0.5, 0.5], 150.0)
    crowded = least_cost(problem._replace(pending_I=np.array([50.0, 0.0])))
    calm = least_cost(problem)
    assert crowded.x_I[0] < calm.x_I[0]
    assert crowded.x_I[1] > calm.x_I[1]
    assert crowded.cost > calm.cost
