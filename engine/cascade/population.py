"""Who stands to be liquidated: every source of books, drawn or real, ends in this one shape.

Owns the shape and its requirement. Refuses options: exposures are linear, as of the start of the run, in numeraire.

    equity      = cash + sum over k of (exposure + collateral) x price          price: 1 at the start
    long, short = sum over k of rate x |exposure x price|, of exposures above and below zero
    requirement = scale x (long + short - 2 x offset x min(long, short))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats


@dataclass(frozen=True, slots=True)
class Population:
    """Accounts by underlyings.

    ``equity_A`` at the start, ``exposure_AK`` signed and closable, ``collateral_AK`` held in underlyings (after
    haircut; moves equity, requires nothing), ``scale_A`` what the venue's requirement is in units of the formula's,
    ``rate_K`` maintenance rates, ``offset`` the share of a hedge that margin recognizes (0 none, 1 all).
    """

    underlyings: tuple[str, ...]
    equity_A: Floats
    exposure_AK: Floats
    collateral_AK: Floats
    scale_A: Floats
    rate_K: Floats
    offset: float

    def __post_init__(self) -> None:
        accounts, count = self.equity_A.size, len(self.underlyings)
        shapes = {
            "equity_A": (self.equity_A, (accounts,)),
            "exposure_AK": (self.exposure_AK, (accounts, count)),
            "collateral_AK": (self.collateral_AK, (accounts, count)),
            "scale_A": (self.scale_A, (accounts,)),
            "rate_K": (self.rate_K, (count,)),
        }
        for name, (array, shape) in shapes.items():
            if array.shape != shape:
                raise InvalidReference(name, f"has shape {array.shape}, not {shape}")
            if not np.isfinite(array).all():
                raise InvalidReference(name, "must be finite")
        if accounts == 0 or count == 0:
            raise InvalidReference("exposure_AK", "there is nobody to liquidate")
        if (self.scale_A < 0.0).any() or (self.rate_K < 0.0).any():
            raise InvalidReference("rate_K", "rates and scales must not be negative")
        if not 0.0 <= self.offset <= 1.0:
            raise InvalidReference("offset", "must lie in 0..1")

    @property
    def gross_K(self) -> Floats:
        """Open positions of both sides by underlying."""
        result: Floats = np.abs(self.exposure_AK).sum(axis=0)
        return result
