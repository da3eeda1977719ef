"""What netting frees: every portfolio of this folder, margined position by position and as one pool.

    python examples/compare.py            prints the table of the README
    python examples/compare.py --write    writes it into README.md, and the picture beside it (needs matplotlib)

Both figures of a portfolio are the initial margin of the same method; only the netting differs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.methods.modes import compare_modes
from schemas.documents import decode_document
from streams.what_if_report import stated

FOLDER = Path(__file__).resolve().parent
README = FOLDER.parent / "README.md"
PICTURE = FOLDER.parent / "docs" / "images" / "isolated-cross.png"
START, END = "<!-- isolated-cross: python examples/compare.py --write -->", "<!-- /isolated-cross -->"
METHOD = "crossmargin"
OTHERS = ("derive-pmrm2", "paradex-pm", "deribit-pm", "span")
_INK, _BLUE, _GREY = "#222222", "#1f5fa8", "#c4c8cc"


@dataclass(frozen=True, slots=True)
class Row:
    """Initial margin of one portfolio, every position alone and as one pool, and the share freed by method."""

    name: str
    isolated: float
    cross: float
    freed: dict[str, float]


def rows() -> list[Row]:
    """One row per document, by name."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        document = decode_document(path.read_bytes())
        modes = {method: compare_modes(*stated(document, method)) for method in (METHOD, *OTHERS)}
        freed = {method: mode.freed_initial / mode.alone.initial_margin for method, mode in modes.items()}
        own = modes[METHOD]
        found.append(Row(path.stem, own.alone.initial_margin, own.cross.initial_margin, freed))
    return found


def table(found: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        f"| Portfolio | Isolated, k$ | Cross, k$ | Freed | {' | '.join(OTHERS)} |",
        f"|---|---:|---:|---:|{'---:|' * len(OTHERS)}",
    ]
    for row in found:
        shares = " | ".join(f"{row.freed[method]:.0%}".replace("%", " %") for method in (METHOD, *OTHERS))
        name = f"[{row.name}](examples/{row.name}.json)"
        lines.append(f"| {name} | {row.isolated / 1e3:,.1f} | {row.cross / 1e3:,.1f} | {shares} |")
    return "\n".join(lines)


def draw(found: Sequence[Row], path: Path) -> None:
    """Two bars for every portfolio: all positions alone, and the pool."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.9 + 0.62 * len(found)), dpi=110, layout="constrained")
    axes = figure.subplots()
    order = sorted(found, key=lambda row: row.isolated)
    for y, row in enumerate(order):
        axes.barh(y + 0.19, row.isolated / 1e3, height=0.36, color=_GREY, label="isolated" if y == 0 else None)
        axes.barh(y - 0.19, row.cross / 1e3, height=0.36, color=_BLUE, label="cross" if y == 0 else None)
        axes.text(row.isolated / 1e3, y + 0.19, f"  {row.freed[METHOD]:.0%} freed", va="center", fontsize=9, color=_INK)
    axes.set_yticks(range(len(order)), [row.name for row in order])
    axes.set_xlabel(f"initial margin under the method {METHOD}, thousand dollars")
    axes.set_xlim(0, max(row.isolated for row in order) / 1e3 * 1.15)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def main(arguments: Sequence[str]) -> None:
    """Print the table, or write table and picture."""
    found = rows()
    if list(arguments) != ["--write"]:
        sys.stdout.write(table(found) + "\n")
        return
    text = README.read_text(encoding="utf-8")
    head, tail = text.index(START) + len(START), text.index(END)
    README.write_text(f"{text[:head]}\n{table(found)}\n{text[tail:]}", encoding="utf-8")
    draw(found, PICTURE)


if __name__ == "__main__":
    main(sys.argv[1:])
