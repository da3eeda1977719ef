"""A portfolio: what an account holds, and nothing about what became of it.

Owns the smallest value that has a margin figure, and the shape that any other holder (an account's book, a planner's
trial) must offer to have one. Refuses prices, watermarks and status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class PositionLike(Protocol):
    """A net holding in one instrument."""

    @property
    def quantity_e8(self) -> int:
        """Signed contracts; positive is long."""

    @property
    def cost_e8(self) -> int:
        """Signed value paid for them, in the settlement asset."""

    @property
    def funding_index_e12(self) -> int:
        """Index up to which funding has been paid."""


class PortfolioLike(Protocol):
    """Balances by asset id and positions by instrument id. Order of the mappings means nothing."""

    @property
    def balances(self) -> Mapping[str, int]:
        """Amount by asset id; negative is owed."""

    @property
    def positions(self) -> Mapping[str, PositionLike]:
        """Position by instrument id."""


@dataclass(frozen=True, slots=True)
class PortfolioPosition:
    """A position of a portfolio that belongs to no book: a calculator's input or a planner's trial."""

    quantity_e8: int
    cost_e8: int = 0
    funding_index_e12: int = 0


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Holdings under a name."""

    account: str
    balances: Mapping[str, int] = field(default_factory=dict)
    positions: Mapping[str, PortfolioPosition] = field(default_factory=dict)
