from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.demo.processes import Child, DemoFailed
from streams.demo.run import MARKER, DirectoryTaken, empty_directory

DEADLINE_SECONDS = 20.0


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.02)
    return path.read_text().strip()


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.02)


def test_a_stopped_child_takes_its_own_children_along(tmp_path: Path) -> None:
    written = tmp_path / "pid"
    command = ["sh", "-c", f"trap '' TERM; sleep 600 & echo $! > {written}; wait"]

    with Child("sleeper", command, tmp_path / "log", os.environ, stop_seconds=0.2):
        grandchild = int(wait_for(written))
        assert is_running(grandchild)

    wait_until_gone(grandchild)


def test_a_child_that_ended_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child("worker", ["sh", "-c", "echo what went wrong; exit 3"], tmp_path / "log", os.environ)
    child._process.wait(DEADLINE_SECONDS)

    with pytest.raises(DemoFailed, match=r"worker ended with code 3(.|\n)*what went wrong"):
        child.check()
    child.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell a child that its parent died")
def test_a_killed_parent_takes_its_children_along(tmp_path: Path) -> None:
    written = tmp_path / "pid"
    program = (
        "import os, pathlib, time\n"
        "from streams.demo.processes import Child\n"
        f"child = Child('sleeper', ['sleep', '600'], pathlib.Path({str(tmp_path / 'log')!r}), os.environ)\n"
        f"pathlib.Path({str(written)!r}).write_text(f'{{child._process.pid}}\\n')\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    child = int(wait_for(written))
    assert is_running(child)

    parent.send_signal(signal.SIGKILL)
    parent.wait(DEADLINE_SECONDS)

    wait_until_gone(child)


def test_an_earlier_run_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    mine = empty_directory(tmp_path / "mine")
    (mine / "audit").mkdir()
    assert [MARKER] == [path.name for path in empty_directory(mine).iterdir()]

    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "letter.txt").write_text("dear")
    with pytest.raises(DirectoryTaken):
        empty_directory(theirs)
    assert "dear" == (theirs / "letter.txt").read_text()
