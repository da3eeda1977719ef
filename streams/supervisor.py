"""``--role all``: one child process per role, so that a slow audit trail can never delay a liquidation.

Owns starting the children, passing signals on, and ending all of them when one ends. Refuses to restart anything: that
is the job of whoever supervises this process, and a crash must be seen.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

STOP_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.2


def supervise(roles: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one worker per role until one of them ends or a signal asks to stop; returns the exit code to use."""
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    children = {role: _start(role, environment) for role in roles}
    try:
        while not stopping:
            for role, child in children.items():
                try:
                    code = child.wait(_POLL_SECONDS / len(children))
                except subprocess.TimeoutExpired:
                    continue
                sys.stderr.write(f"crossmargin: the {role} worker ended with code {code}; stopping the others\n")
                return code or 1
        return 0
    finally:
        _stop(list(children.values()))


def _start(role: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "streams", "worker", "--role", role], env=dict(environment))


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Terminate all, and kill what has not ended within the bound: exactness never depends on a graceful stop."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
