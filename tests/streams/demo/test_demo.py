"""The whole demonstration as a user runs it: embedded broker, real workers, real executor, chDB."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from streams.audit.connect import open_store
from streams.explain import explain

pytestmark = pytest.mark.demo

SECONDS_MAX = 170


def children_of(out: Path) -> list[int]:
    """Processes whose command line or environment names ``out``, apart from this one and the demonstration itself."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if f"{out}/".encode() in text:
                found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], Path]:
    out = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "streams", "demo", "--minutes", "120", "--accounts", "24", "--json"]
    run = subprocess.run(
        [*command, "--out", str(out)], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    (line,) = run.stdout.splitlines()
    figures: dict[str, object] = json.loads(line)
    return figures, out


def test_every_record_of_every_topic_is_an_audit_row(finished: tuple[dict[str, object], Path]) -> None:
    figures, _ = finished

    assert figures["topic_records"] == figures["audit_rows"]
    assert figures["events"] > figures["fills"] + figures["prices"] + figures["collateral"]  # type: ignore[operator]


def test_netting_lowers_the_margin_of_the_real_run(finished: tuple[dict[str, object], Path]) -> None:
    figures, _ = finished

    assert 0 < figures["margin_cross"] < 0.8 * figures["margin_isolated"]  # type: ignore[operator]
    assert 24 == figures["accounts"]


def test_exactly_the_deliberate_mistakes_are_dead_letters(finished: tuple[dict[str, object], Path]) -> None:
    figures, _ = finished

    assert 12 == figures["dead_letters"]


def test_the_chart_and_the_logs_are_in_the_directory(finished: tuple[dict[str, object], Path]) -> None:
    _, out = finished

    assert (out / "report.png").stat().st_size > 20_000
    assert {"broker.log", "worker.log", "executor.log"} <= {path.name for path in out.iterdir()}
    assert "Traceback" not in (out / "worker.log").read_text()


def test_every_command_is_recomputed_from_the_audit_alone(finished: tuple[dict[str, object], Path]) -> None:
    figures, out = finished

    with closing(open_store(f"chdb://{out / 'audit'}")) as store:
        commands = [str(row[0]) for row in store.query("SELECT DISTINCT command_id FROM liquidations").rows]
        differences = {command: explain(store, command).differences for command in commands}
    assert figures["commands"] == len(commands)
    assert {} == {command: found for command, found in differences.items() if found}


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_terminated_run_leaves_no_process_behind(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "streams", "demo", "--minutes", "120", "--accounts", "24", "--out", str(out)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS_MAX / 2
    while not (out / "executor.log").exists():
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)

    run.send_signal(signal.SIGTERM)
    run.wait(SECONDS_MAX / 2)

    while children_of(out):
        assert time.monotonic() < deadline
        time.sleep(0.1)
