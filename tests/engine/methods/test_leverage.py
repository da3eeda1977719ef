"""Leverage and weighted methods: the venues' published accounts from a document, and figures computed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.methods.requirement import MarginResult, pool_margin
from schemas.stated_portfolio import decode_stated_portfolio
from streams.margin_methods import load_methods, read_statement
from tests.engine.methods.published import cases, encoded, needs_vectors


def margin(method: str, document: Mapping[str, Any]) -> MarginResult:
    portfolio = read_statement(decode_stated_portfolio(encoded({"v": 2, **document})))
    return pool_margin(portfolio, load_methods()[method])


def perpetual(underlying: str, quantity: object, **more: object) -> dict[str, Any]:
    return {"kind": "perpetual", "instrument": underlying, "underlying": underlying, "quantity": quantity, **more}


def dydx_document(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes of positions and updates added up by market, cash and its update too; a market's terms are parameters."""
    sizes: dict[str, Decimal] = {}
    own: dict[str, dict[str, Any]] = {}
    for item in [*inputs.get("positions", []), *inputs.get("updates", [])]:
        sizes[item["market"]] = sizes.get(item["market"], Decimal(0)) + Decimal(str(item["size"]))
        own.setdefault(item["market"], {}).update({k: v for k, v in item.items() if k not in ("market", "size")})
    cash = Decimal(str(inputs.get("cash", 0))) + Decimal(str(inputs.get("cash_update", 0)))
    markets = {}
    for name, market in inputs["markets"].items():
        terms = {"oi_lower_cap": 0, "oi_upper_cap": 0, **market}
        price = terms.pop("price")
        markets[name] = {"spot": price, "perpetual_price": price, "parameters": terms}
    return {
        "cash": cash,
        "markets": markets,
        "positions": [perpetual(name, size, parameters=own[name]) for name, size in sizes.items()],
    }


@needs_vectors
@pytest.mark.parametrize("vector", cases("05a_dydx.json", "account_margin", "liquidatable", "position_margin"))
def test_dydx_accounts(vector: Mapping[str, Any]) -> None:
    inputs, expected = vector["inputs"], vector["expected"]
    if vector["kind"] == "position_margin":
        inputs = {"markets": {"X": inputs["market"]}, "positions": [{"market": "X", "size": inputs["size"]}]}
    result = margin("dydx", dydx_document(inputs))
    exact = {**result.charges["margin"].detail, **result.charges["mark_value"].detail}
    for name in ("net_collateral", "initial_margin", "maintenance_margin"):
        if name in expected:
            assert Decimal(str(exact[name])) == Decimal(str(expected[name])), name
    if "liquidatable" in expected:
        assert exact["liquidatable"] is expected["liquidatable"]


def drift_document(inputs: Mapping[str, Any]) -> dict[str, Any]:
    markets = {
        item["market"]: {"spot": item["price"], "perpetual_price": item["price"]} for item in inputs.get("perps", [])
    }
    terms = ("price", "market", "size")
    return {
        "markets": markets,
        "positions": [
            perpetual(item["market"], item["size"],
                      parameters={"quote_entry": 0, **{k: v for k, v in item.items() if k not in terms}})
            for item in inputs.get("perps", [])
        ],
        "collateral": [
            {
                "asset": item["asset"], "amount": item["amount"], "price": item["price"],
                "parameters": {
                    "risky": False, **{k: v for k, v in item.items() if k not in ("asset", "amount", "price")}
                },
            }
            for item in inputs.get("spot", [])
        ],
        "parameters": {k: inputs[k] for k in ("strict", "user_ratio", "ratio_override") if k in inputs},
    }  # fmt: skip


@needs_vectors
@pytest.mark.parametrize("vector", cases("05b_drift.json", "account", "net_usd_value"))
def test_drift_accounts(vector: Mapping[str, Any]) -> None:
    inputs, expected, tolerance = vector["inputs"], vector["expected"], float(vector["tolerance"])
    result = margin("drift", drift_document(inputs))
    detail: Any = result.charges["requirement"].detail[inputs.get("type", "initial")]
    for name in ("margin_requirement", "total_collateral"):
        if name in expected:
            assert float(detail[name]) == pytest.approx(float(expected[name]), abs=tolerance), name
    if "value" in expected:
        assert float(result.charges["mark_value"].initial) == pytest.approx(float(expected["value"]), abs=tolerance)


@needs_vectors
@pytest.mark.parametrize("vector", cases("05b_drift.json", "perp_margin", "margin_ratio"))
def test_drift_perpetuals(vector: Mapping[str, Any]) -> None:
    inputs, expected = vector["inputs"], vector["expected"]
    item = {"market": "P", "price": 1, **{k: v for k, v in inputs.items() if k != "type"}}
    result = margin("drift", drift_document({"perps": [item]}))
    detail: Any = result.charges["requirement"].detail[inputs["type"]]
    if "ratio" in expected:
        assert float(detail["weights"]["P"]) == pytest.approx(float(expected["ratio"]), abs=1e-9)
    else:
        assert float(detail["margin_requirement"]) == pytest.approx(float(expected["margin_requirement"]), abs=1e-6)
        assert float(detail["total_collateral"]) == pytest.approx(float(expected["counted_pnl"]), abs=1e-6)


@needs_vectors
@pytest.mark.parametrize("vector", cases("04_exchange_pm_and_collateral.json", "collateral_tiers"))
def test_collateral_tiers(vector: Mapping[str, Any]) -> None:
    inputs = vector["inputs"]
    entry = {
        "asset": "X", "amount": inputs["amount"], "price": inputs["price"],
        "parameters": {"tiers": inputs["tiers"], "tiers_in": inputs["tiers_in"]},
    }  # fmt: skip
    for method in ("binance-um", "okx-pm"):
        assert margin(method, {"collateral": [entry]}).equity == pytest.approx(float(vector["expected"]["value"]))


def test_dydx_tiers_by_hand() -> None:
    # 2 BTC at 50,000 in the large-cap tier: 2 % of 100,000 and 0.6 of it; bought for 90,000 of a balance of 100,000.
    result = margin("dydx", {
        "cash": 10_000,
        "markets": {"BTC": {"spot": 50_000, "perpetual_price": 50_000}},
        "positions": [perpetual("BTC", 2)],
    })  # fmt: skip
    assert (result.initial_margin, result.maintenance_margin, result.equity) == (2000.0, 1200.0, 110_000.0)
    # With an entry price the position counts as its PnL instead.
    entered = margin("dydx", {
        "cash": 10_000,
        "markets": {"BTC": {"spot": 50_000, "perpetual_price": 50_000}},
        "positions": [perpetual("BTC", 2, entry_price=49_000)],
    })  # fmt: skip
    assert entered.equity == 12_000.0


def test_dydx_open_interest_raises_the_initial_fraction_only() -> None:
    # Small tier, 10 %: open interest half way between 20M and 50M adds half of the remaining 90 %.
    result = margin("dydx", {
        "markets": {"X": {"spot": 1, "perpetual_price": 1, "parameters": {
            "im_fraction": "0.1", "oi_lower_cap": 20_000_000, "oi_upper_cap": 50_000_000, "open_interest": 35_000_000,
        }}},
        "positions": [perpetual("X", -1000)],
    })  # fmt: skip
    assert (result.initial_margin, result.maintenance_margin) == (550.0, 50.0)


def test_dydx_funding_settles_downward() -> None:
    result = margin("dydx", {
        "cash": 10,
        "markets": {"X": {"spot": 1, "perpetual_price": 1, "parameters": {"funding_index": "0.0000005"}}},
        "positions": [perpetual("X", 3, parameters={"funding_index": 0, "quote_balance": "-2"})],
    })  # fmt: skip
    assert result.equity == 10 + 3 - 2 - 0.000002
    assert result.charges["margin"].detail["funding"] == "-0.000002"


def test_binance_brackets_and_adjusted_equity() -> None:
    # 1M of BTC: 0.004 x 300k + 0.005 x 500k + 0.0065 x 200k = 1,200 + 2,500 + 1,300, as rate x notional - cumulative.
    # Collateral at 0.95 of its value, a debt of 1,000 in full, a loan margined at 10 %.
    result = margin("binance-um", {
        "cash": 100,
        "markets": {"BTC": {"spot": 50_000, "perpetual_price": 50_000}},
        "positions": [perpetual("BTC", 20, entry_price=49_990)],
        "collateral": [
            {"asset": "ETH", "amount": 10, "price": 2000, "parameters": {"collateral_rate": "0.95"}},
            {"asset": "USDT", "amount": -1000, "price": 1, "parameters": {"collateral_rate": "0.99"}},
        ],
    })  # fmt: skip
    assert result.maintenance_margin == pytest.approx(5000 + 100)
    assert result.equity == pytest.approx(100 + 200 + 19_000 - 1000)
    assert result.charges["mark_value"].detail["collateral_credit"] == {"ETH": "19000", "USDT": "-1000"}


def test_hyperliquid_maintenance_is_half_of_initial_at_largest_leverage() -> None:
    result = margin("hyperliquid", {
        "cash": 1000,
        "markets": {"BTC": {"spot": 100, "perpetual_price": 100}, "PURR": {"spot": 1, "perpetual_price": 1}},
        "positions": [perpetual("BTC", -40, parameters={"leverage": 10}), perpetual("PURR", 600, entry_price="0.5")],
    })  # fmt: skip
    assert result.units == {"BTC": (400.0, 50.0), "PURR": (200.0, 100.0)}
    assert result.equity == 1300.0


def test_isolated_adds_up_positions_with_their_own_collateral() -> None:
    result = margin("isolated", {
        "markets": {"BTC": {"spot": 100, "perpetual_price": 100}},
        "positions": [
            {**perpetual("BTC", 10), "instrument": "a", "mode": "isolated", "isolated_collateral": 50},
            {**perpetual("BTC", -10, entry_price=90), "instrument": "b", "mode": "isolated", "isolated_collateral": 200,
             "parameters": {"im_fraction": "0.2", "mm_fraction": "0.1"}},
        ],
    })  # fmt: skip
    assert (result.initial_margin, result.maintenance_margin) == (100.0 + 200.0, 50.0 + 100.0)
    assert result.equity == 50 + 200 - 100


def test_inverse_contracts_are_margined_in_coins() -> None:
    # Bought 100,000 USD at 50,000, now at 40,000: 2.5 coins of notional, 2 - 2.5 coins of PnL.
    result = margin("isolated", {
        "cash": 1,
        "markets": {"BTC": {"spot": 40_000, "perpetual_price": 40_000}},
        "positions": [perpetual("BTC", 100_000, inverse=True, entry_price=50_000)],
    })  # fmt: skip
    assert (result.initial_margin, result.equity) == (0.25, 0.5)


def test_drift_order_worst_case_and_fill_margin() -> None:
    document = {
        "cash": 1000,
        "markets": {"P": {"spot": 100, "perpetual_price": 100}},
        "positions": [perpetual("P", 10)],
        "orders": [{"instrument": "P", "quantity": 5}, {"instrument": "P", "quantity": -3}],
    }
    result = margin("drift", document)
    detail: Any = result.charges["requirement"].detail
    assert detail["initial"]["margin_requirement"] == "150.02"
    assert detail["fill"]["margin_requirement"] == "112.52"
    assert result.maintenance_margin == pytest.approx(75.02)
    assert result.equity == 1000.0


@settings(max_examples=40, deadline=None)
@given(
    quantities=st.lists(st.integers(-10_000, 10_000), min_size=1, max_size=5),
    price=st.decimals("0.01", "100000", places=2),
)
def test_dydx_requirement_never_falls_short_of_unrounded_sum(quantities: list[int], price: Decimal) -> None:
    markets = {f"M{i}": {"spot": price, "perpetual_price": price} for i in range(len(quantities))}
    document = {"markets": markets, "positions": [perpetual(f"M{i}", q) for i, q in enumerate(quantities)]}
    detail = margin("dydx", document).charges["margin"].detail
    exact = sum(abs(q) for q in quantities) * price * Decimal("0.2")
    assert 0 <= Decimal(str(detail["initial_margin"])) - exact <= len(quantities) * Decimal("0.000001")


@pytest.mark.parametrize(
    ("method", "change", "field"),
    [
        ("dydx", {"positions": [{"kind": "spot", "underlying": "X", "quantity": 1}]}, "positions[0].kind"),
        ("dydx", {"parameters": {"im_fraction": "1.5"}}, "parameters.im_fraction"),
        ("dydx", {"parameters": {"maintenance_of_im": "two"}}, "parameters.maintenance_of_im"),
        ("dydx", {"parameters": {"price_range": 1}}, "parameters.price_range"),
        ("dydx", {"markets": {"X": {"spot": 1}}}, "positions[0].mark_price"),
        ("hyperliquid", {"parameters": {"max_leverage": "0.5"}}, "parameters.max_leverage"),
        ("hyperliquid", {"parameters": {"leverage": 5}}, "parameters.leverage"),
        ("isolated", {"parameters": {"leverage": 50, "mm_fraction": "0.05"}}, "parameters.mm_fraction"),
        ("binance-um", {"parameters": {"margin_tiers": [["0.1", "0.2"]]}}, "parameters.margin_tiers[0]"),
        ("binance-um", {"parameters": {"margin_tiers": [[10, "0.1", "0.05"], [5, "0.2", "0.1"]]}},
         "parameters.margin_tiers[1]"),
        ("binance-um", {"parameters": {"margin_tiers": [["0.1"]]}}, "parameters.margin_tiers[0]"),
        ("binance-um", {"collateral": [{"asset": "A", "amount": 1, "price": 1,
         "parameters": {"tiers": [["0.5"]], "tiers_in": "coins"}}]}, "collateral[0].parameters.tiers_in"),
        ("drift", {"collateral": [{"asset": "NEW", "amount": 1, "price": 1}]}, "parameters.asset_weight"),
        ("drift", {"positions": [{**perpetual("X", 1), "inverse": True}]}, "positions[0].kind"),
        ("isolated", {"positions": [perpetual("X", 1, entry_price=0)]}, "X.entry_price"),
    ],
)  # fmt: skip
def test_bad_input_names_its_field(method: str, change: Mapping[str, Any], field: str) -> None:
    document = {"markets": {"X": {"spot": 1, "perpetual_price": 1}}, "positions": [perpetual("X", 1)], **change}
    with pytest.raises(InvalidReference) as error:
        margin(method, document)
    assert error.value.field == field


@pytest.mark.parametrize(
    "method", ["paradex-pm", "deribit-pm", "okx-pm", "dydx", "hyperliquid", "binance-um", "isolated"]
)
def test_haircuts_count_in_equity_and_debts_in_full(method: str) -> None:
    loans = {"borrow_initial_rate": 0, "borrow_maintenance_rate": 0} if method in ("okx-pm", "binance-um") else {}
    result = margin(method, {
        "cash": 10,
        "collateral": [
            {"asset": "A", "amount": 100, "price": 1, "maintenance_haircut": "0.1", "initial_haircut": "0.05"},
            {"asset": "B", "amount": -20, "price": 1, "maintenance_haircut": "0.1"},
        ],
        "parameters": loans,
    })  # fmt: skip
    assert (result.equity_initial, result.equity) == (10 + 85 - 20, 10 + 90 - 20)
