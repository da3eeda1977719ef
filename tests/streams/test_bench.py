"""The command ``bench``: benchmarks by name, results as printed, failures with the benchmark's last words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli_commands import CommandFailed, InputError, bench

ROOT = Path(__file__).resolve().parents[2]
SOUND = (
    'import json; print(json.dumps({"benchmark": "sound", "ours": 20, "reference": 10, "ratio": 2.0, "unit": "/s"}))'
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one sound benchmark."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "sound.py").write_text(SOUND, encoding="utf-8")
    monkeypatch.setattr(bench, "CHECKOUT", tmp_path)
    return tmp_path


def test_one_benchmark_prints_its_own_object(checkout: Path) -> None:
    result = CliRunner().invoke(bench.command, ["sound", "--json"], catch_exceptions=False)
    assert {"benchmark": "sound", "ours": 20, "reference": 10, "ratio": 2.0, "unit": "/s"} == json.loads(result.stdout)


def test_all_benchmarks_are_run_without_a_name(checkout: Path) -> None:
    (checkout / "bench" / "another.py").write_text(SOUND, encoding="utf-8")
    result = CliRunner().invoke(bench.command, ["--json"], catch_exceptions=False)
    assert 2 == len(json.loads(result.stdout)["benchmarks"])


def test_a_table_is_printed_for_people(checkout: Path) -> None:
    result = CliRunner().invoke(bench.command, [], catch_exceptions=False)
    assert ["sound", "20", "10", "2.0x", "/s"] == result.stdout.split()


def test_an_unknown_name_is_bad_input(checkout: Path) -> None:
    with pytest.raises(InputError, match="no benchmark 'fast'; there are sound"):
        CliRunner().invoke(bench.command, ["fast"], catch_exceptions=False)


def test_a_broken_benchmark_says_why(checkout: Path) -> None:
    (checkout / "bench" / "broken.py").write_text("raise RuntimeError('no broker')", encoding="utf-8")
    with pytest.raises(CommandFailed, match="benchmark broken failed: RuntimeError: no broker"):
        bench.run("broken")


def test_a_benchmark_without_a_reference_is_refused(checkout: Path) -> None:
    (checkout / "bench" / "lonely.py").write_text("print('{\"ours\": 1}')", encoding="utf-8")
    with pytest.raises(CommandFailed, match="lonely"):
        bench.run("lonely")


def test_an_installed_package_has_no_benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CHECKOUT", tmp_path)
    with pytest.raises(CommandFailed, match="source checkout"):
        bench.benchmarks()


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "bench").glob("*.py") if path.stem[0] != "_"])
def test_every_benchmark_says_what_it_compares(name: str) -> None:
    text = (ROOT / "bench" / f"{name}.py").read_text(encoding="utf-8")
    assert "reference" in text.split('"""')[1]
    assert [] == [key for key in ("unit", "ours", "reference", "ratio") if f'"{key}"' not in text]
