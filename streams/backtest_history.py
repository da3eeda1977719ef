"""Price histories that a backtest is measured on: a user's CSV file, or a public series by name.

Owns reading and checking them; every complaint names the file, line and column. Refuses to compute returns.

A CSV file has a header; its first column is the time (ISO 8601, without an offset: UTC) and every other column the
price of one factor. Times rise strictly, prices are positive, nothing is empty. Public series come with the package
``arch`` (extra ``history``) or with the demonstration; see docs/validation.md.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

DAILY_DECAY = 0.97
"""Half-life of volatility 23 days; the RiskMetrics value 0.94 has 11."""
MINUTE_DECAY = 0.999
"""Half-life of volatility 11.5 hours on minutes, as the demonstration's implied volatility."""

_YEAR_S = 365.25 * 86_400
_ROWS_MIN = 3


class InvalidHistory(ValueError):
    """A price history that cannot be used; the text names the file, line and column, or what to install."""


@dataclass(frozen=True, slots=True)
class PriceHistory:
    """Prices [T, F] of factors at rising times, oldest first. ``decay`` is the lam that suits its spacing."""

    name: str
    factors: tuple[str, ...]
    times: tuple[datetime, ...]
    prices_TF: NDArray[np.float64]
    decay: float

    @property
    def periods_per_year(self) -> float:
        """Observations per calendar year, as they are spaced: about 252 for trading days."""
        return (len(self.times) - 1) / ((self.times[-1] - self.times[0]).total_seconds() / _YEAR_S)


def read_history(path: Path) -> PriceHistory:
    """The user's CSV file; raises ``InvalidHistory``."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidHistory(f"{path}: {error}") from error
    return parse_history(text, path.name, str(path))


def parse_history(text: str, name: str, origin: str) -> PriceHistory:
    """A history from CSV ``text``; ``origin`` begins every complaint. Raises ``InvalidHistory``."""
    rows = csv.reader(io.StringIO(text))
    header = [column.strip() for column in next(rows, [])]
    _check_header(header, origin)
    times: list[datetime] = []
    prices: list[list[float]] = []
    for row in rows:
        where = f"{origin}, line {rows.line_num}"
        if not row:
            continue
        if len(row) != len(header):
            raise InvalidHistory(f"{where}: {len(row)} columns where the header has {len(header)}")
        times.append(_time(row[0], f"{where}, column {header[0]}"))
        if len(times) > 1 and times[-1] <= times[-2]:
            raise InvalidHistory(f"{where}, column {header[0]}: {row[0]} is not after the line before")
        cells = zip(header[1:], row[1:], strict=True)
        prices.append([_price(cell, f"{where}, column {column}") for column, cell in cells])
    if len(times) < _ROWS_MIN:
        raise InvalidHistory(f"{origin}: {len(times)} prices are no history")
    return PriceHistory(name, tuple(header[1:]), tuple(times), np.array(prices), DAILY_DECAY)


def public_history(names: Sequence[str]) -> PriceHistory:
    """Public series on the times that all of them have; raises ``InvalidHistory``."""
    if len(set(names)) != len(names):
        raise InvalidHistory(f"--series: {' '.join(names)} names one twice")
    if MINUTES in names and len(names) > 1:
        raise InvalidHistory(f"--series: {MINUTES} has minutes and cannot be joined with days")
    if MINUTES in names:
        return _depeg_minutes()
    series = [PUBLIC[name]() for name in names]
    times = sorted(set.intersection(*(set(prices) for prices in series)))
    prices = np.array([[prices[time] for prices in series] for time in times])
    return PriceHistory(" and ".join(names), tuple(names), tuple(times), prices, DAILY_DECAY)


def _check_header(header: Sequence[str], origin: str) -> None:
    if len(header) < 2:
        raise InvalidHistory(f"{origin}, line 1: a time column and at least one price column are needed")
    for number, column in enumerate(header, start=1):
        if not column:
            raise InvalidHistory(f"{origin}, line 1: column {number} has no name")
        if header.index(column) != number - 1:
            raise InvalidHistory(f"{origin}, line 1: two columns are named {column}")


def _time(text: str, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidHistory(f"{where}: {text!r} is not a time in ISO 8601") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _price(text: str, where: str) -> float:
    try:
        price = float(text)
    except ValueError as error:
        raise InvalidHistory(f"{where}: {text!r} is not a number") from error
    if not math.isfinite(price) or price <= 0.0:
        raise InvalidHistory(f"{where}: {text} is not a positive price")
    return price


def _days(name: str, column: str) -> dict[datetime, float]:
    """Closing price by day; the package leaves a missing one empty or writes a point."""
    try:
        import_module("arch")
    except ModuleNotFoundError as error:
        raise InvalidHistory(f"--series {name} needs {error.name}: install crossmargin[history]") from error
    packed = files(f"arch.data.{name}").joinpath(f"{name}.csv.gz").read_bytes()
    rows: Iterable[dict[str, str]] = csv.DictReader(io.StringIO(gzip.decompress(packed).decode("utf-8")))
    return {
        datetime.strptime(row["Date"], "%m/%d/%Y").replace(tzinfo=UTC): float(row[column])
        for row in rows
        if row[column] not in ("", ".")
    }


def _depeg_minutes() -> PriceHistory:
    """One bitcoin in dollars, and in USDC counted as dollars at par, as a venue does that takes USDC for money."""
    packed = files("streams.demo").joinpath("data/stablecoin-depeg-2023-03.csv.xz").read_bytes()
    text = lzma.decompress(packed).decode("ascii")
    whole = parse_history(text, MINUTES, MINUTES)
    columns = [whole.factors.index(column) for column in ("btc_usd", "btc_usdc")]
    return PriceHistory(MINUTES, ("BTC/USD", "BTC/USDC"), whole.times, whole.prices_TF[:, columns], MINUTE_DECAY)


MINUTES = "usdc-2023-03"
PUBLIC: Mapping[str, Callable[[], dict[datetime, float]]] = MappingProxyType(
    {
        "sp500": lambda: _days("sp500", "Adj Close"),
        "nasdaq": lambda: _days("nasdaq", "Adj Close"),
        "wti": lambda: _days("wti", "DCOILWTICO"),
    }
)
PUBLIC_NAMES = (*PUBLIC, MINUTES)
