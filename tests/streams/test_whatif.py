"""The command whatif, the example portfolios, and the README's table of what netting frees."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from examples import compare
from schemas.errors import SchemaError
from schemas.what_if import decode_change
from streams.cli import cli
from tests.engine.methods.portfolios import EXAMPLES
from tests.schemas.examples import ROOT

STRADDLE = EXAMPLES / "straddle.json"
CALL = "BTC-2026-12-25-92000-C"
FIGURES = {
    "equity", "initial_margin", "maintenance_margin", "margin_excess_initial", "margin_excess_maintenance",
}  # fmt: skip


def run(*arguments: object, command: str = "whatif") -> Result:
    return CliRunner().invoke(cli, [command, *(str(argument) for argument in arguments)])


def answer(*arguments: object, command: str = "whatif") -> dict[str, Any]:
    result = run(*arguments, "--json", command=command)
    assert 0 == result.exit_code, result.stderr
    parsed = json.loads(result.stdout)
    assert isinstance(parsed, dict)
    return parsed


def test_before_is_what_margin_says() -> None:
    margin = answer(STRADDLE, command="margin")
    before = answer(STRADDLE)["before"]
    assert {name: margin[name] for name in FIGURES} == before


def test_a_trade_is_answered_with_its_change_and_a_verdict() -> None:
    report = answer(STRADDLE, "--fill", f"{CALL}:2@5000", "--transfer", "cash:-1000", "--method", "paradex-pm")
    assert ("straddle", "paradex-pm") == (report["account"], report["method"])
    for name in FIGURES:
        assert report["change"][name] == report["after"][name] - report["before"][name]
    assert report["change"]["initial_margin"] < 0
    assert report["pre_trade"] == {"accepted": True, "reason": "equity covers initial margin after the trade"}


def test_a_move_and_back_in_two_documents_of_a_bulk_file(tmp_path: Path) -> None:
    lines = [
        {"name": "crash", "shock": {"BTC": "-0.1"}, "vol": {"BTC": 0.2}},
        {"fills": [{"instrument": CALL, "quantity": 1, "price": "5000", "fee": 3}]},
        {"transfers": [{"asset": "cash", "amount": 10}]},
    ]
    path = tmp_path / "changes.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    report = answer(STRADDLE, "--bulk", path)
    assert ["crash", "2", "3"] == [result["name"] for result in report["results"]]
    one = answer(STRADDLE, "--shock", "BTC=-0.1", "--vol", "BTC=0.2")
    assert one["after"] == report["results"][0]["after"]
    assert 10.0 == pytest.approx(report["results"][2]["change"]["margin_excess_initial"], abs=1e-6)


def test_every_section_answers() -> None:
    document = EXAMPLES / "delta-neutral-market-maker.json"
    report = answer(
        document,
        "--contributions",
        "--orders",
        "--modes",
        "--method",
        "paradex-pm",
        "--switch",
        "BTC-PERP=isolated:90000",
    )
    rows = report["contributions"]["rows"]
    assert abs(math.fsum(row["initial"] for row in rows) - report["after"]["initial_margin"]) < 1e-9
    assert 14 == len(report["contributions"]["one_more"])
    assert {"BTC": "sells", "ETH": "none"}.items() <= report["orders"]["sides"].items()
    assert report["modes"]["freed"]["initial"] > 0
    assert {"cross", "BTC-PERP"} == set(report["switch"]["pools"])
    assert 90_000 == pytest.approx(report["switch"]["pools"]["BTC-PERP"]["equity"], rel=0.01)
    assert "restore" not in report


def test_the_surface_and_the_cure_answer() -> None:
    arguments = (STRADDLE, "--transfer", "cash:-200000", "--method", "paradex-pm", "--surface", "--restore", "0.0005")
    report = answer(*arguments)
    assert report["after"]["margin_excess_maintenance"] < 0
    assert {0.0} == {distance["move"] for distance in report["surface"]}
    assert report["restore"] is None or report["restore"]["after"]["margin_excess_maintenance"] >= 0
    healthy = answer(STRADDLE, "--method", "paradex-pm", "--surface")
    assert {"BTC price up", "BTC price down", "BTC volatility up", "BTC volatility down", "joint"} == {
        distance["factor"] for distance in healthy["surface"]
    }


def test_without_json_the_same_is_printed_for_people() -> None:
    result = run(STRADDLE, "--fill", f"{CALL}:1", "--contributions", "--modes", "--method", "derive-pmrm2")
    assert 0 == result.exit_code, result.stderr
    for word in ("before", "after", "pre_trade", "accepted", "contributions", CALL, "freed"):
        assert word in result.stdout


def test_a_document_of_version_1_is_read() -> None:
    report = answer(ROOT / "documents" / "portfolio.json", "--contributions")
    assert "crossmargin" == report["method"]
    assert report["before"] == report["after"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fill", "X:1"), "fills[0].instrument: X is not among the positions"),
        (("--fill", f"{CALL}:a"), "fill.quantity: 'a' is not a number"),
        (("--fill", f"{CALL}:1@nan"), "fill.price"),
        (("--fill", "X"), "fill: 'X' is not INSTRUMENT:QTY@PRICE"),
        (("--transfer", "5"), "transfer: '5' is not ASSET:AMOUNT"),
        (("--transfer", "USDX:5"), "transfers[0].asset: USDX is not one of cash"),
        (("--shock", "SOL=1"), "spot.SOL: is not among the markets"),
        (("--shock", "BTC=-1"), "spot.BTC: must be above -1"),
        (("--vol", "BTC"), "vol: 'BTC' is not UNDERLYING=MOVE"),
        (("--method", "best"), "method: out_of_range (best is not a method"),
        (("--restore", "x"), "restore: 'x' is not a number"),
        (("--switch", f"{CALL}=half"), "switch:"),
        (("--switch", f"{CALL}=cross"), f"mode: {CALL} is cross already"),
    ],
)
def test_bad_input_is_one_line_that_names_the_field(arguments: tuple[str, ...], words: str) -> None:
    result = run(STRADDLE, *arguments)
    assert 2 == result.exit_code
    assert "" == result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {STRADDLE}: ")
    assert words in line


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: record: malformed_json"),
        ('{"fills": [{"instrument": "X", "quantty": 1}]}', "line 2: fills[0].quantty: unknown_field"),
        ('{"fills": [{"instrument": "X", "quantity": 1}]}', "line 2: fills[0].instrument: X is not"),
        ('{"shock": {"BTC": "much"}}', "line 2: shock.BTC"),
        ('{"shock": {"BTC": "NaN"}}', "line 2: shock.BTC: must be finite"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "changes.jsonl"
    path.write_text("{}\n" + line + "\n")
    result = run(STRADDLE, "--bulk", path, "--json")
    assert (2, "") == (result.exit_code, result.stdout)
    assert words in result.stderr


def test_a_bulk_file_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    path.write_text("{}\n")
    result = run(STRADDLE, "--bulk", path, "--shock", "BTC=0.1")
    assert 2 == result.exit_code
    assert "--bulk: cannot be combined" in result.stderr


def test_a_line_is_read_exactly() -> None:
    change = decode_change(b'{"fills": [{"instrument": "a", "quantity": 0.1, "price": "0.30000000000000000001"}]}')
    assert ("0.1", "0.30000000000000000001") == (str(change.fills[0].quantity), str(change.fills[0].price))
    with pytest.raises(SchemaError, match="transfers"):
        decode_change(b'{"transfers": 1}')


@pytest.mark.parametrize("method", ["crossmargin", "derive-pmrm2", "paradex-pm", "span", "isolated"])
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_example_is_margined_by_these_methods(path: Path, method: str) -> None:
    report = answer(path, "--method", method, command="margin")
    assert path.stem == report["account"]
    assert report["margin_excess_initial"] > 0 or method == "isolated" or path.stem == "iron-condor"


def test_isolated_positions_are_pools_of_their_own(tmp_path: Path) -> None:
    document = json.loads((EXAMPLES / "basis-trade.json").read_text())
    whole = answer(EXAMPLES / "basis-trade.json", "--method", "paradex-pm", command="margin")
    document["positions"][0] |= {"mode": "isolated", "isolated_collateral": 40_000}
    document["cash"] -= 40_000
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps(document))
    report = answer(path, "--method", "paradex-pm", command="margin")
    assert {"cross", "BTC-2027-03-26"} == set(report["pools"])
    assert report["initial_margin"] == pytest.approx(report["isolated"]["initial_margin"])
    assert report["equity"] == pytest.approx(whole["equity"])
    assert report["freed"] == whole["freed"]
    assert "pools" not in whole


def test_a_table_under_a_method_counts_for_it_alone(tmp_path: Path) -> None:
    document = json.loads((EXAMPLES / "basis-trade.json").read_text())
    document["parameters"] = {"paradex-pm": {"fee_rate": "0.01"}, "span": {"look_ahead_days": 2}}
    path = tmp_path / "tables.json"
    path.write_text(json.dumps(document))
    plain, stated = (
        answer(p, "--method", "paradex-pm", command="margin") for p in (EXAMPLES / "basis-trade.json", path)
    )
    # 20 contracts on either side at their marks pay 1 %.
    assert 0.01 * 20 * (93_640 + 91_873.5) == pytest.approx(stated["initial_margin"] - plain["initial_margin"])
    other = answer(path, "--method", "derive-pmrm2", command="margin")
    assert other == answer(EXAMPLES / "basis-trade.json", "--method", "derive-pmrm2", command="margin")


def test_the_table_of_the_readme_is_what_the_examples_give() -> None:
    text = compare.README.read_text(encoding="utf-8")
    shown = text[text.index(compare.START) + len(compare.START) : text.index(compare.END)].strip().splitlines()
    now = compare.table(compare.rows()).splitlines()
    assert now[:2] == shown[:2], "run python examples/compare.py --write"
    assert len(now) == len(shown)
    for one, other in zip(now[2:], shown[2:], strict=True):
        assert one.split("|")[1] == other.split("|")[1]
        # Numbers, not text: the last digit shown may round otherwise on another machine.
        assert numbers(one) == pytest.approx(numbers(other), abs=1.01), "run python examples/compare.py --write"
        assert numbers(one)[:2] == pytest.approx(numbers(other)[:2], abs=0.11), "run python examples/compare.py --write"


def numbers(line: str) -> list[float]:
    return [float(cell.replace(",", "")) for cell in re.findall(r"\| ([0-9,.]+)", line)]


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra embedded")
    path = tmp_path / "images" / "picture.png"
    compare.draw(compare.rows(), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert compare.PICTURE.exists()
