"""Checks of broadcast events, in the enum's order, and what is in force when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.books.market_book import MarketBook
from engine.events import CollateralAssetListed, InstrumentListed, ParametersSet, Settlement
from engine.outcomes import APPLIED, DUPLICATE, Outcome, Rejection
from engine.reference.collateral_assets import CollateralAsset
from engine.units import INT64_MAX
from tests.builders import EXPIRY_US, FUTURE, PERP, START_US, e8, mark, parameters, settlement


def verdict(outcome: Outcome | None) -> tuple[Rejection | None, str] | None:
    return None if outcome is None else (outcome.rejection, outcome.field)


def test_older_or_equal_mark_of_a_feed_is_a_duplicate() -> None:
    book = MarketBook()
    assert APPLIED == book.set_mark(mark("BTC", 20_000, 5))
    assert DUPLICATE == book.set_mark(mark("BTC", 19_000, 5))
    assert DUPLICATE == book.set_mark(mark("BTC", 19_000, 4))
    assert APPLIED == book.set_mark(mark("ETH-PERP", 1_500, 3))
    assert (e8(20_000), 5) == (book.marks["BTC"].price_e8, book.mark_version)


def test_time_is_the_newest_marks_and_never_goes_back() -> None:
    book = MarketBook()
    book.set_mark(mark("BTC", 20_000, 0, START_US))
    book.set_mark(mark("BTC", 20_000, 1, START_US - 1))
    assert START_US == book.time_us
    assert 1 == book.age_us("BTC")
    assert book.age_us("ETH") is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"price_e8": INT64_MAX + 1}, "price"),
        ({"price_e8": 0}, "price"),
        ({"funding_index_linear_e12": INT64_MAX + 1}, "funding_index_linear"),
        ({"funding_index_inverse_e12": -INT64_MAX - 1}, "funding_index_inverse"),
    ],
)
def test_mark_out_of_range_is_rejected_and_changes_no_price(change: dict[str, int], field: str) -> None:
    book = MarketBook()
    assert (Rejection.AMOUNT_OUT_OF_RANGE, field) == verdict(book.set_mark(replace(mark("BTC", 1, 0), **change)))  # type: ignore[arg-type]
    assert {} == book.marks


def test_view_is_one_value_until_something_changes() -> None:
    book = MarketBook()
    book.set_mark(mark("BTC", 20_000, 0))
    before = book.view()
    assert before is book.view()
    book.set_mark(mark("BTC", 21_000, 1))
    assert e8(20_000) == before.marks["BTC"].price_e8
    assert e8(21_000) == book.view().marks["BTC"].price_e8


def test_instrument_is_listed_once_and_keeps_its_terms() -> None:
    book = MarketBook()
    assert APPLIED == book.list_instrument(InstrumentListed(0, PERP))
    assert DUPLICATE == book.list_instrument(InstrumentListed(1, PERP))
    changed = book.list_instrument(InstrumentListed(2, replace(PERP, tick_e8=e8(5))))
    assert (Rejection.INSTRUMENT_CHANGED, "instrument") == verdict(changed)
    assert "tick_e8" in changed.detail
    assert (PERP, 2) == (book.instruments["BTC-PERP"], book.reference_version)


def test_asset_terms_may_change_but_not_back_by_a_replayed_record() -> None:
    book = MarketBook()
    first, second = CollateralAsset("BTC", "BTC", 50_000), CollateralAsset("BTC", "BTC", 90_000)
    assert APPLIED == book.list_asset(CollateralAssetListed(0, first))
    assert DUPLICATE == book.list_asset(CollateralAssetListed(1, first))
    assert APPLIED == book.list_asset(CollateralAssetListed(2, second))
    assert DUPLICATE == book.list_asset(CollateralAssetListed(0, first))
    assert second == book.assets["BTC"]


def test_parameters_wait_for_their_time_and_versions_only_rise() -> None:
    book = MarketBook()
    now, later = parameters(2), parameters(3, effective_us=START_US)
    assert APPLIED == book.set_parameters(ParametersSet(0, now))
    assert APPLIED == book.set_parameters(ParametersSet(1, later))
    assert DUPLICATE == book.set_parameters(ParametersSet(2, now))
    assert (Rejection.VERSION_NOT_NEWER, "version") == verdict(book.set_parameters(ParametersSet(3, parameters(1))))
    changed = parameters(3, command_ttl_us=1)
    assert (Rejection.VERSION_NOT_NEWER, "version") == verdict(book.set_parameters(ParametersSet(4, changed)))
    assert now is book.parameters
    book.set_mark(mark("BTC", 1, 0, START_US - 1))
    assert now is book.parameters
    book.set_mark(mark("BTC", 1, 1, START_US))
    assert later is book.parameters


def covering(version: int, *underlyings: str) -> ParametersSet:
    known = parameters(version)
    return ParametersSet(version, replace(known, underlyings=dict.fromkeys(underlyings, known.underlyings["BTC"])))


def test_parameters_that_drop_a_listed_underlying_are_refused() -> None:
    book = MarketBook()
    book.set_parameters(covering(1, "BTC", "ETH", "SOL"))
    book.set_mark(mark("BTC", 1, 0))
    before = book.parameters
    book.list_instrument(InstrumentListed(0, PERP))
    book.list_asset(CollateralAssetListed(1, CollateralAsset("ETH", "ETH", 0, "ETH")))
    for underlyings, missing in ((("ETH",), "BTC"), (("BTC", "SOL"), "ETH"), (("SOL",), "BTC, ETH")):
        refused = book.set_parameters(covering(2, *underlyings))
        assert (Rejection.PARAMETERS_INVALID, "underlyings") == verdict(refused)
        assert f"still listed: {missing}" == refused.detail
        assert before is book.parameters
    # A refused set leaves no trace: its version is still free, and nothing names SOL.
    assert APPLIED == book.set_parameters(covering(2, "BTC", "ETH"))
    assert before is not book.parameters


def test_parameters_invalid_comes_before_version_not_newer() -> None:
    book = MarketBook()
    book.list_instrument(InstrumentListed(0, PERP))
    book.set_parameters(covering(2, "BTC"))
    assert (Rejection.PARAMETERS_INVALID, "underlyings") == verdict(book.set_parameters(covering(1, "ETH")))
    assert (Rejection.VERSION_NOT_NEWER, "version") == verdict(book.set_parameters(covering(1, "BTC")))


def test_an_underlying_may_be_listed_before_or_after_its_parameters() -> None:
    book = MarketBook()
    book.list_instrument(InstrumentListed(0, PERP))
    assert APPLIED == book.set_parameters(covering(1, "ETH"))
    assert APPLIED == book.set_parameters(covering(2, "ETH"))
    assert APPLIED == book.set_parameters(covering(3, "BTC", "ETH"))
    assert (Rejection.PARAMETERS_INVALID, "underlyings") == verdict(book.set_parameters(covering(4, "ETH")))


def test_asset_that_gave_up_its_underlying_needs_no_parameters() -> None:
    book = MarketBook()
    book.set_parameters(covering(1, "BTC", "ETH"))
    book.list_asset(CollateralAssetListed(1, CollateralAsset("ETH", "ETH", 0, "ETH")))
    book.list_asset(CollateralAssetListed(2, CollateralAsset("ETH", "ETH", 0)))
    assert APPLIED == book.set_parameters(covering(2, "BTC"))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        # Rows in the order of the enum.
        (settlement("NONE", INT64_MAX, time_us=0), (Rejection.UNKNOWN_INSTRUMENT, "instrument")),
        (settlement("BTC-FUTURE", INT64_MAX, time_us=0), (Rejection.AMOUNT_OUT_OF_RANGE, "price")),
        (settlement("BTC-PERP", 1), (Rejection.SETTLEMENT_BEFORE_EXPIRY, "instrument")),
        (settlement("BTC-FUTURE", 1, time_us=EXPIRY_US - 1), (Rejection.SETTLEMENT_BEFORE_EXPIRY, "event_time_us")),
        (settlement("BTC-FUTURE", 1), None),
        (settlement("BTC-FUTURE", 0), None),
    ],
)
def test_settlement_fault(event: Settlement, expected: tuple[Rejection, str] | None) -> None:
    book = MarketBook()
    book.list_instrument(InstrumentListed(0, PERP))
    book.list_instrument(InstrumentListed(1, FUTURE))
    assert expected == verdict(book.settlement_fault(event))


def test_settled_instrument_keeps_its_price() -> None:
    book = MarketBook()
    book.list_instrument(InstrumentListed(0, FUTURE))
    book.settle(settlement("BTC-FUTURE", 20_000, 4))
    assert DUPLICATE == book.settlement_fault(settlement("BTC-FUTURE", 20_000, 5))
    changed = book.settlement_fault(settlement("BTC-FUTURE", 20_001, 6, time_us=0))
    assert (Rejection.SETTLEMENT_CHANGED, "price") == verdict(changed)
    assert e8(20_000) == book.final_price("BTC-FUTURE")


def test_versions_name_what_is_held() -> None:
    book = MarketBook()
    nothing = book.versions({})
    assert (-1, -1, -1, 0, 0) == (
        nothing.mark_version,
        nothing.reference_version,
        nothing.settlement_version,
        nothing.parameters_version,
        nothing.time_us,
    )
    book.set_parameters(ParametersSet(8, parameters(3)))
    book.set_mark(mark("BTC", 1, 5))
    versions = book.versions({"fills": 7, "collateral": 2})
    assert (5, 8, 3, START_US) == (
        versions.mark_version,
        versions.reference_version,
        versions.parameters_version,
        versions.time_us,
    )
    assert ["collateral", "fills"] == list(versions.offsets)
