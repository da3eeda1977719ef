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
from engine.portfolio import PortfolioLike
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
    instrument_rows, asset_rows = frame.instrument_rows, frame.asset_rows
    positions: list[tuple[int, int, int, int, int]] = []
    balances: list[tuple[int, int, int]] = []
    for account, portfolio in enumerate(portfolios):
        held = portfolio.positions
        for name in sorted(held):
            position = held[name]
            if position.quantity_e8:
                row = instrument_rows.setdefault(name, len(instrument_rows))
                positions.append(
                    (account, row, position.quantity_e8, position.cost_e8, position.funding_index_e12)
                )  # fmt: skip
        amounts = portfolio.balances
        for name in sorted(amounts):
            if amounts[name]:
                balances.append((account, asset_rows.setdefault(name, len(asset_rows)), amounts[name]))
    _refuse_spot(frame)
    frame.extend()
    positions_FP = np.array(positions, dtype=np.int64).reshape(-1, 5).T
    balances_FC = np.array(balances, dtype=np.int64).reshape(-1, 3).T
    priced_A = np.ones(len(portfolios), dtype=np.bool_)
    priced_A[positions_FP[0][~frame.instruments.priced_I[positions_FP[1]]]] = False
    priced_A[balances_FC[0][~frame.assets.priced_C[balances_FC[1]]]] = False
    return Holdings(
        accounts=len(portfolios),
        account_P=positions_FP[0],
        row_P=positions_FP[1],
        quantity_P=positions_FP[2] / E8,
        cost_P=positions_FP[3] / E8,
        funding_index_e12_P=positions_FP[4],
        account_C=balances_FC[0],
        row_C=balances_FC[1],
        amount_C=balances_FC[2] / E8,
        priced_A=priced_A,
    )


def _refuse_spot(frame: RiskFrame) -> None:
    """A spot trade moves balances; a spot position would count the same coins twice."""
    for name in tuple(frame.instrument_rows)[frame.instruments.value_I.size :]:
        instrument = frame.market.instruments.get(name)
        if instrument is not None and instrument.kind is InstrumentKind.SPOT:
            del frame.instrument_rows[name]
            raise InvariantBroken(f"position in spot instrument {name}: spot holdings are balances")
