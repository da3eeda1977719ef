"""Runs one peer of a comparison in a process of its own and reads what it measured.

Owns the process and its result. A peer is a script of this folder that takes bootstrap, topic, records and a work
directory, and prints one JSON object with ``records`` and ``cpu_seconds``. Refuses to know what a peer is.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

PEER_TIMEOUT_S = 300
SCRIPTS = Path(__file__).parent


class PeerFailed(Exception):
    """A peer ended without a result; the text has its last words."""


def fills_per_cpu_second(python: Path | str, script: str, bootstrap: str, records: int, directory: Path) -> float:
    """Run a peer over the first ``records`` of the topic ``fills``; raises ``PeerFailed``."""
    directory.mkdir(exist_ok=True)
    command = [str(python), str(SCRIPTS / script), bootstrap, "fills", str(records), str(directory)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=directory, timeout=PEER_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as expired:
        raise PeerFailed(f"{script}: not done after {PEER_TIMEOUT_S} s") from expired
    lines = done.stdout.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise PeerFailed(f"{script}: {(done.stderr or done.stdout).strip()[-600:]}")
    result = json.loads(lines[-1])
    return float(result["records"] / result["cpu_seconds"])
