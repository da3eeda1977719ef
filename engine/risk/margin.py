"""Margin: equity against requirements, for many accounts at once.

Owns the figures of portfolios under a market; the sums themselves are ``engine.risk.verdicts``. Refuses to act on them
(``engine.liquidation``).

    scenario loss       = sum over underlyings of max(0, worst weighted net loss)
    initial margin      = scenario loss + short-option minimum at the initial rate
    maintenance margin  = maintenance factor x scenario loss + short-option minimum at the maintenance rate

An account that needs a mark, a surface or parameters that are missing is not priced: its figures are NaN or None, and
no other account notices. The figures of an account do not depend, bit for bit, on the batch it is computed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.commands import AccountFigures
from engine.market import Market
from engine.portfolio import HoldingColumns, PortfolioLike
from engine.pricing.axes import Bools, Floats
from engine.reference.parameters import RiskParameters
from engine.risk.add_ons import isolated_short_option_minimum
from engine.risk.holdings import entries, gather
from engine.risk.netting import isolated_losses, risk_items
from engine.risk.revaluation import RiskFrame
from engine.risk.row_arrays import RowArrays
from engine.risk.scenarios import scenario_names
from engine.risk.sums import sum_by_owner
from engine.risk.verdicts import NettedLosses, dissect, empty_losses, empty_verdicts, evaluate


@dataclass(frozen=True, slots=True)
class AccountRisk:
    """Equity and requirements of each account, shape [A], numeraire; NaN where ``priced_A`` is False."""

    equity_A: Floats
    initial_margin_A: Floats
    maintenance_margin_A: Floats
    priced_A: Bools


def account_risk(
    portfolios: Sequence[PortfolioLike],
    market: Market,
    parameters: RiskParameters,
    frame: RiskFrame | None = None,
) -> AccountRisk:
    """Equity, initial and maintenance margin of ``portfolios``.

    Pass the ``frame`` of this very market and these parameters to reuse its rows over many calls.
    """
    frame = _frame(market, parameters, frame)
    columns = gather(portfolios, frame)
    verdicts = empty_verdicts(len(portfolios))
    evaluate(np.arange(len(portfolios), dtype=np.int32), columns, frame.rows, verdicts)
    return AccountRisk(*verdicts)


def margin_figures(
    portfolios: Sequence[PortfolioLike],
    market: Market,
    parameters: RiskParameters,
    frame: RiskFrame | None = None,
) -> tuple[AccountFigures | None, ...]:
    """All figures of ``portfolios``; None for an account that is not priced."""
    frame = _frame(market, parameters, frame)
    columns, rows, count = gather(portfolios, frame), frame.rows, len(portfolios)
    parts_KA, priced_A = np.empty((6, count)), np.empty(count, dtype=np.bool_)
    losses = empty_losses(columns.quantity_e8_P.size + columns.amount_e8_C.size)
    used = dissect(np.arange(count, dtype=np.int32), columns, rows, parts_KA, priced_A, losses)
    collateral_A, unrealized_A, option_A, loss_A, minimum_initial_A, minimum_maintenance_A = parts_KA
    worst = _worst_scenarios(count, losses, used, frame)
    factor = rows.maintenance_factor[0]
    equity_A = collateral_A + unrealized_A + option_A
    initial_A = loss_A + minimum_initial_A
    maintenance_A = factor * loss_A + minimum_maintenance_A
    isolated_initial_A, isolated_maintenance_A = _isolated(columns, rows)
    return tuple(
        AccountFigures(
            equity=float(equity_A[a]),
            collateral_value=float(collateral_A[a]),
            unrealized_pnl=float(unrealized_A[a]),
            option_value=float(option_A[a]),
            initial_margin=float(initial_A[a]),
            maintenance_margin=float(maintenance_A[a]),
            isolated_initial_margin=float(isolated_initial_A[a]),
            isolated_maintenance_margin=float(isolated_maintenance_A[a]),
            worst_scenarios=worst[a],
            add_ons={
                "short_option_minimum_initial": float(minimum_initial_A[a]),
                "short_option_minimum_maintenance": float(minimum_maintenance_A[a]),
            },
        )
        if priced_A[a]
        else None
        for a in range(count)
    )


def _frame(market: Market, parameters: RiskParameters, frame: RiskFrame | None) -> RiskFrame:
    if frame is None:
        return RiskFrame(market, parameters)
    assert frame.market is market and frame.parameters is parameters, "a frame serves one market and one parameter set"
    return frame


def _isolated(columns: HoldingColumns, rows: RowArrays) -> tuple[Floats, Floats]:
    """Initial and maintenance requirement if every position, and every collateral balance that moves with an
    underlying, stood alone with its own worst scenario and its own minimum, [A]. Netting can only lower this."""
    holdings = entries(columns)
    items, account_P = risk_items(holdings, rows), holdings.account_P
    loss_A = sum_by_owner(items.account_R, isolated_losses(items, rows), holdings.accounts)
    alone = isolated_short_option_minimum(holdings, rows)
    initial_A = loss_A + sum_by_owner(account_P, alone.initial, holdings.accounts)
    maintenance_A = rows.maintenance_factor[0] * loss_A + sum_by_owner(account_P, alone.maintenance, holdings.accounts)
    return initial_A, maintenance_A


def _worst_scenarios(accounts: int, losses: NettedLosses, used: int, frame: RiskFrame) -> list[dict[str, str]]:
    """Per account: the binding scenario's name by underlying, from the first ``used`` entries of ``losses``."""
    worst: list[dict[str, str]] = [{} for _ in range(accounts)]
    underlyings = frame.grid.underlyings
    names = [scenario_names(frame.parameters, name) for name in underlyings]
    columns = (column[:used].tolist() for column in (losses.account_K, losses.underlying_K, losses.worst_K))
    for account, rank, scenario in zip(*columns, strict=True):
        worst[account][underlyings[rank]] = names[rank][scenario]
    return worst
