"""Joint scenarios made of history: filtered moves of the recent past, and moves of a stressed period as they were.

Owns which past days become scenarios, at what volatility and weight. Refuses to revalue portfolios. Axes: T
observations, oldest first, F factors, S scenarios. The set is a matrix, so that revaluing it is one product per
instrument and 500 scenarios of 1,000 instruments can be held and 100,000 accounts reduced in chunks
(``engine.statistics.shortfall_rows``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats
from engine.statistics.filtered import HorizonRule, ewma_volatility, filtered_moves, over_horizon
from engine.statistics.quantile_risk import age_weights
from engine.statistics.shortfall_rows import expected_shortfall_rows
from engine.statistics.tails import tail_probability


@dataclass(frozen=True, slots=True)
class JointMoves:
    """Scenarios of relative moves: a factor's value becomes value x (1 + ``moves_SF[s, f]``).

    Two blocks. Rows before ``stressed_from`` are filtered and their weights sum to 1; rows from it on are the stressed
    period, weighing alike and also summing to 1, and there may be none.
    """

    factors: tuple[str, ...]
    names: tuple[str, ...]
    moves_SF: Floats
    weights_S: Floats
    stressed_from: int

    def __post_init__(self) -> None:
        scenarios, factors = self.moves_SF.shape
        if factors != len(self.factors) or not scenarios == len(self.names) == self.weights_S.size:
            raise InvalidReference("moves", "one row per scenario name and weight, one column per factor")
        if not 0 < self.stressed_from <= scenarios:
            raise InvalidReference("stressed_from", f"{self.stressed_from} of {scenarios} scenarios")


def historical_scenarios(
    log_returns_TF: Floats,
    factors: Sequence[str],
    *,
    decay: float,
    level: float,
    scenarios: int = 500,
    burn_in: int = 100,
    horizon: int = 1,
    horizon_rule: HorizonRule = HorizonRule.SQRT,
    volatility_floor_F: Floats | None = None,
    age_decay: float = 1.0,
    stressed_window: tuple[int, int] | None = None,
    labels: Sequence[str] | None = None,
) -> JointMoves:
    """The last ``scenarios`` filtered joint moves, followed by those of ``stressed_window`` (first, last + 1; rows).

    ``decay`` is lam of the volatility, ``age_decay`` of the scenario weights (1: all alike), ``volatility_floor_F`` the
    least volatility per period that moves are rescaled to. Stressed moves keep the volatility they had. ``labels``
    names the observations, for instance by date. Raises ``InvalidReference`` where the history is too short, or where
    the tail 1 - ``level`` would hold less than one scenario.
    """
    returns = np.asarray(log_returns_TF, dtype=np.float64)
    if returns.ndim != 2 or returns.shape[1] != len(factors):
        raise InvalidReference("returns", f"shape {returns.shape} for {len(factors)} factors")
    tags = [str(t + 1) for t in range(returns.shape[0])] if labels is None else list(labels)
    if len(tags) != returns.shape[0]:
        raise InvalidReference("labels", f"{len(tags)} labels for {returns.shape[0]} observations")
    if scenarios * tail_probability(level) < 1:
        raise InvalidReference("scenarios", f"{scenarios} scenarios have no whole one beyond level {level}")
    target = ewma_volatility(returns, decay)[-1]
    if volatility_floor_F is not None:
        target = np.maximum(target, volatility_floor_F)
    moves = filtered_moves(
        returns, decay=decay, burn_in=burn_in, horizon=horizon, horizon_rule=horizon_rule, target_volatility_F=target
    )
    if moves.shape[0] < scenarios:
        raise InvalidReference("returns", f"{moves.shape[0]} moves after the burn-in, {scenarios} are needed")
    blocks, names = [moves[-scenarios:]], [f"filtered {tag}" for tag in tags[-scenarios:]]
    weights = [age_weights(scenarios, age_decay)]
    if stressed_window is not None:
        stressed = over_horizon(_window(returns, stressed_window), horizon, horizon_rule)
        blocks.append(stressed)
        names += [f"stressed {tag}" for tag in tags[stressed_window[1] - stressed.shape[0] : stressed_window[1]]]
        weights.append(age_weights(stressed.shape[0], 1.0))
    return JointMoves(
        tuple(factors), tuple(names), np.expm1(np.concatenate(blocks)), np.concatenate(weights), scenarios
    )


def floored_shortfall(pnl_AS: Floats, moves: JointMoves, level: float, stressed_share: float = 0.0) -> Floats:
    """Requirement [A] of portfolios revalued under ``moves``: expected shortfall of the filtered block, not below
    ``stressed_share`` of that of the stressed block, not below 0."""
    if pnl_AS.shape[1] != len(moves.names):
        raise InvalidReference("pnl", f"{pnl_AS.shape[1]} columns for {len(moves.names)} scenarios")
    if not stressed_share >= 0.0 or (stressed_share > 0.0 and moves.stressed_from == len(moves.names)):
        raise InvalidReference("stressed_share", f"{stressed_share}: negative, or the set has no stressed block")
    split = moves.stressed_from
    required = np.maximum(0.0, expected_shortfall_rows(pnl_AS[:, :split], level, moves.weights_S[:split]))
    if stressed_share > 0.0:
        stressed = expected_shortfall_rows(pnl_AS[:, split:], level, moves.weights_S[split:])
        required = np.maximum(required, stressed_share * stressed)
    return required


def _window(returns: Floats, window: tuple[int, int]) -> Floats:
    first, stop = window
    if not 0 <= first < stop <= returns.shape[0]:
        raise InvalidReference("stressed_window", f"rows {first} to {stop} of {returns.shape[0]} observations")
    return returns[first:stop]
