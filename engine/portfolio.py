"""A portfolio: what an account holds, and nothing about what became of it.

Owns the smallest value that has a margin figure, and the shape that any other holder (an account's book, a planner's
trial) must offer to have one. Refuses prices, watermarks and status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class PositionLike(Protocol):
    """Signed contracts, the signed value paid for them (settlement asset), and funding paid up to this index."""

    @property
    def quantity_e8(self) -> int: ...

    @property
    def cost_e8(self) -> int: ...

    @property
    def funding_index_e12(self) -> int: ...


class PortfolioLike(Protocol):
    """Balances by asset id and positions by instrument id. Order of the mappings means nothing."""

    @property
    def balances(self) -> Mapping[str, int]: ...

    @property
    def positions(self) -> Mapping[str, PositionLike]: ...


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
