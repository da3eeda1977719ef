"""Holdings: many portfolios as columns.

Owns the gather: one pass over Python values, after which no kernel sees a mapping; and the same holdings entry by entry
for the explanations that look at each alone. Refuses prices and sums.

Canonical order: accounts as given; inside an account positions by instrument id and balances by asset id. Every later
sum runs in this order, so the order of the mappings changes no bit of a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InvariantBroken
from engine.portfolio import HoldingColumns, PortfolioLike, PositionLike
from engine.pricing.axes import Floats, Ints
from engine.reference.instruments import InstrumentKind
from engine.risk.revaluation import RiskFrame
from engine.units import E8


@dataclass(frozen=True, slots=True)
class Holdings:
    """Positions [P] and balances [C] of ``accounts`` portfolios, none of them zero, with rows of their frame.

    Quantities are contracts, costs settlement asset units, amounts asset units.
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


def gather(portfolios: Sequence[PortfolioLike], frame: RiskFrame) -> HoldingColumns:
    """Collect ``portfolios`` into columns and let ``frame`` compute the rows they need. Numbers are the frame's."""
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
    position_count_A, balance_count_A = np.array(positions, dtype=np.int32), np.array(balances, dtype=np.int32)
    return HoldingColumns(
        position_start_A=np.cumsum(position_count_A, dtype=np.int64) - position_count_A,
        position_count_A=position_count_A,
        instrument_P=np.array(instrument_row, dtype=np.int32),
        quantity_e8_P=np.array([item.quantity_e8 for item in position], dtype=np.int64),
        cost_e8_P=np.array([item.cost_e8 for item in position], dtype=np.int64),
        funding_index_e12_P=np.array([item.funding_index_e12 for item in position], dtype=np.int64),
        balance_start_A=np.cumsum(balance_count_A, dtype=np.int64) - balance_count_A,
        balance_count_A=balance_count_A,
        asset_C=np.array(asset_row, dtype=np.int32),
        amount_e8_C=np.array(amount, dtype=np.int64),
    )


def entries(columns: HoldingColumns) -> Holdings:
    """The holdings of gathered ``columns``, whose accounts follow each other without gaps, entry by entry."""
    accounts = np.arange(columns.position_count_A.size)
    open_P, open_C = np.flatnonzero(columns.quantity_e8_P), np.flatnonzero(columns.amount_e8_C)
    return Holdings(
        accounts=accounts.size,
        account_P=np.repeat(accounts, columns.position_count_A)[open_P],
        row_P=columns.instrument_P[open_P].astype(np.int64),
        quantity_P=columns.quantity_e8_P[open_P] / E8,
        cost_P=columns.cost_e8_P[open_P] / E8,
        funding_index_e12_P=columns.funding_index_e12_P[open_P],
        account_C=np.repeat(accounts, columns.balance_count_A)[open_C],
        row_C=columns.asset_C[open_C].astype(np.int64),
        amount_C=columns.amount_e8_C[open_C] / E8,
    )


def _refuse_spot(frame: RiskFrame) -> None:
    """A spot trade moves balances; a spot position would count the same coins twice."""
    for name in tuple(frame.instrument_rows)[frame.rows.value_I.size :]:
        instrument = frame.market.instruments.get(name)
        if instrument is not None and instrument.kind is InstrumentKind.SPOT:
            raise InvariantBroken(f"position in spot instrument {name}: spot holdings are balances")
