"""The command line: one JSON object, one line an error, three exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from streams.cli import cli
from tests.schemas.examples import ROOT
from tests.streams.test_replay import liquidation, transfer

PORTFOLIO = ROOT / "documents" / "portfolio.json"
CLOSED_PORT = "127.0.0.1:1"


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], env=environment or None)


def json_of(result: Result) -> dict[str, Any]:
    assert 0 == result.exit_code, result.stderr
    assert 1 == len(result.stdout.splitlines())
    parsed = json.loads(result.stdout)
    assert isinstance(parsed, dict)
    return parsed


def assert_one_line(result: Result, code: int, *words: str) -> None:
    assert code == result.exit_code
    assert "" == result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def write_log(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in lines))
    return path


def test_margin_prints_every_promised_figure() -> None:
    report = json_of(run("margin", PORTFOLIO, "--json"))
    assert {
        "equity",
        "initial_margin",
        "maintenance_margin",
        "margin_excess_initial",
        "margin_excess_maintenance",
        "mark_value",
        "worst_scenario",
        "scenarios",
        "add_ons",
        "greeks",
        "contributions",
        "isolated",
    } <= report.keys()
    assert {"name", "pnl"} == set(report["scenarios"][0])
    assert {"initial_margin", "maintenance_margin"} == set(report["isolated"])
    assert report["worst_scenario"] in [scenario["name"] for scenario in report["scenarios"]]
    assert {"BTC", "ETH"} == set(report["greeks"])


def test_margin_is_readable_without_json() -> None:
    result = run("margin", PORTFOLIO)
    assert 0 == result.exit_code
    assert "initial_margin" in result.stdout
    assert "worst scenario" in result.stdout


def test_method_is_listed_and_chosen_by_name() -> None:
    methods = json_of(run("methods", "--json"))["methods"]
    names = [method["name"] for method in methods]
    assert sorted(names) == names
    assert {"crossmargin", "crossmargin-grid", "derive-pmrm", "derive-pmrm2"} <= set(names)
    for method in methods:
        assert {"name", "version", "source"} <= set(method)
        assert f"{method['name']} {method['version']}: {method['source']}" in run("methods").stdout
    for name in ("crossmargin", "crossmargin-grid", "derive-pmrm2"):
        assert name == json_of(run("margin", PORTFOLIO, "--method", name, "--json"))["method"]
    assert_one_line(run("margin", PORTFOLIO, "--method", "no-such"), 2, "method", "no-such")
    assert_one_line(run("methods", "no-such"), 2, "no-such", "derive-pmrm2")


def test_margin_names_the_field_of_a_broken_document(tmp_path: Path) -> None:
    document = json.loads(PORTFOLIO.read_bytes())
    document["positions"][1]["quantity"] = 2
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(document))
    assert_one_line(run("margin", path, "--json"), 2, "positions[1].quantity", "wrong_type")


def test_margin_names_the_mark_that_is_missing(tmp_path: Path) -> None:
    document = json.loads(PORTFOLIO.read_bytes())
    document["marks"] = document["marks"][1:]
    path = tmp_path / "unmarked.json"
    path.write_text(json.dumps(document))
    assert_one_line(run("margin", path), 2, "no mark for feed BTC")


def test_schema_lists_names_and_prints_one() -> None:
    names = json_of(run("schema", "--json"))["schemas"]
    assert {"fills", "FillV1", "portfolio"} <= set(names)
    assert names == run("schema").stdout.split()
    assert json_of(run("schema", "fills", "--json")) == json.loads(run("schema", "fills").stdout)
    assert "$schema" in json_of(run("schema", "portfolio", "--json"))


def test_replay_writes_commands_and_prints_hashes(tmp_path: Path) -> None:
    log = write_log(tmp_path / "events.jsonl", liquidation())
    first = json_of(run("replay", log, "--out", tmp_path / "first.jsonl", "--json"))
    second = json_of(run("replay", log, "--out", tmp_path / "second.jsonl", "--json"))
    assert first == second
    assert (tmp_path / "first.jsonl").read_bytes() == (tmp_path / "second.jsonl").read_bytes()
    assert {"applied", "duplicate", "rejected", "ignored"} == set(first["counts"])
    assert 1 == first["written"]["liquidations"]
    assert first["state_hash"] in run("replay", log, "--out", tmp_path / "third.jsonl").stdout


def test_replay_of_what_tail_prints_is_possible(tmp_path: Path) -> None:
    lines = [
        {**item, "partition": 0, "offset": number, "timestamp_ms": 5, "note": "passed over"}
        for number, item in enumerate(transfer()[:-1])
    ]
    report = json_of(run("replay", write_log(tmp_path / "log", lines), "--out", tmp_path / "out", "--json"))
    assert len(lines) == report["counts"]["applied"]


def test_replay_names_line_and_field(tmp_path: Path) -> None:
    log = write_log(tmp_path / "events.jsonl", [*transfer(), {"topic": "trades", "key": "a", "value": {}}])
    assert_one_line(run("replay", log, "--out", tmp_path / "out"), 2, f"line {len(transfer()) + 1}", "topic")


def test_replay_does_not_overwrite_its_input(tmp_path: Path) -> None:
    log = write_log(tmp_path / "events.jsonl", transfer())
    before = log.read_bytes()
    assert_one_line(run("replay", log, "--out", log), 2, "--out")
    assert before == log.read_bytes()


def test_output_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    log = write_log(tmp_path / "events.jsonl", transfer())
    assert_one_line(run("replay", log, "--out", tmp_path / "no" / "out.jsonl"), 1, "--out")


def test_publish_checks_every_line_before_it_connects(tmp_path: Path) -> None:
    records = [line["value"] for line in transfer() if line["topic"] == "collateral"]
    path = write_log(tmp_path / "moves.jsonl", [*records, {**records[0], "amount": "0.000000001"}])
    result = run("publish", "collateral", path, CROSSMARGIN_KAFKA=CLOSED_PORT)
    assert_one_line(result, 2, "moves.jsonl:4", "amount", "too_many_decimals")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["margin", "missing.json"], ["missing.json"]),
        (["schema", "trades"], ["NAME", "trades"]),
        (["publish", "trades", "x.jsonl"], ["TOPIC", "trades"]),
        (["tail", "trades"], ["TOPIC", "trades"]),
        (["tail", "fills", "--json"], ["--json"]),
        (["topics", "--partitions", "0"], ["--partitions"]),
        (["replay", "missing.jsonl"], ["--out"]),
        (["replay", "missing.jsonl", "--out", "x", "--batch", "0"], ["--batch"]),
        (["frobnicate"], ["frobnicate"]),
        (["margin"], ["PORTFOLIO"]),
        (["margin", "a", "--method"], ["--method"]),
        (["--frobnicate"], ["--frobnicate"]),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(run(*arguments), 2, *words)


def test_bad_setting_is_named() -> None:
    assert_one_line(run("topics", CROSSMARGIN_PARTITIONS="many"), 2, "CROSSMARGIN_PARTITIONS")


def test_no_arguments_print_help_and_exit_2() -> None:
    result = run()
    assert 2 == result.exit_code
    assert "Commands:" in result.stderr


def test_every_command_has_help_and_json() -> None:
    overview = run("--help")
    assert 0 == overview.exit_code
    with cli.make_context("crossmargin", ["schema"]) as context:
        for name in cli.list_commands(context):
            assert name in overview.stdout
            # A worker runs until told to stop: it has no result to print.
            assert name == "worker" or "--json" in run(name, "--help").stdout


def test_command_without_its_optional_parts_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_without_chdb(name: str) -> ModuleType:
        if name.endswith("methods"):
            raise ModuleNotFoundError("No module named 'chdb'", name="chdb")
        return import_module(name)

    monkeypatch.setattr("streams.cli.import_module", import_without_chdb)
    assert "Needs chdb" in run("--help").stdout
    assert_one_line(run("methods", "--json", "x"), 1, "chdb", "crossmargin[embedded]")


def test_missing_module_of_our_own_is_a_bug_with_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_nothing(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("streams.cli.import_module", import_nothing)
    assert isinstance(run("methods").exception, ModuleNotFoundError)


def test_module_and_entry_point_are_the_same_program() -> None:
    module = subprocess.run([sys.executable, "-m", "streams", "schema"], capture_output=True, text=True, check=True)
    script = Path(sys.executable).with_name("crossmargin")
    entry = subprocess.run([script, "schema"], capture_output=True, text=True, check=True)
    assert module.stdout == entry.stdout == run("schema").stdout
