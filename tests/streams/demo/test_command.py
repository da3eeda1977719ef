"""How the command ends before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.cli import cli
from streams.demo import run
from streams.demo.processes import DemoFailed
from streams.demo.run import DemoOptions, run_demo


@pytest.mark.parametrize(
    ("arguments", "named"), [(["--minutes", "5"], "--minutes"), (["--accounts", "3"], "--accounts")]
)
def test_a_number_out_of_range_is_bad_usage(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", *arguments])

    assert 2 == ended.value.code
    assert named in capsys.readouterr().err


def test_a_directory_of_somebody_else_is_bad_usage_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--out", str(tmp_path)])

    assert 2 == ended.value.code
    assert "--out" in capsys.readouterr().err
    assert "dear" == (tmp_path / "letter.txt").read_text()


def test_a_missing_extra_is_named_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "find_spec", lambda name: None if name == "noida_db" else object())

    with pytest.raises(DemoFailed, match=r"noida_db not installed.*crossmargin\[embedded\]"):
        run_demo(DemoOptions(120, 24, 1, tmp_path / "out"), lambda exchange: None, lambda at: None, lambda: None)
    assert not (tmp_path / "out").exists()
