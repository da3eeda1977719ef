"""Held against a recorded crash: ``python -m bench.cascade_bands [--seeds 20] [--write]``.

Runs the shipped preset with every seed and counts how often each published moment lands in its band. The reference is
the number of seeds. ``--write`` puts the table into ``docs/stress.md``. Prints one JSON object.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

import orjson

from bench._machine import machine, versions
from engine.cascade.moments import Moment
from streams.stress import simulate, synthetic
from streams.stress_preset import DEFAULT_PRESET, load_preset

PAGE = Path(__file__).resolve().parents[1] / "docs" / "stress.md"
SECONDS = 5_400
"""An hour and a half: the busiest 45 minutes and the half hour after the low are in it."""

BEGIN, END = "<!-- bands -->\n", "<!-- end of bands -->"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="write the table into docs/stress.md")
    options = parser.parse_args()
    preset = load_preset(DEFAULT_PRESET)
    runs = [
        simulate(preset, synthetic(preset, preset.run.accounts, seed), seed, SECONDS).moments
        for seed in range(1, options.seeds + 1)
    ]
    lands = {moment.name: sum(run[at].lands for run in runs) for at, moment in enumerate(runs[0])}
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        head, tail = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(head + BEGIN + table(runs) + END + tail, encoding="utf-8")
    found = {
        "name": "cascade_bands",
        "ours": sum(lands.values()),
        "reference": len(runs) * len(lands),
        "ratio": round(sum(lands.values()) / (len(runs) * len(lands)), 3),
        "unit": "moments in their published bands, of all moments of all seeds; higher is better",
        "seeds": len(runs),
        "lands": lands,
        "machine": machine(),
        "versions": versions(("numpy",)),
        "all_five": sum(all(moment.lands for moment in run) for run in runs),
    }
    print(orjson.dumps(found).decode())


def table(runs: list[tuple[Moment, ...]]) -> str:
    """How often every moment lands, and its median over the seeds in which it came about."""
    lines = ["| Moment | Band | Median | Seeds that land |\n", "|---|---|---:|---:|\n"]
    for at, moment in enumerate(runs[0]):
        values = [run[at].value for run in runs if run[at].value is not None]
        middle = f"{median(values):.3g}" if values else "never came about"  # type: ignore[type-var]
        landed = sum(run[at].lands for run in runs)
        lines.append(f"| {moment.what} | {moment.low:g} to {moment.high:g} | {middle} | {landed} of {len(runs)} |\n")
    whole = sum(all(moment.lands for moment in run) for run in runs)
    lines.append(f"| all five at once | | | {whole} of {len(runs)} |\n")
    return "".join(lines)


if __name__ == "__main__":
    main()
