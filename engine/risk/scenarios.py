"""Scenarios: the joint moves of price and volatility that a margin requirement must survive.

Owns their list, order and names. Refuses to value anything under them.

Per underlying: the core grid, price moves (steps x price range) each with volatility up, unchanged and down; then
the tails, moves beyond the range with volatility up, whose PnL counts at a weight. Order is that of the parameters;
between equal losses the earlier scenario binds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.pricing.axes import Floats, Ints
from engine.reference.parameters import RiskParameters
from engine.units import PPM

VOLATILITY_MOVES = ((1, "up"), (0, "unchanged"), (-1, "down"))
"""Column of the volatility factor (see ``ScenarioGrid.volatility_move_S``) and its name, in scenario order."""


@dataclass(frozen=True, slots=True)
class ScenarioGrid:
    """Scenarios of every underlying, sorted by its id: price factors (1 + move) [U, S], weights [S], and whether
    volatility goes up (1), stays (0) or goes down (-1) [S]. Shocks per 1.00 at 30 days and their term power [U]."""

    underlyings: tuple[str, ...]
    price_factor_US: Floats
    weight_S: Floats
    volatility_move_S: Ints
    volatility_up_U: Floats
    volatility_down_U: Floats
    volatility_power_U: Floats
    minimum_initial_U: Floats
    minimum_maintenance_U: Floats


def scenario_grid(parameters: RiskParameters) -> ScenarioGrid:
    """The grid of ``parameters`` as arrays. Moves are exact products of ppm, rounded once."""
    underlyings = tuple(sorted(parameters.underlyings))
    terms = [parameters.underlyings[name] for name in underlyings]
    moves_US = [_moves_e12(parameters, name) for name in underlyings]
    core = len(VOLATILITY_MOVES) * len(parameters.price_steps_ppm)
    weights = [1.0] * core + [tail.weight_ppm / PPM for tail in parameters.tails]
    volatility = [move for _ in parameters.price_steps_ppm for move, _ in VOLATILITY_MOVES]
    return ScenarioGrid(
        underlyings=underlyings,
        price_factor_US=np.array([[(PPM**2 + move) / PPM**2 for move in moves] for moves in moves_US]),
        weight_S=np.array(weights),
        volatility_move_S=np.array(volatility + [1] * len(parameters.tails), dtype=np.int64),
        volatility_up_U=np.array([term.volatility_up_ppm / PPM for term in terms]),
        volatility_down_U=np.array([term.volatility_down_ppm / PPM for term in terms]),
        volatility_power_U=np.array([term.volatility_term_power_ppm / PPM for term in terms]),
        minimum_initial_U=np.array([term.short_option_minimum_initial_ppm / PPM for term in terms]),
        minimum_maintenance_U=np.array([term.short_option_minimum_maintenance_ppm / PPM for term in terms]),
    )


def scenario_names(parameters: RiskParameters, underlying: str) -> tuple[str, ...]:
    """Names in grid order, e.g. ``price -16% vol up`` and ``tail -66% x0.21``; moves are exact decimals."""
    moves = [f"{_decimal(move, 10)}%" for move in _moves_e12(parameters, underlying)]
    core = len(VOLATILITY_MOVES) * len(parameters.price_steps_ppm)
    names = [f"price {move} vol {VOLATILITY_MOVES[s % 3][1]}" for s, move in enumerate(moves[:core])]
    tails = [
        f"tail {move} x{_decimal(tail.weight_ppm, 6).lstrip('+')}"
        for move, tail in zip(moves[core:], parameters.tails, strict=True)
    ]
    return tuple(names + tails)


def _moves_e12(parameters: RiskParameters, underlying: str) -> list[int]:
    """Relative price move of every scenario of ``underlying`` in 10^-12."""
    price_range = parameters.underlyings[underlying].price_range_ppm
    core = [step * price_range for step in parameters.price_steps_ppm for _ in VOLATILITY_MOVES]
    return core + [tail.price_move_ppm * PPM for tail in parameters.tails]


def _decimal(value: int, places: int) -> str:
    """``value`` x 10^-places in full, with a sign unless it is zero and without trailing zeros."""
    whole, fraction = divmod(abs(value), 10**places)
    digits = f"{fraction:0{places}d}".rstrip("0")
    text = f"{whole}.{digits}" if digits else str(whole)
    if value == 0:
        return text
    return f"-{text}" if value < 0 else f"+{text}"
