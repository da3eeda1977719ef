"""Attribution: one portfolio's requirement taken apart, for people who ask why.

Owns the explanation by scenario and by holding. Refuses batches: it looks at one portfolio and raises
(see ``exposures.why_unpriced``) where a margin run would say "not priced".

Conventions. PnL is signed, a loss is negative. The contributions of an underlying's holdings are their PnL in that
underlying's binding scenario, so they add up to minus its scenario loss; a hedge has a positive contribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.market import Market
from engine.portfolio import PortfolioLike
from engine.pricing.axes import Floats
from engine.reference.parameters import RiskParameters
from engine.risk.add_ons import isolated_short_option_minimum
from engine.risk.equity import counted_amount, option_value, unrealized_pnl
from engine.risk.exposures import why_unpriced
from engine.risk.holdings import Holdings, entries, gather
from engine.risk.netting import (
    RiskItems,
    group_starts,
    isolated_losses,
    item_pnl,
    net_pnl,
    risk_items,
)
from engine.risk.revaluation import RiskFrame
from engine.risk.scenarios import scenario_names
from engine.risk.verdicts import dissect, empty_losses


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one holding does to the scenario loss of its underlying, numeraire.

    ``holding`` is an instrument id, or an asset id for collateral that moves with the underlying. ``value`` is what
    it adds to equity; ``pnl`` its PnL in the binding ``scenario``; ``isolated_initial_margin`` its requirement alone.
    """

    holding: str
    underlying: str
    scenario: str
    value: float
    pnl: float
    isolated_initial_margin: float


@dataclass(frozen=True, slots=True)
class _Single:
    """The arrays of one priced portfolio, and its binding scenario by rank of underlying."""

    frame: RiskFrame
    holdings: Holdings
    items: RiskItems
    worst: Mapping[int, int]


def scenario_pnl(portfolio: PortfolioLike, market: Market, parameters: RiskParameters) -> Mapping[str, Floats]:
    """Weighted net PnL of ``portfolio`` by underlying, each of shape [S] in the order of ``scenario_names``."""
    single = _single(portfolio, market, parameters)
    ranks = iter(single.items.underlying_R[group_starts(single.items)].tolist())
    blocks = net_pnl(single.items, single.frame.rows)
    return {single.frame.grid.underlyings[next(ranks)]: pnl_S for _, pnl_KS in blocks for pnl_S in pnl_KS}


def contributions(portfolio: PortfolioLike, market: Market, parameters: RiskParameters) -> tuple[Contribution, ...]:
    """One entry per position and per balance that moves with an underlying, by underlying, then canonical order."""
    single = _single(portfolio, market, parameters)
    items, frame, holdings = single.items, single.frame, single.holdings
    rows, worst = frame.rows, single.worst
    pnl_RS, alone_R = item_pnl(items, rows), isolated_losses(items, rows)
    positions = holdings.row_P.size
    value = np.concatenate(
        [
            unrealized_pnl(holdings, rows) + option_value(holdings, rows),
            counted_amount(holdings, rows) * rows.price_C[holdings.row_C],
        ]
    )
    minimum = isolated_short_option_minimum(holdings, rows).initial
    names = {rank: scenario_names(parameters, frame.grid.underlyings[rank]) for rank in worst}
    instrument_ids, asset_ids = tuple(frame.instrument_rows), tuple(frame.asset_rows)
    result = []
    for r, (rank, source) in enumerate(zip(items.underlying_R.tolist(), items.source_R.tolist(), strict=True)):
        is_position = source < positions
        row = holdings.row_P[source] if is_position else holdings.row_C[source - positions]
        result.append(
            Contribution(
                holding=instrument_ids[row] if is_position else asset_ids[row],
                underlying=frame.grid.underlyings[rank],
                scenario=names[rank][worst[rank]],
                value=float(value[source]),
                pnl=float(pnl_RS[r, worst[rank]]),
                isolated_initial_margin=float(alone_R[r]) + (float(minimum[source]) if is_position else 0.0),
            )
        )
    return tuple(result)


def _single(portfolio: PortfolioLike, market: Market, parameters: RiskParameters) -> _Single:
    frame = RiskFrame(market, parameters)
    columns = gather((portfolio,), frame)
    priced_A, losses = np.empty(1, np.bool_), empty_losses(columns.quantity_e8_P.size + columns.amount_e8_C.size)
    used = dissect(np.zeros(1, dtype=np.int32), columns, frame.rows, np.empty((6, 1)), priced_A, losses)
    if not priced_A[0]:
        raise why_unpriced(portfolio, market, parameters)
    holdings = entries(columns)
    worst = dict(zip(losses.underlying_K[:used].tolist(), losses.worst_K[:used].tolist(), strict=True))
    return _Single(frame, holdings, risk_items(holdings, frame.rows), worst)
