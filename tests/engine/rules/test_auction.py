"""The auction by hand (its published first bid included), and what a bid may never do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.rules.auction import (
    AuctionFigures,
    AuctionTerms,
    apply_bid,
    buffer_margin,
    cash_after,
    discount_at,
    insolvent_price,
    largest_share,
    start_fee,
)
from engine.rules.refusals import RuleRefusal

TERMS = AuctionTerms()
ACCOUNT = AuctionFigures(1000.0, -400.0)


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(-1, 0.98), (0, 0.98), (50, 0.89), (100, 0.8), (7_300, 0.4), (14_500, 0.0), (10**6, 0.0)]
)
def test_the_price_falls_fast_then_slowly(seconds: float, wanted: float) -> None:
    assert discount_at(TERMS, seconds) == pytest.approx(wanted, abs=1e-15)


def test_buffer_share_and_fee() -> None:
    assert buffer_margin(ACCOUNT, 0.2) == -680.0
    assert largest_share(ACCOUNT, 0.98, 0.2) == pytest.approx(680 / 1660)
    assert start_fee(ACCOUNT, TERMS) == pytest.approx(680 / 1680 * 1000 * 0.02)
    # cash of earlier bidders is not for sale but counts in full
    assert largest_share(AuctionFigures(1000.0, -400.0, 500.0), 0.8, 0.2) == pytest.approx(680 / (680 + 800 + 100))
    assert largest_share(AuctionFigures(1000.0, 300.0), 0.98, 0.2) == 0.0


def test_first_bid_of_a_published_simulation() -> None:
    # Derive v2-core 7736900d, liquidationTests.json Test3: 15 % wanted after 30 s
    before = AuctionFigures(119.30871879735244, -103.08786782886884)
    assert buffer_margin(before, 0.2) == pytest.approx(-147.5671851541131, rel=1e-12)
    assert largest_share(before, discount_at(TERMS, 30), 0.2) == pytest.approx(0.5718615273623249, rel=1e-12)
    settled = apply_bid(before, 0.15, 30, TERMS)
    assert settled.payment == pytest.approx(16.571981040952252, rel=1e-12)
    assert settled.figures.mark_to_market == pytest.approx(117.98439201870183, rel=1e-12)
    assert settled.figures.maintenance_margin == pytest.approx(-71.05270661358622, rel=1e-12)
    assert cash_after(200.0, before, settled) == pytest.approx(200 * 0.85 + 16.571981040952252)


def test_an_insolvent_account_is_priced_on_its_own_curve() -> None:
    broke = AuctionFigures(-100.0, -300.0)
    assert [insolvent_price(broke, seconds, 3600) for seconds in (0, 1800, 3600, 9999)] == [-100, -200, -300, -300]
    assert insolvent_price(AuctionFigures(50.0, -300.0), 0, 3600) == 0.0
    with pytest.raises(RuleRefusal, match="insolvent"):
        largest_share(broke, 0.98, 0.2)


def test_wrong_terms_and_bids_are_named() -> None:
    with pytest.raises(InvalidReference, match="discounts must fall"):
        AuctionTerms(start=0.5, fast_end=0.8)
    with pytest.raises(InvalidReference, match="both phases must last"):
        AuctionTerms(fast_seconds=0)
    with pytest.raises(InvalidReference, match="must not be negative"):
        AuctionTerms(buffer=-0.1)
    with pytest.raises(InvalidReference, match="duration_seconds"):
        insolvent_price(ACCOUNT, 1, 0)
    for wanted in (0.0, -0.1, 1.1):
        with pytest.raises(InvalidReference, match="fraction_wanted"):
            apply_bid(ACCOUNT, wanted, 0, TERMS)


amounts = st.floats(min_value=1.0, max_value=1e6)
shares = st.floats(min_value=1e-6, max_value=1.0)


@given(amounts, amounts, shares, st.floats(min_value=0.0, max_value=14_000.0))
def test_selling_the_largest_share_restores_the_buffer_and_no_bid_goes_beyond(
    worth: float, missing: float, wanted: float, seconds: float
) -> None:
    before = AuctionFigures(worth, -missing)
    whole, part = apply_bid(before, 1.0, seconds, TERMS), apply_bid(before, wanted, seconds, TERMS)
    assert buffer_margin(whole.figures, TERMS.buffer) == pytest.approx(0.0, abs=1e-6 * (worth + missing))
    assert 0.0 < part.share <= whole.share <= 1.0
    assert buffer_margin(part.figures, TERMS.buffer) <= 1e-6 * (worth + missing)
    assert part.figures.mark_to_market <= worth * (1 + 1e-12)


@given(amounts, amounts, shares, shares, st.floats(min_value=0.0, max_value=14_000.0))
def test_two_bids_end_where_one_of_both_would(
    worth: float, missing: float, first: float, second: float, seconds: float
) -> None:
    before = AuctionFigures(worth, -missing)
    one = apply_bid(before, first, seconds, TERMS)
    if largest_share(one.figures, discount_at(TERMS, seconds), TERMS.buffer) == 0.0:
        return
    two = apply_bid(one.figures, second, seconds, TERMS)
    share = 1.0 - one.kept * two.kept
    together = apply_bid(before, share, seconds, TERMS)
    assert together.figures.mark_to_market == pytest.approx(two.figures.mark_to_market, rel=1e-6, abs=1e-6)
    assert together.payment == pytest.approx(one.payment + two.payment, rel=1e-6, abs=1e-6)
