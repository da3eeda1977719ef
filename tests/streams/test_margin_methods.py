"""Method files and stated documents: what is shipped can be read, and a mistake is named by its field."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError, InvalidReference
from engine.methods.registry import COMPONENTS
from engine.methods.statement import StatedPortfolio
from schemas.documents import decode_document
from schemas.errors import SchemaError
from schemas.stated_portfolio import StatedPortfolioV2, decode_stated_portfolio
from streams.margin_methods import load_methods, read_method, read_statement
from streams.portfolio_margin import document_report

DOCS = Path(__file__).parents[2] / "docs" / "methods"
METHODS = load_methods()
REQUIRED = {
    "binance-um", "crossmargin", "deribit-pm", "derive-pmrm", "derive-pmrm2", "derive-srm", "drift", "dydx",
    "hyperliquid", "isolated", "okx-pm", "paradex-pm", "span", "tims",
}  # fmt: skip

MINIMAL = """
name = "m"
version = "1"
source = "s"
description = "d"
coherence = "c"
"""


def test_every_promised_method_is_shipped() -> None:
    assert REQUIRED <= set(METHODS)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_names_only_registered_components_and_known_names(name: str) -> None:
    method = METHODS[name]
    assert {use.kind for use in method.components.values()} <= set(COMPONENTS)
    known = {*method.components, *method.parameters, *method.allowed}
    for formula in (method.initial, method.maintenance):
        assert formula.names <= known
    for formula in (method.account_initial, method.account_maintenance, method.equity):
        assert formula.names <= known | {"unit"}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_has_a_page(name: str) -> None:
    assert (DOCS / f"{name}.md").read_text().startswith("# ")


@pytest.mark.parametrize("name", sorted(METHODS))
def test_empty_portfolio_needs_no_margin(name: str) -> None:
    report = document_report(decode_document(b'{"v": 2, "cash": 100}'), name)
    assert (0.0, 0.0) == (report["initial_margin"], report["maintenance_margin"])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "name: is missing"),
        (MINIMAL + "surprise = 1", "surprise"),
        (MINIMAL + "[requirement]\ninitial = 'a +'", r"requirement\.initial"),
        (MINIMAL + "[requirement]\nsurprise = 'a'", r"requirement\.surprise"),
        (MINIMAL + "[components.x]\nrate = 1", r"components\.x\.kind: is missing"),
        (MINIMAL + "parameters = 3", "parameters: must be a table"),
        (MINIMAL + "ordered = [['a']]", r"ordered\[0\]"),
        (MINIMAL + "allowed = [1]", "allowed"),
        (MINIMAL + "[parameters]\nwhen = 2024-01-01", r"parameters\.when"),
        (MINIMAL + "[parameters]\nmuch = inf", r"parameters\.much"),
        ("= 1", "method"),
    ],
)
def test_wrong_method_file_is_refused_by_field(text: str, field: str) -> None:
    with pytest.raises(InvalidReference, match=field):
        read_method(text)


def statement(document: dict[str, Any]) -> StatedPortfolio:
    return read_statement(decode_stated_portfolio(json.dumps({"v": 2, **document}).encode()))


@pytest.mark.parametrize("number", [0.1, "0.1", "1e-1"])
def test_numbers_are_read_in_their_digits(number: object) -> None:
    assert Decimal("0.1") == statement({"cash": number}).cash


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (b'{"v": 3}', "v"),
        (b'{"v": 2, "cash": "NaN"}', "cash"),
        (b'{"v": 2, "cash": NaN}', "not a number"),
        (b'{"v": 2, "cash": "Infinity"}', "cash"),
        (b'{"v": 2, "cash": 1e400}', "cash"),
        (b'{"v": 2, "cash": true}', "cash"),
        (b'{"v": 2, "surprise": 1}', "surprise"),
        (b'{"v": 2, "stable_price": 0}', "stable_price"),
        (b'{"v": 2, "positions": [{"kind": "swap"}]}', r"positions\[0\]"),
        (b'{"v": 2, "markets": {"X": {}}}', "spot"),
        (b'{"v": 2, "orders": [{"instrument": "x", "quantity": 1}]}', r"orders\[0\]\.instrument"),
        (b'{"v": 2, "parameters": {"surprise": 1}}', r"parameters\.surprise"),
        (b'{"v": 2, "scenarios": [{"spot": 0.1, "spot_multiplier": 1}]}', r"scenarios\[0\]"),
        (b'{"v": 2, "scenarios": [{"surprise": 1}]}', r"scenarios\[0\]\.surprise"),
        (b'{"v": 2, "scenarios": [{"spot": "much"}], "markets": {"X": {"spot": 1}}}', r"scenarios\[0\]\.spot"),
        (b'{"v": 2, "scenarios": [{"vol": "sideways"}], "markets": {"X": {"spot": 1}}}', r"scenarios\[0\]\.vol"),
        (b'{"v": 2, "method": "no-such"}', "method"),
        (b"[" * 100_000, "wrong_type"),
    ],
)
def test_wrong_document_is_refused_by_field(value: bytes, field: str) -> None:
    with pytest.raises((SchemaError, EngineError), match=field):
        document_report(decode_document(value))


def test_two_positions_of_one_name_are_refused() -> None:
    position = {"kind": "spot", "underlying": "X", "quantity": 1, "instrument": "x"}
    with pytest.raises(SchemaError, match=r"positions\[1\]\.instrument"):
        statement({"markets": {"X": {"spot": 1}}, "positions": [position, position]})


def test_document_of_version_one_is_margined_by_any_method() -> None:
    path = Path(__file__).parents[2] / "schemas" / "examples" / "documents" / "portfolio.json"
    document = decode_document(path.read_bytes())
    assert not isinstance(document, StatedPortfolioV2)
    grid, stated = document_report(document), document_report(document, "derive-pmrm2")
    price = next(float(mark.price) for mark in document.marks if mark.feed == "USDC")  # amounts are in USDC there
    assert pytest.approx(grid["mark_value"], rel=1e-9) == float(str(stated["mark_value"])) * price
    assert float(str(stated["initial_margin"])) > 0.0


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("name", ["crossmargin", "derive-pmrm2", "paradex-pm"])
def test_contributions_of_the_report_add_up_over_all_pools(name: str, isolated: bool) -> None:
    path = Path(__file__).parents[2] / "examples" / "delta-neutral-market-maker.json"
    document = json.loads(path.read_bytes())
    if isolated:
        document["positions"][0] |= {"mode": "isolated", "isolated_collateral": 5000}
    report = document_report(decode_document(json.dumps(document).encode()), name)
    rows = report["contributions"]
    assert isinstance(rows, list)
    for requirement in ("initial", "maintenance"):
        total = sum(row[requirement] for row in rows)
        assert pytest.approx(report[f"{requirement}_margin"], rel=1e-9) == total
