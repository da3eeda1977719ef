"""Rule-based cross margin against published portfolios, by hand, and by property."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.methods.components.option_rules import OptionHolding, largest_loss
from engine.methods.requirement import MarginResult, pool_margin
from schemas.stated_portfolio import decode_stated_portfolio
from streams.margin_methods import load_methods, read_statement
from tests.engine.methods.published import british, cases, encoded, load, needs_vectors

PUBLISHED = load("01c_derive_standard_margin.json")


def result_of(document: Mapping[str, Any]) -> MarginResult:
    return pool_margin(
        read_statement(decode_stated_portfolio(encoded({"v": 2, **document}))), load_methods()["derive-srm"]
    )


def standard_document(portfolio: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A published portfolio of any number of underlyings as a stated portfolio document."""
    markets, positions = {}, []
    for name, market in portfolio["markets"].items():
        perp, expiries = market["perp"], {}
        if perp["position"]:
            positions.append({
                "kind": "perpetual", "underlying": name, "quantity": perp["position"],
                "unrealized_pnl": british(perp, "unrealized_pnl"),
            })  # fmt: skip
        if market["base_position"]:
            positions.append({"kind": "spot", "underlying": name, "quantity": market["base_position"]})
        for e, expiry in enumerate(market["expiries"]):
            expiries[f"e{e}"] = {key: expiry[key] for key in expiry if key != "options"}
            positions += [
                {
                    "kind": "option", "underlying": name, "expiry": f"e{e}", "quantity": option["amount"],
                    "strike": option["strike"], "is_call": option["is_call"], "volatility": option["vol"],
                }
                for option in expiry["options"]
            ]  # fmt: skip
        markets[name] = {
            "spot": market["spot"], "spot_confidence": market["spot_confidence"],
            "perpetual_price": perp["price"], "perpetual_confidence": perp["confidence"], "expiries": expiries,
        }  # fmt: skip
    return {
        "cash": portfolio["cash"], "stable_price": portfolio["stable_price"], "markets": markets,
        "positions": positions, "parameters": dict(parameters),
    }  # fmt: skip


@needs_vectors
@pytest.mark.parametrize("vector", cases("01c_derive_standard_margin.json"))
def test_margin_is_the_published_one(vector: Mapping[str, Any]) -> None:
    result = result_of(standard_document(vector["portfolio"], PUBLISHED["parameter_sets"][vector["parameters"]]))
    expected = vector["expected"]
    found = {
        "initial_margin": result.margin_excess_initial,
        "maintenance_margin": result.margin_excess_maintenance,
        "mark_to_market": result.equity,
    }
    for name, value in expected.items():
        if "truncate" in vector["comparison"]:
            assert int(value) == int(round(found[name], 9)), name
        else:
            assert found[name] == pytest.approx(float(value), rel=1e-9, abs=1e-9), name


MARKET = {
    "spot": 2000,
    "perpetual_price": 2001,
    "expiries": {"e": {"seconds_to_expiry": 892800, "forward": 2002.83305}},
}


def option(quantity: object, strike: object, *, is_call: bool, expiry: str = "e") -> dict[str, Any]:
    return {
        "kind": "option", "underlying": "ETH", "expiry": expiry, "quantity": quantity, "strike": strike,
        "is_call": is_call, "volatility": 0.5,
    }  # fmt: skip


def document(*positions: dict[str, Any], market: Mapping[str, Any] = MARKET, **rest: object) -> dict[str, Any]:
    return {"markets": {"ETH": dict(market)}, "positions": list(positions), **rest}


def test_a_short_call_in_the_money_needs_its_value_and_fifteen_percent_of_spot() -> None:
    # TestStandardManager_Portfolio_Cases.t.sol, test_short_ITM_call: -802 initial, -652 maintenance.
    result = result_of(document(option(-1, 1500, is_call=True)))
    value = -result.equity
    assert result.margin_excess_initial == pytest.approx(-300 - value, rel=1e-12)
    assert result.margin_excess_maintenance == pytest.approx(-150 - value, rel=1e-12)
    assert int(result.margin_excess_initial) == -802


def test_a_spread_needs_no_more_than_it_can_lose() -> None:
    result = result_of(document(option(-1, 2000, is_call=True), option(1, 2010, is_call=True)))
    assert result.margin_excess_initial == pytest.approx(-10.0)
    assert result.margin_excess_maintenance == pytest.approx(-10.0)


def test_a_long_option_gives_no_credit() -> None:
    result = result_of(document(option(3, 2000, is_call=True), cash=100))
    assert result.equity > 100
    assert result.margin_excess_initial == pytest.approx(100.0)


def test_base_perpetual_and_depeg_by_hand() -> None:
    result = result_of(
        document(
            {"kind": "perpetual", "underlying": "ETH", "quantity": -2, "unrealized_pnl": 7},
            {"kind": "spot", "underlying": "ETH", "quantity": 3},
            cash=50,
            stable_price=0.9,
        )
    )
    base, perpetual = 3 * 2000 * 0.8, 2 * 2001
    assert result.equity == pytest.approx(50 + 7 + 6000 / 0.9)
    assert result.margin_excess_maintenance == pytest.approx(57 + base - perpetual * 0.05)
    assert result.margin_excess_initial == pytest.approx(57 + base - perpetual * 0.065 - 2 * 0.08 * 1.2 * 2000)


def test_a_confidence_at_its_threshold_costs_nothing_and_below_it_the_whole_gap() -> None:
    at = result_of(document(option(-2, 2500, is_call=True), market={**MARKET, "spot_confidence": 0.4}))
    below = result_of(document(option(-2, 2500, is_call=True), market={**MARKET, "spot_confidence": 0.3}))
    assert below.margin_excess_initial - at.margin_excess_initial == pytest.approx(-0.7 * 0.4 * 2000 * 2)
    assert below.margin_excess_maintenance == at.margin_excess_maintenance


def test_positions_of_one_series_are_netted() -> None:
    split = result_of(document(option(-3, 2100, is_call=False), option(1, 2100, is_call=False)))
    assert split.initial_margin == pytest.approx(result_of(document(option(-2, 2100, is_call=False))).initial_margin)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (document({"kind": "spot", "underlying": "ETH", "quantity": -1}), "positions[0].quantity"),
        (document({"kind": "future", "underlying": "ETH", "expiry": "e", "quantity": 1}), "positions[0].kind"),
        (document({"kind": "perpetual", "underlying": "ETH", "quantity": 1, "inverse": True}), "positions[0].kind"),
        (document({**option(-1, 2000, is_call=True), "inverse": True}), "positions[0].inverse"),
        (document(option(1, 2000, is_call=True, expiry="f")), "positions[0].expiry"),
        (document(parameters={"perp_mm": 0.07}), "parameters.perp_mm"),
        (document(parameters={"im_perp": 0.07}), "parameters.im_perp"),
        (document(parameters={"min_spot_req": "x"}), "parameters.min_spot_req"),
    ],
)
def test_bad_input_is_refused_by_its_field(bad: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        result_of(bad)
    assert caught.value.field == field


def test_the_largest_loss_sees_zero_and_every_strike() -> None:
    puts = [OptionHolding(100.0, False, -1.0, 0.0), OptionHolding(80.0, False, 2.0, 0.0)]
    assert largest_loss(puts) == 20.0
    assert largest_loss([OptionHolding(100.0, False, -1.0, 0.0)]) == 100.0


LEGS = st.lists(
    st.tuples(st.integers(-5, 5), st.sampled_from([1500, 1800, 2000, 2200, 3000]), st.booleans()),
    min_size=1, max_size=6, unique_by=lambda leg: leg[1:],
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(LEGS, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_margin_scales(legs: list[tuple[int, int, bool]], shuffle: Any) -> None:
    positions = [option(quantity, strike, is_call=is_call) for quantity, strike, is_call in legs]
    base = result_of(document(*positions))
    mixed = list(positions)
    shuffle.shuffle(mixed)
    again = result_of(document(*mixed))
    tripled = result_of(document(*[{**p, "quantity": 3 * p["quantity"]} for p in positions]))
    assert again.initial_margin == pytest.approx(base.initial_margin, rel=1e-12, abs=1e-9)
    assert tripled.maintenance_margin == pytest.approx(3 * base.maintenance_margin, rel=1e-12, abs=1e-9)
    assert base.initial_margin >= base.maintenance_margin - 1e-9


def test_merging_two_accounts_can_raise_the_requirement() -> None:
    # A bounded spread beside shorts that are cheaper by rule: the expiry as a whole has one of the two rules.
    spread = [option(-1, 2000, is_call=True), option(1, 2010, is_call=True)]
    shorts = [option(-3, 3000, is_call=True)]
    apart = result_of(document(*spread)).initial_margin + result_of(document(*shorts)).initial_margin
    assert result_of(document(*spread, *shorts)).initial_margin > apart + 100
