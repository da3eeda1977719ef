"""Valuation points and group offsets, by hand and by property."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.methods.requirement import MarginResult, pool_margin
from schemas.stated_portfolio import decode_stated_portfolio
from streams.margin_methods import load_methods, read_statement
from tests.engine.methods.published import encoded


def result_of(document: Mapping[str, Any]) -> MarginResult:
    return pool_margin(read_statement(decode_stated_portfolio(encoded({"v": 2, **document}))), load_methods()["tims"])


def market(**parameters: object) -> dict[str, Any]:
    return {
        "spot": 100, "expiries": {"e": {"seconds_to_expiry": 86400 * 45, "forward": 100}}, "parameters": parameters,
    }  # fmt: skip


def stock(unit: str, quantity: float) -> dict[str, Any]:
    return {"kind": "spot", "underlying": unit, "quantity": quantity, "instrument": f"{unit} stock"}


def option(unit: str, quantity: float, strike: float, *, is_call: bool) -> dict[str, Any]:
    return {
        "kind": "option", "underlying": unit, "expiry": "e", "quantity": quantity, "strike": strike,
        "is_call": is_call, "volatility": 0.3, "multiplier": 100,
    }  # fmt: skip


def pair(long: float, short: float, **parameters: object) -> dict[str, Any]:
    return {
        "markets": {"X": market(product_group="G"), "Y": market(product_group="G")},
        "positions": [stock("X", long), stock("Y", short)], "parameters": parameters,
    }  # fmt: skip


def test_ten_points_at_equal_distance_on_both_sides() -> None:
    # FINRA rule 4210(g): equities over 15 % up and down.
    result = result_of({"markets": {"X": market()}, "positions": [stock("X", 100)]})
    pnl_US = result.charges["loss"].scenario_pnl_US
    assert pnl_US is not None
    assert -min(pnl_US[0]) == pytest.approx(1500.0)
    assert result.initial_margin == result.maintenance_margin == pytest.approx(1500.0)
    assert result.context.scenarios.price_factor_US[0].tolist() == pytest.approx(
        [0.85, 0.88, 0.91, 0.94, 0.97, 1.03, 1.06, 1.09, 1.12, 1.15]
    )


def test_a_range_that_is_not_the_same_down_as_up() -> None:
    # FINRA rule 4210(g): high-capitalization broad-based indices, 8 % down and 6 % up.
    index = market(price_range=0.06, price_range_down=0.08)
    long = result_of({"markets": {"X": index}, "positions": [stock("X", 100)]})
    short = result_of({"markets": {"X": index}, "positions": [stock("X", -100)]})
    assert [long.initial_margin, short.initial_margin] == pytest.approx([800.0, 600.0])


def test_an_option_offsets_its_own_underlying_in_full() -> None:
    protected = [stock("X", 100), option("X", 1, 100, is_call=False)]
    result = result_of({"markets": {"X": market()}, "positions": protected})
    assert 37.5 <= result.initial_margin < 500.0


@pytest.mark.parametrize(("offset", "expected"), [(0, 1500 + 0), (0.9, 1500 - 0.9 * 1200), (1, 300)])
def test_a_share_of_gains_counts_inside_a_product_group(offset: float, expected: float) -> None:
    # Down 15 %: the first loses 1,500 and the second gains 1,200; up 15 % the second loses 1,200.
    result = result_of(pair(100, -80, product_group_offset=offset))
    assert result.initial_margin == pytest.approx(max(expected, 1200 - offset * 1500))
    assert sum(unit for unit, _ in result.units.values()) == pytest.approx(result.initial_margin)


def test_without_a_group_nothing_offsets() -> None:
    document = pair(100, -80, product_group_offset=1)
    document["markets"] = {"X": market(), "Y": market()}
    assert result_of(document).initial_margin == pytest.approx(1500 + 1200)


def test_product_groups_offset_inside_a_portfolio_group() -> None:
    document = pair(100, -80, product_group_offset=1, portfolio_group_offset=0.5)
    document["markets"] = {"X": market(portfolio_group="P"), "Y": market(portfolio_group="P")}
    assert result_of(document).initial_margin == pytest.approx(1500 - 0.5 * 1200)


def test_the_minimum_is_a_floor_per_contract() -> None:
    # FINRA rule 4210(g): $.375 x multiplier for every contract, long or short.
    spread = [option("X", 10, 400, is_call=True), option("X", -10, 410, is_call=True)]
    document = {"markets": {"X": market()}, "positions": spread}
    assert result_of(document).initial_margin == pytest.approx(20 * 37.5)
    stated = {**document, "parameters": {"minimum_charge_per_contract": 2}}
    assert result_of(stated).initial_margin == pytest.approx(40.0)
    assert result_of({**document, "parameters": {"minimum_charge": 0}}).initial_margin < 1.0


def test_stated_points_replace_revaluation() -> None:
    points = [-90, -70, -50, -30, -10, 10, 30, 50, 70, 90]
    position = {"kind": "future", "underlying": "X", "quantity": -2, "mark_price": 100, "scenario_pnl": points}
    result = result_of({"markets": {"X": market()}, "positions": [position]})
    assert result.initial_margin == pytest.approx(180.0)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (pair(1, -1, product_group_offset=1.5), "markets.X.parameters.product_group_offset"),
        ({"markets": {"X": market(product_group="G"), "Y": market(product_group="G", product_group_offset=0.5)}},
         "markets.Y.parameters.product_group_offset"),
        ({"markets": {"X": market(product_group="G", portfolio_group="P"), "Y": market(product_group="G")}},
         "markets.Y.parameters.portfolio_group"),
        ({"markets": {"X": market(product_group=3)}}, "parameters.product_group"),
        ({"markets": {"X": market()}, "positions": [stock("X", 1)], "parameters": {"price_range": "x"}},
         "parameters.price_range"),
        ({"markets": {"X": market()}, "positions": [
            stock("X", 1), {"kind": "future", "underlying": "X", "expiry": "e", "quantity": 1, "scenario_pnl": [1]}]},
         "positions[1].scenario_pnl"),
        ({"parameters": {"price_scan_range": 1}}, "parameters.price_scan_range"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_its_field(document: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        result_of(document)
    assert caught.value.field == field


def test_nothing_held_requires_nothing() -> None:
    assert result_of({}).initial_margin == 0.0
    assert result_of({"markets": {"X": market()}}).initial_margin == 0.0


HOLDINGS = st.lists(
    st.tuples(st.sampled_from(["X", "Y"]), st.integers(-4, 4), st.sampled_from([90, 100, 120]), st.booleans()),
    min_size=1, max_size=6, unique_by=lambda holding: (holding[0], *holding[2:]),
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(HOLDINGS, st.sampled_from([0, 0.5, 0.9, 1]), st.randoms(use_true_random=False))
def test_order_scale_and_offset(holdings: list[Any], offset: float, shuffle: Any) -> None:
    def margin(entries: list[Any], share: float, factor: int = 1) -> float:
        markets = {unit: market(product_group="G") for unit in ("X", "Y")}
        positions = [option(unit, factor * quantity, strike, is_call=call) for unit, quantity, strike, call in entries]
        document = {"markets": markets, "positions": positions, "parameters": {"product_group_offset": share}}
        return result_of(document).initial_margin

    base, mixed = margin(holdings, offset), list(holdings)
    shuffle.shuffle(mixed)
    assert margin(mixed, offset) == pytest.approx(base, rel=1e-12, abs=1e-9)
    assert margin(holdings, offset, 3) == pytest.approx(3 * base, rel=1e-9, abs=1e-6)
    split = len(holdings) // 2
    assert base <= margin(holdings[:split], offset) + margin(holdings[split:], offset) + 1e-6
    assert margin(holdings, 1) <= base + 1e-6 <= margin(holdings, 0) + 2e-6
