"""The box of a feed: confidence, age, jump; in integers, so to the last digit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.books.market_book import MarketBook
from engine.events import CollateralAssetListed, InstrumentListed
from engine.reference.liquidation_policy import LiquidationPolicy
from engine.reference.parameters import RiskParameters
from engine.reference.trust_policy import TrustPolicy
from engine.trust.price_box import FeedTerms, PriceBox, price_box, sigma_e8
from engine.units import DAY_US
from tests.builders import ASSETS, INSTRUMENTS, START_US, Amount, e8, mark, parameters

SECOND_US = 1_000_000
TERMS = parameters(policy=LiquidationPolicy())


class Book:
    """One feed of a market book, a mark at a time."""

    def __init__(self) -> None:
        self.market, self.version = MarketBook(), 0
        for number, asset in enumerate(ASSETS):
            self.market.list_asset(CollateralAssetListed(number, asset))
        for number, listed in enumerate(INSTRUMENTS):
            self.market.list_instrument(InstrumentListed(number, listed))

    def mark(
        self, price: Amount, second: float = 0, agreeing: int | None = 1, confidence: Amount = 0, feed: str = "BTC-PERP"
    ) -> None:
        self.version += 1
        time_us = START_US + round(second * SECOND_US)
        made = mark(feed, price, self.version, time_us, confidence=confidence, agreeing=agreeing)
        self.market.set_mark(made)

    def box(self, terms: RiskParameters = TERMS) -> PriceBox:
        found = price_box("BTC-PERP", self.market, terms, FeedTerms(self.market, terms))
        assert found is not None
        return found


def edges(box: PriceBox) -> tuple[float, float]:
    return box.low_e8 / 10**8, box.high_e8 / 10**8


def test_a_fresh_mark_without_confidence_is_a_point() -> None:
    book = Book()
    book.mark(20_000)
    assert (20_000, 20_000) == edges(book.box())
    assert not book.box().is_open


def test_without_a_mark_there_is_no_box() -> None:
    market = MarketBook()
    assert price_box("BTC-PERP", market, TERMS, FeedTerms(market, TERMS)) is None


def test_confidence_is_the_half_width() -> None:
    book = Book()
    book.mark(20_000, confidence="12.5")
    assert (19_987.5, 20_012.5) == edges(book.box())


def test_a_price_stays_positive() -> None:
    book = Book()
    book.mark(20_000, confidence=30_000)
    assert (1, e8(50_000)) == (book.box().low_e8, book.box().high_e8)


def test_age_beyond_the_interval_of_repetition_widens() -> None:
    """A range of 16 % is four daily standard deviations; a quarter of a day is half of one; three of those."""
    book = Book()
    book.mark(20_000)
    book.mark(1_500, 30, feed="ETH-PERP")
    assert not book.box().is_open
    book.mark(1_500, 30 + DAY_US / SECOND_US / 4, feed="ETH-PERP")
    assert (20_000 * (1 - 0.06), 20_000 * (1 + 0.06)) == edges(book.box())


def test_a_lone_jump_reaches_back_to_the_reference_until_the_deadline() -> None:
    book = Book()
    book.mark(20_000)
    book.mark(19_000, 1)
    assert (19_000, 20_000) == edges(book.box())
    assert START_US + 3 * SECOND_US == book.box().jump_until_us
    book.mark(1_500, 3, feed="ETH-PERP")
    assert (19_000, 20_000) == edges(book.box())
    book.mark(1_500, 3.1, feed="ETH-PERP")
    assert not book.box().is_open


def test_a_jump_up_reaches_down() -> None:
    book = Book()
    book.mark(20_000)
    book.mark(21_000, 1, confidence=10)
    assert (20_000, 21_010) == edges(book.box())


@pytest.mark.parametrize("agreeing", [2, 3, None])
def test_a_second_source_ends_it(agreeing: int | None) -> None:
    book = Book()
    book.mark(20_000)
    book.mark(19_000, 1)
    book.mark(19_000, 1.5, agreeing)
    assert not book.box().is_open


def test_the_usual_move_is_no_jump() -> None:
    """Eight standard deviations of a second, to the last digit."""
    usual_e8 = 8 * sigma_e8(e8(20_000), 40_000, SECOND_US)
    for excess, is_open in ((0, False), (1, True)):
        book = Book()
        book.mark(20_000)
        made = replace(
            mark("BTC-PERP", 1, 9, START_US + SECOND_US, agreeing=1), price_e8=e8(20_000) - usual_e8 - excess
        )
        book.market.set_mark(made)
        assert is_open is book.box().is_open


def test_after_a_long_silence_more_is_usual() -> None:
    book = Book()
    book.mark(20_000)
    book.mark(19_500, 3_600)
    assert not book.box().is_open


def test_the_deviation_is_a_share_of_the_range_or_of_the_haircut() -> None:
    book = Book()
    terms = FeedTerms(book.market, TERMS)
    assert [40_000, 40_000, 50_000, 2_500] == [
        terms.daily_ppm(name) for name in ("BTC", "BTC-PERP", "ETH-PERP", "USDC")
    ]
    assert ["BTC", "BTC", "ETH", "USDC"] == [terms.group[name] for name in ("BTC", "BTC-PERP", "ETH-PERP", "USDC")]
    assert 20_000 == FeedTerms(
        book.market, parameters(policy=LiquidationPolicy(trust=TrustPolicy(range_sigmas=8)))
    ).daily_ppm("BTC")


def test_no_deadline_no_jump() -> None:
    book = Book()
    book.mark(20_000)
    book.mark(19_000, 1)
    book.mark(1_500, 1.1, feed="ETH-PERP")
    assert not book.box(parameters(policy=LiquidationPolicy(suspect_us_max=0))).is_open
