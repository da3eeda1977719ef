"""Venue methods: published examples and figures computed by hand, from the document to the requirement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.methods.method import ComponentUse
from engine.methods.requirement import MarginResult, pool_margin
from engine.methods.revaluation import volatility_shock
from schemas.stated_portfolio import decode_stated_portfolio
from streams.margin_methods import load_methods, read_statement
from tests.engine.methods.published import cases, encoded, needs_vectors

DAY = 86_400


def margin(method: str, document: Mapping[str, Any]) -> MarginResult:
    portfolio = read_statement(decode_stated_portfolio(encoded({"v": 2, **document})))
    return pool_margin(portfolio, load_methods()[method])


def scan_document(inputs: Mapping[str, Any], *, own_scenarios: bool) -> dict[str, Any]:
    asset, spot = inputs["asset"], inputs["spot"]
    expiries: dict[str, Any] = {}
    positions: list[dict[str, Any]] = []
    for position in inputs["positions"]:
        if position["kind"] == "perp":
            positions.append({
                "kind": "perpetual", "underlying": asset, "quantity": position["amount"], "delta": position["delta"],
            })  # fmt: skip
            continue
        expiry = f"d{position['days']}"
        expiries[expiry] = {"seconds_to_expiry": position["days"] * DAY, "forward": spot}
        positions.append({
            "kind": "option", "underlying": asset, "quantity": position["amount"], "delta": position["delta"],
            "strike": position["strike"], "is_call": position["is_call"], "volatility": position["vol"],
            "expiry": expiry,
        })  # fmt: skip
    return {
        "markets": {asset: {"spot": spot, "perpetual_price": spot, "expiries": expiries}},
        "positions": positions,
        "parameters": {
            "min_vol_when_up": inputs["min_up"],
            "unhedged_factor": inputs["unhedged_factor"], "hedged_factor": inputs["hedged_factor"],
        },
        **({"scenarios": inputs["scenarios"]} if own_scenarios else {}),
    }  # fmt: skip


@needs_vectors
@pytest.mark.parametrize("own_scenarios", [True, False], ids=["stated table", "table of the method"])
@pytest.mark.parametrize("vector", cases("04_exchange_pm_and_collateral.json", "scan_24"))
def test_paradex_scan(vector: Mapping[str, Any], own_scenarios: bool) -> None:
    result = margin("paradex-pm", scan_document(vector["inputs"], own_scenarios=own_scenarios))
    expected, scan = vector["expected"], result.charges["scan"]
    assert scan.scenario_pnl_US is not None and scan.worst_U is not None
    assert scan.scenario_pnl_US[0].tolist() == pytest.approx([float(x) for x in expected["scenario_pnl"]], rel=1e-9)
    assert float(scan.initial[0]) == pytest.approx(float(expected["scan_risk"]), rel=1e-9)
    assert int(scan.worst_U[0]) + 1 == expected["worst_scenario"]
    assert float(result.charges["minimum_delta"].initial[0]) == pytest.approx(float(expected["minimum_delta"]))
    assert result.initial_margin == pytest.approx(float(expected["net_initial_margin"]), rel=1e-9)
    assert result.maintenance_margin == pytest.approx(float(expected["net_maintenance_margin"]), rel=1e-9)


@needs_vectors
@pytest.mark.parametrize("vector", cases("04_exchange_pm_and_collateral.json", "component_maximum"))
def test_okx_stated_components(vector: Mapping[str, Any]) -> None:
    document = {"markets": {"BTC": {"spot": 60000}}, "parameters": {"mr": vector["inputs"]["mr"]}}
    result = margin("okx-pm", document)
    assert result.maintenance_margin == pytest.approx(float(vector["expected"]["maintenance"]), rel=1e-9)


@needs_vectors
@pytest.mark.parametrize("vector", cases("04_exchange_pm_and_collateral.json", "contingency"))
def test_early_deribit_contingency(vector: Mapping[str, Any]) -> None:
    inputs = vector["inputs"]
    document = options_document(Decimal(inputs["quantity"]) / 2, Decimal(-inputs["quantity"]) / 2)
    result = margin("deribit-pm-early", {**document, "parameters": {"option_contingency_rate": inputs["rate"]}})
    assert float(result.charges["options"].initial[0]) == pytest.approx(float(vector["expected"]["charge"]))
    as_printed = margin("deribit-pm-early", {"parameters": {"contingencies": [inputs]}})
    assert as_printed.maintenance_margin == pytest.approx(float(vector["expected"]["charge"]))


@needs_vectors
@pytest.mark.parametrize("vector", cases("04_exchange_pm_and_collateral.json", "vol_shock"))
def test_early_deribit_volatility_shock(vector: Mapping[str, Any]) -> None:
    inputs, expected = vector["inputs"], float(vector["expected"]["vol_shock"])
    document = {
        "markets": {"BTC": {"spot": 1, "expiries": {"e": {"seconds_to_expiry": inputs["days"] * DAY, "forward": 1}}}},
        "parameters": {
            "vol_range_up": inputs["base_shock"], "base_days": inputs["base_days"],
            "short_term_power": inputs["power"], "long_term_power": inputs["power"],
        },
    }  # fmt: skip
    detail: Any = margin("deribit-pm-early", document).charges["volatility_shocks"].detail["shocks"]
    assert detail["BTC e"]["up"] == pytest.approx(expected, abs=float(vector["tolerance"]))
    base, days, power = (float(inputs[name]) for name in ("base_shock", "days", "power"))
    assert float(volatility_shock(base, days, power)) == pytest.approx(detail["BTC e"]["up"])


def test_early_deribit_net_short_options_by_strike() -> None:
    # Calls +10 and puts -20 of one strike are 10 net short, at 0.01 coins each (the edition of a 10 % price move).
    method = load_methods()["deribit-pm-early"]
    use = ComponentUse("options", "flat_contingency", {"of": "net_short_options", "rate": "option_contingency_rate"})
    portfolio = read_statement(
        decode_stated_portfolio(encoded({"v": 2, **options_document(Decimal(10), Decimal(-20))}))
    )
    changed = replace(method, components={**method.components, "options": use})
    assert float(pool_margin(portfolio, changed).charges["options"].initial[0]) == pytest.approx(0.1)


def test_early_deribit_offsetting_vega() -> None:
    # Short a straddle of one expiry and long one of another: the smaller vega at 25 %.
    option = {"kind": "option", "underlying": "BTC", "strike": 100, "volatility": 1, "is_call": True}
    result = margin("deribit-pm-early", {
        "markets": {"BTC": {"spot": 100, "expiries": {
            "near": {"seconds_to_expiry": 73 * DAY, "forward": 100},
            "far": {"seconds_to_expiry": 365 * DAY, "forward": 100},
        }}},
        "positions": [
            {**option, "instrument": "n", "expiry": "near", "quantity": -1},
            {**option, "instrument": "f", "expiry": "far", "quantity": 1},
        ],
    })  # fmt: skip
    d1 = 0.5 * math.sqrt(0.2)
    near_vega = 100 * math.sqrt(0.2) * math.exp(-0.5 * d1**2) / math.sqrt(2 * math.pi)
    assert float(result.charges["vega"].initial[0]) == pytest.approx(0.25 * near_vega)


def options_document(calls: Decimal, puts: Decimal) -> dict[str, Any]:
    option = {"kind": "option", "underlying": "BTC", "expiry": "e", "strike": 100, "volatility": 0.5, "inverse": True}
    return {
        "markets": {"BTC": {"spot": 100, "expiries": {"e": {"seconds_to_expiry": 30 * DAY, "forward": 100}}}},
        "positions": [
            {**option, "instrument": "C", "is_call": True, "quantity": calls},
            {**option, "instrument": "P", "is_call": False, "quantity": puts},
        ],
    }


DERIBIT: dict[str, Any] = {
    # docs.deribit.com, private/pme/simulate, response example: positions are in BTC there, in USD here.
    "cash": 1,
    "markets": {"BTC": {
        "spot": "65666.19", "perpetual_price": "65910.57",
        "expiries": {"28JUN24": {"seconds_to_expiry": "941859.499", "forward": "67371.75"}},
    }},
    "positions": [
        {"kind": "perpetual", "instrument": "BTC-PERPETUAL", "underlying": "BTC", "inverse": True,
         "quantity": Decimal("0.314538364") * Decimal("65910.57")},
        {"kind": "future", "instrument": "BTC-28JUN24", "underlying": "BTC", "expiry": "28JUN24", "inverse": True,
         "quantity": Decimal("-0.001187534") * Decimal("67371.75")},
    ],
    "parameters": {"mmp_margin": "0.06", "open_orders_margin": "0.000018212"},
}  # fmt: skip


def test_deribit_documented_example() -> None:
    result = margin("deribit-pm", DERIBIT)
    amounts = {name: float(charge.initial.sum()) for name, charge in result.charges.items()}
    assert amounts["worst_case"] == pytest.approx(0.05968587238095239, abs=1e-15)
    assert amounts["roll_shock"] == pytest.approx(0.00315725898, abs=1e-15)
    assert amounts["delta_shock"] == amounts["correlation_contingency"] == 0.0
    assert result.initial_margin == pytest.approx(0.122861343, abs=5e-10)
    assert result.maintenance_margin == pytest.approx(0.050274504784, abs=5e-10)


def test_deribit_documented_vectors() -> None:
    worst = margin("deribit-pm", DERIBIT).charges["worst_case"]
    assert worst.scenario_pnl_US is not None and worst.worst_U is not None
    assert worst.scenario_pnl_US[0, :12:3].tolist() == pytest.approx(
        [-0.05968587238095239, -0.04272965863636364, -0.02724789826086957, -0.013056284583333334], abs=1e-15
    )
    assert not worst.scenario_pnl_US[0, 12:].any(), "gains do not count without offset, the tail is dampened away"
    assert worst.worst_U.tolist() == [0]
    vectors: Any = worst.detail["initial_risk_vectors"]
    assert vectors["BTC-PERPETUAL"][15:27:3] == pytest.approx(
        [0.012097629384615385, 0.023299138074074074, 0.033700538999999995, 0.043384601931034494], abs=1e-15
    )
    assert vectors["BTC-28JUN24"][27:] == pytest.approx(
        [0.0002261969523809524] * 2 + [-0.0001637977931034483] * 6, abs=1e-15
    )


def test_deribit_dampener_and_delta_shock() -> None:
    # A linear short of 40M weighs 16 % of it in every tail; at +50 % the dampener forgives (0.5 / 0.16 - 1) x 25,000.
    document: dict[str, Any] = {
        "markets": {"SOL": {"spot": 2000, "perpetual_price": 2000}},
        "positions": [{"kind": "perpetual", "underlying": "SOL", "quantity": -20_000}],
    }
    result = margin("deribit-pm", document)
    pnl = result.charges["worst_case"].scenario_pnl_US
    assert pnl is not None
    assert pnl[0, 29] == pytest.approx(-(40e6 * 0.16 - (0.5 / 0.16 - 1) * 25_000))
    # 20M above the threshold are 10,000 units: 10,000 x 5e-5 = 0.5, capped at 0.1 of 40M.
    assert float(result.charges["delta_shock"].initial[0]) == pytest.approx(4e6)
    result = margin("deribit-pm", {**document, "parameters": {"m_inc": "0.000004"}})
    assert float(result.charges["delta_shock"].initial[0]) == pytest.approx(10_000 * 4e-6 * 40e6)


def correlated(**parameters: object) -> MarginResult:
    return margin("deribit-pm", {
        "markets": {"BTC": {"spot": 100, "perpetual_price": 100}, "ETH": {"spot": 100, "perpetual_price": 100}},
        "positions": [
            {"kind": "perpetual", "instrument": "b", "underlying": "BTC", "quantity": 10},
            {"kind": "perpetual", "instrument": "e", "underlying": "ETH", "quantity": -10},
        ],
        "parameters": {"price_range": "0.2", "max_offsetable_pnl": 1000, **parameters},
    })  # fmt: skip


def test_deribit_offsets_only_inside_a_correlation_set() -> None:
    assert correlated(pnl_offset="0.6").charges["worst_case"].initial.tolist() == pytest.approx([200, 200])
    together = correlated(pnl_offset="0.6", correlation_set=True)
    assert together.charges["worst_case"].initial.sum() == pytest.approx(200 - 0.6 * 200)
    capped = correlated(pnl_offset="0.6", correlation_set=True, max_offsetable_pnl=50)
    assert capped.charges["worst_case"].initial.sum() == pytest.approx(150)
    insured = correlated(pnl_offset="0.6", correlation_set=True, correlation_contingency_rate=1)
    assert float(insured.charges["correlation_contingency"].initial) == pytest.approx(400 - 80)


def test_cross_settlement_is_priced_in_the_numeraire() -> None:
    # The documented coin portfolio again, in dollars: every amount times the price of the coin.
    market = {**DERIBIT["markets"]["BTC"], "parameters": {"settlement_price": "65666.19"}}
    positions = [{**DERIBIT["positions"][0], "entry_price": "60000"}, DERIBIT["positions"][1]]
    stated = {name: Decimal(value) * Decimal("65666.19") for name, value in DERIBIT["parameters"].items()}
    result = margin("deribit-pm", {
        "markets": {"BTC": market}, "positions": positions, "parameters": stated,
    })  # fmt: skip
    assert result.initial_margin == pytest.approx(0.12286134336095 * 65666.19)
    usd = 0.314538364 * 65910.57
    assert result.equity == pytest.approx((usd / 60000 - usd / 65910.57) * 65666.19)


BOOK = st.lists(
    st.tuples(st.integers(-50, 50), st.sampled_from(["perpetual", "call", "put"]), st.integers(60, 140)), max_size=4
)


def book(*rows: tuple[int, str, int]) -> dict[str, Any]:
    positions: list[dict[str, Any]] = []
    for i, (quantity, kind, strike) in enumerate(rows):
        position: dict[str, Any] = {"instrument": f"p{i}", "underlying": "BTC", "quantity": quantity}
        if kind == "perpetual":
            positions.append({**position, "kind": "perpetual"})
        else:
            terms = {"kind": "option", "strike": strike, "is_call": kind == "call", "volatility": "0.6", "expiry": "e"}
            positions.append({**position, **terms})
    expiries = {"e": {"seconds_to_expiry": 20 * DAY, "forward": 100}}
    return {"markets": {"BTC": {"spot": 100, "perpetual_price": 100, "expiries": expiries}}, "positions": positions}


@settings(max_examples=40, deadline=None)
@given(first=BOOK, second=BOOK)
def test_paradex_merging_books_never_raises_the_requirement(
    first: list[tuple[int, str, int]], second: list[tuple[int, str, int]]
) -> None:
    merged = margin("paradex-pm", book(*first, *second)).initial_margin
    apart = margin("paradex-pm", book(*first)).initial_margin + margin("paradex-pm", book(*second)).initial_margin
    assert merged <= apart + 1e-6


@settings(max_examples=30, deadline=None)
@given(
    btc=st.integers(-100, 100),
    eth=st.integers(-100, 100),
    offset=st.integers(0, 10),
    cap=st.sampled_from([0, 5, 10**6]),
)
def test_deribit_offset_lies_between_full_netting_and_none(btc: int, eth: int, offset: int, cap: int) -> None:
    document = {
        "markets": {"BTC": {"spot": 100, "perpetual_price": 100}, "ETH": {"spot": 100, "perpetual_price": 100}},
        "positions": [
            {"kind": "perpetual", "instrument": "b", "underlying": "BTC", "quantity": btc},
            {"kind": "perpetual", "instrument": "e", "underlying": "ETH", "quantity": eth},
        ],
    }
    terms = {"price_range": "0.2", "correlation_set": True, "correlation_contingency_rate": 1}
    result = margin("deribit-pm", {
        **document, "parameters": {**terms, "pnl_offset": offset / 10, "max_offsetable_pnl": cap},
    })  # fmt: skip
    loss = float(result.charges["worst_case"].initial.sum())
    alone = 20.0 * (abs(btc) + abs(eth))
    assert 20.0 * abs(btc + eth) - 1e-6 <= loss <= alone + 1e-6
    assert loss + float(result.charges["correlation_contingency"].initial) == pytest.approx(alone)


def test_inverse_option_is_valued_in_coins() -> None:
    # Deep in the money, an inverse call on strike K pays 1 - K / F coins.
    document = options_document(Decimal(1), Decimal(0))
    document["positions"][0]["strike"] = 10
    document["positions"][1]["strike"] = 10
    result = margin("deribit-pm-early", document)
    assert result.equity == pytest.approx(0.9, abs=1e-9)
    scan = result.charges["scan"].scenario_pnl_US
    assert scan is not None and scan[0, 0] == pytest.approx((1 - 10 / 87.5) - 0.9, abs=1e-9)


def test_paradex_minimum_delta_example() -> None:
    # Paradex documentation: long 1 perpetual, short 5 calls of delta 0.3 at 70,000: net 0.5, hedged 1.0, 1,400 USD.
    result = margin("paradex-pm", {
        "markets": {"BTC": {
            "spot": 70000, "perpetual_price": 70000,
            "expiries": {"e": {"seconds_to_expiry": 30 * DAY, "forward": 70000}},
        }},
        "positions": [
            {"kind": "perpetual", "underlying": "BTC", "quantity": 1},
            {"kind": "option", "underlying": "BTC", "quantity": -5, "delta": "0.3", "expiry": "e", "strike": 75000,
             "is_call": True, "volatility": "0.5"},
        ],
    })  # fmt: skip
    charge = result.charges["minimum_delta"]
    assert float(charge.initial[0]) == pytest.approx(1400)
    assert charge.detail == {"net_delta": {"BTC": pytest.approx(0.5)}, "hedged_delta": {"BTC": pytest.approx(1.0)}}


def test_paradex_provisions_are_not_halved() -> None:
    document: dict[str, Any] = {
        "markets": {"BTC": {"spot": 70000, "perpetual_price": 70000}},
        "positions": [{"kind": "perpetual", "underlying": "BTC", "quantity": 2}],
        "parameters": {"funding_rate": "0.0001", "fee_rate": "0.0003"},
    }
    result = margin("paradex-pm", document)
    assert result.initial_margin == pytest.approx(22400 + 14 + 42)
    assert result.maintenance_margin == pytest.approx(11200 + 14 + 42)
    received = margin("paradex-pm", {**document, "parameters": {"funding_rate": "-0.0001"}})
    assert float(received.charges["funding_provision"].initial[0]) == 0.0


def okx(market: Mapping[str, Any], **document: object) -> MarginResult:
    return margin("okx-pm", {"markets": {"BTC": {"spot": 100, "perpetual_price": 100, **market}}, **document})


def test_okx_minimum_charge_example() -> None:
    # OKX: a raw minimum charge of 30,000 is 10,000 x 1 + 20,000 x 2.
    charge = okx({"parameters": {"raw_minimum_charge": 30000}}).charges["mr7"]
    assert float(charge.initial[0]) == 50_000
    assert charge.detail["adjusted"] == {"BTC": "50000"}


def test_okx_stable_hedge_example() -> None:
    # OKX: a USDT/USD hedge of 10M is 0.75 % x 1M + 1.75 % x 4M + 2.5 % x 5M.
    assert float(okx({"parameters": {"stable_hedge": {"USDT-USD": 10_000_000}}}).charges["mr9"].initial[0]) == 202_500
    swap = {"kind": "perpetual", "underlying": "BTC"}
    result = okx({}, positions=[
        {**swap, "instrument": "usdt", "quantity": 130_000, "parameters": {"settlement": "USDT"}},
        {**swap, "instrument": "usd", "quantity": -100_000, "parameters": {"settlement": "USD"}},
    ])  # fmt: skip
    assert float(result.charges["mr9"].initial[0]) == 202_500
    assert result.charges["mr1"].initial[0] == pytest.approx(30_000 * 100 * 0.12)
    assert result.charges["mr6"].initial[0] == pytest.approx(30_000 * 100 * 0.24 / 2)


def test_okx_formula_and_borrowing() -> None:
    stated = {"1": 10, "2": 3, "3": 4, "4": 5, "5": 6, "6": 20, "7": 30, "9": 7}
    result = okx(
        {"parameters": {"mr": stated}},
        collateral=[
            {"asset": "USDC", "amount": -1000, "price": 1,
             "parameters": {"borrow_initial_rate": "0.1", "borrow_maintenance_rate": "0.05"}},
        ],
    )  # fmt: skip
    assert result.maintenance_margin == pytest.approx(max(20 + 4 + 5 + 6, 30) + 7 + 50)
    assert result.initial_margin == pytest.approx(1.3 * 42 + 100)


def test_early_deribit_offsetting_futures() -> None:
    # Long 100 BTC in one future and short 100 in another: 2 % of 100 BTC.
    future = {"kind": "future", "underlying": "BTC"}
    result = margin("deribit-pm-early", {
        "markets": {"BTC": {"spot": 1, "expiries": {
            "a": {"seconds_to_expiry": DAY, "forward": 1}, "b": {"seconds_to_expiry": 9 * DAY, "forward": 1},
        }}},
        "positions": [
            {**future, "instrument": "a", "expiry": "a", "quantity": 100},
            {**future, "instrument": "b", "expiry": "b", "quantity": -100},
        ],
    })  # fmt: skip
    assert result.initial_margin == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("method", "document", "field"),
    [
        ("paradex-pm", {"parameters": {"leverage": 5}}, "parameters.leverage"),
        ("deribit-pm", {"positions": [
            {"kind": "perpetual", "instrument": "i", "underlying": "BTC", "quantity": 1, "inverse": True},
            {"kind": "perpetual", "instrument": "l", "underlying": "BTC", "quantity": 1},
        ]}, "positions[1].inverse"),
        ("deribit-pm", {"parameters": {"correlation_set": "yes"}}, "parameters.correlation_set"),
        ("deribit-pm", {"scenarios": [{"group": "extended"}]}, "scenarios[0]"),
        ("deribit-pm", {"parameters": {"mmp_margin": "much"}}, "parameters.mmp_margin"),
        ("deribit-pm-early", {"parameters": {"contingencies": [{"quantity": 1}]}}, "parameters.contingencies[0].rate"),
        ("okx-pm", {"parameters": {"mr": {"1": "x"}}}, "parameters.mr.1"),
        ("okx-pm", {"parameters": {"mr": {"1": 1}}, "markets": {}}, "parameters.mr"),
        ("okx-pm", {"parameters": {"minimum_charge_tiers": [[10, 1], [5, 2]]}}, "tiers"),
        ("okx-pm", {"parameters": {"minimum_charge_tiers": [[1, 2, 3]]}}, "parameters.minimum_charge_tiers[0]"),
        ("okx-pm", {"collateral": [{"asset": "X", "amount": -1, "price": 1}]}, "parameters.borrow_initial_rate"),
        ("paradex-pm", {"markets": {"BTC": {"spot": 1}}, "positions": [
            {"kind": "perpetual", "underlying": "BTC", "quantity": 1}]}, "positions[0].mark_price"),
    ],
)  # fmt: skip
def test_bad_input_names_its_field(method: str, document: Mapping[str, Any], field: str) -> None:
    with pytest.raises(InvalidReference) as error:
        margin(method, {"markets": {"BTC": {"spot": 1, "perpetual_price": 1}}, **document})
    assert error.value.field == field


def test_account_statement_of_components_needs_one_market() -> None:
    markets = {name: {"spot": 1} for name in ("BTC", "ETH")}
    with pytest.raises(InvalidReference, match=r"parameters\.mr"):
        margin("okx-pm", {"markets": markets, "parameters": {"mr": {"1": 1}}})
    stated = {name: {**market, "parameters": {"mr": {"1": 5}}} for name, market in markets.items()}
    assert margin("okx-pm", {"markets": stated}).maintenance_margin == 10.0
