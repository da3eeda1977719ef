"""Account equity: collateral value + unrealized PnL + option value, in numeraire.

Owns the sum and its three parts. Refuses requirements.

    collateral value  positive balances x (1 - haircut) x price, negative balances x price in full
    unrealized PnL    (value at mark - cost - funding accrued and unpaid) x settlement price; futures, perpetuals
    option value      value at mark x settlement price (the premium left the balance at the fill)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.pricing.axes import Floats
from engine.risk.holdings import Holdings
from engine.risk.revaluation import RiskFrame
from engine.risk.sums import sum_by_owner
from engine.units import E12


@dataclass(frozen=True, slots=True)
class AccountEquity:
    """Equity of each account and its parts, shape [A], numeraire."""

    equity_A: Floats
    collateral_value_A: Floats
    unrealized_pnl_A: Floats
    option_value_A: Floats


def account_equity(holdings: Holdings, frame: RiskFrame) -> AccountEquity:
    """Sum each account in canonical order. Rows of unpriced accounts are meaningless here; margin blanks them."""
    value_C = counted_amount(holdings, frame) * frame.assets.price_C[holdings.row_C]
    pnl_P = unrealized_pnl(holdings, frame)
    option_P = option_value(holdings, frame)
    collateral_A = sum_by_owner(holdings.account_C, value_C, holdings.accounts)
    unrealized_A = sum_by_owner(holdings.account_P, pnl_P, holdings.accounts)
    option_A = sum_by_owner(holdings.account_P, option_P, holdings.accounts)
    return AccountEquity(collateral_A + unrealized_A + option_A, collateral_A, unrealized_A, option_A)


def counted_amount(holdings: Holdings, frame: RiskFrame) -> Floats:
    """Asset units of each balance that count, [C]: a haircut on what is owned, none on what is owed."""
    counted_C = np.where(holdings.amount_C > 0.0, frame.assets.counted_C[holdings.row_C], 1.0)
    return holdings.amount_C * counted_C


def unrealized_pnl(holdings: Holdings, frame: RiskFrame) -> Floats:
    """Unrealized PnL of each position net of accrued funding, [P], numeraire; 0 for options."""
    rows, row_P = frame.instruments, holdings.row_P
    owed_P = owed_amount(holdings, frame) * rows.settlement_price_I[row_P]
    return np.where(rows.option_I[row_P], 0.0, holdings.quantity_P * rows.value_I[row_P] - owed_P)


def owed_amount(holdings: Holdings, frame: RiskFrame) -> Floats:
    """Cost plus funding accrued and unpaid of each position, [P], settlement asset units; 0 for options.

    A long pays when the funding index has risen since it last paid. The index difference is exact in integers.
    """
    rows, row_P = frame.instruments, holdings.row_P
    accrued_P = (rows.funding_index_e12_I[row_P] - holdings.funding_index_e12_P) / E12
    funding_P = holdings.quantity_P * rows.funding_multiplier_I[row_P] * accrued_P
    return np.where(rows.option_I[row_P], 0.0, holdings.cost_P + funding_P)


def option_value(holdings: Holdings, frame: RiskFrame) -> Floats:
    """Mark value of each option position, [P], numeraire; 0 for the rest."""
    rows, row_P = frame.instruments, holdings.row_P
    return np.where(rows.option_I[row_P], holdings.quantity_P * rows.value_I[row_P], 0.0)
