"""An auction from opening to close: published prices, every refusal, and the book accounted for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.rules.auction import AuctionFigures, AuctionTerms, start_fee
from engine.units import E8
from engine.waterfall.auction_session import (
    SECOND_US,
    AuctionBook,
    AuctionSession,
    AuctionStatus,
    Bid,
    BidRefusal,
    SessionTerms,
    SettledSlice,
    figures_with_reserved,
    most_for_sale_e8,
    open_auction,
    place_bid,
    price_of_all,
    review,
)

TERMS = SessionTerms(AuctionTerms())
FIGURES = AuctionFigures(1000.0, -400.0)
BOOK = AuctionBook(7, (10 * E8, -40 * E8), (E8, E8), 500 * E8)
BID = Bid("bidder", E8 // 5, 7, 10**6 * E8, 10**6 * E8, 50 * SECOND_US)


def opened(figures: AuctionFigures = FIGURES, terms: SessionTerms = TERMS) -> AuctionSession:
    return open_auction("victim", terms, figures, 0)


def settled(outcome: SettledSlice | BidRefusal) -> SettledSlice:
    assert isinstance(outcome, SettledSlice), outcome
    return outcome


def test_the_first_published_simulation() -> None:
    # Derive v2-core 7736900d, liquidationTests.json Test1: all that is for sale, at once
    figures = AuctionFigures(119.3063, -103.0906)
    session = opened(figures)
    book = AuctionBook(1, (-E8,), (1,), 200 * E8)
    session, outcome = place_bid(session, book, figures, replace(BID, share_e8=E8, expected_version=1, at_us=0))
    slice_ = settled(outcome)
    assert slice_.share_e8 / E8 == pytest.approx(0.557941, abs=1e-6)
    assert slice_.payment_e8 / E8 == pytest.approx(65.2346, abs=1e-4)
    assert slice_.quantities_e8 == (-slice_.share_e8,)
    assert (session.reserved_e8, session.bids) == (slice_.payment_e8, 1)


def test_a_published_bid_for_less() -> None:
    # Test3: 15 % wanted after 30 s, for 16.571981040952252
    figures = AuctionFigures(119.30871879735244, -103.08786782886884)
    bid = replace(BID, share_e8=15 * E8 // 100, at_us=30 * SECOND_US)
    _, outcome = place_bid(opened(figures), BOOK, figures, bid)
    assert settled(outcome).payment_e8 == 1_657_198_105  # rounded up, for the account
    assert opened(figures).fee_e8 == int(start_fee(figures, TERMS.prices) * E8)


def test_a_slice_is_whole_lots_of_every_leg_and_its_part_of_cash() -> None:
    _, outcome = place_bid(opened(), BOOK, FIGURES, replace(BID, share_e8=E8 // 8))
    slice_ = settled(outcome)
    assert slice_.quantities_e8 == (E8, -5 * E8)
    assert slice_.cash_e8 == 62 * E8 + E8 // 2
    assert slice_.payment_e8 == pytest.approx(111.25 * E8)
    assert slice_.fund_pays_e8 == 0


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"expected_version": 6}, BidRefusal.VERSION_MISMATCH),
        ({"share_e8": 0}, BidRefusal.SHARE),
        ({"share_e8": E8 + 1}, BidRefusal.SHARE),
        ({"limit_e8": 177 * E8}, BidRefusal.PRICE_LIMIT),
        ({"bidder": "victim"}, BidRefusal.OWN_ACCOUNT),
        ({"cash_e8": 313 * E8}, BidRefusal.BIDDER_SHORT),  # 178 and 20 % of a buffer margin of 680
        ({"share_e8": E8 // 100}, BidRefusal.BELOW_ONE_LOT),
        ({"at_us": -1}, BidRefusal.NOT_OPEN),
    ],
)
def test_a_refused_bid_changes_nothing(change: dict[str, object], wanted: BidRefusal) -> None:
    session = opened()
    after, outcome = place_bid(session, BOOK, FIGURES, replace(BID, **change))  # type: ignore[arg-type]
    assert (after, outcome) == (session, wanted)


def test_it_closes_when_the_buffer_is_restored_or_nothing_more_is_offered() -> None:
    session = opened()
    restored = review(session, AuctionFigures(1000.0, 200.0), SECOND_US)
    assert restored.status is AuctionStatus.RESTORED
    assert place_bid(restored, BOOK, FIGURES, BID)[1] is BidRefusal.NOT_OPEN
    assert review(session, FIGURES, 14_500 * SECOND_US).status is AuctionStatus.SOLVENT
    assert review(session, FIGURES, 14_501 * SECOND_US).status is AuctionStatus.EXPIRED
    assert most_for_sale_e8(restored, FIGURES, SECOND_US) == 0


def test_selling_all_that_is_for_sale_restores_the_buffer() -> None:
    session = opened()
    _, outcome = place_bid(session, AuctionBook(7, (E8,), (1,), 0), FIGURES, replace(BID, share_e8=E8))
    slice_ = settled(outcome)
    kept, paid = 1 - slice_.share_e8 / E8, slice_.payment_e8 / E8
    after = AuctionFigures(1000 * kept + paid, -400 * kept + paid, paid)
    assert review(session, after, BID.at_us).status is AuctionStatus.RESTORED


def test_an_account_with_nothing_to_sell_pays_its_bidders() -> None:
    broke = AuctionFigures(-100.0, -300.0)
    session = review(opened(), broke, 20 * SECOND_US)
    assert (session.status, session.started_us) == (AuctionStatus.INSOLVENT, 20 * SECOND_US)
    # the price starts again: half an hour later bidders get half way from 100 to 300
    assert price_of_all(session, broke, 1_820 * SECOND_US) == -200.0
    bid = replace(BID, share_e8=E8 // 2, limit_e8=-100 * E8, at_us=1_820 * SECOND_US)
    session, outcome = place_bid(session, BOOK, broke, bid)
    slice_ = settled(outcome)
    assert (slice_.payment_e8, slice_.fund_pays_e8) == (-100 * E8, 100 * E8)
    assert slice_.quantities_e8 == (5 * E8, -20 * E8)
    assert session.reserved_e8 == 0
    assert place_bid(session, BOOK, broke, replace(bid, limit_e8=-101 * E8))[1] is BidRefusal.PRICE_LIMIT
    assert review(session, AuctionFigures(0.0, 0.0), bid.at_us).status is AuctionStatus.RESTORED


def test_nobody_buys_in_a_mode_he_has_not_seen() -> None:
    session, outcome = place_bid(opened(), BOOK, AuctionFigures(-1.0, -300.0), BID)
    assert (session.status, outcome) == (AuctionStatus.INSOLVENT, BidRefusal.MODE_CHANGED)
    assert opened(AuctionFigures(-1.0, -300.0)).status is AuctionStatus.INSOLVENT


def test_small_accounts_are_sold_at_once() -> None:
    small = SessionTerms(AuctionTerms(), small_account=1_000.5)
    assert most_for_sale_e8(opened(terms=small), FIGURES, 0) == E8
    assert most_for_sale_e8(opened(), FIGURES, 0) == 40_963_856


def test_cash_of_bidders_is_not_for_sale() -> None:
    session, _ = place_bid(opened(), BOOK, FIGURES, BID)
    figures = figures_with_reserved(session, 978.0, -142.0)
    assert figures.reserved == pytest.approx(178.0)
    book = AuctionBook(8, (8 * E8, -32 * E8), (E8, E8), 578 * E8)
    _, outcome = place_bid(session, book, figures, replace(BID, expected_version=8, share_e8=E8 // 8))
    assert settled(outcome).cash_e8 == 50 * E8


def test_what_misses_nothing_is_not_auctioned() -> None:
    with pytest.raises(InvalidReference):
        opened(AuctionFigures(1000.0, 0.0))
    with pytest.raises(InvalidReference):
        AuctionBook(1, (1,), (), 0)
    with pytest.raises(InvalidReference):
        SessionTerms(AuctionTerms(), insolvent_seconds=0.0)


@given(
    wanted=st.lists(st.integers(1, E8), min_size=1, max_size=4),
    legs=st.lists(st.tuples(st.integers(-(10**13), 10**13), st.sampled_from((1, 10**4, E8))), min_size=1, max_size=4),
    cash=st.integers(-(10**12), 10**12),
    worth=st.floats(1.0, 1e6),
    missing=st.floats(1.0, 1e6),
)
def test_slices_and_the_rest_are_the_book(
    wanted: list[int], legs: list[tuple[int, int]], cash: int, worth: float, missing: float
) -> None:
    session = opened(AuctionFigures(worth, -missing))
    book = AuctionBook(0, tuple(each[0] for each in legs), tuple(each[1] for each in legs), cash)
    own_cash, total = cash, [held for held, _ in legs]
    for number, share in enumerate(wanted):
        kept = 1.0
        figures = figures_with_reserved(session, worth + session.reserved_e8 / E8, -missing)
        bid = Bid("bidder", share, book.version, 10**20, 10**20, number * SECOND_US)
        session, outcome = place_bid(session, book, figures, bid)
        if isinstance(outcome, BidRefusal):
            continue
        kept -= outcome.share_e8 / E8
        worth, missing = worth * kept, missing * kept
        for at, (moved, (_, lot)) in enumerate(zip(outcome.quantities_e8, legs, strict=True)):
            assert outcome.share_e8 == E8 or moved % lot == 0
            assert abs(moved) <= abs(book.quantities_e8[at])
            assert moved * book.quantities_e8[at] >= 0
            total[at] -= moved
        own_cash += outcome.payment_e8 - outcome.cash_e8
        book = AuctionBook(number + 1, tuple(total), book.lots_e8, own_cash)
        assert outcome.payment_e8 >= 0
    assert session.reserved_e8 <= own_cash or cash < 0
