"""Margin methods from their files, and stated portfolios from their documents.

Owns the way from TOML and JSON to the engine's values. Refuses to compute.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import TypeVar

import msgspec

from engine.errors import InvalidReference
from engine.methods.method import MarginMethod, parse_method
from engine.methods.parameters import as_exact
from engine.methods.statement import (
    MarginMode,
    ParameterMap,
    ParameterValue,
    PositionKind,
    StatedCollateral,
    StatedExpiry,
    StatedMarket,
    StatedOrder,
    StatedPortfolio,
    StatedPosition,
)
from schemas.errors import Reason, SchemaError
from schemas.stated_portfolio import StatedCollateralV2, StatedMarketV2, StatedPortfolioV2, StatedPositionV2

METHOD_FILES = "schemas.methods"

Value = TypeVar("Value")


@cache
def load_methods() -> Mapping[str, MarginMethod]:
    """Every shipped method by name, sorted; raises ``InvalidReference`` for a file that is wrong."""
    methods = {}
    for file in sorted(files(METHOD_FILES).iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            try:
                method = read_method(file.read_text())
            except (InvalidReference, ValueError) as error:
                raise InvalidReference(file.name, str(error)) from error
            if file.name != f"{method.name}.toml":
                raise InvalidReference(f"{file.name}: name", f"must be the file's, not {method.name}")
            methods[method.name] = method
    return methods


def read_method(text: str) -> MarginMethod:
    """The method that a TOML text states; raises ``InvalidReference``."""
    try:
        plain = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise InvalidReference("method", str(error)) from error
    return parse_method(open_map(plain, ""))


def open_map(table: Mapping[str, object], field: str) -> ParameterMap:
    """Tables, lists, strings, booleans and numbers (as ``Decimal``); raises ``InvalidReference`` for anything else."""
    return {name: _open_value(value, f"{field}.{name}".lstrip(".")) for name, value in table.items()}


def _open_value(value: object, field: str) -> ParameterValue:
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int):
        return as_exact(Decimal(value), field)
    if isinstance(value, Decimal):
        return as_exact(value, field)
    if isinstance(value, Mapping):
        return open_map(value, field)
    if isinstance(value, Sequence):
        return tuple(_open_value(item, f"{field}[{i}]") for i, item in enumerate(value))
    raise InvalidReference(field, f"a {type(value).__name__} is not a parameter")


def read_statement(document: StatedPortfolioV2) -> StatedPortfolio:
    """The portfolio that a document states; raises ``SchemaError`` or ``InvalidReference`` naming the field."""
    _finite(document, "")
    positions = tuple(_position(i, p) for i, p in enumerate(document.positions))
    names: set[str] = set()
    for i, position in enumerate(positions):
        if position.instrument in names:
            raise SchemaError(Reason.OUT_OF_RANGE, f"positions[{i}].instrument", f"{position.instrument} is held twice")
        names.add(position.instrument)
    for i, order in enumerate(document.orders):
        if order.instrument not in names:
            raise SchemaError(
                Reason.OUT_OF_RANGE, f"orders[{i}].instrument", f"{order.instrument} is not among positions"
            )
    if document.stable_price <= 0:
        raise SchemaError(Reason.OUT_OF_RANGE, "stable_price", "must be positive")
    return StatedPortfolio(
        account=document.account,
        cash=document.cash,
        stable_price=document.stable_price,
        markets={name: _market(name, market) for name, market in document.markets.items()},
        positions=positions,
        collateral=tuple(_collateral(i, entry) for i, entry in enumerate(document.collateral)),
        orders=tuple(_same(StatedOrder, order) for order in document.orders),
        parameters=open_map(document.parameters, "parameters"),
        scenarios=None
        if document.scenarios is None
        else tuple(open_map(record, f"scenarios[{i}]") for i, record in enumerate(document.scenarios)),
        correlations=document.correlations,
    )


def _market(name: str, market: StatedMarketV2) -> StatedMarket:
    path = f"markets.{name}"
    expiries = {key: _same(StatedExpiry, expiry, name=key) for key, expiry in market.expiries.items()}
    return _same(
        StatedMarket,
        market,
        underlying=name,
        expiries=expiries,
        parameters=open_map(market.parameters, f"{path}.parameters"),
    )


def _position(index: int, record: StatedPositionV2) -> StatedPosition:
    path = f"positions[{index}]"
    return _same(
        StatedPosition,
        record,
        instrument=record.instrument or f"{record.kind}-{index + 1}",
        kind=PositionKind(record.kind),
        mode=MarginMode(record.mode),
        parameters=open_map(record.parameters, f"{path}.parameters"),
    )


def _same(target: type[Value], record: msgspec.Struct, /, **changed: object) -> Value:
    """``target`` from the members of ``record`` that have the same name."""
    shared = {field.name: getattr(record, field.name) for field in fields(target) if hasattr(record, field.name)}  # type: ignore[arg-type]
    return target(**{**shared, **changed})


def _collateral(index: int, record: StatedCollateralV2) -> StatedCollateral:
    path = f"collateral[{index}]"
    try:
        return _same(StatedCollateral, record, parameters=open_map(record.parameters, f"{path}.parameters"))
    except InvalidReference as error:
        raise InvalidReference(
            error.field if error.field.startswith(path) else f"{path}.{error.field}", error.detail
        ) from error


def _finite(value: object, path: str) -> None:
    """Refuse what ``Decimal`` can spell and a market cannot: infinities, NaN and absurd magnitudes."""
    if isinstance(value, Decimal):
        as_exact(value, path)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _finite(getattr(value, name), f"{path}.{name}".lstrip("."))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _finite(item, f"{path}.{name}")
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            _finite(item, f"{path}[{i}]")
