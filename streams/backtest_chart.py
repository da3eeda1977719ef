"""The picture of a backtest: margin over time, results below it, and the days on which margin was not enough.

Owns the drawing; needs matplotlib (extra ``embedded``). Refuses to compute anything that is drawn.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streams.backtest import ArchetypeResult, Backtest

_INK, _BLUE, _RED, _GREY = "#222222", "#1f5fa8", "#b3261e", "#9aa0a6"
_LINES = {"hvar": "#e08a1e", "margin": _BLUE}


def draw(run: Backtest, path: Path) -> None:
    """Write a PNG with one panel per archetype."""
    with matplotlib.rc_context({"date.converter": "concise", "backend": "Agg"}):
        _figure(run).savefig(path, format="png")


def _figure(run: Backtest) -> Figure:
    panels = max(1, len(run.results))
    figure = Figure(figsize=(11, 1.0 + 2.6 * panels), dpi=110, layout="constrained")
    figure.suptitle(
        f"{run.history.name}: margin at {run.settings.level:.1%} over {run.settings.horizon} period(s), "
        f"{run.rows_D.size} tests",
        fontsize=14,
        color=_INK,
    )
    times = np.array([run.history.times[row].replace(tzinfo=None) for row in run.rows_D], dtype="datetime64[s]")
    for axes, result in zip(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0], run.results, strict=False):
        _panel(axes, times, result)
    return figure


def _panel(axes: Axes, times: np.ndarray[tuple[int, ...], np.dtype[np.datetime64]], result: ArchetypeResult) -> None:
    loss_D = -result.gains_D
    axes.plot(times, loss_D, color=_GREY, linewidth=0.5, label="loss")
    shown = {measure.measure: measure for measure in result.measures}
    for name, color in _LINES.items():
        axes.plot(times, shown[name].requirement_D, color=color, linewidth=1.0, label=name)
    margin = shown["margin"]
    axes.scatter(times[margin.hits_D], loss_D[margin.hits_D], color=_RED, s=14, zorder=3, label="above margin")
    axes.set_title(
        f"{result.archetype.name}: {result.archetype.what} (percent of notional)", loc="left", fontsize=10, color=_INK
    )
    axes.legend(frameon=False, loc="upper left", ncols=4, fontsize=8)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
