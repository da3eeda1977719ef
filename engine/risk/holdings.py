"""Holdings: many portfolios as one struct of arrays.

Owns the gather: one pass over Python values, after which no kernel sees a mapping. Refuses prices and sums.

Canonical order: accounts as given; inside an account positions by instrument id and balances by asset id. Every later
sum runs in this order, so the order of the mappings changes no bit of a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InvariantBroken
from engine.portfolio import PortfolioLike, PositionLike
from engine.pricing.axes import Bools, Floats, Ints
from engine.reference.instruments import InstrumentKind
from engine.risk.revaluation import RiskFrame
from engine.units import E8


@dataclass(frozen=True, slots=True)
class Holdings:
    """Positions [P] and balances [C] of ``accounts`` portfolios, with rows of the frame they were gathered against.

    Quantities are contracts, costs settlement asset units, amounts asset units. ``priced_A`` is False for accounts
    that hold anything without a mark or without parameters.
    """

    accounts: int
    account_P: Ints
    row_P: Ints
    quantity_P: Floats
    cost_P: Floats
    funding_index_e12_P: Ints
    account_C: Ints
    row_C: Ints
    amount_C: Floats
    priced_A: Bools


def gather(portfolios: Sequence[PortfolioLike], frame: RiskFrame) -> Holdings:
    """Collect ``portfolios`` into arrays and let ``frame`` compute the rows they need. Zero holdings are left out."""
    row_of_instrument, row_of_asset = frame.instrument_rows.__getitem__, frame.asset_rows.__getitem__
    instrument_row: list[int] = []
    position: list[PositionLike] = []
    positions: list[int] = []
    asset_row: list[int] = []
    amount: list[int] = []
    balances: list[int] = []
    for portfolio in portfolios:
        held, owned = portfolio.positions, portfolio.balances
        names, assets = sorted(held), sorted(owned)
        positions.append(len(names))
        balances.append(len(assets))
        instrument_row += map(row_of_instrument, names)
        position += map(held.__getitem__, names)
        asset_row += map(row_of_asset, assets)
        amount += map(owned.__getitem__, assets)
    _refuse_spot(frame)
    frame.extend()
    quantity = np.array([item.quantity_e8 for item in position], dtype=np.int64)
    cost = np.array([item.cost_e8 for item in position], dtype=np.int64)
    funding_index = np.array([item.funding_index_e12 for item in position], dtype=np.int64)
    amounts = np.array(amount, dtype=np.int64)
    accounts = np.arange(len(portfolios))
    open_P, open_C = np.flatnonzero(quantity), np.flatnonzero(amounts)
    account_P, row_P = np.repeat(accounts, positions)[open_P], np.array(instrument_row, dtype=np.int64)[open_P]
    account_C, row_C = np.repeat(accounts, balances)[open_C], np.array(asset_row, dtype=np.int64)[open_C]
    priced_A = np.ones(len(portfolios), dtype=np.bool_)
    priced_A[account_P[~frame.instruments.priced_I[row_P]]] = False
    priced_A[account_C[~frame.assets.priced_C[row_C]]] = False
    return Holdings(
        accounts=len(portfolios),
        account_P=account_P,
        row_P=row_P,
        quantity_P=quantity[open_P] / E8,
        cost_P=cost[open_P] / E8,
        funding_index_e12_P=funding_index[open_P],
        account_C=account_C,
        row_C=row_C,
        amount_C=amounts[open_C] / E8,
        priced_A=priced_A,
    )


def _refuse_spot(frame: RiskFrame) -> None:
    """A spot trade moves balances; a spot position would count the same coins twice."""
    for name in tuple(frame.instrument_rows)[frame.instruments.value_I.size :]:
        instrument = frame.market.instruments.get(name)
        if instrument is not None and instrument.kind is InstrumentKind.SPOT:
            raise InvariantBroken(f"position in spot instrument {name}: spot holdings are balances")
