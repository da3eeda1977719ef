"""The requirement: a portfolio under a method, from components to initial and maintenance margin.

Owns the evaluation of a method on one pool. Refuses to know any method by name, and margin modes (``modes``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.venue_charges import stated_instead
from engine.methods.context import Charge, MarginContext
from engine.methods.formula import Formula, evaluate
from engine.methods.method import MarginMethod
from engine.methods.registry import COMPONENTS
from engine.methods.statement import StatedPortfolio
from engine.pricing.axes import Floats


@dataclass(frozen=True, slots=True)
class MarginResult:
    """What a method says about a portfolio, numeraire.

    ``equity`` is what the maintenance requirement is held against and ``equity_initial`` the initial one (they differ
    where a method weighs assets by purpose). Excess = equity - requirement: negative is a shortfall. ``units`` are
    the two requirements by underlying, ``charges`` every component's result by name.
    """

    method: str
    equity: float
    equity_initial: float
    initial_margin: float
    maintenance_margin: float
    units: Mapping[str, tuple[float, float]]
    charges: Mapping[str, Charge]
    context: MarginContext

    @property
    def margin_excess_initial(self) -> float:
        """Equity minus initial margin."""
        return self.equity_initial - self.initial_margin

    @property
    def margin_excess_maintenance(self) -> float:
        """Equity minus maintenance margin."""
        return self.equity - self.maintenance_margin


def pool_margin(portfolio: StatedPortfolio, method: MarginMethod, *, derived: bool = False) -> MarginResult:
    """Margin of ``portfolio`` as one pool, whatever its positions' modes; raises ``InvalidReference``.

    ``derived``: part of a portfolio that was margined before, whose parameters may be meant for what it lacks.
    """
    context = MarginContext(portfolio, method)
    charges: dict[str, Charge] = {}
    for use in method.components.values():
        component = COMPONENTS.get(use.kind)
        if component is None:
            raise InvalidReference(f"components.{use.name}.kind", f"{use.kind} is not a component")
        charges[use.name] = stated_instead(context, component(context, use.options), use.options)
    result = combined(context, charges, method)
    if not derived:
        context.refuse_unasked()
    return result


def combined(context: MarginContext, charges: Mapping[str, Charge], method: MarginMethod) -> MarginResult:
    """The result of the method's formulas on given charges: for explanations that hold a component fixed."""
    initial_U = _unit_amounts(method.initial, charges, context, initial=True)
    maintenance_U = _unit_amounts(method.maintenance, charges, context, initial=False)
    return MarginResult(
        method=method.name,
        equity=_account(method.equity, charges, context, maintenance_U, initial=False),
        equity_initial=_account(method.equity, charges, context, initial_U, initial=True),
        initial_margin=_account(method.account_initial, charges, context, initial_U, initial=True),
        maintenance_margin=_account(method.account_maintenance, charges, context, maintenance_U, initial=False),
        units={unit: (float(initial_U[u]), float(maintenance_U[u])) for u, unit in enumerate(context.units)},
        charges=charges,
        context=context,
    )


def _unit_amounts(formula: Formula, charges: Mapping[str, Charge], context: MarginContext, *, initial: bool) -> Floats:
    value = evaluate(formula, _names(charges, context, initial=initial, over_units=True))
    return np.broadcast_to(value, (len(context.units),)).astype(np.float64)


def _account(
    formula: Formula, charges: Mapping[str, Charge], context: MarginContext, unit_U: Floats, *, initial: bool
) -> float:
    names = _names(charges, context, initial=initial, over_units=False)
    value = evaluate(formula, lambda name: unit_U if name == "unit" else names(name))
    if value.ndim:
        raise InvalidReference("requirement", f"{formula.text!r} is not one amount: add units up with total(...)")
    return float(value)


def _names(
    charges: Mapping[str, Charge], context: MarginContext, *, initial: bool, over_units: bool
) -> Callable[[str], Floats]:
    def value_of(name: str) -> Floats:
        charge = charges.get(name)
        if charge is not None:
            return charge.initial if initial else charge.maintenance
        if over_units:
            return context.per_unit(name)
        return np.asarray(context.account_parameters.number(name), dtype=np.float64)

    return value_of
