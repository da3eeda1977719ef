"""Filtered historical simulation: past joint moves, rescaled from the volatility of their day to that of today.

Owns the EWMA recursion, the rescaling and the horizon. Refuses to know prices. Axes: T observations, oldest first,
F factors, S scenarios. Every factor is rescaled by its own volatility and a scenario keeps the moves of one day
together, so correlations are those of the data and no matrix is estimated.

    v(1) = x(1)^2,  v(t+1) = lam v(t) + (1 - lam) x(t)^2,  move(t) = x(t) sigma(T+1) / sigma(t)

Sources: RiskMetrics Technical Document (1996) for the recursion; Barone-Adesi, Giannopoulos and Vosper, "VaR without
correlations for portfolios of derivative securities", J. Futures Markets 19 (1999); Hull and White, J. Risk 1 (1998).
"""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats


class HorizonRule(StrEnum):
    """How one-period moves become moves over several periods."""

    SQRT = "sqrt"
    """One-period moves times the square root of the horizon: as many scenarios, no autocorrelation."""
    OVERLAPPING = "overlapping"
    """Sums of consecutive rescaled moves, each starting one period after the last: keeps autocorrelation and is exact
    for log returns; neighbors share data, so n scenarios hold less information than n independent ones."""


def decay_of_half_life(periods: float) -> float:
    """lam with lam^periods = 1/2."""
    if not periods > 0.0:
        raise InvalidReference("half_life", f"{periods} is not a positive number of periods")
    return float(0.5 ** (1.0 / periods))


def ewma_volatility(returns_TF: Floats, decay: float) -> Floats:
    """Volatility forecast of every period before it is seen, shape [T + 1, F]; the last row is the current one.

    Row t uses observations before t only, except that v(1) = x(1)^2 starts from the first: drop a burn-in. Accepts a
    single factor as a vector [T] and then returns [T + 1]. Per period, not annualized.
    """
    returns = _checked_returns(returns_TF)
    _check_decay(decay)
    squares = returns**2
    variance = np.empty((returns.shape[0] + 1, *returns.shape[1:]))
    variance[0] = squares[0]
    for t in range(returns.shape[0]):
        variance[t + 1] = decay * variance[t] + (1.0 - decay) * squares[t]
    return np.sqrt(variance)


def filtered_moves(
    returns_TF: Floats,
    *,
    decay: float,
    burn_in: int = 100,
    horizon: int = 1,
    horizon_rule: HorizonRule = HorizonRule.SQRT,
    target_volatility_F: Floats | None = None,
) -> Floats:
    """Joint moves [S, F] at today's volatility, oldest first; the first ``burn_in`` observations only feed the filter.

    ``target_volatility_F`` replaces sigma(T+1) as the volatility that moves are rescaled to: a floor, a stressed or a
    long-run one. S = T - burn_in, less horizon - 1 with ``HorizonRule.OVERLAPPING``. A vector [T] gives a vector [S].
    """
    returns = _checked_returns(returns_TF)
    if not 0 <= burn_in < returns.shape[0]:
        raise InvalidReference("burn_in", f"{burn_in} of {returns.shape[0]} observations")
    volatility = ewma_volatility(returns, decay)
    target = volatility[-1] if target_volatility_F is None else np.asarray(target_volatility_F, dtype=np.float64)
    if target.shape != returns.shape[1:] or not np.isfinite(target).all() or (target < 0.0).any():
        raise InvalidReference("target_volatility", "one finite non-negative number per factor is needed")
    standard = standardized(returns, volatility[:-1])[burn_in:]
    return over_horizon(standard, horizon, horizon_rule) * target


def standardized(returns_TF: Floats, volatility_TF: Floats) -> Floats:
    """Returns over the volatility that was forecast for them; 0 where a factor has not moved yet.

    A first move after no movement at all has no scale: the forecast of zero was wrong, and no multiple of it is right.
    It raises ``InvalidReference``: give a longer history.
    """
    flat = volatility_TF == 0.0
    if (flat & (returns_TF != 0.0)).any():
        raise InvalidReference("returns", "a factor moves for the first time after standing still: no volatility yet")
    return returns_TF / np.where(flat, 1.0, volatility_TF)


def over_horizon(moves_SF: Floats, horizon: int, rule: HorizonRule) -> Floats:
    """One-period moves turned into moves over ``horizon`` periods by ``rule``."""
    if not 1 <= horizon <= moves_SF.shape[0]:
        raise InvalidReference("horizon", f"{horizon} periods with {moves_SF.shape[0]} observations")
    if rule is HorizonRule.SQRT:
        return moves_SF * math.sqrt(horizon)
    total = np.concatenate([np.zeros((1, *moves_SF.shape[1:])), np.cumsum(moves_SF, axis=0)])
    sums: Floats = total[horizon:] - total[:-horizon]
    return sums


def _checked_returns(returns_TF: Floats) -> Floats:
    returns = np.asarray(returns_TF, dtype=np.float64)
    if returns.ndim not in (1, 2) or returns.size == 0:
        raise InvalidReference("returns", f"observations by factors are needed, not shape {returns.shape}")
    if not np.isfinite(returns).all():
        row = int(np.argwhere(~np.isfinite(returns))[0, 0])
        raise InvalidReference("returns", f"observation {row + 1} is not finite")
    return returns


def _check_decay(decay: float) -> None:
    if not 0.0 < decay < 1.0:
        raise InvalidReference("decay", f"{decay} is not between 0 and 1")
