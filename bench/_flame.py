"""Flame graphs of a running worker with py-spy, which lives in an environment of its own.

Owns starting and ending the sampler. Refuses to change the worker: it is sampled from outside, at 250 Hz.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench._environment import PROFILER, environment

RATE_HZ = 250


@contextmanager
def sampled(pid: int, output: Path) -> Iterator[None]:
    """Sample a process while the block runs and write the graph to ``output``; raises when py-spy may not attach."""
    py_spy = environment(PROFILER) / "py-spy"
    command = [str(py_spy), "record", "--pid", str(pid), "--rate", str(RATE_HZ), "--output", str(output)]
    command += ["--duration", "3600"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)  # py-spy writes what it has when it is interrupted.
        words, _ = process.communicate(timeout=120)
    if not output.exists():
        raise RuntimeError(f"py-spy wrote no graph: {words.decode(errors='replace').strip()[-400:]}")
    text = output.read_text(encoding="utf-8")
    # The title is the command with the paths of this machine.
    output.write_text(
        text.replace(" ".join(command), f"py-spy record --rate {RATE_HZ}, a risk worker"), encoding="utf-8"
    )
