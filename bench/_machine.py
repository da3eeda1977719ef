"""What a figure belongs to: processor, cores, Python, Kafka, packages, date; and the CPU time of processes.

Owns the description that every benchmark prints beside its figures. Refuses to measure anything itself.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.servers.kafka import KAFKA_VERSION

OWN_PACKAGES = ("aiokafka", "faust-streaming", "numpy", "numba", "orjson", "rocksdict")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def machine() -> dict[str, str | int | float]:
    """Where and when a figure was measured, and how busy the machine was at the end (what is measured included)."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        "load_average_1m": round(os.getloadavg()[0], 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def versions(packages: Iterable[str] = OWN_PACKAGES) -> dict[str, str]:
    """Installed versions of ``packages``; those that are not installed are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
