"""The loop: what is conserved, what closing aims at, what knobs do, and who bears a loss in which order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cascade.books import CascadeBooks
from engine.cascade.impact import ImpactLaw
from engine.cascade.policy import AdlRule
from engine.cascade.population import Population
from engine.cascade.simulation import Cascade, Market
from engine.errors import InvalidReference
from engine.risk.depth import Depth
from tests.engine.cascade.books import DEEP, FREE, falls, population, run, slope, uniform

THIN = Market((Depth(1e-4, 0.05, 1e4),), ImpactLaw(decay_s=600.0, eta=0.2, thinning=0.5, depth_floor=0.2), np.ones(1))


def worth(books: CascadeBooks, price: float) -> float:
    """Everything everybody has, the outside included."""
    everywhere = books.quantity_AK.sum() + books.collateral_AK.sum() + books.backstop_K.sum() + books.outside_K.sum()
    return float(everywhere * price + books.cash_A.sum() + books.backstop_cash + books.outside_cash)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(list(AdlRule)),
    st.floats(0.0, 300.0),
    st.floats(0.0, 0.01),
    st.booleans(),
)
def test_nothing_is_created_or_lost(seed: int, rule: AdlRule, fund: float, bids: float, netting: bool) -> None:
    rng = np.random.default_rng(seed)
    quantity_A = rng.normal(0.0, 100.0, 60) * rng.pareto(1.2, 60)
    who = population(np.abs(quantity_A) * rng.uniform(0.06, 0.4, 60), quantity_A)
    before = who.equity_A.sum() + fund
    ran = run(
        who, THIN, FREE, slope(rng.choice([-0.3, 0.3]), 40, 60), adl=rule, fund=fund, target=1.2, takeover=0.6,
        participation=0.2, backstop_rate=0.1, backstop_floor=0.5, backstop_unwind_s=20.0, auction_share=bids,
        auction_s=10.0, auction_discount=0.02, fee=1e-3, netting=netting,
    )  # fmt: skip
    assert worth(ran.books, 1.0) == pytest.approx(before, rel=1e-9)
    held = ran.books.quantity_AK.sum() + ran.books.backstop_K.sum() + ran.books.outside_K.sum()
    assert held == pytest.approx(quantity_A.sum(), abs=1e-6)
    assert (ran.forced_TK >= 0.0).all()
    assert ran.totals.overshoot <= ran.totals.adl + 1e-9


def test_a_close_reaches_its_target_and_no_more() -> None:
    ran = run(population(np.array([10.0]), np.array([100.0])), DEEP, FREE, falls([0.0, -0.055, -0.055]), target=1.2)
    books = ran.books
    books.look(ran.price_TK[-1])
    assert books.equity_A[0] == pytest.approx(1.2 * books.requirement_A[0])
    assert 0.0 < books.quantity_AK[0, 0] < 100.0
    assert ran.touched_A.tolist() == [True]


def test_nobody_above_maintenance_is_touched() -> None:
    ran = run(population(np.array([10.0, 30.0]), np.array([100.0, 100.0])), DEEP, FREE, slope(0.06, 20, 20), target=1.2)
    assert ran.touched_A.tolist() == [True, False]
    assert ran.books.quantity_AK[1, 0] == 100.0


def test_the_throttle_holds_every_tick_and_underlying() -> None:
    market = Market((Depth(0.0, 0.0, 86_400.0 * 100.0),), ImpactLaw(decay_s=600.0), np.ones(1))
    ran = run(population(np.full(5, 10.0), np.full(5, 100.0)), market, FREE, slope(0.07, 2, 30), participation=0.1)
    assert ran.forced_TK.max() == pytest.approx(10.0)
    assert ran.forced_TK[2:20, 0] == pytest.approx(np.full(18, 10.0))
    assert ran.forced_TK[:2].sum() == 0.0


def test_opposite_closes_cross_inside_and_move_nothing() -> None:
    long_short = Population(
        ("X", "Y"),
        np.array([11.0, 11.0]),
        np.array([[100.0, 100.0], [-100.0, 100.0]]),
        np.zeros((2, 2)),
        np.ones(2),
        np.array([0.05, 0.05]),
        0.0,
    )
    market = Market((Depth(0.0, 0.05, 1e4),) * 2, ImpactLaw(decay_s=600.0), np.ones(2))
    path_TK = np.array([[0.0, 0.0], [0.0, -0.05], [0.0, -0.05]])
    crossed = run(long_short, market, FREE, path_TK)
    alone = run(long_short, market, FREE, path_TK, netting=False)
    assert crossed.netted == pytest.approx(100.0)
    assert np.log(crossed.price_TK[-1, 0]) == pytest.approx(0.0, abs=1e-12)
    assert np.log(crossed.price_TK[-1, 1]) < -0.05
    assert alone.netted == 0.0


def test_a_late_mark_liquidates_late() -> None:
    who, path = uniform(200, 1.0, 0.2), slope(0.1, 20, 60)
    prompt, late = run(who, DEEP, FREE, path), run(who, DEEP, FREE, path, oracle_lag_s=7.0)
    first, then = (int(np.flatnonzero(ran.forced_T)[0]) for ran in (prompt, late))
    assert 7 == then - first


def test_nobody_is_liquidated_while_the_venue_is_out_and_more_falls_on_the_fund_after() -> None:
    who, path = population(np.full(50, 10.0), np.full(50, 100.0)), slope(0.2, 40, 40)
    up = run(who, DEEP, FREE, path)
    out = run(who, DEEP, FREE, path, outage_at_s=5.0, outage_s=50.0)
    assert 0.0 == out.forced_T[5:55].sum() < out.forced_T[55:].sum()
    assert out.totals.bad_debt > up.totals.bad_debt == 0.0


def test_a_wrong_liquidation_is_one_that_five_minutes_would_have_cured() -> None:
    who = population(np.array([10.0]), np.array([100.0]))
    dip = np.concatenate([np.zeros(5), np.full(5, -0.07), np.full(400, -0.01)])
    assert (1, 1) == _judged(run(who, DEEP, FREE, falls(dip)))
    assert (1, 0) == _judged(run(who, DEEP, FREE, falls(np.minimum.accumulate(dip))))


def _judged(ran: object) -> tuple[int, int]:
    return ran.judged, ran.wrong  # type: ignore[attr-defined]


def bankrupt(fund: float, rule: AdlRule = AdlRule.PRO_RATA, **changes: float) -> object:
    """One long falls through to -40 at once; ten shorts stand against it."""
    quantity_A = np.array([100.0, *([-10.0] * 10)])
    equity_A = np.array([10.0, *([20.0] * 10)])
    market = Market((Depth(0.0, 0.05, 1e9),), ImpactLaw(decay_s=600.0), np.ones(1))
    path = falls([0.0, np.log(0.5), np.log(0.5)])
    stated = {"backstop_rate": 0.1, "backstop_floor": 0.5, "backstop_unwind_s": 1e9, **changes}
    return run(population(equity_A, quantity_A), market, FREE, path, fund=fund, adl=rule, target=1.2, **stated)


def test_the_fund_pays_first_and_then_nobody_else() -> None:
    totals = bankrupt(1_000.0).totals  # type: ignore[attr-defined]
    assert totals.bad_debt == pytest.approx(40.0)
    assert (0.0, 0.0, 0.0) == (totals.adl, totals.adl_haircut, totals.loss_allocated)


def test_bidders_come_before_the_other_side_when_the_backstop_is_full() -> None:
    totals = bankrupt(43.0, auction_share=1.0, auction_s=1.0, auction_discount=0.02).totals  # type: ignore[attr-defined]
    assert totals.auctioned == pytest.approx(50.0)
    assert totals.auction_discount == pytest.approx(1.0)
    assert totals.adl == 0.0


def test_without_anybody_the_other_side_closes_and_pays_what_the_fund_cannot() -> None:
    ran = bankrupt(15.0)
    totals = ran.totals  # type: ignore[attr-defined]
    assert totals.adl == pytest.approx(50.0)
    assert totals.adl_haircut == pytest.approx(25.0)
    assert totals.adl_A[1:] == pytest.approx(np.full(10, 5.0))
    assert totals.loss_allocated == pytest.approx(0.0, abs=1e-6)


def test_what_meets_no_counterparty_is_spread_over_equity() -> None:
    who = population(np.array([10.0, 100.0]), np.array([100.0, 0.0]))
    path = falls([0.0, np.log(0.5), np.log(0.5)])
    ran = run(who, DEEP, FREE, path, fund=0.0, backstop_rate=0.1, backstop_floor=0.0, backstop_unwind_s=1e9)
    assert ran.totals.adl == 0.0
    assert ran.totals.loss_allocated == pytest.approx(40.0)
    assert ran.books.cash_A[1] == pytest.approx(60.0)


def test_a_debt_without_a_position_is_spread_over_equity() -> None:
    """Nothing can be closed against anybody; coin collateral alone has lost more than was owed on it."""
    who = Population(
        ("X",), np.array([10.0, 100.0]), np.zeros((2, 1)), np.array([[100.0], [0.0]]), np.ones(2), np.array([0.05]), 0.0
    )  # fmt: skip
    path = falls([0.0, np.log(0.5), np.log(0.5)])
    ran = run(who, DEEP, FREE, path, fund=0.0, backstop_rate=0.1, backstop_unwind_s=1e9)
    assert ran.totals.loss_allocated == pytest.approx(40.0)
    assert ran.books.cash_A[1] == pytest.approx(60.0)


def test_the_queue_closes_more_of_a_failing_backstop_than_is_needed() -> None:
    def outcome(rule: AdlRule) -> tuple[float, float]:
        quantity_A = np.array([100.0, *(-10.0 * np.arange(1, 11))])
        equity_A = np.array([10.0, *(20.0 * np.arange(1, 11))])
        market = Market((Depth(0.0, 0.05, 1e9),), ImpactLaw(decay_s=600.0), np.ones(1))
        path = falls([0.0, -0.08, -0.08, -0.13, -0.13])
        totals = run(
            population(equity_A, quantity_A), market, FREE, path, fund=8.0, adl=rule, target=1.2, takeover=1.0,
            backstop_rate=0.1, backstop_floor=0.95, backstop_unwind_s=1e9,
        ).totals  # fmt: skip
        return totals.adl, totals.overshoot

    exact, over = outcome(AdlRule.PRO_RATA)
    everything, beyond = outcome(AdlRule.QUEUE)
    assert over == pytest.approx(0.0, abs=1e-9)
    assert 0.0 < exact < everything
    assert beyond == pytest.approx(everything - exact)


def test_the_same_arrays_give_the_same_bits() -> None:
    who, path = uniform(300, 1.0, 0.2), slope(0.1, 50, 100)
    one, two = run(who, THIN, FREE, path, target=1.2), run(who, THIN, FREE, path, target=1.2)
    assert one.price_TK.tobytes() == two.price_TK.tobytes()
    assert one.fund_T.tobytes() == two.fund_T.tobytes()


def test_paths_and_depths_that_do_not_fit_are_refused() -> None:
    who = population(np.array([10.0]), np.array([100.0]))
    with pytest.raises(InvalidReference):
        Cascade(who, Market((), ImpactLaw(decay_s=1.0), np.ones(1)), FREE)
    with pytest.raises(InvalidReference):
        Cascade(who, DEEP, FREE, 0.0)
    with pytest.raises(InvalidReference):
        Cascade(who, DEEP, FREE).run(np.zeros((5, 1)), np.zeros((4, 1)))
