"""Losses under joint moves of history: expected shortfall of the pool, all underlyings at once.

Owns the way from stated returns to scenarios of prices, volatilities and time. Refuses the statistics
(``engine.statistics``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.scenario_losses import hedging_collateral
from engine.methods.context import Charge, Component, MarginContext
from engine.methods.parameters import as_number
from engine.methods.revaluation import revalue
from engine.methods.scenario_set import ScenarioSet
from engine.methods.statement import ParameterMap, ParameterValue
from engine.pricing.axes import Floats
from engine.statistics.scenario_sets import JointMoves, floored_shortfall, historical_scenarios

VOLATILITY_SUFFIX = ".vol"


def historical_shortfall(context: MarginContext, options: ParameterMap) -> Charge:
    """Expected shortfall of the whole pool, [], under filtered historical simulation.

    Parameter ``history``: log returns per day by underlying, oldest first, all of one length; ``BTC.vol`` are log
    changes of BTC's implied volatility of the same days. Correlations are the data's: a scenario is one day's joint
    move, rescaled to today's volatility. Options are revalued in full, ``horizon_days`` of time pass. The initial
    charge is the shortfall at ``level``, the maintenance charge at ``maintenance_level``; both not below
    ``stressed_share`` of that of ``stressed_window`` (first row, last + 1), if one is stated. Without a history the
    charge is 0 and says so; a history that lacks an underlying of the pool is refused.
    """
    parameters = context.account_parameters
    if not parameters.has("history"):
        zero = np.zeros(())
        return Charge(zero, zero, {"history": "none stated: the scenario grid alone decides"})
    factors, returns_TF = _returns(parameters.mapping("history"), context.units)
    horizon = int(parameters.number("horizon_days", 1.0))
    window = parameters.numbers("stressed_window") if parameters.has("stressed_window") else None
    moves = historical_scenarios(
        returns_TF, factors,
        decay=parameters.number("volatility_decay"), level=parameters.number("level"),
        scenarios=int(parameters.number("history_scenarios")), burn_in=int(parameters.number("burn_in")),
        horizon=horizon, stressed_window=None if window is None else (int(window[0]), int(window[1])),
    )  # fmt: skip
    scenarios = joint_set(context.units, moves, horizon)
    pnl_S = revalue(context, scenarios).pnl_PS.sum(axis=0)
    pnl_S = pnl_S + (hedging_collateral(context)[:, None] * (scenarios.price_factor_US - 1.0)).sum(axis=0)
    share = parameters.number("stressed_share", 0.0) if window is not None else 0.0
    losses = [
        float(floored_shortfall(pnl_S[None, :], moves, parameters.number(level), share)[0])
        for level in ("level", "maintenance_level")
    ]
    worst = np.array([int(np.argmin(pnl_S))])
    return Charge(np.asarray(losses[0]), np.asarray(losses[1]), {}, moves.names, pnl_S[None, :], worst)


def joint_set(units: Sequence[str], moves: JointMoves, horizon_days: float) -> ScenarioSet:
    """Joint moves as a scenario set of ``units``; days pass. An underlying's volatility moves with its own factor."""
    count = len(moves.names)
    column = {name: f for f, name in enumerate(moves.factors)}
    factor_US, vol_US = np.ones((len(units), count)), np.ones((len(units), count))
    for u, unit in enumerate(units):
        factor_US[u] += moves.moves_SF[:, column[unit]]
        if unit + VOLATILITY_SUFFIX in column:
            vol_US[u] += moves.moves_SF[:, column[unit + VOLATILITY_SUFFIX]]
    flat_US = np.zeros_like(factor_US)
    return ScenarioSet(
        moves.names, ("",) * count, factor_US, flat_US, ("none",) * count, flat_US, vol_US, flat_US,
        np.ones(count), np.full(count, float(horizon_days)),
    )  # fmt: skip


def _returns(history: ParameterMap, units: Sequence[str]) -> tuple[tuple[str, ...], Floats]:
    """Factors of the pool and their returns, [T, F]."""
    for unit in units:
        if unit not in history:
            raise InvalidReference(f"parameters.history.{unit}", "is missing")
    factors = tuple(f for unit in units for f in (unit, unit + VOLATILITY_SUFFIX) if f in history)
    columns = [_column(history[name], f"parameters.history.{name}") for name in factors]
    for name, column in zip(factors, columns, strict=True):
        if len(column) != len(columns[0]):
            raise InvalidReference(
                f"parameters.history.{name}", f"{len(column)} returns, others have {len(columns[0])}"
            )
    return factors, np.array(columns).T


def _column(value: ParameterValue, field: str) -> list[float]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidReference(field, "must be a list of log returns")
    return [as_number(item, f"{field}[{i}]") for i, item in enumerate(value)]


COMPONENTS: Mapping[str, Component] = {"historical_shortfall": historical_shortfall}
