"""The portfolio archetypes of a backtest, and what they gain when prices move.

Owns the archetypes and their revaluation. Refuses to know history and margin. Everything is relative to the price of
the day: a portfolio is set up anew every day with 100 of its first factor, so results are percent of that notional.
Axes: D days of the test, S moves that may happen on each (one column for the move that did).

Options are valued with Black-76 on the factor's own price, rates zero, with one implied volatility for all strikes of
a maturity. Variance reverts from the short-term to the long-run level at the rate 1 / ``REVERSION_YEARS``, so near
maturities move more than far ones, which is what a calendar spread lives on. ``engine.pricing`` is the same code that
margins accounts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from engine.pricing.axes import Floats
from engine.pricing.black76 import black76

NOTIONAL = 100.0
MONTH_YEARS, QUARTER_YEARS = 30 / 365, 90 / 365
REVERSION_YEARS = 30 / 365


@dataclass(frozen=True, slots=True)
class Leg:
    """``quantity`` of a factor (``sign`` 0) or of calls (+1) or puts (-1) on it.

    The strike stands ``deviations`` implied standard deviations from the price. ``hedge`` multiplies the quantity by
    the day's EWMA beta of the first factor to this one.
    """

    quantity: float
    factor: int = 0
    sign: int = 0
    deviations: float = 0.0
    years: float = MONTH_YEARS
    hedge: bool = False


@dataclass(frozen=True, slots=True)
class Archetype:
    """A portfolio shape that real accounts have."""

    name: str
    what: str
    legs: tuple[Leg, ...]

    @property
    def factors(self) -> int:
        """How many factors it needs."""
        return 1 + max(leg.factor for leg in self.legs)


@dataclass(frozen=True, slots=True)
class Day:
    """What is known on each day, [D, F]: short-term and long-run implied volatility, beta of factor 0 to each factor.

    Volatilities are per year.
    """

    short_DF: Floats
    long_run_DF: Floats
    beta_DF: Floats


@dataclass(frozen=True, slots=True)
class Moves:
    """What may happen on each day: prices over today's and short-term volatilities after it, by factor [F][D, S]."""

    price_FDS: tuple[Floats, ...]
    short_FDS: tuple[Floats, ...]
    years: float
    """How much later the portfolio is valued again."""


ARCHETYPES: Mapping[str, Archetype] = MappingProxyType(
    {
        archetype.name: archetype
        for archetype in (
            Archetype("directional", "long the first factor", (Leg(1.0),)),
            Archetype(
                "market-neutral", "long the first factor, short as much of the second", (Leg(1.0), Leg(-1.0, factor=1))
            ),
            Archetype("straddle", "short a 30-day call and put at the money", (Leg(-1.0, sign=1), Leg(-1.0, sign=-1))),
            Archetype(
                "iron-condor",
                "short a 30-day put and call one deviation out, long both two deviations out",
                (
                    Leg(1.0, sign=-1, deviations=-2.0),
                    Leg(-1.0, sign=-1, deviations=-1.0),
                    Leg(-1.0, sign=1, deviations=1.0),
                    Leg(1.0, sign=1, deviations=2.0),
                ),
            ),
            Archetype(
                "calendar",
                "short a 30-day call at the money, long a 90-day one",
                (Leg(-1.0, sign=1), Leg(1.0, sign=1, years=QUARTER_YEARS)),
            ),
            Archetype(
                "basis",
                "long the first factor, short the second at the EWMA hedge ratio",
                (Leg(1.0), Leg(-1.0, factor=1, hedge=True)),
            ),
        )
    }
)


def portfolio_pnl(archetype: Archetype, day: Day, moves: Moves) -> Floats:
    """Gain [D, S] in percent of the notional of the first factor, every option valued in full before and after."""
    total_DS = np.zeros_like(moves.price_FDS[0])
    for leg in archetype.legs:
        size: Floats | float = leg.quantity
        if leg.hedge:
            size = leg.quantity * day.beta_DF[:, leg.factor, None]
        total_DS += size * _unit_gain(leg, day, moves)
    return NOTIONAL * total_DS


def _unit_gain(leg: Leg, day: Day, moves: Moves) -> Floats:
    # What is known today has one column, which broadcasts against the scenarios.
    price_DS = moves.price_FDS[leg.factor]
    if leg.sign == 0:
        return price_DS - 1.0
    long_run_DS = day.long_run_DF[:, leg.factor, None]
    before_DS = implied_volatility(day.short_DF[:, leg.factor, None], long_run_DS, leg.years)
    after_DS = implied_volatility(moves.short_FDS[leg.factor], long_run_DS, leg.years)
    strike_DS = np.exp(leg.deviations * before_DS * math.sqrt(leg.years))
    sign, years = np.array(float(leg.sign)), np.array(leg.years)
    now = black76(np.ones_like(strike_DS), strike_DS, years, before_DS, sign)
    return black76(price_DS, strike_DS, years - moves.years, after_DS, sign) - now


def implied_volatility(short: Floats, long_run: Floats, years: float) -> Floats:
    """Volatility of a maturity: the average of a variance that reverts exponentially from short-term to long-run."""
    scaled = years / REVERSION_YEARS
    weight = -math.expm1(-scaled) / scaled
    implied: Floats = np.sqrt(long_run**2 + (short**2 - long_run**2) * weight)
    return implied
