"""Public price series of the package ``arch`` as returns, and the folder of published vectors."""

from __future__ import annotations

import csv
import gzip
import os
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from engine.pricing.axes import Floats

VECTORS = Path(os.environ.get("CROSSMARGIN_VECTORS", Path(__file__).resolve().parents[4] / "shared" / "vectors"))
COLUMNS = {"sp500": "Adj Close", "nasdaq": "Adj Close", "wti": "DCOILWTICO"}


@cache
def closes(name: str) -> dict[date, float]:
    """Price by date, days without one left out."""
    if name not in COLUMNS:
        raise KeyError(name)
    pytest.importorskip("arch", reason="needs the extra history")
    packed = files(f"arch.data.{name}").joinpath(f"{name}.csv.gz").read_bytes()
    rows = csv.DictReader(gzip.decompress(packed).decode("utf-8").splitlines())
    return {day(row["Date"]): float(row[COLUMNS[name]]) for row in rows if row[COLUMNS[name]] not in ("", ".")}


def day(written: str) -> date:
    """The package writes month/day/year."""
    month, number, year = (int(part) for part in written.split("/"))
    return date(year, month, number)


def simple_returns(prices: Floats, periods: int = 1) -> Floats:
    return prices[periods:] / prices[:-periods] - 1.0


def joined(*names: str) -> list[Floats]:
    """Price arrays on the days that all series have."""
    series = [closes(name) for name in names]
    days = sorted(set.intersection(*(set(prices) for prices in series)))
    return [np.array([prices[day] for day in days]) for prices in series]


@cache
def returns(name: str) -> Floats:
    """The series that the published vectors name."""
    if name == "mix_60_40":
        sp500, nasdaq = (simple_returns(prices) for prices in joined("sp500", "nasdaq"))
        return 0.6 * sp500 + 0.4 * nasdaq
    if name == "long_short":
        sp500, nasdaq = (simple_returns(prices) for prices in joined("sp500", "nasdaq"))
        return sp500 - nasdaq
    if name == "pnl_book":
        sp500, nasdaq, wti = (simple_returns(prices) for prices in joined("sp500", "nasdaq", "wti"))
        return 1_000_000 * sp500 - 500_000 * nasdaq + 300_000 * wti
    if name == "sp500_10d":
        return simple_returns(joined("sp500")[0], 10)
    return simple_returns(joined(name)[0])
