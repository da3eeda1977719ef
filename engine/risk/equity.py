"""What each holding adds to account equity, in numeraire.

Owns the parts holding by holding, for explanations. Refuses their sum, which is the verdict's (``risk.verdicts``), and
requirements.

    collateral value  positive balances x (1 - haircut) x price, negative balances x price in full
    unrealized PnL    (value at mark - cost - funding accrued and unpaid) x settlement price; futures, perpetuals
    option value      value at mark x settlement price (the premium left the balance at the fill)
"""

from __future__ import annotations

import numpy as np

from engine.pricing.axes import Floats
from engine.risk.holdings import Holdings
from engine.risk.row_arrays import RowArrays
from engine.units import E12


def counted_amount(holdings: Holdings, rows: RowArrays) -> Floats:
    """Asset units of each balance that count, [C]: a haircut on what is owned, none on what is owed."""
    counted_C = np.where(holdings.amount_C > 0.0, rows.counted_C[holdings.row_C], 1.0)
    return holdings.amount_C * counted_C


def unrealized_pnl(holdings: Holdings, rows: RowArrays) -> Floats:
    """Unrealized PnL of each position net of accrued funding, [P], numeraire; 0 for options."""
    row_P = holdings.row_P
    owed_P = owed_amount(holdings, rows) * rows.settlement_price_I[row_P]
    return np.where(rows.option_I[row_P], 0.0, holdings.quantity_P * rows.value_I[row_P] - owed_P)


def owed_amount(holdings: Holdings, rows: RowArrays) -> Floats:
    """Cost plus funding accrued and unpaid of each position, [P], settlement asset units; 0 for options.

    A long pays when the funding index has risen since it last paid. The index difference is exact in integers.
    """
    row_P = holdings.row_P
    accrued_P = (rows.funding_index_e12_I[row_P] - holdings.funding_index_e12_P) / E12
    funding_P = holdings.quantity_P * rows.funding_multiplier_I[row_P] * accrued_P
    return np.where(rows.option_I[row_P], 0.0, holdings.cost_P + funding_P)


def option_value(holdings: Holdings, rows: RowArrays) -> Floats:
    """Mark value of each option position, [P], numeraire; 0 for the rest."""
    row_P = holdings.row_P
    return np.where(rows.option_I[row_P], holdings.quantity_P * rows.value_I[row_P], 0.0)
