"""Prices of the demonstration: the recorded minutes, and the feeds that are derived from them.

Owns the formulas of every feed and the behavior of the sources that quote them. Refuses to know instruments and
accounts. Prices are ``Decimal`` and rounded to the tick of their feed; the same minute has the same prices whatever
part of the recording is played, because all averages run from its beginning.

Recorded: BTC in dollars, USDT and USDC. Derived from them:

* ``USDT`` and ``USDC`` in dollars: the ratio of two BTC prices.
* ``BTC-PERP``: index x (1 + premium). The premium is a twentieth of how far the index stands above its four-hour
  average, at most 0.2 %: a rising market pays for leverage.
* Funding per 8 hours: ``P + clamp(0.01 % - P, +-0.05 %)`` with ``P`` the eight-hour average premium, the published
  formula of the large venues.
* ``BTC-INVERSE``: four fifths of the premium of the linear contract.
* ``BTC-31MAR23``: index x (1 + basis x years to expiry), basis 4 % a year plus twenty times ``P``.
* Implied volatility: realized volatility of one-minute returns (half-life twelve hours, started at the first day's)
  plus a tenth, between 45 % and 160 %, mean-reverting over a week to 60 %, with a fixed smile; refreshed every ten
  minutes.
"""

from __future__ import annotations

import csv
import io
import lzma
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from itertools import pairwise
from random import Random

from schemas.events.prices import PriceV1, VolatilityNodeV1

MINUTE_US = 60_000_000
MINUTES_RECORDED = 8640
DEPEG_MINUTE = 3350
"""Minute of the recording in which USDC is cheapest: 2023-03-11T07:50Z."""

INDEX, PERPETUAL, INVERSE, FUTURE, USDT, USDC = "BTC", "BTC-PERP", "BTC-INVERSE", "BTC-31MAR23", "USDT", "USDC"
FEEDS = (INDEX, USDT, USDC, PERPETUAL, INVERSE, FUTURE)
ORACLE_FEEDS = (INDEX, USDT, USDC)
"""Quoted by three oracle sources; the other feeds are the venue's own marks."""

FUTURE_EXPIRY_US = int(datetime(2023, 3, 31, 8, tzinfo=UTC).timestamp()) * 1_000_000
TICKS = {
    INDEX: Decimal("0.01"),
    USDT: Decimal("0.0001"),
    USDC: Decimal("0.0001"),
    PERPETUAL: Decimal("0.1"),
    INVERSE: Decimal("0.5"),
    FUTURE: Decimal("0.5"),
}
SURFACE_TENOR_DAYS = (2, 25)
USDT_MINUTES = 5
"""USDT hardly moves, so its sources speak less often."""
SURFACE_SMILE = ((Decimal("-0.2"), 1.12), (Decimal("0"), 1.0), (Decimal("0.2"), 1.05))

_YEAR_MINUTES = 365 * 1440
_LONG_RUN_VOLATILITY = 0.60
_REVERSION_DAYS = 7.0
_SURFACE_MINUTES = 10


@dataclass(frozen=True, slots=True)
class Minute:
    """All feeds at one minute. ``price`` is by feed, ``funding_rate`` per 8 hours."""

    time_us: int
    price: dict[str, Decimal]
    funding_rate: Decimal
    surface: tuple[VolatilityNodeV1, ...]


def load_minutes() -> tuple[Minute, ...]:
    """The whole recording with its derived feeds, oldest first."""
    packed = files("streams.demo").joinpath("data/stablecoin-depeg-2023-03.csv.xz").read_bytes()
    rows = list(csv.DictReader(io.StringIO(lzma.decompress(packed).decode("ascii"))))
    index = [Decimal(row["btc_usd"]) for row in rows]
    funding = _Funding(index[0])
    volatility = _implied_volatility(index)
    surfaces = [_surface(volatility[at]) for at in range(0, len(rows), _SURFACE_MINUTES)]
    return tuple(_minute(row, funding, surfaces[at // _SURFACE_MINUTES]) for at, row in enumerate(rows))


def window(minutes: Sequence[Minute], count: int) -> tuple[Minute, ...]:
    """``count`` consecutive minutes around the depeg: two thirds before the cheapest USDC, one third after."""
    start = min(max(0, DEPEG_MINUTE - count * 2 // 3), len(minutes) - count)
    return tuple(minutes[start : start + count])


def _minute(row: dict[str, str], funding: _Funding, surface: tuple[VolatilityNodeV1, ...]) -> Minute:
    time_us = int(datetime.fromisoformat(row["minute_utc"]).timestamp()) * 1_000_000
    index = Decimal(row["btc_usd"])
    premium, rate = funding.advance(index)
    years = Decimal(FUTURE_EXPIRY_US - time_us) / Decimal(_YEAR_MINUTES * MINUTE_US)
    prices = {
        INDEX: index,
        USDT: index / Decimal(row["btc_usdt"]),
        USDC: index / Decimal(row["btc_usdc"]),
        PERPETUAL: index * (1 + premium),
        INVERSE: index * (1 + premium * Decimal("0.8")),
        FUTURE: index * (1 + (Decimal("0.04") + 20 * funding.average) * years),
    }
    rounded = {feed: to_tick(price, TICKS[feed]) for feed, price in prices.items()}
    return Minute(time_us, rounded, rate, surface)


def to_tick(price: Decimal, tick: Decimal) -> Decimal:
    """``price`` at the nearest multiple of ``tick``."""
    return (price / tick).quantize(Decimal(1)) * tick


class _Funding:
    """Running averages behind the premium of the perpetual and its funding rate."""

    def __init__(self, index: Decimal) -> None:
        self._slow_index = index
        self.average = Decimal(0)

    def advance(self, index: Decimal) -> tuple[Decimal, Decimal]:
        """Premium and funding rate after one more minute."""
        self._slow_index += (index - self._slow_index) / 240
        premium = _clamp((index / self._slow_index - 1) / 20, Decimal("0.002"))
        self.average += (premium - self.average) / 480
        rate = self.average + _clamp(Decimal("0.0001") - self.average, Decimal("0.0005"))
        return premium, rate.quantize(Decimal("0.000001"))


def _clamp(value: Decimal, limit: Decimal) -> Decimal:
    return max(-limit, min(limit, value))


def _implied_volatility(index: Sequence[Decimal]) -> list[float]:
    """At-the-money volatility of the shortest tenors, per minute."""
    squares = [0.0] + [math.log(float(after / before)) ** 2 for before, after in pairwise(index)]
    variance = sum(squares[:1440]) / 1440
    keep = 0.5 ** (1 / 720)
    volatility = []
    for square in squares:
        variance = keep * variance + (1 - keep) * square
        volatility.append(min(1.6, max(0.45, 1.1 * math.sqrt(variance * _YEAR_MINUTES))))
    return volatility


def _surface(volatility: float) -> tuple[VolatilityNodeV1, ...]:
    """Six nodes: two tenors, about those of the listed options, by three moneynesses."""
    return tuple(
        VolatilityNodeV1(
            tenor_days=str(tenor),
            log_moneyness=str(moneyness),
            volatility=f"{term_volatility(volatility, tenor) * smile:.3f}",
        )
        for tenor in SURFACE_TENOR_DAYS
        for moneyness, smile in SURFACE_SMILE
    )


def term_volatility(short: float, tenor_days: float) -> float:
    """At-the-money volatility at a tenor: variance reverts from ``short`` squared to its long-run level."""
    scaled = tenor_days / _REVERSION_DAYS
    weight = (1 - math.exp(-scaled)) / scaled
    return math.sqrt(_LONG_RUN_VOLATILITY**2 + (short**2 - _LONG_RUN_VOLATILITY**2) * weight)


_NOISE_BP = {"alpha": 0, "bravo": 2, "charlie": 6}
_SILENCE = range(90, 135)


class Sources:
    """The publishers of quotes, with their habits.

    ``alpha`` is exact, ``bravo`` errs by up to two hundredths of a percent, ``charlie`` by six, is eight percent wrong
    for one to four minutes about twenty times a day, and falls silent once for three quarters of an hour. ``venue``
    quotes the marks of its own contracts. They speak one second apart.
    """

    ORACLES = ("alpha", "bravo", "charlie")

    def __init__(self, seed: int) -> None:
        self._random = Random(f"quotes:{seed}")
        self._wrong_until = -1
        self._wrong_factor = Decimal(1)

    def quotes(self, at: int, minute: Minute) -> list[PriceV1]:
        """What all sources say in minute ``at`` of the run; minutes must be asked for in order."""
        if at > self._wrong_until and self._random.randrange(72) == 0:
            self._wrong_until = at + self._random.randrange(1, 5)
            self._wrong_factor = self._random.choice((Decimal("0.92"), Decimal("1.08")))
        quotes = [
            self._quote("venue", feed, minute.price[feed], minute, 0) for feed in FEEDS if feed not in ORACLE_FEEDS
        ]
        for delay_s, source in enumerate(self.ORACLES):
            noise = Decimal(self._random.randint(-_NOISE_BP[source], _NOISE_BP[source])) / 10_000
            if source == "charlie" and at in _SILENCE:
                continue
            factor = self._wrong_factor if source == "charlie" and at <= self._wrong_until else Decimal(1)
            for feed in ORACLE_FEEDS:
                if feed == USDT and at % USDT_MINUTES:
                    continue
                quotes.append(self._quote(source, feed, minute.price[feed] * (1 + noise) * factor, minute, delay_s))
        return quotes

    def _quote(self, source: str, feed: str, price: Decimal, minute: Minute, delay_s: int) -> PriceV1:
        return PriceV1(
            v=1,
            source=source,
            feed=feed,
            price=str(to_tick(price, TICKS[feed])),
            source_time_us=minute.time_us + delay_s * 1_000_000,
            confidence=str(TICKS[feed]),
            volatility=minute.surface if feed == INDEX else (),
            funding_rate=str(minute.funding_rate) if feed in (PERPETUAL, INVERSE) else "0",
        )
