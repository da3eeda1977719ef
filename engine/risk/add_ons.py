"""Add-ons: amounts charged on top of the scenario loss.

Owns the short-option minimum. Refuses scenarios.

Per underlying, expiry and strike, and for calls and puts apart, the net short units (contracts x multiplier, netted
over instruments of the same terms) are charged at rate x index price, the mark of the feed named by the underlying.
A long call never covers a short put here, nor a long strike a short one: the charge stands for gaps that the grid
does not see. Source: the per-strike minimum of Derive's and Deribit's portfolio margin, without their netting of a
call against a put of the same strike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.pricing.axes import Floats, Ints
from engine.risk.holdings import Holdings
from engine.risk.revaluation import RiskFrame
from engine.risk.sums import sum_by_owner


@dataclass(frozen=True, slots=True)
class ShortOptionMinimum:
    """Charges in numeraire, for the initial and the maintenance requirement, shape [A] or [P] as asked."""

    initial: Floats
    maintenance: Floats


def short_option_minimum(holdings: Holdings, frame: RiskFrame) -> ShortOptionMinimum:
    """The minimum of each account, [A], after netting inside its option groups."""
    option, units = _option_units(holdings, frame)
    if not option.size:
        return ShortOptionMinimum(np.zeros(holdings.accounts), np.zeros(holdings.accounts))
    account = holdings.account_P[option]
    group = frame.instruments.option_group_I[holdings.row_P[option]]
    # Group numbers depend on what the frame has seen; first appearance in canonical order does not.
    key = account * (group.max() + 1) + group
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    net = sum_by_owner(inverse, units, first.size)
    order = np.argsort(first)
    charged = _charge(option[first[order]], net[order], holdings, frame)
    owner = account[first[order]]
    return ShortOptionMinimum(
        sum_by_owner(owner, charged.initial, holdings.accounts),
        sum_by_owner(owner, charged.maintenance, holdings.accounts),
    )


def isolated_short_option_minimum(holdings: Holdings, frame: RiskFrame) -> ShortOptionMinimum:
    """The minimum of each position alone, [P]."""
    option, units = _option_units(holdings, frame)
    charged = _charge(option, units, holdings, frame)
    initial_P, maintenance_P = np.zeros(holdings.row_P.size), np.zeros(holdings.row_P.size)
    initial_P[option], maintenance_P[option] = charged.initial, charged.maintenance
    return ShortOptionMinimum(initial_P, maintenance_P)


def _option_units(holdings: Holdings, frame: RiskFrame) -> tuple[Ints, Floats]:
    """Positions in options, and their signed units of the underlying."""
    option = np.flatnonzero(frame.instruments.option_I[holdings.row_P])
    return option, holdings.quantity_P[option] * frame.instruments.multiplier_I[holdings.row_P[option]]


def _charge(position: Ints, units: Floats, holdings: Holdings, frame: RiskFrame) -> ShortOptionMinimum:
    """Charge on the short part of ``units``; each entry has the index and rates of its ``position``."""
    row = holdings.row_P[position]
    rank = frame.instruments.underlying_I[row]
    notional = np.maximum(0.0 - units, 0.0) * frame.instruments.index_price_I[row]
    grid = frame.grid
    return ShortOptionMinimum(notional * grid.minimum_initial_U[rank], notional * grid.minimum_maintenance_U[rank])
