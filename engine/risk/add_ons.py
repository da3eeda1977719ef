"""Add-ons: amounts charged on top of the scenario loss.

Owns the short-option minimum of positions that stand alone. Refuses scenarios; inside an account options net first, and
that sum is the verdict's (``risk.verdicts``).

Per underlying, expiry and strike, and for calls and puts apart, the net short units (contracts x multiplier, netted
over instruments of the same terms) are charged at rate x index price, the mark of the feed named by the underlying.
A long call never covers a short put here, nor a long strike a short one: the charge stands for gaps that the grid
does not see. Source: the per-strike minimum of Derive's and Deribit's portfolio margin, without their netting of a
call against a put of the same strike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.pricing.axes import Floats
from engine.risk.holdings import Holdings
from engine.risk.row_arrays import RowArrays


@dataclass(frozen=True, slots=True)
class ShortOptionMinimum:
    """Charges in numeraire, for the initial and the maintenance requirement, [P]."""

    initial: Floats
    maintenance: Floats


def isolated_short_option_minimum(holdings: Holdings, rows: RowArrays) -> ShortOptionMinimum:
    """The minimum of each position alone, [P]; 0 for everything but options."""
    row_P = holdings.row_P
    units_P = np.where(rows.option_I[row_P], holdings.quantity_P * rows.multiplier_I[row_P], 0.0)
    notional_P = np.maximum(0.0 - units_P, 0.0) * rows.index_price_I[row_P]
    return ShortOptionMinimum(
        notional_P * rows.minimum_initial_I[row_P], notional_P * rows.minimum_maintenance_I[row_P]
    )
