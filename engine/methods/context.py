"""What a component sees: the portfolio under one method, its arrays, parameters and scenarios.

Owns the order in which parameters are looked up. Refuses charges and formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np

from engine.errors import InvalidReference
from engine.methods.correlations import correlation_matrix
from engine.methods.method import MarginMethod
from engine.methods.parameters import Parameters
from engine.methods.scenario_set import ScenarioSet, scenario_set
from engine.methods.statement import ParameterMap, StatedCollateral, StatedPortfolio, StatedPosition
from engine.methods.table import PositionTable, position_table
from engine.pricing.axes import Floats, Ints


@dataclass(frozen=True, slots=True)
class Charge:
    """A component's result, in the numeraire: for the initial and the maintenance requirement, each of shape [U]
    (one amount per margin unit) or [] (one for the account). A component used with one sign only keeps that sign: a
    loss or charge is positive, a value that can be either says so. ``detail`` is shown as it is by an explanation;
    ``scenario_pnl_US`` and ``worst_U`` are there for components that have scenarios (worst: index, -1 for none)."""

    initial: Floats
    maintenance: Floats
    detail: Mapping[str, object] = field(default_factory=dict)
    scenario_names: tuple[str, ...] = ()
    scenario_pnl_US: Floats | None = None
    worst_U: Ints | None = None


def same_charge(value: Floats, **detail: object) -> Charge:
    """A charge that is the same for both requirements."""
    return Charge(value, value, detail)


class MarginContext:
    """One portfolio under one method. Arrays are computed on first use and kept."""

    def __init__(self, portfolio: StatedPortfolio, method: MarginMethod) -> None:
        self.portfolio = portfolio
        self.method = method
        self.units = tuple(portfolio.markets)
        self._asked: set[str] = set()
        self.account_parameters = Parameters(portfolio.parameters, method.parameters, asked=self._asked)
        known = {*method.parameters, *method.allowed, *(n for table in method.underlyings.values() for n in table)}
        self._known = frozenset(known)
        for name in portfolio.parameters:
            if name not in known:
                raise InvalidReference(f"parameters.{name}", f"is not a parameter of {method.name}")
        self.correlation_UU = correlation_matrix(portfolio.correlations, self.units)
        for path, parameters in self._parameter_sets():
            for lower, upper in method.ordered:
                if (
                    parameters.has(lower)
                    and parameters.has(upper)
                    and parameters.exact(lower) > parameters.exact(upper)
                ):
                    raise InvalidReference(f"{path}parameters.{lower}", f"must not be above {upper}")

    def _parameter_sets(self) -> Iterator[tuple[str, Parameters]]:
        yield "", self.account_parameters
        for unit in self.units:
            yield f"markets.{unit}.", self.unit_parameters(unit)
        for i, position in enumerate(self.portfolio.positions):
            if position.parameters and position.underlying in self.portfolio.markets:
                yield f"positions[{i}].", self.position_parameters(position)

    def unit_parameters(self, unit: str) -> Parameters:
        """Parameters of one underlying: its market's, the account's, the method's for it, the method's."""
        portfolio, method = self.portfolio, self.method
        return Parameters(
            portfolio.markets[unit].parameters,
            portfolio.parameters,
            method.underlyings.get(unit, {}),
            method.parameters,
            asked=self._asked,
        )

    def position_parameters(self, position: StatedPosition) -> Parameters:
        """Parameters of one position: its own before its underlying's."""
        return self.unit_parameters(position.underlying).over(position.parameters)

    def collateral_parameters(self, collateral: StatedCollateral) -> Parameters:
        """Parameters of one collateral entry: its own, the account's, the method's table ``assets`` for the asset,
        the method's."""
        assets = self.method.parameters.get("assets", {})
        own = assets.get(collateral.asset, {}) if isinstance(assets, Mapping) else {}
        if not isinstance(own, Mapping):
            raise InvalidReference(f"parameters.assets.{collateral.asset}", "must be a table")
        maps = (collateral.parameters, self.portfolio.parameters, own, self.method.parameters)
        return Parameters(*maps, asked=self._asked)

    def refuse_unasked(self) -> None:
        """Once every component has run: refuse a name, stated for a market, a position or a collateral entry, that the
        method neither has nor asked for. It would be a mistake without an effect."""
        portfolio = self.portfolio
        stated = [(f"markets.{unit}", market.parameters) for unit, market in portfolio.markets.items()]
        stated += [(f"positions[{i}]", position.parameters) for i, position in enumerate(portfolio.positions)]
        stated += [(f"collateral[{i}]", entry.parameters) for i, entry in enumerate(portfolio.collateral)]
        for path, parameters in stated:
            for name in parameters:
                if name not in self._known and name not in self._asked:
                    raise InvalidReference(f"{path}.parameters.{name}", f"is not a parameter of {self.method.name}")

    def per_unit(self, name: str, default: float | None = None) -> Floats:
        """The number ``name`` for every underlying, [U]."""
        return np.array([self.unit_parameters(unit).number(name, default) for unit in self.units])

    def per_position(self, name: str, default: float | None = None) -> Floats:
        """The number ``name`` for every position, [P]."""
        return np.array(
            [self.position_parameters(position).number(name, default) for position in self.portfolio.positions]
        )

    def sum_by_unit(self, value_P: Floats) -> Floats:
        """Sums of a position array by underlying; the last axes are kept: [P, ...] to [U, ...]."""
        result = np.zeros((len(self.units), *value_P.shape[1:]))
        np.add.at(result, self.table.unit_P, value_P)
        return result

    @cached_property
    def table(self) -> PositionTable:
        """All positions as arrays. The method's flags ``discount_options`` and ``expired_at_intrinsic`` say whether
        option values are discounted and whether an expired option may wait for its settlement."""
        parameters = self.account_parameters
        return position_table(
            self.portfolio,
            discounted=parameters.flag("discount_options"),
            expired_allowed=parameters.flag("expired_at_intrinsic"),
        )

    @cached_property
    def scenarios(self) -> ScenarioSet:
        """The portfolio's scenarios if it states any, else the method's."""
        records = self.portfolio.scenarios if self.portfolio.scenarios is not None else self.method.scenarios
        return self.scenario_set(records)

    def scenario_set(self, records: Sequence[ParameterMap]) -> ScenarioSet:
        """A set from records of its own, for components that have more than one."""
        return scenario_set(records, self.units, [self.unit_parameters(unit) for unit in self.units])


Component: TypeAlias = Callable[[MarginContext, ParameterMap], Charge]
"""A component: (context, options of its use in the method's file) to a charge."""
