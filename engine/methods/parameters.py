"""Parameters of a method as a component reads them: looked up by name, most specific statement first.

Owns the order of precedence and the errors for a name that is missing or of the wrong kind. Refuses to know what a
parameter means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from engine.errors import InvalidReference
from engine.methods.statement import ParameterMap, ParameterValue

EXPONENT_MAX = 30
"""Numbers from 1e31 on are mistakes; squares of smaller ones stay far from overflow."""


class Parameters:
    """A chain of maps, the first that has a name wins: position, market, account, the method's for the underlying,
    the method's own."""

    __slots__ = ("_asked", "_maps")

    def __init__(self, *maps: ParameterMap, asked: set[str] | None = None) -> None:
        self._maps = maps
        self._asked = set() if asked is None else asked

    def over(self, first: ParameterMap) -> Parameters:
        """The same chain with ``first`` before it."""
        return Parameters(first, *self._maps, asked=self._asked) if first else self

    def only(self, values: ParameterMap) -> Parameters:
        """``values`` alone, without the chain behind them."""
        return Parameters(values, asked=self._asked)

    def has(self, name: str) -> bool:
        """Whether ``name`` is stated and not null."""
        return self.get(name) is not None

    def get(self, name: str) -> ParameterValue:
        """The value of ``name``, None if nobody states it. Whoever gave ``asked`` learns that it was asked for."""
        self._asked.add(name)
        for values in self._maps:
            if name in values:
                return values[name]
        return None

    def exact(self, name: str, default: Decimal | None = None) -> Decimal:
        """A number, exactly as stated; raises ``InvalidReference``."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        if value is None:
            raise InvalidReference(f"parameters.{name}", "is missing")
        return as_exact(value, f"parameters.{name}")

    def number(self, name: str, default: float | None = None) -> float:
        """A number as float64; raises ``InvalidReference``."""
        if default is not None and self.get(name) is None:
            return default
        return float(self.exact(name))

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean; raises ``InvalidReference``."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidReference(f"parameters.{name}", "must be true or false")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A string; raises ``InvalidReference``."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise InvalidReference(f"parameters.{name}", "must be a string" if value is not None else "is missing")
        return value

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of numbers; raises ``InvalidReference``."""
        return tuple(as_number(item, f"parameters.{name}[{i}]") for i, item in enumerate(self.items(name)))

    def items(self, name: str) -> Sequence[ParameterValue]:
        """A list of anything; raises ``InvalidReference``."""
        value = self.get(name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise InvalidReference(f"parameters.{name}", "must be a list" if value is not None else "is missing")
        return value

    def mapping(self, name: str) -> ParameterMap:
        """A table; raises ``InvalidReference``."""
        value = self.get(name)
        if not isinstance(value, Mapping):
            raise InvalidReference(f"parameters.{name}", "must be a table" if value is not None else "is missing")
        return value


def as_number(value: ParameterValue, field: str) -> float:
    """``value`` as float64; raises ``InvalidReference`` naming ``field``."""
    return float(as_exact(value, field))


def as_exact(value: ParameterValue, field: str) -> Decimal:
    """``value``, a number or a decimal string, exactly; raises ``InvalidReference`` naming ``field``."""
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except InvalidOperation:
            raise InvalidReference(field, "must be a number") from None
    if isinstance(value, bool) or not isinstance(value, Decimal):
        raise InvalidReference(field, "must be a number")
    if not value.is_finite() or value.adjusted() > EXPONENT_MAX:
        raise InvalidReference(field, "must be finite and below 1e31")
    return value
