"""The offline calculator: figures by hand for a portfolio of one position, and a named field for every mistake."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from engine.errors import EngineError
from engine.risk.margin import account_risk
from schemas.documents import DOCUMENT_BYTES_MAX, decode_portfolio
from schemas.errors import SchemaError
from streams.offline import margin_report, read_valuation
from tests.schemas.examples import ROOT

Plain = dict[str, Any]
WORKED: Plain = json.loads((ROOT / "documents" / "portfolio.json").read_bytes())


def one_perpetual(quantity: str = "1", entry_price: str = "80000") -> Plain:
    document = copy.deepcopy(WORKED)
    document["balances"] = {"USDC": "20000"}
    document["positions"] = [{"instrument": "BTC-USD-PERP", "quantity": quantity, "entry_price": entry_price}]
    document["assets"][0]["haircut"] = "0.1"
    next(mark for mark in document["marks"] if mark["feed"] == "USDC")["price"] = "1"
    return document


def report(document: Plain) -> Plain:
    return margin_report(read_valuation(decode_portfolio(json.dumps(document).encode())))


def test_figures_of_one_linear_perpetual_are_those_computed_by_hand() -> None:
    # Bought 1 at 80000, mark 80020: PnL 20. Core range 16 %, tail 66 % x 0.3 = 19.8 %: the tail binds.
    got = report(one_perpetual())
    assert pytest.approx(20_000 * 0.9 + 20) == got["equity"]
    assert pytest.approx(20_000 + 20) == got["mark_value"]
    assert pytest.approx(80_020 * 0.198) == got["initial_margin"]
    assert pytest.approx(80_020 * 0.198 * 0.8) == got["maintenance_margin"]
    assert got["equity"] - got["initial_margin"] == got["margin_excess_initial"]
    assert got["equity"] - got["maintenance_margin"] == got["margin_excess_maintenance"]
    assert "BTC: tail -66% x0.3" == got["worst_scenario"]
    assert {"BTC": "tail -66% x0.3"} == got["worst_scenarios"]
    assert got["isolated"]["initial_margin"] == got["initial_margin"]
    assert pytest.approx(1.0) == got["greeks"]["BTC"]["delta"]


def test_scenarios_hold_the_worst_one_and_its_loss_is_the_margin() -> None:
    got = report(one_perpetual(quantity="-0.5"))
    losses = {scenario["name"]: -scenario["pnl"] for scenario in got["scenarios"]}
    assert pytest.approx(got["initial_margin"]) == losses[got["worst_scenario"]] == max(losses.values())
    assert pytest.approx(got["initial_margin"]) == -sum(part["pnl"] for part in got["contributions"])


def test_portfolio_without_positions_needs_no_margin() -> None:
    document = one_perpetual()
    document["positions"] = []
    got = report(document)
    assert (0.0, 0.0, None) == (got["initial_margin"], got["maintenance_margin"], got["worst_scenario"])
    assert [] == got["scenarios"] == got["contributions"]


def test_worked_example_gives_the_figures_of_the_engine() -> None:
    valuation = read_valuation(decode_portfolio(json.dumps(WORKED).encode()))
    got = margin_report(valuation)
    risk = account_risk((valuation.portfolio,), valuation.market, valuation.parameters)
    assert risk.equity_A[0] == got["equity"]
    assert risk.initial_margin_A[0] == got["initial_margin"]
    isolated = got["isolated"]
    assert isinstance(isolated, dict)
    assert isolated["initial_margin"] > got["initial_margin"]  # the hedge counts


def test_order_of_positions_and_marks_changes_nothing() -> None:
    turned = copy.deepcopy(WORKED)
    for part in ("positions", "marks", "instruments", "assets"):
        turned[part].reverse()
    assert report(WORKED) == report(turned)


def edited(path: list[str | int], value: object) -> bytes:
    document = copy.deepcopy(WORKED)
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value", "reason", "field"),
    [
        (["v"], 2, "unsupported_version", "v"),
        (["balances", "USDC"], 50_000, "wrong_type", "balances.USDC"),
        (["balances", "USDC"], "0.123456789", "too_many_decimals", "balances.USDC"),
        (["balances", "DOGE"], "1", "out_of_range", "balances.DOGE"),
        (["positions", 1, "quantity"], "two", "bad_format", "positions[1].quantity"),
        (["positions", 1, "quantity"], "0", "out_of_range", "positions[1].quantity"),
        (["positions", 0, "entry_price"], "0", "bad_format", "positions[0].entry_price"),
        (["positions", 0, "entry_price"], "90000000000", "amount_out_of_range", "positions[0].entry_price"),
        (["positions", 0, "instrument"], "DOGE-PERP", "out_of_range", "positions[0].instrument"),
        (["positions", 1, "instrument"], "BTC-USD-PERP", "out_of_range", "positions[1].instrument"),
        (["instruments", 1, "strike"], None, "parameters_invalid", "instruments[1].strike"),
        (["instruments", 1, "instrument"], "BTC-USD-PERP", "out_of_range", "instruments[1].instrument"),
        (["assets", 0, "haircut"], "1.5", "parameters_invalid", "assets[0].haircut"),
        (["assets", 1, "asset"], "USDC", "out_of_range", "assets[1].asset"),
        (["parameters", "price_steps"], ["0"], "parameters_invalid", "parameters.price_steps"),
        (["parameters", "underlyings", "ETH", "close_cost"], 1, "wrong_type", "parameters.underlyings.ETH.close_cost"),
        (["marks", 4, "feed"], "BTC", "out_of_range", "marks[4].feed"),
        (["marks", 0, "volatility", 1, "volatility"], "500", "out_of_range", "marks[0].volatility[1].volatility"),
        (["note"], "hello", "unknown_field", "note"),
    ],
)
def test_mistake_in_a_document_is_named(path: list[str | int], value: object, reason: str, field: str) -> None:
    with pytest.raises(SchemaError) as caught:
        read_valuation(decode_portfolio(edited(path, value)))
    assert (reason, field) == (caught.value.reason, caught.value.field)


def test_spot_holdings_are_balances() -> None:
    document = copy.deepcopy(WORKED)
    spot = {**document["instruments"][0], "instrument": "BTC-USDC", "contract": "spot", "base_asset": "BTC"}
    document["instruments"].append(spot)
    document["positions"][0]["instrument"] = "BTC-USDC"
    with pytest.raises(SchemaError, match="balances"):
        read_valuation(decode_portfolio(json.dumps(document).encode()))


@pytest.mark.parametrize(
    ("part", "words"),
    [("BTC-USD-PERP", "BTC-USD-PERP"), ("USDC", "USDC"), ("BTC", "BTC")],
)
def test_missing_mark_is_named(part: str, words: str) -> None:
    document = copy.deepcopy(WORKED)
    document["marks"] = [mark for mark in document["marks"] if mark["feed"] != part]
    with pytest.raises(EngineError, match=words):
        report(document)


def test_missing_parameters_are_named() -> None:
    document = copy.deepcopy(WORKED)
    del document["parameters"]["underlyings"]["ETH"]
    with pytest.raises(EngineError, match="no parameters for ETH"):
        report(document)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"", "empty_value"), (b"{", "malformed_json"), (b"[]", "wrong_type"), (b"{" * 100_000, "malformed_json")],
)
def test_document_that_is_none_is_refused(value: bytes, reason: str) -> None:
    with pytest.raises(SchemaError) as caught:
        decode_portfolio(value)
    assert reason == caught.value.reason


def test_document_has_a_size_limit() -> None:
    with pytest.raises(SchemaError, match="too_large"):
        decode_portfolio(b" " * (DOCUMENT_BYTES_MAX + 1))
