"""Margin held against what then happened, day after day, for the portfolio archetypes.

Owns the rolling comparison and its report. Refuses to read files, to print and to draw. Nothing of a day is used to
margin it: scenarios, volatilities and hedge ratios of a day come from the days before.

Per day and archetype, from the last ``window`` joint log returns x(s) of all factors:

* ``hvar``: value at risk (k-th worst) of the portfolio revalued under x(s) as they were;
* ``fhs-var``: the same under x(s) sigma(t) / sigma(s), sigma by EWMA;
* ``margin``: expected shortfall under those filtered moves, not below the expected shortfall with sigma(t) replaced by
  the root mean square return of up to ten years (``FLOOR_LOOKBACK``), not below zero.

With ``tools`` also the expected shortfall before its floor (``es``), and what the published means against
procyclicality make of it (``TOOLS``).

Moves over ``horizon`` periods are one-period moves times its square root; days of the test do not overlap. No prices
of options are recorded: short-term implied volatility is ``IMPLIED_MULTIPLE`` times the EWMA volatility, and in every
scenario moves by the same recursion as after the market's own move. Volatility risk is so inside the scenarios; it is
also the part of reality that this test simplifies most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np

from engine.pricing.axes import Bools, Floats, Ints
from engine.statistics.coverage import CoverageReport, coverage_report, exceedances, shortfall_z2
from engine.statistics.filtered import ewma_volatility, standardized
from engine.statistics.procyclicality import (
    Procyclicality,
    lookback_floor,
    procyclicality_measures,
    with_buffer,
    with_lag,
    with_slow_decrease,
)
from engine.statistics.shortfall_rows import expected_shortfall_rows, value_at_risk_rows
from engine.statistics.tails import tail_probability
from streams.backtest_history import InvalidHistory, PriceHistory
from streams.backtest_portfolios import ARCHETYPES, Archetype, Day, Moves, portfolio_pnl

BURN_IN = 100
FLOOR_LOOKBACK = 2500
IMPLIED_MULTIPLE = 1.1
DAYS_AT_ONCE = 64
TESTED_DAYS_MIN = 30
BUFFER, DECREASE_MAX, LAG_PERIODS, LOOKBACK_SHARE = 0.25, 0.02, 60, 0.5
TOOLS: Mapping[str, Callable[[Floats], Floats]] = MappingProxyType(
    {
        "es+buffer": lambda margin_T: with_buffer(margin_T, BUFFER),
        "es+slow": lambda margin_T: with_slow_decrease(margin_T, DECREASE_MAX),
        "es+lag": lambda margin_T: with_lag(margin_T, LAG_PERIODS),
        "es+peak": lambda margin_T: lookback_floor(margin_T, FLOOR_LOOKBACK, LOOKBACK_SHARE),
    }
)
"""A buffer of 25 %; falls of at most 2 % a period; falls only after 60 periods; half of the ten-year peak as floor."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Confidence level, horizon in periods, scenarios per day, and lam of the volatility."""

    level: float = 0.99
    horizon: int = 1
    window: int = 500
    decay: float = 0.97
    tools: bool = False


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """One requirement over all days of the test [D], in percent of notional, and how it fared."""

    measure: str
    requirement_D: Floats
    hits_D: Bools
    coverage: CoverageReport
    procyclicality: Procyclicality | None
    """None where a requirement was not positive on some day, so that its changes have no ratio."""


@dataclass(frozen=True, slots=True)
class ArchetypeResult:
    """All requirements of one archetype, and its gains [D] in percent of notional."""

    archetype: Archetype
    gains_D: Floats
    measures: tuple[MeasureResult, ...]
    shortfall_z2: float
    """Acerbi and Szekely's statistic of the margin's expected shortfall, beside ``fhs-var``; 0 is right."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """A run: which periods were tested (row numbers of the prices at which margin was set) and what came out."""

    history: PriceHistory
    settings: Settings
    rows_D: Ints
    results: tuple[ArchetypeResult, ...]
    not_measured: Mapping[str, str]


class _Market:
    """The history as returns, forecasts and standardized returns; row t of a forecast precedes return t."""

    def __init__(self, history: PriceHistory, settings: Settings) -> None:
        self.settings = settings
        self.period_years = 1.0 / history.periods_per_year
        self.returns_TF: Floats = np.diff(np.log(history.prices_TF), axis=0)
        self.volatility_TF = ewma_volatility(self.returns_TF, settings.decay)
        self.standard_TF = standardized(self.returns_TF, self.volatility_TF[:-1])
        self.long_run_TF = _long_run_volatility(self.returns_TF)
        self.beta_TF = _ewma_beta(self.returns_TF, settings.decay)
        self.per_year = IMPLIED_MULTIPLE / math.sqrt(self.period_years)

    def day(self, rows_D: Ints) -> Day:
        short_DF, long_run_DF = self.volatility_TF[rows_D], self.long_run_TF[rows_D]
        return Day(self.per_year * short_DF, self.per_year * long_run_DF, self.beta_TF[rows_D])

    def realized(self, rows_D: Ints) -> Moves:
        horizon = self.settings.horizon
        total = np.concatenate([np.zeros((1, self.returns_TF.shape[1])), np.cumsum(self.returns_TF, axis=0)])
        prices = np.exp(total[rows_D + horizon] - total[rows_D])
        short = self.per_year * self.volatility_TF[rows_D + horizon]
        factors = range(prices.shape[1])
        return Moves(
            tuple(prices[:, f, None] for f in factors),
            tuple(short[:, f, None] for f in factors),
            horizon * self.period_years,
        )

    def scenarios(self, rows_D: Ints, source_TF: Floats, scale_DF: Floats | None) -> Moves:
        """Moves made of the ``window`` rows of ``source_TF`` before each day, times ``scale_DF``."""
        horizon = self.settings.horizon
        past = rows_D[:, None] - np.arange(self.settings.window, 0, -1)
        # After h periods the variance has forgotten 1 - lam^h of itself and taken that much of the average square.
        kept = self.settings.decay**horizon
        price, short = [], []
        for factor in range(source_TF.shape[1]):
            one_period = source_TF[past, factor]
            if scale_DF is not None:
                one_period = one_period * scale_DF[:, factor, None]
            variance = kept * self.volatility_TF[rows_D, factor, None] ** 2 + (1.0 - kept) * one_period**2
            price.append(np.exp(one_period * math.sqrt(horizon)))
            short.append(self.per_year * np.sqrt(variance))
        return Moves(tuple(price), tuple(short), horizon * self.period_years)


def run_backtest(history: PriceHistory, settings: Settings, names: Sequence[str] = tuple(ARCHETYPES)) -> Backtest:
    """Measure the archetypes ``names``; raises ``InvalidHistory`` where the history is too short for the settings."""
    rows_D = _tested_rows(len(history.times) - 1, settings)
    market = _Market(history, settings)
    results, not_measured = [], {}
    for name in names:
        archetype = ARCHETYPES[name]
        if archetype.factors > len(history.factors):
            not_measured[name] = f"needs {archetype.factors} factors, the history has {len(history.factors)}"
            continue
        results.append(_measure(archetype, market, rows_D))
    return Backtest(history, settings, rows_D, tuple(results), not_measured)


def _tested_rows(returns: int, settings: Settings) -> Ints:
    if settings.window * tail_probability(settings.level) < 1:
        raise InvalidHistory(f"--window: {settings.window} scenarios have no whole one beyond level {settings.level}")
    first = BURN_IN + settings.window
    rows_D = np.arange(first, returns - settings.horizon + 1, settings.horizon, dtype=np.int64)
    if rows_D.size < TESTED_DAYS_MIN:
        needed = first + TESTED_DAYS_MIN * settings.horizon + 1
        raise InvalidHistory(f"{returns + 1} prices are too few: --window {settings.window} needs {needed}")
    return rows_D


def _measure(archetype: Archetype, market: _Market, rows_D: Ints) -> ArchetypeResult:
    level = market.settings.level
    gains_D = portfolio_pnl(archetype, market.day(rows_D), market.realized(rows_D))[:, 0]
    chunks = [
        _requirements(archetype, market, rows)
        for rows in np.split(rows_D, range(DAYS_AT_ONCE, rows_D.size, DAYS_AT_ONCE))
    ]
    hvar_D, filtered_D, shortfall_D, margin_D = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    usable = shortfall_D > 0.0
    requirements = {"hvar": hvar_D, "fhs-var": filtered_D, "margin": margin_D}
    if market.settings.tools:
        requirements["es"] = shortfall_D
        if usable.all():
            requirements |= {name: tool(shortfall_D) for name, tool in TOOLS.items()}
    measures = tuple(_judged(name, held_D, gains_D, level) for name, held_D in requirements.items())
    statistic = shortfall_z2(gains_D[usable], filtered_D[usable], shortfall_D[usable], level)
    return ArchetypeResult(archetype, gains_D, measures, statistic)


def _requirements(archetype: Archetype, market: _Market, rows_D: Ints) -> tuple[Floats, Floats, Floats, Floats]:
    """hvar, fhs-var, the shortfall without its floor, and margin, for a few days at once."""
    level, day = market.settings.level, market.day(rows_D)
    plain_DS = portfolio_pnl(archetype, day, market.scenarios(rows_D, market.returns_TF, None))
    filtered = market.scenarios(rows_D, market.standard_TF, market.volatility_TF[rows_D])
    filtered_DS = portfolio_pnl(archetype, day, filtered)
    long_run = market.scenarios(rows_D, market.standard_TF, market.long_run_TF[rows_D])
    floor_D = expected_shortfall_rows(portfolio_pnl(archetype, day, long_run), level)
    shortfall_D = expected_shortfall_rows(filtered_DS, level)
    margin_D = np.maximum(np.maximum(shortfall_D, floor_D), 0.0)
    return value_at_risk_rows(plain_DS, level), value_at_risk_rows(filtered_DS, level), shortfall_D, margin_D


def _judged(name: str, requirement_D: Floats, gains_D: Floats, level: float) -> MeasureResult:
    hits_D = exceedances(gains_D, requirement_D)
    cyclical = procyclicality_measures(requirement_D) if (requirement_D > 0.0).all() else None
    return MeasureResult(name, requirement_D, hits_D, coverage_report(hits_D, level), cyclical)


def _long_run_volatility(returns_TF: Floats) -> Floats:
    """Root mean square of the up to ``FLOOR_LOOKBACK`` returns before each, [T + 1, F]; the first row is zero."""
    total = np.concatenate([np.zeros((1, returns_TF.shape[1])), np.cumsum(returns_TF**2, axis=0)])
    rows = np.arange(total.shape[0])
    first = np.maximum(rows - FLOOR_LOOKBACK, 0)
    mean: Floats = (total[rows] - total[first]) / np.maximum(rows - first, 1)[:, None]
    root: Floats = np.sqrt(np.maximum(mean, 0.0))
    return root


def _ewma_beta(returns_TF: Floats, decay: float) -> Floats:
    """EWMA beta of the first factor to each, [T + 1, F]: covariance over variance, from sums and differences."""
    first = returns_TF[:, :1]
    covariance = (ewma_volatility(first + returns_TF, decay) ** 2 - ewma_volatility(first - returns_TF, decay) ** 2) / 4
    variance = ewma_volatility(returns_TF, decay) ** 2
    beta: Floats = np.where(variance > 0.0, covariance / np.where(variance > 0.0, variance, 1.0), 0.0)
    return beta


def report(run: Backtest) -> dict[str, object]:
    """The run as plain values for JSON; series are left out."""
    history = run.history
    return {
        "history": {
            "name": history.name,
            "factors": list(history.factors),
            "prices": len(history.times),
            "first": history.times[0].isoformat(),
            "last": history.times[-1].isoformat(),
            "periods_per_year": history.periods_per_year,
        },
        "settings": {
            "level": run.settings.level,
            "horizon": run.settings.horizon,
            "horizon_rule": "sqrt",
            "window": run.settings.window,
            "lambda": run.settings.decay,
            "burn_in": BURN_IN,
            "floor_lookback": FLOOR_LOOKBACK,
            "implied_multiple": IMPLIED_MULTIPLE,
            "tools": run.settings.tools,
        },
        "archetypes": [_archetype_report(result) for result in run.results],
        "not_measured": dict(run.not_measured),
    }


def _archetype_report(result: ArchetypeResult) -> dict[str, object]:
    return {
        "archetype": result.archetype.name,
        "portfolio": result.archetype.what,
        "worst_result": float(result.gains_D.min()),
        "shortfall_z2": result.shortfall_z2,
        "measures": [_measure_report(measure, result.gains_D) for measure in result.measures],
    }


def _measure_report(measure: MeasureResult, gains_D: Floats) -> dict[str, object]:
    coverage = measure.coverage
    excess = np.where(measure.hits_D, -gains_D - measure.requirement_D, 0.0)
    return {
        "measure": measure.measure,
        "mean_requirement": float(measure.requirement_D.mean()),
        "coverage": 1.0 - coverage.exceedances / coverage.observations,
        "largest_excess": float(excess.max()),
        **asdict(coverage),
        "procyclicality": None if measure.procyclicality is None else asdict(measure.procyclicality),
    }
