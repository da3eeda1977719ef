"""The whole quality gate in one command: ``python -m tests.run``, which is what ``make test`` calls.

Owns the order of the checks, the fetching of real servers before the first test, and telling what was not run. Refuses
to hide anything: a part that cannot be had on this machine is named first and last, with the command that brings it;
with ``CROSSMARGIN_REQUIRE_ALL=1`` it is a failure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.missing_parts import REQUIRE_ALL
from tests.servers import ServerUnavailable

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS: dict[str, list[str]] = {
    "lint": ["ruff", "check", "--quiet", "."],
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "import contracts": ["lint-imports"],
    "types": ["mypy"],
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything and return the exit code; further arguments go to pytest."""
    parser = argparse.ArgumentParser(prog="python -m tests.run", description=__doc__)
    parser.add_argument("--no-pytest", action="store_true", help="only lint, types and import contracts")
    options, pytest_arguments = parser.parse_known_args(arguments)
    missing = {} if options.no_pytest else _fetch_servers()
    failed = [name for name, command in CHECKS.items() if not _passes(name, command)]
    if not options.no_pytest:
        if missing and os.environ.get(REQUIRE_ALL):
            failed.append("servers")
        if not _passes("tests", ["pytest", *(pytest_arguments or _default_arguments())]):
            failed.append("tests")
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _default_arguments() -> list[str]:
    # Two workers at most: each starts servers of its own, and the fault tests need cores to be meaningful.
    return ["-q", "-n", str(min(2, os.cpu_count() or 1)), "--dist", "loadfile", "--durations", "10"]


def _passes(name: str, command: list[str]) -> bool:
    print(f"== {name}: {' '.join(command)}", flush=True)
    started = time.monotonic()
    result = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, check=False)
    verdict = "ok" if result.returncode == 0 else "FAILED"
    if name != "tests":  # pytest has a closing line of its own, which stays the last
        print(f"== {name}: {verdict} in {time.monotonic() - started:.0f} s", flush=True)
    return result.returncode == 0


def _fetch_servers() -> dict[str, str]:
    """Bring the real servers to this machine where it allows that; returns what is missing and why."""
    from tests.servers import clickhouse, kafka

    _refresh_package_lists()
    parts: dict[str, tuple[str, Callable[[], object]]] = {
        "Apache Kafka": ("CROSSMARGIN_TEST_KAFKA", kafka.find_jars),
        "a ClickHouse server": ("CROSSMARGIN_TEST_CLICKHOUSE", clickhouse.find_server),
    }
    missing = {}
    for part, (running, find) in parts.items():
        try:
            if running not in os.environ:
                find()
        except ServerUnavailable as error:
            missing[part] = str(error)
    for part, reason in missing.items():
        print(f"NOT RUN HERE: every test that needs {part}. {reason}", flush=True)
    return missing


def _refresh_package_lists() -> None:
    # A fresh container has no package lists, and apt-get install finds nothing without them.
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0 and not any(Path("/var/lib/apt/lists").glob("*Packages*")):
        subprocess.run([apt, "update", "-qq"], check=False, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
