"""A portfolio: what an account holds, and nothing about what became of it.

Owns the smallest value that has a margin figure, and the shape that any other holder (an account's book, a planner's
trial) must offer to have one. Refuses prices, watermarks and status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


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


class HoldingColumns(NamedTuple):
    """Holdings of many accounts as arrays: entries ``start .. start + count - 1`` of an account are its own.

    Positions lie in the order of their instrument ids as text and are never 0, balances in that of their asset ids;
    a balance of 0 means nothing. Instruments and assets are numbers that whoever made the columns gave them.
    """

    position_start_A: npt.NDArray[np.int64]
    position_count_A: npt.NDArray[np.int32]
    instrument_P: npt.NDArray[np.int32]
    quantity_e8_P: npt.NDArray[np.int64]
    cost_e8_P: npt.NDArray[np.int64]
    funding_index_e12_P: npt.NDArray[np.int64]
    balance_start_A: npt.NDArray[np.int64]
    balance_count_A: npt.NDArray[np.int32]
    asset_C: npt.NDArray[np.int32]
    amount_e8_C: npt.NDArray[np.int64]


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
