"""A margin method: a name, a version, a source, parameters, components and the formulas that combine them.

Owns the shape of a method and its checks. A method is data: its file names components of ``engine.methods.registry``
and no method has a code path that another could not name. Refuses to compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import InvalidReference
from engine.methods.formula import Formula, parse_formula
from engine.methods.statement import ParameterMap

ACCOUNT_DEFAULT = "total(unit)"


@dataclass(frozen=True, slots=True)
class ComponentUse:
    """A component of a method: the registered ``kind`` that computes it, and its options (structural choices that a
    portfolio cannot override, unlike parameters)."""

    name: str
    kind: str
    options: ParameterMap


@dataclass(frozen=True, slots=True)
class MarginMethod:
    """``initial`` and ``maintenance`` are formulas of one margin unit (underlying); ``account_*`` combine the units'
    results (named ``unit``) and account-wide components. ``equity`` is what the requirement is held against.
    ``coherent`` says whether netting can never raise the requirement, ``coherence`` why or why not."""

    name: str
    version: str
    source: str
    description: str
    coherent: bool
    coherence: str
    parameters: ParameterMap
    underlyings: Mapping[str, ParameterMap]
    scenarios: tuple[ParameterMap, ...]
    components: Mapping[str, ComponentUse]
    initial: Formula
    maintenance: Formula
    account_initial: Formula
    account_maintenance: Formula
    equity: Formula
    allowed: frozenset[str] = field(default_factory=frozenset)
    """Parameters that a portfolio may state although the method has no default for them."""
    ordered: tuple[tuple[str, str], ...] = ()
    """Pairs of parameters of which the first must not be above the second (maintenance and initial rates)."""


def parse_method(document: ParameterMap) -> MarginMethod:
    """The method that a file states (tables as mappings, numbers as ``Decimal``); raises ``InvalidReference``."""
    known = {
        "name", "version", "source", "description", "coherent", "coherence", "parameters", "underlyings", "scenarios",
        "components", "requirement", "allowed", "ordered",
    }  # fmt: skip
    for name in document:
        if name not in known:
            raise InvalidReference(name, "is not a member of a method")
    requirement = _texts(_table(document, "requirement"), "requirement")
    components = {name: _component(name, use) for name, use in _table(document, "components").items()}
    for name in requirement:
        if name not in ("initial", "maintenance", "account_initial", "account_maintenance", "equity"):
            raise InvalidReference(f"requirement.{name}", "is not a formula of a method")
    return MarginMethod(
        name=_text(document, "name"),
        version=_text(document, "version"),
        source=_text(document, "source"),
        description=_text(document, "description"),
        coherent=document.get("coherent") is True,
        coherence=_text(document, "coherence"),
        parameters=_table(document, "parameters"),
        underlyings={
            name: _as_table(value, f"underlyings.{name}") for name, value in _table(document, "underlyings").items()
        },
        scenarios=_tables(document, "scenarios"),
        components=components,
        initial=parse_formula(requirement.get("initial", "0"), "requirement.initial"),
        maintenance=parse_formula(requirement.get("maintenance", "0"), "requirement.maintenance"),
        account_initial=parse_formula(
            requirement.get("account_initial", ACCOUNT_DEFAULT), "requirement.account_initial"
        ),
        account_maintenance=parse_formula(
            requirement.get("account_maintenance", ACCOUNT_DEFAULT), "requirement.account_maintenance"
        ),
        equity=parse_formula(requirement.get("equity", "total(mark_value)"), "requirement.equity"),
        allowed=_names(document, "allowed"),
        ordered=_pairs(document, "ordered"),
    )


def _component(name: str, value: object) -> ComponentUse:
    table = _as_table(value, f"components.{name}")
    kind = _text(table, "kind", f"components.{name}.")
    return ComponentUse(name, kind, {key: option for key, option in table.items() if key != "kind"})


def _table(document: ParameterMap, name: str) -> ParameterMap:
    return _as_table(document.get(name, {}), name)


def _as_table(value: object, field: str) -> ParameterMap:
    if not isinstance(value, Mapping):
        raise InvalidReference(field, "must be a table")
    return value


def _tables(document: ParameterMap, name: str) -> tuple[ParameterMap, ...]:
    value = document.get(name, ())
    if not isinstance(value, list | tuple):
        raise InvalidReference(name, "must be a list of tables")
    return tuple(_as_table(item, f"{name}[{i}]") for i, item in enumerate(value))


def _names(document: ParameterMap, name: str) -> frozenset[str]:
    value = document.get(name, ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise InvalidReference(name, "must be a list of names")
    return frozenset(str(item) for item in value)


def _pairs(document: ParameterMap, name: str) -> tuple[tuple[str, str], ...]:
    value = document.get(name, ())
    if not isinstance(value, list | tuple):
        raise InvalidReference(name, "must be a list of pairs")
    pairs = []
    for i, pair in enumerate(value):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(item, str) for item in pair):
            raise InvalidReference(f"{name}[{i}]", "must be a pair of parameter names")
        pairs.append((str(pair[0]), str(pair[1])))
    return tuple(pairs)


def _texts(table: ParameterMap, field: str) -> dict[str, str]:
    return {name: _text(table, name, f"{field}.") for name in table}


def _text(table: ParameterMap, name: str, prefix: str = "") -> str:
    value = table.get(name)
    if not isinstance(value, str):
        raise InvalidReference(f"{prefix}{name}", "must be a string" if value is not None else "is missing")
    return value
