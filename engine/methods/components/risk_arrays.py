"""Risk arrays: the gain or loss of every position in every scenario, revalued or as a clearing house states it.

Owns stated arrays and ranges that differ by position. Refuses to net and to charge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from engine.errors import InvalidReference
from engine.methods.context import MarginContext
from engine.methods.parameters import Parameters, as_number
from engine.methods.revaluation import revalue
from engine.methods.scenario_set import scenario_set
from engine.methods.statement import ParameterMap
from engine.pricing.axes import Floats, Ints

TIE_TOLERANCE = 1e-12
"""Losses this close, relative to the largest, are the same loss: sums of floats must not decide a scenario's number."""

Records: TypeAlias = Sequence[ParameterMap]


@dataclass(frozen=True, slots=True)
class RiskArrays:
    """Weighted PnL of whole positions, [P, S], gains positive. ``names`` and ``numbers`` are the scenarios';
    ``price_moves_S`` and ``vol_moves_S`` their moves in ranges (0 where a record states another kind of move)."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    price_moves_S: Floats
    vol_moves_S: Floats
    pnl_PS: Floats


def risk_arrays(
    context: MarginContext, ranges: Sequence[str], records_of: Callable[[Parameters], Records]
) -> RiskArrays:
    """Arrays of all positions; raises ``InvalidReference``.

    A position with ``scenario_pnl`` has quantity x that array: it is one long contract's and already weighted. Every
    other one is revalued under ``records_of`` its own parameters, of which ``ranges`` are those that may differ by
    position.
    """
    positions = context.portfolio.positions
    records = records_of(context.account_parameters)
    stated = [len(p.scenario_pnl) for p in positions if p.scenario_pnl is not None]
    count = stated[0] if stated and len(stated) == len(positions) else len(records)
    pnl_PS = np.zeros((len(positions), count))
    groups: dict[tuple[object, ...], list[int]] = {}
    for p, position in enumerate(positions):
        if position.scenario_pnl is None:
            own = context.position_parameters(position)
            groups.setdefault(tuple(own.get(name) for name in ranges), []).append(p)
            continue
        if len(position.scenario_pnl) != count:
            raise InvalidReference(f"positions[{p}].scenario_pnl", f"must have {count} values")
        pnl_PS[p] = float(position.quantity) * np.array([float(value) for value in position.scenario_pnl])
    for members in groups.values():
        pnl_PS[members] = _revalued(context, members, ranges, records_of)
    known = records if len(records) == count else tuple({} for _ in range(count))
    return RiskArrays(
        names=tuple(_name(record, s) for s, record in enumerate(known)),
        numbers=tuple(_number(record, s) for s, record in enumerate(known)),
        price_moves_S=_moves(known, "price_move_in_scan_ranges"),
        vol_moves_S=_moves(known, "vol_move_in_scan_ranges"),
        pnl_PS=pnl_PS,
    )


def _revalued(
    context: MarginContext, members: list[int], ranges: Sequence[str], records_of: Callable[[Parameters], Records]
) -> Floats:
    """Arrays of positions that share their ranges."""
    own = context.position_parameters(context.portfolio.positions[members[0]])
    shared = {name: value for name in ranges if (value := own.get(name)) is not None}
    parameters = [context.unit_parameters(unit).over(shared) for unit in context.units]
    scenarios = scenario_set(records_of(own), context.units, parameters)
    pnl_PS = revalue(context, scenarios).pnl_PS * scenarios.weight_S
    result: Floats = pnl_PS[members]
    return result


def largest_loss(pnl_US: Floats) -> tuple[Floats, Ints]:
    """Largest loss of each row, >= 0, and the first scenario that has it (-1: no loss)."""
    if not pnl_US.shape[1]:
        return np.zeros(len(pnl_US)), np.full(len(pnl_US), -1, dtype=np.int64)
    least_U = pnl_US.min(axis=1)
    slack_U = TIE_TOLERANCE * np.abs(pnl_US).max(axis=1)
    first_U = np.argmax(pnl_US <= (least_U + slack_U)[:, None], axis=1)
    return np.maximum(-least_U, 0.0), np.where(least_U < 0.0, first_U, -1)


def _moves(records: Records, name: str) -> Floats:
    return np.array([as_number(r[name], f"scenarios[{s}].{name}") if name in r else 0.0 for s, r in enumerate(records)])


def _number(record: ParameterMap, index: int) -> int:
    return int(as_number(record["number"], f"scenarios[{index}].number")) if "number" in record else index + 1


def _name(record: ParameterMap, index: int) -> str:
    return str(record["name"]) if "name" in record else f"scenario {_number(record, index)}"
