"""Child processes of the demonstration: started with a log each, watched, and gone when the demonstration is.

Owns their whole life. A child leads its own process group, so that its children end with it, and on Linux the kernel
asks it to end if this process dies without a chance to. Refuses to restart anything.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

LOG_TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1


class DemoFailed(Exception):
    """The demonstration cannot go on; the text says what happened and where the log is."""


class Child:
    """One running process. Use as a context manager: leaving it stops the process whatever happened."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str], stop_seconds: float = 5.0
    ) -> None:
        self.name = name
        self._log = log
        self._stop_seconds = stop_seconds
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - this very program, or the broker of an installed wheel
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def check(self) -> None:
        """Raise ``DemoFailed`` with the end of the log if the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise DemoFailed(f"the {self.name} ended with code {code}; the end of {self._log}:\n{self._tail()}")

    def stop(self) -> None:
        """Ask the process to end, wait, then end its whole group by force."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(self._stop_seconds)
            except subprocess.TimeoutExpired:
                self._signal_group(signal.SIGKILL)
        self._process.wait()
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def _tail(self) -> str:
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
