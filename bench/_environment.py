"""A virtual environment of its own for peers and profilers, so that none of them becomes a dependency.

Owns creating it with uv in a cache directory, once per list of pinned packages. Refuses to be imported by what is
measured.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PEERS = (
    "faust-streaming==0.15.3",
    "mode-streaming==0.7.1",
    "aiokafka==0.14.0",
    "quixstreams==3.23.1",
    "confluent-kafka==2.11.1",
    "bytewax==0.21.1",
    "orjson==3.13.0",
    "click==8.3.3",
)
PROFILER = ("py-spy==0.4.3",)


class EnvironmentUnavailable(Exception):
    """The packages could not be installed; the text says which and why."""


def environment(packages: Sequence[str]) -> Path:
    """The ``bin`` directory of a virtual environment with exactly ``packages``; raises ``EnvironmentUnavailable``."""
    cache = Path(os.environ.get("CROSSMARGIN_CACHE") or Path.home() / ".cache" / "crossmargin")
    digest = hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()[:12]
    home = cache / f"bench-{digest}"
    if not (home / "complete").exists():
        uv = shutil.which("uv")
        if uv is None:
            raise EnvironmentUnavailable("uv is not on the PATH: https://docs.astral.sh/uv/")
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        _run([uv, "venv", "--quiet", "--clear", "--python", python, str(home)], packages)
        _run([uv, "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), *packages], packages)
        (home / "complete").touch()
    return home / "bin"


def _run(command: Sequence[str], packages: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentUnavailable(
            f"could not install {', '.join(packages)}; is the package registry reachable? {done.stderr.strip()[-600:]}"
        )
