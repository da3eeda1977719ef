"""The simulated book: prices on the tick and within the limit, quantities within the depth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.risk.depth import Depth
from engine.units import E8
from streams.executor.depth import DEFAULT_DEPTH, BookOrder, fill_within
from tests.streams.executor.world import TERMS


def order(fair: float, is_buy: bool, limit: float, quantity: float = 1.0) -> BookOrder:
    return BookOrder(
        quantity_e8=round(quantity * E8), is_buy=is_buy, limit_e8=round(limit * E8), fair=fair, reference=fair,
        unit_notional=fair, tick_e8=TERMS.tick_e8, lot_e8=TERMS.lot_e8,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fair", "is_buy", "limit", "expected"),
    [
        (20_000.0, True, 25_000.0, 20_010.0),
        (20_000.0, False, 15_000.0, 19_990.0),
        (20_000.0, True, 20_005.04, 20_005.0),
        (20_000.0, False, 19_999.96, 20_000.0),
        (20_000.0, True, 19_999.9, None),
        (20_000.0, False, 20_000.1, None),
        (0.0, False, 0.1, 0.1),
        (0.0, True, 0.1, 0.1),
    ],
)
def test_a_bottomless_book_fills_all_at_the_half_spread_or_the_limit(
    fair: float, is_buy: bool, limit: float, expected: float | None
) -> None:
    filled = fill_within(order(fair, is_buy, limit), DEFAULT_DEPTH)

    assert (None if expected is None else (round(expected * E8), E8)) == (
        None if filled is None else (filled.price_e8, filled.quantity_e8)
    )


def test_impact_is_that_of_the_depth_model() -> None:
    """A tenth of the daily volume at a volatility of 4 %: 4 % x sqrt(0.1) = 1.265 % beyond the half-spread."""
    filled = fill_within(order(1_000.0, True, 2_000.0, 100.0), Depth(0.001, 0.04, daily_volume=1_000_000.0))

    assert filled is not None
    assert 100 * E8 == filled.quantity_e8
    assert 1_000.0 * (1 + 0.001 + 0.04 * 0.1**0.5) == pytest.approx(filled.price_e8 / E8, abs=0.1)


def test_the_book_fills_up_to_where_its_marginal_price_meets_the_limit() -> None:
    """1 % beyond the spread: 1.5 x 4 % x sqrt(share) = 1 %, so a share of 1/36 of the daily volume of 1000."""
    filled = fill_within(order(1_000.0, False, 989.0, 100.0), Depth(0.001, 0.04, daily_volume=1_000_000.0))

    assert filled is not None
    assert 1_000 / 36 == pytest.approx(filled.quantity_e8 / E8, abs=0.001)
    assert 0 == filled.quantity_e8 % TERMS.lot_e8


def test_a_book_with_a_bottom_gives_nothing_inside_its_spread() -> None:
    assert fill_within(order(1_000.0, False, 999.5), Depth(0.001, 0.04, daily_volume=1_000_000.0)) is None


@given(
    fair=st.floats(0.0, 50_000.0),
    is_buy=st.booleans(),
    limit=st.floats(0.1, 60_000.0),
    quantity=st.integers(1, 10**6),
    volume=st.none() | st.floats(1e3, 1e9),
)
def test_no_fill_is_beyond_the_limit_or_the_quantity(
    fair: float, is_buy: bool, limit: float, quantity: int, volume: float | None
) -> None:
    wanted = BookOrder(
        quantity * TERMS.lot_e8, is_buy, round(limit * E8), fair, fair, max(fair, 1e-9), TERMS.tick_e8, TERMS.lot_e8
    )
    filled = fill_within(wanted, Depth(0.001, 0.04, daily_volume=volume))

    if filled is not None:
        assert 0 < filled.quantity_e8 <= wanted.quantity_e8
        assert 0 == filled.price_e8 % TERMS.tick_e8 and filled.price_e8 > 0
        assert (wanted.limit_e8 - filled.price_e8) * (1 if is_buy else -1) >= 0
