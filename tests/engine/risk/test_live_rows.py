"""Live rows: however rows came to their marks, they are the rows of a fresh start, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import MarkPrice, VolatilityNode
from engine.market import Market
from engine.pricing.valuation import contract_table, unit_value
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument
from engine.risk.live_rows import LiveRows
from engine.risk.row_arrays import RowArrays
from engine.risk.scenarios import scenario_grid
from tests.engine.risk.worlds import ASSETS, INSTRUMENTS, MARKET, MARKS, PARAMETERS, TIME_US

FEEDS = sorted(MARKS)
UNCOVERED = replace(PARAMETERS, underlyings={"ETH": PARAMETERS.underlyings["ETH"]})
IDS = (*sorted(INSTRUMENTS), "NOT-LISTED")
ASSET_IDS = (*sorted(ASSETS), "NOT-LISTED")


@dataclass
class Book:
    """A market that changes, as the engine's market book does."""

    instruments: dict[str, Instrument]
    assets: dict[str, CollateralAsset]
    marks: dict[str, MarkPrice]
    time_us: int


def fresh(book: Book, parameters: object = PARAMETERS) -> RowArrays:
    """Rows computed from nothing on the market as it stands."""
    market = Market(dict(book.instruments), dict(book.assets), dict(book.marks), book.time_us)
    rows = LiveRows(market, UNCOVERED if parameters is UNCOVERED else PARAMETERS)
    rows.extend(IDS, ASSET_IDS)
    return rows.arrays


def differing(one: RowArrays, other: RowArrays) -> list[str]:
    """Fields whose bits are not the same."""
    names = one._fields
    return [name for name in names if getattr(one, name).tobytes() != getattr(other, name).tobytes()]


def surface(draw: random.Random) -> tuple[VolatilityNode, ...]:
    tenors = draw.sample((5.0, 20.0, 45.0, 90.0), draw.randint(0, 3))
    return tuple(VolatilityNode(t, k, draw.uniform(0.2, 1.5)) for t in tenors for k in (-0.2, 0.0, 0.3))


def tick(draw: random.Random, book: Book) -> str:
    """A new mark of one feed; time moves by less or by more than a second, or not at all."""
    feed = draw.choice(FEEDS)
    book.time_us += draw.choice((0, 0, 1, 400_000, 999_999, 1_000_000, 86_400_000_000))
    book.marks[feed] = replace(
        MARKS[feed],
        price_e8=max(1, round(MARKS[feed].price_e8 * draw.uniform(0.5, 1.5))),
        volatility=draw.choice((MARKS[feed].volatility, surface(draw))),
        funding_index_linear_e12=draw.randint(-(10**13), 10**13),
        funding_index_inverse_e12=draw.randint(-(10**13), 10**13),
    )
    return feed


@given(seed=st.integers(0, 10**9), start=st.sets(st.sampled_from(FEEDS)))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("parameters", [PARAMETERS, UNCOVERED], ids=["covered", "uncovered"])
def test_rows_after_any_ticks_are_those_of_a_fresh_start(parameters: object, seed: int, start: set[str]) -> None:
    draw = random.Random(seed)
    book = Book(dict(INSTRUMENTS), dict(ASSETS), {feed: MARKS[feed] for feed in start}, TIME_US)
    live = LiveRows(book, UNCOVERED if parameters is UNCOVERED else PARAMETERS)
    cut, asset_cut = draw.randint(0, len(IDS)), draw.randint(0, len(ASSET_IDS))
    live.extend(IDS[:cut], ASSET_IDS[:asset_cut])
    live.extend(IDS[cut:], ASSET_IDS[asset_cut:])
    for _ in range(12):
        before = RowArrays._make(column.copy() for column in live.arrays)
        changed = live.refresh({tick(draw, book) for _ in range(draw.randint(1, 2))})
        assert [] == differing(fresh(book, parameters), live.arrays)
        assert_rest_is_untouched(before, live.arrays, changed.instruments.tolist(), changed.assets.tolist())


def assert_rest_is_untouched(
    before: RowArrays, after: RowArrays, instruments: Sequence[int], assets: Sequence[int]
) -> None:
    """Rows that were not named as changed have their old bits; none is named twice."""
    assert len(set(instruments)) == len(instruments) and len(set(assets)) == len(assets)
    for name, old, new in zip(before._fields, before, after, strict=True):
        changed = {"I": instruments, "C": assets}.get(name.rsplit("_", 1)[1][0], ())
        kept = np.setdiff1d(np.arange(len(old)), np.array(changed, dtype=np.int64))
        assert old[kept].tobytes() == new[kept].tobytes(), name


def test_a_mark_changes_only_what_depends_on_it() -> None:
    book = Book(dict(INSTRUMENTS), dict(ASSETS), dict(MARKS), TIME_US)
    live = LiveRows(book, PARAMETERS)
    live.extend(IDS, ASSET_IDS)
    expected = {
        feed: {
            name
            for name, terms in INSTRUMENTS.items()
            if feed in (terms.mark_feed, ASSETS[terms.settlement_asset].mark_feed)
            or (terms.kind.is_option and feed == terms.underlying)
        }
        for feed in FEEDS
    }
    for feed in FEEDS:
        changed = live.refresh([feed])
        assert expected[feed] == {IDS[i] for i in changed.instruments}
        assert {name for name, asset in ASSETS.items() if asset.mark_feed == feed} == {
            ASSET_IDS[c] for c in changed.assets
        }
    assert (0, 0) == tuple(part.size for part in live.refresh([]))
    book.time_us = TIME_US // 1_000_000 * 1_000_000 + 999_999
    assert not live.refresh([]).instruments.size
    book.time_us += 1
    options = {name for name, terms in INSTRUMENTS.items() if terms.kind.is_option}
    assert options == {IDS[i] for i in live.refresh([]).instruments}


def test_rows_are_the_values_of_the_contracts() -> None:
    """Row by row the bits of ``unit_value``, which knows no rows."""
    grid = scenario_grid(PARAMETERS)
    rows = fresh(Book(dict(INSTRUMENTS), dict(ASSETS), dict(MARKS), TIME_US))
    for i, name in enumerate(IDS[:-1]):
        table = contract_table((name,), MARKET)
        flat = np.ones((1, 1))
        assert unit_value(table, flat, flat)[0, 0] == rows.value_I[i], name
        assert table.priced_I[0] == rows.priced_I[i]
        if not rows.option_I[i]:
            factor = grid.price_factor_US[rows.underlying_I[i]][None, :]
            pnl = (unit_value(table, factor, np.ones_like(factor)) - rows.value_I[i]) * grid.weight_S
            assert pnl.tobytes() == rows.pnl_IS[i].tobytes(), name


def test_settlement_assets_have_the_numbers_they_were_given() -> None:
    live = LiveRows(MARKET, PARAMETERS)
    live.extend(("BTC-PERP", "NOT-LISTED"), ())
    assert [-1, -1] == live.arrays.settlement_asset_I.tolist()
    live.extend((), ("USDC", "USD"))
    assert [1, -1] == live.arrays.settlement_asset_I.tolist()
