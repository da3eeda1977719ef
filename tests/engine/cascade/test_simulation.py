"""The loop: what is conserved, what each knob does, and that the same inputs give the same bits."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from engine.cascade.policy import AdlRule, VenuePolicy
from engine.cascade.simulation import Cascade, Run
from engine.errors import InvalidReference
from tests.engine.cascade.worlds import PLAIN, STRESSED, WATERFALL, crash, crowd, market, ramp

AUCTION = replace(WATERFALL, auction_share=0.2, auction_s=60.0, auction_discount=0.02)
POLICIES = [
    WATERFALL,
    AUCTION,
    replace(WATERFALL, adl=AdlRule.QUEUE),
    replace(WATERFALL, fund=0.0),
    replace(WATERFALL, fund=0.0, adl=AdlRule.QUEUE, netting=False, mark_noise=0.002),
    replace(WATERFALL, participation=inf, oracle_lag_s=20.0),
    PLAIN,
]


@pytest.mark.parametrize("policy", POLICIES, ids=range(len(POLICIES)))
def test_nothing_is_created_or_lost(policy: VenuePolicy) -> None:
    run, population = crash(policy), crowd()
    books = run.books
    held_K = (books.quantity_AK + books.collateral_AK).sum(axis=0) + books.backstop_K + books.outside_K
    assert (population.exposure_AK + population.collateral_AK).sum(axis=0) == pytest.approx(held_K, abs=1e-8)
    cash = float(books.cash_A.sum()) + books.backstop_cash + books.outside_cash
    began = float((population.equity_A - (population.exposure_AK + population.collateral_AK).sum(axis=1)).sum())
    assert began + policy.fund == pytest.approx(cash, rel=1e-12, abs=1e-7)
    assert run.forced_T.sum() > 0.0


@pytest.mark.parametrize("policy", POLICIES[:5], ids=range(5))
def test_no_account_that_owes_is_left_alone(policy: VenuePolicy) -> None:
    run = crash(policy)
    run.books.look(run.price_TK[-1])
    assert (run.books.equity_A > -1e-6 - 0.01 * run.books.population.equity_A).all()


def test_the_same_inputs_give_the_same_bits() -> None:
    one, other = crash(), crash()
    assert np.array_equal(one.price_TK, other.price_TK)
    assert np.array_equal(one.forced_TK, other.forced_TK)
    assert np.array_equal(one.adl_T, other.adl_T)


def test_without_a_shock_nobody_is_touched_and_prices_follow_the_path() -> None:
    run = crash(size=0.0)
    assert 0.0 == run.forced_T.sum() == run.adl_T.sum()
    assert not run.touched_A.any()


def total_forced(run: Run) -> float:
    return float(run.forced_T.sum())


def low(run: Run) -> float:
    return float((np.log(run.price_TK) @ run.weight_K).min())


def test_liquidations_deepen_the_fall() -> None:
    assert low(crash()) < -0.25 - 0.01


def test_a_throttle_bounds_the_flow_of_every_tick() -> None:
    """What leaves accounts for other accounts, the backstop or bidders is no flow, so there are no takeovers here."""
    population = crowd()
    path_TK = ramp(0.05, 600, 3)
    world = market(STRESSED, 0.05, float(population.gross_K.mean()), 3)
    policy = replace(WATERFALL, flow_per_s=0.01, takeover=0.0)
    run = Cascade(population, world, policy).run(path_TK, np.zeros_like(path_TK))
    assert 0.0 == run.totals.taken == run.totals.bad_debt
    assert 0.01 == pytest.approx(float(run.forced_T.max()), rel=1e-9)


def test_an_outage_liquidates_nobody_and_costs_more_afterwards() -> None:
    out = crash(replace(WATERFALL, outage_at_s=50.0, outage_s=350.0))
    assert 0.0 == out.forced_T[50:400].sum() == out.adl_T[50:400].sum()
    assert out.forced_T[400:].sum() > 0.0
    assert out.totals.bad_debt > crash().totals.bad_debt


def test_a_late_mark_leaves_more_debt() -> None:
    assert crash(replace(WATERFALL, oracle_lag_s=60.0)).totals.bad_debt > crash().totals.bad_debt


def test_a_larger_fund_deleverages_less() -> None:
    small, large = crash(replace(WATERFALL, fund=1.0)), crash(replace(WATERFALL, fund=1e6))
    assert small.totals.adl > 0.0 == large.totals.adl
    assert large.totals.taken > small.totals.taken


def test_pro_rata_never_overshoots_and_the_queue_does() -> None:
    for seed in (1, 2, 3):
        assert crash(WATERFALL, seed=seed).totals.overshoot == pytest.approx(0.0, abs=1e-6)
    queue = crash(replace(WATERFALL, adl=AdlRule.QUEUE))
    assert queue.totals.overshoot > 0.0
    assert queue.totals.adl >= queue.totals.overshoot


def test_bidders_take_bankrupt_books_before_counterparties_must() -> None:
    quick = replace(WATERFALL, oracle_lag_s=60.0, fund=100.0)  # many are bankrupt before anybody sees it
    auction = replace(quick, auction_share=2.0, auction_s=600.0, auction_discount=0.02)
    without, with_bidders = crash(quick), crash(auction)
    assert 0.0 == without.totals.auctioned
    assert with_bidders.totals.auctioned > 0.0
    assert with_bidders.totals.bankrupt_adl <= without.totals.bankrupt_adl


def test_netting_crosses_opposite_closes_inside() -> None:
    """Longs and shorts of the same underlying fall short at once when two underlyings part."""
    population = crowd(seed=4, underlyings=2, offset=1.0)
    path_TK = ramp(0.3, 600, 2) * np.array([1.0, -1.0])
    world = market(STRESSED, 0.05, float(population.gross_K.mean()), 2)
    runs = {
        netting: Cascade(population, world, replace(WATERFALL, netting=netting)).run(path_TK, np.zeros_like(path_TK))
        for netting in (True, False)
    }
    assert runs[True].netted > 0.0 == runs[False].netted


def test_wrongly_liquidated_are_those_who_would_have_recovered() -> None:
    population = crowd()
    world = market(STRESSED, 0.05, 1e12, 3)  # no impact
    dip_TK = np.zeros((900, 3))
    dip_TK[100:200] = -0.1
    gone_TK = np.zeros((900, 3))
    gone_TK[100:] = -0.1
    for path_TK, share in ((dip_TK, 1.0), (gone_TK, 0.0)):
        run = Cascade(population, world, PLAIN).run(path_TK, np.zeros_like(path_TK))
        assert run.judged > 0
        assert share == run.wrong / run.judged
        assert share * run.judged_notional == pytest.approx(run.wrong_notional)


def test_paths_must_fit_the_population() -> None:
    cascade = Cascade(crowd(), market(STRESSED, underlyings=3), WATERFALL)
    with pytest.raises(InvalidReference, match="outside_TK"):
        cascade.run(np.zeros((10, 2)), np.zeros((10, 2)))
    with pytest.raises(InvalidReference, match="depths"):
        Cascade(crowd(), market(STRESSED, underlyings=2), WATERFALL)
