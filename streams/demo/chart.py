"""The picture of a run: prices above, what they did to margin and accounts below.

Owns the drawing. Refuses to compute anything that is drawn (``summary``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from streams.demo.prices import INDEX, USDC
from streams.demo.summary import Series

_INK, _BLUE, _ORANGE, _RED, _GREY = "#222222", "#1f5fa8", "#e08a1e", "#b3261e", "#9aa0a6"


def draw(series: Series, path: Path, title: str) -> None:
    """Write the chart as a PNG of about 1300 x 1500 pixels."""
    with matplotlib.rc_context({"date.converter": "concise", "backend": "Agg"}):
        _figure(series, title).savefig(path)


def _figure(series: Series, title: str) -> Figure:
    figure = Figure(figsize=(11, 12.5), dpi=120, layout="constrained")
    figure.suptitle(title, fontsize=15, color=_INK, fontweight="bold")
    price, dollar, margin, events = figure.subplots(4, 1, sharex=True, height_ratios=(3, 2, 3, 2))
    _line(price, series.prices[INDEX], _BLUE)
    _label(price, "Bitcoin (mark, US dollars)")
    price.yaxis.set_major_formatter(lambda value, _position: f"{value:,.0f}")
    _line(dollar, series.prices[USDC], _ORANGE)
    dollar.axhline(1, color=_GREY, linewidth=0.8, linestyle="--")
    _label(dollar, "USDC (mark, US dollars)")
    _draw_margin(margin, series)
    _draw_events(events, series)
    events.set_xlabel("UTC")
    return figure


def _draw_margin(axes: Axes, series: Series) -> None:
    times = _times([row[0] for row in series.margin])
    cross = [row[1] / 1e6 for row in series.margin]
    isolated = [row[2] / 1e6 for row in series.margin]
    axes.plot(times, isolated, color=_GREY, linewidth=1.6, label="every position margined alone")
    axes.plot(times, cross, color=_BLUE, linewidth=1.6, label="cross margin")
    axes.fill_between(times, cross, isolated, color=_BLUE, alpha=0.10, label="capital that netting sets free")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, loc="upper left", ncols=3, fontsize=9)
    axes.margins(y=0.2)
    _label(axes, "Initial margin of all accounts (million US dollars)")


def _draw_events(axes: Axes, series: Series) -> None:
    third = np.timedelta64(series.count_us // 3, "us")
    for counted, color, name, place in (
        (series.called, _ORANGE, "called for margin", 1),
        (series.liquidated, _RED, "liquidated", 2),
    ):
        if not counted:
            continue
        times = _times([row[0] for row in counted]) + place * third
        axes.bar(times, [row[1] for row in counted], width=third, color=color, label=name)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if series.called or series.liquidated:
        axes.legend(frameon=False, loc="upper left", ncols=2, fontsize=9)
    axes.margins(y=0.25)
    _label(
        axes, f"Accounts called and liquidated (each at its first time, per {series.count_us // 60_000_000} minutes)"
    )


def _line(axes: Axes, points: Sequence[tuple[int, float]], color: str) -> None:
    axes.plot(_times([at_us for at_us, _ in points]), [value for _, value in points], color=color, linewidth=1.2)


def _label(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=11, color=_INK)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _times(times_us: Sequence[int]) -> NDArray[np.datetime64]:
    return np.array(times_us, dtype="datetime64[us]")
