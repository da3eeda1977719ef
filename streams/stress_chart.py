"""The picture of a stress run: prices, forced flow and ADL, the fund, the branching ratio, and the liquidation map.

Owns the drawing; needs matplotlib (extra ``embedded``). Refuses to compute anything that is drawn.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engine.pricing.axes import Floats
from streams.stress import StressRun
from streams.stress_report import liquidation_ladder

_INK, _BLUE, _RED, _GREY, _AMBER = "#222222", "#1f5fa8", "#b3261e", "#9aa0a6", "#e08a1e"
_MILLION = 1e6


def draw(stress: StressRun, path: Path) -> None:
    """Write a PNG."""
    with matplotlib.rc_context({"backend": "Agg"}):
        _figure(stress).savefig(path, format="png")


def _figure(stress: StressRun) -> Figure:
    figure = Figure(figsize=(11, 11.5), dpi=110, layout="constrained")
    figure.suptitle(stress.preset.about, fontsize=13, color=_INK)
    grid = figure.add_gridspec(5, 1, height_ratios=(1.5, 1.2, 0.8, 0.8, 1.1))
    minutes_T: Floats = np.arange(stress.run.adl_T.size, dtype=np.float64) * (stress.run.tick_s / 60.0)
    first = figure.add_subplot(grid[0])
    panels = [first, *(figure.add_subplot(grid[row], sharex=first) for row in (1, 2, 3))]
    for axes, panel in zip(panels, (_prices, _flows, _fund, _branching), strict=True):
        panel(axes, minutes_T, stress)
        axes.set_xlim(0.0, float(minutes_T[-1]))
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False)
    panels[-1].set_xlabel("minutes", color=_INK)
    _map(figure.add_subplot(grid[4]), stress)
    return figure


def _prices(axes: Axes, minutes_T: Floats, stress: StressRun) -> None:
    colors = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, len(stress.population.underlyings)))
    for k, name in enumerate(stress.population.underlyings):
        axes.plot(minutes_T, 100.0 * stress.run.price_TK[:, k], linewidth=1.0, color=colors[k], label=name)
    axes.legend(frameon=False, loc="upper right", ncols=6, fontsize=8)
    _finish(axes, "prices, percent of the start")


def _flows(axes: Axes, minutes_T: Floats, stress: StressRun) -> None:
    width = max(1, round(60.0 / stress.run.tick_s))
    whole = (stress.run.adl_T.size // width) * width
    at = minutes_T[:whole:width]
    bar = width * stress.run.tick_s / 60.0
    for series_T, color, label, part in (
        (stress.run.forced_T, _BLUE, "forced volume", 0.45),
        (stress.run.adl_T, _RED, "deleveraged", 0.45),
    ):
        summed = series_T[:whole].reshape(-1, width).sum(axis=1) / _MILLION
        shift = 0.0 if color == _BLUE else 0.45 * bar
        axes.bar(at + shift, summed, width=part * bar, align="edge", color=color, label=label)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.legend(frameon=False, loc="upper right", ncols=2, fontsize=8)
    _finish(axes, "millions per minute (logarithmic above 1)")


def _fund(axes: Axes, minutes_T: Floats, stress: StressRun) -> None:
    axes.plot(minutes_T, stress.run.fund_T / _MILLION, color=_AMBER, linewidth=1.2)
    axes.set_ylim(min(0.0, float(stress.run.fund_T.min()) / _MILLION))
    _finish(axes, "equity of the backstop, millions")


def _branching(axes: Axes, minutes_T: Floats, stress: StressRun) -> None:
    sampled_T = ~np.isnan(stress.run.branching_T)
    axes.plot(minutes_T[sampled_T], stress.run.branching_T[sampled_T], color=_BLUE, linewidth=1.0)
    axes.axhline(1.0, color=_RED, linewidth=0.8, linestyle="--")
    _finish(axes, "branching ratio of the next percent of the factor")


def _map(axes: Axes, stress: StressRun) -> None:
    fall_B, planned_BK = liquidation_ladder(stress)
    colors = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, planned_BK.shape[1]))
    below_B = np.zeros(fall_B.size)
    for k, name in enumerate(stress.population.underlyings):
        sold_B = np.maximum(-planned_BK[:, k], 0.0) / _MILLION
        axes.bar(100.0 * fall_B, sold_B, width=0.8, bottom=below_B, color=colors[k], label=name)
        below_B += sold_B
    axes.set_xlabel("fall of the factor, percent (each underlying by its beta)", color=_INK)
    _finish(axes, "liquidation map before the run: planned sales per percent, millions")


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
