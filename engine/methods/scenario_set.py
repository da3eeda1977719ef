"""Scenario sets: joint moves of prices, volatilities and time, with weights.

Owns the reading of scenario records. Refuses to value anything under them.

A record states one price move: ``spot_multiplier`` (factor), ``spot`` (relative move), ``range_steps`` (times the
parameter ``price_range``), ``price_move_in_scan_ranges`` (times the absolute parameter ``price_scan_range``), or
``spot_of`` (relative move that the parameter so named states for each underlying, negated by a leading minus), or
``moves`` (relative move by underlying, 0 where absent: a joint historical scenario). And one volatility move:
``vol`` = up, down, none, skew_linear or skew_abs (laws of ``volatility_shock``), ``vol`` = a number (relative shock
at 30 days under the same term law), ``vol_move_in_scan_ranges`` (times the absolute parameter ``vol_scan_range``), or
``vol_moves`` (relative move by underlying). ``weight`` (or ``dampening``) multiplies PnL; ``days`` pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.methods.parameters import Parameters, as_number
from engine.methods.statement import ParameterMap
from engine.pricing.axes import Floats

VOL_MODES = ("none", "up", "down", "skew_linear", "skew_abs")
_PRICE = ("spot_multiplier", "spot", "range_steps", "price_move_in_scan_ranges", "spot_of", "moves")
_VOL = ("vol", "vol_move_in_scan_ranges", "vol_moves")
_KNOWN = {*_PRICE, *_VOL, "weight", "dampening", "days", "name", "number", "group"}


@dataclass(frozen=True, slots=True)
class ScenarioSet:
    """S scenarios over U underlyings. The shocked price is ``price x price_factor_US + price_shift_US``.
    ``vol_modes`` has one of ``VOL_MODES`` per scenario; in mode none, ``vol_relative_US`` is a shock at 30 days (term
    law applies), ``vol_factor_US`` a plain factor and ``vol_shift_US`` an absolute shift. ``groups`` are labels by
    which a component may pick scenarios (empty string: the core)."""

    names: tuple[str, ...]
    groups: tuple[str, ...]
    price_factor_US: Floats
    price_shift_US: Floats
    vol_modes: tuple[str, ...]
    vol_relative_US: Floats
    vol_factor_US: Floats
    vol_shift_US: Floats
    weight_S: Floats
    days_S: Floats


def scenario_set(
    records: Sequence[ParameterMap], units: Sequence[str], parameters: Sequence[Parameters]
) -> ScenarioSet:
    """The set that ``records`` state, for ``units`` with their ``parameters``; raises ``InvalidReference``."""
    count, shape = len(records), (len(units), len(records))
    factor, shift = np.ones(shape), np.zeros(shape)
    relative, plain, absolute = np.zeros(shape), np.ones(shape), np.zeros(shape)
    modes: list[str] = []
    for s, record in enumerate(records):
        path = f"scenarios[{s}]"
        _check(record, path)
        modes.append(_vol_mode(record, path))
        for u, unit in enumerate(units):
            factor[u, s], shift[u, s] = _price_move(record, unit, parameters[u], path)
            relative[u, s], plain[u, s], absolute[u, s] = _vol_move(record, unit, parameters[u], path)
    weight = [_number(record, "weight", _number(record, "dampening", 1.0, f"scenarios[{s}]"), f"scenarios[{s}]")
              for s, record in enumerate(records)]  # fmt: skip
    return ScenarioSet(
        names=tuple(_name(record, s) for s, record in enumerate(records)),
        groups=tuple(str(record.get("group", "")) for record in records),
        price_factor_US=factor, price_shift_US=shift, vol_modes=tuple(modes), vol_relative_US=relative,
        vol_factor_US=plain, vol_shift_US=absolute, weight_S=np.array(weight).reshape(count),
        days_S=np.array([_number(record, "days", 0.0, f"scenarios[{s}]") for s, record in enumerate(records)]),
    )  # fmt: skip


def _check(record: ParameterMap, path: str) -> None:
    for name in record:
        if name not in _KNOWN:
            raise InvalidReference(f"{path}.{name}", "is not a member of a scenario")
    for names in (_PRICE, _VOL):
        stated = [name for name in names if name in record]
        if len(stated) > 1:
            raise InvalidReference(f"{path}.{stated[1]}", f"cannot be stated beside {stated[0]}")


def _number(record: ParameterMap, name: str, default: float, path: str) -> float:
    return as_number(record[name], f"{path}.{name}") if name in record else default


def _price_move(record: ParameterMap, unit: str, parameters: Parameters, path: str) -> tuple[float, float]:
    if "spot_multiplier" in record:
        return _number(record, "spot_multiplier", 1.0, path), 0.0
    if "spot" in record:
        return 1.0 + _number(record, "spot", 0.0, path), 0.0
    if "range_steps" in record:
        return 1.0 + _number(record, "range_steps", 0.0, path) * parameters.number("price_range"), 0.0
    if "price_move_in_scan_ranges" in record:
        return 1.0, _number(record, "price_move_in_scan_ranges", 0.0, path) * parameters.number("price_scan_range")
    if "spot_of" in record:
        name = str(record["spot_of"])
        return 1.0 + parameters.number(name.removeprefix("-")) * (-1.0 if name.startswith("-") else 1.0), 0.0
    if "moves" in record:
        return 1.0 + _of_unit(record["moves"], unit, f"{path}.moves"), 0.0
    return 1.0, 0.0


def _vol_mode(record: ParameterMap, path: str) -> str:
    vol = record.get("vol", "none")
    if isinstance(vol, str) and vol in VOL_MODES:
        return vol
    try:
        as_number(vol, f"{path}.vol")
    except InvalidReference:
        raise InvalidReference(f"{path}.vol", f"must be one of {', '.join(VOL_MODES)}, or a number") from None
    return "none"


def _vol_move(record: ParameterMap, unit: str, parameters: Parameters, path: str) -> tuple[float, float, float]:
    if "vol" in record and record["vol"] not in VOL_MODES:
        return _number(record, "vol", 0.0, path), 1.0, 0.0
    if "vol_move_in_scan_ranges" in record:
        move = _number(record, "vol_move_in_scan_ranges", 0.0, path)
        return 0.0, 1.0, move * parameters.number("vol_scan_range")
    if "vol_moves" in record:
        return 0.0, 1.0 + _of_unit(record["vol_moves"], unit, f"{path}.vol_moves"), 0.0
    return 0.0, 1.0, 0.0


def _of_unit(moves: object, unit: str, field: str) -> float:
    if not isinstance(moves, Mapping):
        raise InvalidReference(field, "must be a table of moves by underlying")
    return as_number(moves[unit], f"{field}.{unit}") if unit in moves else 0.0


def _name(record: ParameterMap, index: int) -> str:
    if "name" in record:
        return str(record["name"])
    if "moves" in record:
        return f"joint {index + 1}"
    price = next((f"{name} {record[name]}" for name in _PRICE if name in record), "price unchanged")
    vol = next((f"{name} {record[name]}" for name in _VOL if name in record), "vol unchanged")
    return f"{price}, {vol}"
