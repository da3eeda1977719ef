"""Joint scenario sets, and the chunked reduction of many portfolios against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.pricing.axes import Floats, Ints
from engine.statistics.filtered import HorizonRule, ewma_volatility, filtered_moves
from engine.statistics.quantile_risk import age_weights, es_fractional, var_order, weighted_expected_shortfall
from engine.statistics.scenario_sets import JointMoves, floored_shortfall, historical_scenarios
from engine.statistics.shortfall_rows import (
    account_pnl,
    account_shortfalls,
    expected_shortfall_rows,
    value_at_risk_rows,
)

RETURNS = np.random.default_rng(7).normal(0.0, 0.02, (800, 2))
FACTORS = ("BTC", "ETH")


def scenarios(**changed: object) -> JointMoves:
    return historical_scenarios(RETURNS, FACTORS, **({"decay": 0.97, "level": 0.99} | changed))  # type: ignore[arg-type]


def test_the_set_is_the_latest_filtered_moves_as_price_ratios() -> None:
    moves = scenarios()
    assert (500, 2) == moves.moves_SF.shape
    assert np.expm1(filtered_moves(RETURNS, decay=0.97)[-500:]) == pytest.approx(moves.moves_SF)
    assert (moves.moves_SF > -1.0).all()
    assert 1.0 == pytest.approx(moves.weights_S.sum())
    assert ("filtered 301", "filtered 800", 500) == (moves.names[0], moves.names[-1], moves.stressed_from)


def test_a_stressed_period_keeps_its_own_volatility() -> None:
    labels = [f"day {t}" for t in range(800)]
    moves = scenarios(stressed_window=(100, 200), labels=labels)
    assert np.expm1(RETURNS[100:200]) == pytest.approx(moves.moves_SF[500:])
    assert ("stressed day 100", "stressed day 199") == (moves.names[500], moves.names[-1])
    assert 1.0 == pytest.approx(moves.weights_S[:500].sum()) == pytest.approx(moves.weights_S[500:].sum())


def test_longer_horizons_of_both_blocks() -> None:
    moves = scenarios(stressed_window=(100, 200), horizon=5, horizon_rule=HorizonRule.OVERLAPPING)
    assert (500 + 96, 2) == moves.moves_SF.shape
    assert np.expm1(RETURNS[195:200].sum(axis=0)) == pytest.approx(moves.moves_SF[-1])
    assert "stressed 200" == moves.names[-1]


def test_a_volatility_floor_holds_where_it_is_higher() -> None:
    current = ewma_volatility(RETURNS, 0.97)[-1]
    floored = scenarios(volatility_floor_F=np.array([2.0, 0.5]) * current)
    assert np.log1p(floored.moves_SF) == pytest.approx(np.log1p(scenarios().moves_SF) * [2.0, 1.0])


def test_scenarios_may_age() -> None:
    assert age_weights(500, 0.99) == pytest.approx(scenarios(age_decay=0.99).weights_S)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"scenarios": 50}, "scenarios"),
        ({"scenarios": 701}, "returns"),
        ({"labels": ["one"]}, "labels"),
        ({"stressed_window": (700, 801)}, "stressed_window"),
        ({"stressed_window": (5, 5)}, "stressed_window"),
        ({"level": 1.0}, "level"),
    ],
)
def test_a_refusal_names_the_field(changed: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidReference) as refused:
        scenarios(**changed)
    assert field == refused.value.field


def test_factors_and_columns_must_agree() -> None:
    with pytest.raises(InvalidReference, match="3 factors"):
        historical_scenarios(RETURNS, ("A", "B", "C"), decay=0.97, level=0.99)


def test_the_requirement_is_floored_by_the_stressed_block() -> None:
    moves = scenarios(stressed_window=(100, 200))
    pnl_AS = np.array([100.0, -100.0])[:, None] * moves.moves_SF[:, 0]
    plain, floored = floored_shortfall(pnl_AS, moves, 0.99), floored_shortfall(pnl_AS, moves, 0.99, 0.8)
    for a in range(2):
        current, stressed = es_fractional(pnl_AS[a, :500], 0.99), es_fractional(pnl_AS[a, 500:], 0.99)
        assert current == pytest.approx(plain[a])
        assert max(current, 0.8 * stressed) == pytest.approx(floored[a])
    assert [0.0] == list(floored_shortfall(np.ones((1, 600)), moves, 0.99, 0.8))


def test_a_stressed_share_needs_a_stressed_block() -> None:
    with pytest.raises(InvalidReference, match="stressed_share"):
        floored_shortfall(np.ones((1, 500)), scenarios(), 0.99, 0.5)
    with pytest.raises(InvalidReference, match="500 scenarios"):
        floored_shortfall(np.ones((1, 7)), scenarios(), 0.99)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.975, 0.99, 0.995, 0.999])
def test_rows_are_what_single_portfolios_are(level: float) -> None:
    pnl_AS = np.random.default_rng(1).normal(size=(20, 130)).round(1)  # rounded: with ties
    weights = np.random.default_rng(2).uniform(0.1, 1.0, 130)
    assert [es_fractional(row, level) for row in pnl_AS] == pytest.approx(list(expected_shortfall_rows(pnl_AS, level)))
    assert [var_order(row, level) for row in pnl_AS] == list(value_at_risk_rows(pnl_AS, level))
    aged = expected_shortfall_rows(pnl_AS, level, weights)
    assert [weighted_expected_shortfall(row, level, weights) for row in pnl_AS] == pytest.approx(list(aged))


def book(counts: list[int], seed: int) -> tuple[Floats, Ints, Ints, Floats]:
    draw = np.random.default_rng(seed)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    total = int(first[-1])
    return draw.normal(size=(9, 120)), first, draw.integers(0, 9, total), draw.normal(size=total)


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 7), st.integers(0, 9))
def test_chunks_change_nothing(counts: list[int], chunk: int, seed: int) -> None:
    pnl_IS, first_A, instrument_P, quantity_P = book(counts, seed)
    plain = np.zeros((len(counts), 120))
    for a in range(len(counts)):
        for p in range(first_A[a], first_A[a + 1]):
            plain[a] += quantity_P[p] * pnl_IS[instrument_P[p]]
    chunks = {start: part.copy() for start, part in account_pnl(pnl_IS, first_A, instrument_P, quantity_P, chunk)}
    assert list(range(0, len(counts), chunk)) == list(chunks)
    assert np.concatenate(list(chunks.values())) == pytest.approx(plain, abs=1e-12)
    shortfalls = account_shortfalls(pnl_IS, first_A, instrument_P, quantity_P, level=0.975, chunk=chunk)
    assert [es_fractional(row, 0.975) for row in plain] == pytest.approx(list(shortfalls), abs=1e-12)
    alone = account_shortfalls(pnl_IS, first_A, instrument_P, quantity_P, level=0.975)
    assert np.array_equal(alone, shortfalls)


def test_an_account_with_more_positions_than_fit_at_once() -> None:
    pnl_IS, first_A, instrument_P, quantity_P = book([3000, 1, 3000], 1)
    whole = quantity_P[:3000] @ pnl_IS[instrument_P[:3000]]
    result = account_shortfalls(pnl_IS, first_A, instrument_P, quantity_P, level=0.9)
    assert es_fractional(whole, 0.9) == pytest.approx(result[0])


def test_a_position_must_name_a_revalued_instrument() -> None:
    pnl_IS, first_A, instrument_P, quantity_P = book([2], 1)
    for wrong in (
        (pnl_IS, first_A, instrument_P + 9, quantity_P),
        (pnl_IS, first_A, instrument_P, quantity_P[:1]),
        (pnl_IS, first_A[::-1], instrument_P, quantity_P),
        (np.full_like(pnl_IS, np.nan), first_A, instrument_P, quantity_P),
    ):
        with pytest.raises(InvalidReference):
            account_shortfalls(*wrong, level=0.9)
