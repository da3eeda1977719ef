"""SPAN against published and recomputed cases, by hand, and by property."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.methods.components.span import array_scan_risk, span_requirement
from engine.methods.components.span_spreads import (
    SpreadCharge,
    SpreadLeg,
    spread_charge,
    spread_credit,
    spread_margin,
)
from engine.methods.requirement import MarginResult, pool_margin
from schemas.stated_portfolio import decode_stated_portfolio
from streams.margin_methods import load_methods, read_statement
from tests.engine.methods.published import cases, encoded, load, needs_vectors
from tests.engine.methods.span_vectors import DOCUMENTS, array_document


def result_of(document: Mapping[str, Any]) -> MarginResult:
    return pool_margin(read_statement(decode_stated_portfolio(encoded({"v": 2, **document}))), load_methods()["span"])


def found(result: MarginResult) -> dict[str, Any]:
    """The figures of a result under the names of the published cases."""
    scan = result.charges["scan_risk"]
    worst = scan.detail.get("worst_scenario")
    assert scan.scenario_pnl_US is not None
    return {
        "scan_risk": float(scan.initial[0]),
        "worst_scenario": worst["X"] if isinstance(worst, Mapping) else None,
        "combined_pnl": scan.scenario_pnl_US[0].tolist(),
        "net_option_value": float(result.charges["net_option_value"].initial[0]),
        "short_option_minimum": float(result.charges["short_option_minimum"].initial[0]),
        "risk_margin": result.units["X"][0],
        "margin": result.initial_margin,
        "total": result.initial_margin,
    }


def near(expected: object, tolerance: str) -> Any:
    """``expected`` within a published tolerance ("relative 1e-9", "absolute 4")."""
    kind, number = tolerance.split()[:2]
    value = [float(str(x)) for x in expected] if isinstance(expected, list) else float(str(expected))
    if kind == "relative":
        return pytest.approx(value, rel=float(number), abs=1e-9)
    return pytest.approx(value, rel=0.0, abs=float(number.strip("$")))


@needs_vectors
@pytest.mark.parametrize("vector", cases("03_span.json"))
def test_published_cases(vector: Mapping[str, Any]) -> None:
    figures = found(result_of(DOCUMENTS[vector["kind"]](vector["inputs"])))
    for name, value in vector["expected"].items():
        assert figures[name] == near(value, vector["tolerance"]), name


@needs_vectors
def test_the_method_has_the_published_scenarios_in_their_order() -> None:
    own = load_methods()["span"].scenarios
    for record, published in zip(own, load("03_span.json")["scenario_order"], strict=True):
        for name in ("number", "price_move_in_scan_ranges", "vol_move_in_scan_ranges", "weight"):
            default = 1 if name == "weight" else 0
            assert float(str(record.get(name, default))) == float(published[name]), (record["number"], name)


FUTURE = [0, 0, 3330, 3330, -3330, -3330, 6670, 6670, -6670, -6670, 10000, 10000, -10000, -10000, 7000, -7000]


def test_a_stated_array_by_hand_and_its_tie() -> None:
    # McMillan, Options as a Strategic Investment, 4th ed., pp. 668-670: one future has a scan risk of 10,000.
    figures = found(result_of(array_document({"positions": [1], "pnl_of_one_long": [FUTURE]})))
    assert (figures["scan_risk"], figures["worst_scenario"]) == (10000.0, 13)
    assert array_scan_risk([1.0], [[float(x) for x in FUTURE]])[:2] == (10000.0, 13)
    assert found(result_of(array_document({"positions": [0], "pnl_of_one_long": [FUTURE]})))["worst_scenario"] is None


def test_stated_parts_are_assembled() -> None:
    # JSCC, Calculation Examples Using SPAN Parameter of Sample File.
    assert span_requirement(5701000, 294000, -32000000) == (5701000, 37701000)
    assert span_requirement(100, 300) == (300, 300)
    assert span_requirement(100, net_option_value=250) == (100, 0)
    assert span_requirement(100, intra_charge=20, delivery_charge=5, inter_credit=30) == (95, 95)


def test_spreads_are_formed_in_order_from_what_is_left() -> None:
    # CME Group, "Spread calculations": one spread of the second against the third month at 200.
    rows = [SpreadCharge("M2", "M3", 200.0), SpreadCharge("M2", "M4", 50.0), SpreadCharge("M3", "M4", 0.0)]
    ranges = {"M2": 500.0, "M3": 500.0, "M4": 750.0}
    assert spread_margin({"M2": 1, "M3": -1}, ranges, rows) == 200.0
    assert spread_charge({"M2": 3, "M3": -2, "M4": -4}, rows) == 2 * 200 + 50
    assert spread_charge({"M2": 3, "M3": 2}, rows) == 0.0
    assert spread_charge({"A": 4, "B": -3}, [SpreadCharge("A", "B", 10.0, 2.0, 1.0)]) == 20.0


def future(unit: str, quantity: float, **rest: object) -> dict[str, Any]:
    return {"kind": "future", "underlying": unit, "expiry": "e", "quantity": quantity, **rest}


def market(**parameters: object) -> dict[str, Any]:
    return {
        "spot": 5000, "expiries": {"e": {"seconds_to_expiry": 86400 * 45, "forward": 5200}},
        "parameters": {"price_scan_range": 240, "vol_scan_range": 0.0875, **parameters},
    }  # fmt: skip


def option(quantity: float, strike: float, *, is_call: bool = True, **rest: object) -> dict[str, Any]:
    return {
        "kind": "option", "underlying": "X", "expiry": "e", "quantity": quantity, "strike": strike, "is_call": is_call,
        "volatility": 0.15, "multiplier": 50, **rest,
    }  # fmt: skip


def spread(rate: float, **sides: str) -> dict[str, Any]:
    legs = [{"underlying": "X", "ratio": 2}, {"underlying": "Y", "ratio": 1}]
    return {"rate": rate, "legs": [{**leg, "side": sides.get(leg["underlying"])} for leg in legs]}  # type: ignore[call-overload]


def pair(x: float, y: float, **parameters: object) -> dict[str, Any]:
    return {
        "markets": {"X": market(), "Y": market()}, "positions": [future("X", x), future("Y", y)],
        "parameters": parameters,
    }  # fmt: skip


def test_inter_commodity_credit_by_hand() -> None:
    # 5 against 2: two spreads of 2:1, each delta risking its scan range.
    assert spread_credit([SpreadLeg(5, 2, 240), SpreadLeg(-2, 1, 240)], 0.7) == pytest.approx(0.7 * (4 + 2) * 240)
    result = result_of(pair(5, -2, inter_commodity_spreads=[spread(0.7)]))
    assert result.charges["inter_credit"].initial.tolist() == pytest.approx([0.7 * 4 * 240, 0.7 * 2 * 240])
    assert result.initial_margin == pytest.approx(7 * 240 - 0.7 * 6 * 240)


def test_a_spread_needs_opposite_legs_and_uses_a_delta_once() -> None:
    assert result_of(pair(5, 2, inter_commodity_spreads=[spread(0.7)])).initial_margin == pytest.approx(7 * 240)
    same_side = result_of(pair(5, 2, inter_commodity_spreads=[spread(0.7, Y="A")]))
    assert same_side.initial_margin == pytest.approx(7 * 240 - 0.7 * 6 * 240)
    twice = result_of(pair(5, -2, inter_commodity_spreads=[spread(0.7), spread(0.9)]))
    assert twice.charges["inter_credit"].detail["spreads"] == [2.0, 0.0]


def test_a_leg_may_state_its_money_per_delta() -> None:
    row = spread(0.5)
    row["legs"][0]["margin"] = 100
    result = result_of(pair(4, -2, inter_commodity_spreads=[row]))
    assert result.charges["inter_credit"].initial.tolist() == pytest.approx([0.5 * 4 * 100, 0.5 * 2 * 240])


def test_delivery_and_months() -> None:
    document = {"markets": {"X": market(delivery_charges={"e": 30})}, "positions": [future("X", -2, multiplier=50)]}
    assert result_of(document).initial_margin == pytest.approx(2 * 50 * 240 + 2 * 30)
    document["positions"] = [future("X", -2, multiplier=50, parameters={"month": "f"})]
    assert result_of(document).initial_margin == pytest.approx(2 * 50 * 240)


def test_short_option_minimum_is_a_floor_by_contract() -> None:
    document = {
        "markets": {"X": market(short_option_minimum_per_short_unit=10)},
        "positions": [option(-3, 9000), option(-2, 2000, is_call=False)],
    }
    result = result_of(document)
    assert result.units["X"][0] == pytest.approx(max(float(result.charges["scan_risk"].initial[0]), 50.0))
    assert result.charges["short_option_minimum"].initial[0] == 50.0
    larger = result_of({**document, "parameters": {"short_option_count": "max"}})
    assert larger.charges["short_option_minimum"].initial[0] == 30.0
    by_notional = result_of({**document, "parameters": {"short_option_minimum_rate": 0.03}})
    assert by_notional.charges["short_option_minimum"].initial[0] == pytest.approx(50.0 + 250 * 5000 * 0.03)


def test_option_value_counts_once() -> None:
    result = result_of({"markets": {"X": market()}, "positions": [option(1, 5200)], "cash": 10})
    assert result.equity == pytest.approx(10.0)
    assert result.initial_margin == 0.0
    assert float(result.charges["net_option_value"].initial[0]) > 0.0


def test_extremes_and_look_ahead_travel_with_the_document() -> None:
    document = {"markets": {"X": market()}, "positions": [option(-1, 6500, parameters={})]}
    classic = result_of({**document, "parameters": {"extreme_multiple": 2, "extreme_cover": 0.35}})
    today = result_of(document)
    assert found(classic)["combined_pnl"][:14] == found(today)["combined_pnl"][:14]
    assert found(classic)["combined_pnl"][14] != found(today)["combined_pnl"][14]
    later = result_of({**document, "parameters": {"look_ahead_days": 10}})
    assert found(later)["combined_pnl"][0] > found(today)["combined_pnl"][0]


def test_a_stated_delta_and_a_scaling_factor_form_spreads() -> None:
    rows = [["e", "f", 100]]
    document = {
        "markets": {"X": market(spread_charges=rows)},
        "positions": [
            option(10, 5200, delta=0.5),
            future("X", -8, parameters={"month": "f", "delta_scaling_factor": 0.5}),
        ],
    }
    assert result_of(document).charges["intra_charge"].initial[0] == pytest.approx(400.0)


def test_exposure_comes_on_top() -> None:
    positions = [future("X", 2, multiplier=10), option(-1, 5400), option(1, 5000, is_call=False)]
    document = {"markets": {"X": market()}, "positions": positions}
    plain, charged = result_of(document), result_of({**document, "parameters": {"exposure_rate": 0.02}})
    assert charged.initial_margin - plain.initial_margin == pytest.approx(0.02 * (20 * 5200 + 50 * 5000))


def test_merging_two_accounts_can_raise_the_requirement() -> None:
    # The merged account spreads M2 against M3 at 200 before M2 against M4 at 50.
    months = {name: {"seconds_to_expiry": 86400 * 45, "forward": 5200} for name in ("M2", "M3", "M4")}
    rows = [["M2", "M3", 200], ["M2", "M4", 50]]

    def margin(*positions: tuple[str, int, int]) -> float:
        return result_of({
            "markets": {"X": {**market(spread_charges=rows), "expiries": months}},
            "positions": [
                {**future("X", quantity, parameters={"price_scan_range": scan_range}), "expiry": month}
                for month, quantity, scan_range in positions
            ],
        }).initial_margin  # fmt: skip

    apart = margin(("M2", 1, 500), ("M4", -1, 750)) + margin(("M3", -1, 500))
    assert apart == pytest.approx(250 + 50 + 500)
    assert margin(("M2", 1, 500), ("M3", -1, 500), ("M4", -1, 750)) == pytest.approx(750 + 200)


@pytest.mark.parametrize(
    ("positions", "parameters", "field"),
    [
        ([future("X", 1, scenario_pnl=[1, 2]), future("X", 1)], {}, "positions[0].scenario_pnl"),
        ([future("X", 1, scenario_pnl=FUTURE), future("X", 1, scenario_pnl=[1])], {}, "positions[1].scenario_pnl"),
        ([future("Z", 1)], {}, "positions[0].underlying"),
        ([option(-1, 5200)], {"short_option_count": "all"}, "parameters.short_option_count"),
        ([future("X", 1)], {"spread_charges": [["a", "a", 1]]}, "parameters.spread_charges[0]"),
        ([future("X", 1)], {"spread_charges": [["a", "b"]]}, "parameters.spread_charges[0]"),
        ([future("X", 1)], {"spread_charges": [["a", "b", 1, 0, 1]]}, "parameters.spread_charges[0]"),
        ([future("X", 1)], {"delivery_charges": 3}, "parameters.delivery_charges"),
        ([future("X", 1)], {"inter_commodity_spreads": [3]}, "parameters.inter_commodity_spreads[0]"),
        ([future("X", 1)], {"inter_commodity_spreads": [spread(1)]},
         "parameters.inter_commodity_spreads[0].legs[1].underlying"),
        ([future("X", 1)], {"price_range": 0.1}, "parameters.price_range"),
        ([future("X", 1)], {"stated": {"scan_risk": "x"}}, "parameters.stated.scan_risk"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_its_field(positions: list[Any], parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        result_of({"markets": {"X": market()}, "positions": positions, "parameters": parameters})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"rate": 1, "legs": [{"underlying": "X", "ratio": 1}]}, "legs"),
        ({"rate": 1, "legs": [3, 4]}, "legs[0]"),
        ({"rate": 1, "legs": [{"underlying": "X", "ratio": 1}, {"underlying": "X", "ratio": 1}]}, "legs[1].underlying"),
        ({"rate": 1, "legs": [{"underlying": "X", "ratio": 0}, {"underlying": "Y", "ratio": 1}]}, "legs[0].ratio"),
        ({"rate": 1, "legs": [{"underlying": "X"}, {"underlying": "Y", "ratio": 1}]}, "legs[0].ratio"),
        ({"rate": 1, "legs": [{"underlying": "X", "ratio": 1, "side": "C"}, {"underlying": "Y", "ratio": 1}]},
         "legs[0].side"),
        ({"legs": [{"underlying": "X", "ratio": 1}, {"underlying": "Y", "ratio": 1}]}, "rate"),
    ],
)  # fmt: skip
def test_a_bad_spread_is_refused_by_its_field(row: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        result_of(pair(1, -1, inter_commodity_spreads=[row]))
    assert caught.value.field == f"parameters.inter_commodity_spreads[0].{field}"


def test_an_extreme_scenario_needs_a_direction() -> None:
    document = {
        "markets": {"X": market()}, "positions": [future("X", 1)],
        "scenarios": [{"group": "extreme", "price_move_in_scan_ranges": 0}],
    }  # fmt: skip
    with pytest.raises(InvalidReference) as caught:
        result_of(document)
    assert caught.value.field == "scenarios[0].price_move_in_scan_ranges"


def test_an_extreme_scenario_is_its_own_pair() -> None:
    # Far calls sold against a future: the extreme move up decides, and its price risk is averaged with itself.
    document = pair(0, -1, inter_commodity_spreads=[spread(0.5)])
    document["positions"].append(option(-12, 5900))
    document["parameters"]["inter_commodity_spreads"][0]["legs"][1]["side"] = "A"
    result = result_of(document)
    scan, credit = result.charges["scan_risk"], result.charges["inter_credit"]
    assert scan.detail["worst_scenario"]["X"] == 15  # type: ignore[index]
    assert scan.scenario_pnl_US is not None
    delta = -sum(result.charges["intra_charge"].detail["net_delta"]["X"].values())  # type: ignore[index]
    time_loss = -scan.scenario_pnl_US[0, :2].mean()
    spreads = min(delta / 2, 1.0)
    assert credit.initial[0] == pytest.approx(0.5 * spreads * 2 * (scan.initial[0] - time_loss) / delta)


def test_a_range_that_nobody_states_is_missing_and_not_zero() -> None:
    bare = market()
    bare["parameters"] = {"vol_scan_range": 0.1}
    with pytest.raises(InvalidReference) as caught:
        result_of({"markets": {"X": bare}, "positions": [future("X", 1)]})
    assert caught.value.field == "parameters.price_scan_range"


LEGS = st.lists(
    st.tuples(st.integers(-5, 5), st.sampled_from([4800, 5000, 5200, 5400]), st.booleans()),
    min_size=1, max_size=5, unique_by=lambda leg: leg[1:],
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(LEGS, LEGS, st.randoms(use_true_random=False))
def test_scan_risk_is_coherent_and_the_order_does_not_matter(one: list[Any], other: list[Any], shuffle: Any) -> None:
    def scan(legs: list[Any], factor: int = 1) -> dict[str, Any]:
        positions = [option(factor * quantity, strike, is_call=is_call) for quantity, strike, is_call in legs]
        return found(result_of({"markets": {"X": market()}, "positions": positions}))

    first, second = scan(one), scan(other)
    mixed = list(one)
    shuffle.shuffle(mixed)
    again = scan(mixed)
    assert again["scan_risk"] == pytest.approx(first["scan_risk"], rel=1e-12, abs=1e-9)
    if first["scan_risk"] > 1e-6:
        assert again["worst_scenario"] == first["worst_scenario"]
    assert scan(one, 7)["scan_risk"] == pytest.approx(7 * first["scan_risk"], rel=1e-9, abs=1e-6)
    assert scan([*one, *other])["scan_risk"] <= first["scan_risk"] + second["scan_risk"] + 1e-6
