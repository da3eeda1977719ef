"""The model of ``docs/scaling.md``: from costs measured on one machine to what a venue of any size needs.

Run from the checkout: ``python -m bench._scaling`` reads the tables of measured costs and of venues from the page and
writes the table that follows from them into it. Owns the formulas, which the page states in the same words. Refuses to
measure: figures come from the benchmarks, and are typed into the page by whoever ran them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scaling.md"
BYTES_PER_MB = 1e6
BYTES_PER_TB = 1e12
CELL = re.compile(r"^\|\s*`(?P<name>\w+)`\s*\|(?P<values>.*)\|\s*$", re.MULTILINE)

Costs = Mapping[str, float]


def section(text: str, name: str) -> tuple[int, int]:
    """Where the lines between ``<!-- name -->`` and ``<!-- end of name -->`` begin and end; raises ``ValueError``."""
    start, end = text.find(f"<!-- {name} -->"), text.find(f"<!-- end of {name} -->")
    if start < 0 or end < start:
        raise ValueError(f"the page has no section {name!r}")
    return text.index("\n", start) + 1, end


def measured(text: str) -> dict[str, float]:
    """The costs of the page by name; the value is the first column."""
    begin, end = section(text, "measured")
    return {row["name"]: _number(row["values"].split("|")[0]) for row in CELL.finditer(text[begin:end])}


def venues(text: str) -> list[dict[str, float]]:
    """The venues of the page, one per column, by name of the row."""
    begin, end = section(text, "venues")
    rows = {row["name"]: row["values"].split("|") for row in CELL.finditer(text[begin:end])}
    count = len(next(iter(rows.values())))
    return [{name: _number(values[column]) for name, values in rows.items()} for column in range(count)]


def _number(text: str) -> float:
    return float(text.strip().replace(",", ""))


def marks_us(c: Costs, v: Costs) -> float:
    """CPU per second of every worker for marks, whatever it holds: each its own, and the batches they come in."""
    return v["marks"] * c["mark_us"] + min(v["marks"], c["mark_batches_s"]) * c["mark_batch_us"]


def workers_needed(c: Costs, v: Costs) -> float:
    """Workers of one core each, ``share`` of it used; infinite when marks alone fill that share."""
    keyed_us = v["fills"] * (c["fill_us"] + v["rows_per_fill"] * c["row_us"])
    accounts_us = v["marks"] * v["accounts"] * c["mark_account_us"]
    room_us = v["share"] * 1e6 - marks_us(c, v)
    return math.ceil((keyed_us + accounts_us) / room_us) if room_us > 0 else math.inf


def derived(c: Costs, v: Costs) -> dict[str, float]:
    """Everything the page concludes for one venue, by the name of its row."""
    workers = workers_needed(c, v)
    used = min(workers, v["partitions"])
    held = v["accounts"] / used
    changelog = v["fills"] * v["rows_per_fill"] * c["row_bytes"] / BYTES_PER_MB
    fills = v["fills"] * c["fill_bytes"] / BYTES_PER_MB
    marks = v["marks"] * c["mark_bytes"] * used / BYTES_PER_MB
    broker = (fills + changelog) * v["replicas"] + fills * 2 + changelog * v["standbys"] + marks
    members = used * (used * c["group_url_bytes"] + v["partitions"] * c["group_partition_bytes"])
    return {
        "workers": workers,
        "workers_per_partition": workers / v["partitions"],
        "mark_share_of_a_core": (marks_us(c, v) + v["marks"] * held * c["mark_account_us"]) / 1e6,
        "accounts_per_worker": held,
        "worker_memory_gb": (c["worker_mb"] + held * c["account_kb"] / 1e3) / 1e3,
        "memory_tb": (used * c["worker_mb"] + v["accounts"] * c["account_kb"] / 1e3) / 1e6,
        "changelog_mb_s": changelog,
        "marks_mb_s": marks,
        "broker_mb_s": broker,
        "brokers": math.ceil(broker / c["broker_mb_s"]),
        "changelog_tb": v["accounts"] * c["row_bytes"] * v["replicas"] / BYTES_PER_TB,
        "local_disk_gb": held * c["row_bytes"] * (1 + v["standbys"]) / 1e9,
        "cold_restart_s": c["boot_s"] + held / c["cold_rows_s"],
        "warm_restart_s": c["boot_s"] + held / c["warm_rows_s"],
        "standby_failover_s": v["session_s"] + v["heartbeat_s"] + held / c["warm_rows_s"],
        "audit_cores": v["fills"] * c["audit_us"] / 1e6 / v["share"],
        "group_record_mb": members / BYTES_PER_MB,
    }


def table(text: str) -> str:
    """The derived table of the page as it should be."""
    columns = [derived(measured(text), venue) for venue in venues(text)]
    header = "| | " + " | ".join(f"venue {chr(ord('A') + number)}" for number in range(len(columns))) + " |\n"
    lines = [header, "|---|" + "---:|" * len(columns) + "\n"]
    for name in columns[0]:
        lines.append(f"| `{name}` | " + " | ".join(_shown(column[name]) for column in columns) + " |\n")
    return "".join(lines)


def _shown(value: float) -> str:
    if math.isinf(value):
        return "none are enough"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rewritten(text: str) -> str:
    """The page with its derived table made again."""
    begin, end = section(text, "derived")
    return text[:begin] + table(text) + text[end:]


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
