"""The report of a margin method on a stated portfolio, and of all methods, ready for JSON.

Owns the shape of the answer. Refuses to compute what the engine computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from engine.methods.greeks import position_greeks
from engine.methods.method import MarginMethod
from engine.methods.requirement import MarginResult, pool_margin
from engine.methods.statement import StatedPortfolio


def method_report(portfolio: StatedPortfolio, method: MarginMethod) -> dict[str, object]:
    """Every figure of ``portfolio`` under ``method``; raises ``InvalidReference`` naming what is missing or wrong.

    ``scenarios`` are weighted net PnL by component and underlying; ``worst_scenario`` is the one with the largest loss.
    ``add_ons`` are the amounts of every component. Either excess is equity minus requirement.
    """
    result = pool_margin(portfolio, method)
    scenarios = _scenarios(result)
    worst = min(scenarios, key=_pnl, default=None)
    return {
        "account": portfolio.account,
        "method": method.name,
        "method_version": method.version,
        "equity": result.equity,
        "equity_initial": result.equity_initial,
        "initial_margin": result.initial_margin,
        "maintenance_margin": result.maintenance_margin,
        "margin_excess_initial": result.margin_excess_initial,
        "margin_excess_maintenance": result.margin_excess_maintenance,
        "mark_value": _total(result.charges["mark_value"].maintenance) if "mark_value" in result.charges else None,
        "worst_scenario": worst["name"] if worst is not None and _pnl(worst) < 0 else None,
        "worst_scenarios": _worst(result),
        "scenarios": scenarios,
        "add_ons": {
            name: {"initial": _total(charge.initial), "maintenance": _total(charge.maintenance)}
            for name, charge in result.charges.items()
        },
        "units": {unit: {"initial": initial, "maintenance": maintenance}
                  for unit, (initial, maintenance) in result.units.items()},
        "details": {name: _plain(charge.detail) for name, charge in result.charges.items() if charge.detail},
        "greeks": _greeks(result),
    }  # fmt: skip


def describe(method: MarginMethod) -> dict[str, object]:
    """What a method is: name, version, source, parameters with their defaults, components and formulas."""
    return {
        "name": method.name,
        "version": method.version,
        "source": method.source,
        "description": method.description,
        "coherent": method.coherent,
        "coherence": method.coherence,
        "parameters": _plain(method.parameters),
        "underlyings": _plain(method.underlyings),
        "allowed": sorted(method.allowed),
        "scenarios": len(method.scenarios),
        "components": {name: use.kind for name, use in method.components.items()},
        "requirement": {
            "initial": method.initial.text,
            "maintenance": method.maintenance.text,
            "account_initial": method.account_initial.text,
            "account_maintenance": method.account_maintenance.text,
            "equity": method.equity.text,
        },
    }


def _pnl(scenario: Mapping[str, object]) -> float:
    value = scenario["pnl"]
    assert isinstance(value, float)
    return value


def _scenarios(result: MarginResult) -> list[dict[str, object]]:
    units = result.context.units
    return [
        {
            "name": f"{units[u]}: {name}" if len(charge.scenario_pnl_US) == len(units) else name,
            "component": component,
            "pnl": float(charge.scenario_pnl_US[u, s]),
        }
        for component, charge in result.charges.items()
        if charge.scenario_pnl_US is not None
        for u in range(len(charge.scenario_pnl_US))
        for s, name in enumerate(charge.scenario_names)
    ]


def _worst(result: MarginResult) -> dict[str, dict[str, str]]:
    units = result.context.units
    worst: dict[str, dict[str, str]] = {}
    for component, charge in result.charges.items():
        if charge.worst_U is not None:
            names = units if len(charge.worst_U) == len(units) else ("account",)
            worst[component] = {
                name: charge.scenario_names[int(s)] for name, s in zip(names, charge.worst_U, strict=True) if s >= 0
            }
    return worst


def _greeks(result: MarginResult) -> dict[str, object]:
    context = result.context
    greeks = position_greeks(context)
    by_unit = {name: context.sum_by_unit(values) for name, values in greeks.items()}
    return {
        "underlyings": {
            unit: {name: float(values[u]) for name, values in by_unit.items()} for u, unit in enumerate(context.units)
        },
        "positions": [
            {"instrument": position.instrument, **{name: float(values[p]) for name, values in greeks.items()}}
            for p, position in enumerate(context.portfolio.positions)
        ],
    }


def _total(value: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(np.sum(value))


def _plain(value: object) -> object:
    """JSON's types: exact numbers as float64, arrays as lists."""
    if isinstance(value, Decimal | np.floating):
        return float(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [_plain(item) for item in value]
    return value
