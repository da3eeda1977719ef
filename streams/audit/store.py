"""The narrow door to the database: what the writer, the migrations and the queries may ask of it.

Owns the interface and the two things both implementations share: placeholders in SQL and the check that a value fits
its column. Refuses SQL of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final, Protocol

from streams.audit.blocks import Block
from streams.audit.bulk import encode_bulk
from streams.audit.errors import AuditRefused, ValueUnfit
from streams.audit.native import encode_values
from streams.audit.rows import Row
from streams.audit.tables import Column, Table

Parameter = str | int | float | Decimal | Sequence[str] | Sequence[int]
"""What a query parameter may be."""

BYTES_COLUMNS: Final = frozenset({"key", "raw"})
"""Result columns that come back as bytes: records carry whatever was published. All other text is ``str``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's result: column names and rows."""

    columns: tuple[str, ...]
    rows: list[Row]

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as mappings by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class AuditStore(Protocol):
    """A database that holds the audit trail. Calls block; each may be made from any thread."""

    @property
    def server_version(self) -> tuple[int, int]:
        """Major and minor version of ClickHouse."""
        ...

    @property
    def has_tokens(self) -> bool:
        """Whether an insert with a repeated token is dropped by the server."""
        ...

    def create_database(self) -> None:
        """Make the database named by the URL unless it exists."""
        ...

    def execute(self, sql: str) -> None:
        """Run one statement that returns nothing."""
        ...

    def query(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> Answer:
        """Run one query; ``{name:Type}`` in ``sql`` stands for a parameter."""
        ...

    def insert(self, table: Table, rows: Sequence[Row] | Block, token: str = "") -> None:
        """Insert rows as one block; raises ``ValueUnfit`` before anything is sent when a value would be cut."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


_PLACEHOLDER = re.compile(r"\{(\w+):(String|Int64|UInt8|Float64|Decimal|Array\(String\)|Array\(Int64\))\}")
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"})


def bind(sql: str, parameters: Mapping[str, Parameter]) -> str:
    """``sql`` with every ``{name:Type}`` replaced by a literal of that type.

    Done here because 18.16 has no server-side parameters and chDB's read text in an escaped form of its own; one
    routine gives both the same literals. Raises ``AuditRefused`` for a missing, surplus or mistyped parameter.
    """
    unused = set(parameters)

    def literal(match: re.Match[str]) -> str:
        name, kind = match.groups()
        if name not in parameters:
            raise AuditRefused(f"parameter {name} is missing")
        unused.discard(name)
        return _literal(name, kind, parameters[name])

    bound = _PLACEHOLDER.sub(literal, sql)
    if unused:
        raise AuditRefused(f"no such parameter: {', '.join(sorted(unused))}")
    return bound


def _literal(name: str, kind: str, value: Parameter) -> str:
    if kind.startswith("Array(") and isinstance(value, Sequence) and not isinstance(value, str):
        items = ", ".join(_literal(name, kind[6:-1], item) for item in value)
        # An empty array literal has no element type, which comparisons need.
        return f"[{items}]" if items else f"emptyArray{kind[6:-1]}()"
    if kind == "String" and isinstance(value, str):
        return f"'{value.translate(_ESCAPES)}'"
    if kind in ("Int64", "UInt8") and isinstance(value, int) and -(2**63) <= value < 2**63:
        return f"toInt64({int(value)})" if value >= 0 else f"toInt64('{int(value)}')"
    if kind == "Float64" and isinstance(value, int | float) and math.isfinite(value):
        return f"toFloat64('{float(value)!r}')"
    if kind == "Decimal" and isinstance(value, Decimal):
        return f"toDecimal128('{fit_decimal(value):f}', 18)"
    raise AuditRefused(f"parameter {name} is not a {kind}: {value!r}")


_STEP: Final = Decimal("1e-18")
# 38 digits at scale 18: a wider value is an invalid operation, a finer one inexact, and both are trapped.
_DECIMAL_38_18: Final = Context(prec=38, traps=[Inexact, InvalidOperation])


def fit_decimal(value: Decimal) -> Decimal:
    """``value`` at exactly 18 decimals; raises ``decimal.InvalidOperation`` or ``decimal.Inexact`` when it has more
    digits than Decimal(38, 18), is not finite, or is no ``Decimal``."""
    if type(value) is not Decimal or not value.is_finite():
        raise InvalidOperation
    return _DECIMAL_38_18.quantize(value, _STEP)


_BOUNDS: Final = {"UInt8": (0, 255), "Int32": (-(2**31), 2**31 - 1), "Int64": (-(2**63), 2**63 - 1)}


_UNFIT: Final = (InvalidOperation, Inexact, ValueError, TypeError)


def fitted(table: Table, rows: Sequence[Row]) -> Iterator[tuple[Column, list[Any]]]:
    """The rows turned into columns, text as bytes, each value checked against its type; raises ``ValueUnfit``."""
    for column, values in zip(table.columns, zip(*rows, strict=True), strict=True):
        is_array = column.type.startswith("Array(")
        fit = _FITS[column.type[6:-1] if is_array else column.type]
        try:
            fit_values = [[fit(item) for item in value] for value in values] if is_array else [fit(v) for v in values]
        except _UNFIT as error:
            raise ValueUnfit(table.name, column.name, _first_unfit(fit, is_array, values)) from error
        yield column, fit_values


def block_of(table: Table, rows: Sequence[Row] | Block) -> Block:
    """The rows as encoded columns; raises ``ValueUnfit``."""
    if isinstance(rows, Block):
        return rows
    quick = [
        encode_bulk(column.type, values) for column, values in zip(table.columns, zip(*rows, strict=True), strict=True)
    ]
    bodies = tuple(body for body in quick if body is not None)
    if len(bodies) < len(quick):
        bodies = tuple(encode_values(column.type, values) for column, values in fitted(table, rows))
    return Block(table, len(rows), bodies)


def _first_unfit(fit: Callable[[Any], Any], is_array: bool, values: Sequence[Any]) -> object:
    """Which value it was; the quick path above does not count."""
    for value in values:
        try:
            for item in value if is_array else (value,):
                fit(item)
        except _UNFIT:
            return value
    raise AssertionError("every value fits")


def _fit_text(value: Any) -> bytes:
    return value if type(value) is bytes else str.encode(value)


def _fit_float(value: Any) -> float:
    if type(value) is not float or not math.isfinite(value):
        raise ValueError
    return value


def _fit_integer(low: int, high: int) -> Callable[[Any], int]:
    def fit(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return value

    return fit


_FITS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "String": _fit_text,
    "Float64": _fit_float,
    "Decimal(38, 18)": fit_decimal,
    "UInt8": _fit_integer(0, 255),
    "Int32": _fit_integer(-(2**31), 2**31 - 1),
    "Int64": _fit_integer(-(2**63), 2**63 - 1),
}
