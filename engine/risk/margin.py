"""Margin: equity against requirements, for many accounts at once.

Owns the requirement and the verdict's figures. Refuses to act on them (``engine.liquidation``).

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
from engine.portfolio import PortfolioLike
from engine.pricing.axes import Bools, Floats
from engine.reference.parameters import RiskParameters
from engine.risk.add_ons import ShortOptionMinimum, isolated_short_option_minimum, short_option_minimum
from engine.risk.equity import AccountEquity, account_equity
from engine.risk.holdings import Holdings, gather
from engine.risk.netting import NettedLosses, RiskItems, isolated_losses, netted_losses, risk_items
from engine.risk.revaluation import RiskFrame
from engine.risk.scenarios import scenario_names
from engine.risk.sums import sum_by_owner
from engine.units import PPM


@dataclass(frozen=True, slots=True)
class AccountRisk:
    """Equity and requirements of each account, shape [A], numeraire; NaN where ``priced_A`` is False."""

    equity_A: Floats
    initial_margin_A: Floats
    maintenance_margin_A: Floats
    priced_A: Bools


@dataclass(frozen=True, slots=True)
class _Requirement:
    """What ``account_risk`` and ``margin_figures`` share, so that their numbers are the same bits."""

    holdings: Holdings
    items: RiskItems
    losses: NettedLosses
    minimum: ShortOptionMinimum
    equity: AccountEquity
    initial_A: Floats
    maintenance_A: Floats


def account_risk(
    portfolios: Sequence[PortfolioLike],
    market: Market,
    parameters: RiskParameters,
    frame: RiskFrame | None = None,
) -> AccountRisk:
    """Equity, initial and maintenance margin of ``portfolios``.

    Pass the ``frame`` of this very market and these parameters to reuse its rows over many calls.
    """
    requirement = _require(portfolios, _frame(market, parameters, frame))
    priced_A = requirement.holdings.priced_A
    return AccountRisk(
        equity_A=np.where(priced_A, requirement.equity.equity_A, np.nan),
        initial_margin_A=np.where(priced_A, requirement.initial_A, np.nan),
        maintenance_margin_A=np.where(priced_A, requirement.maintenance_A, np.nan),
        priced_A=priced_A,
    )


def margin_figures(
    portfolios: Sequence[PortfolioLike],
    market: Market,
    parameters: RiskParameters,
    frame: RiskFrame | None = None,
) -> tuple[AccountFigures | None, ...]:
    """All figures of ``portfolios``; None for an account that is not priced."""
    frame = _frame(market, parameters, frame)
    requirement = _require(portfolios, frame)
    isolated_initial, isolated_maintenance = _isolated(requirement, frame)
    worst = _worst_scenarios(requirement, frame)
    equity, minimum = requirement.equity, requirement.minimum
    return tuple(
        AccountFigures(
            equity=float(equity.equity_A[a]),
            collateral_value=float(equity.collateral_value_A[a]),
            unrealized_pnl=float(equity.unrealized_pnl_A[a]),
            option_value=float(equity.option_value_A[a]),
            initial_margin=float(requirement.initial_A[a]),
            maintenance_margin=float(requirement.maintenance_A[a]),
            isolated_initial_margin=float(isolated_initial[a]),
            isolated_maintenance_margin=float(isolated_maintenance[a]),
            worst_scenarios=worst[a],
            add_ons={
                "short_option_minimum_initial": float(minimum.initial[a]),
                "short_option_minimum_maintenance": float(minimum.maintenance[a]),
            },
        )
        if requirement.holdings.priced_A[a]
        else None
        for a in range(len(portfolios))
    )


def _frame(market: Market, parameters: RiskParameters, frame: RiskFrame | None) -> RiskFrame:
    if frame is None:
        return RiskFrame(market, parameters)
    assert frame.market is market and frame.parameters is parameters, "a frame serves one market and one parameter set"
    return frame


def _require(portfolios: Sequence[PortfolioLike], frame: RiskFrame) -> _Requirement:
    holdings = gather(portfolios, frame)
    items = risk_items(holdings, frame)
    losses = netted_losses(items, frame)
    minimum = short_option_minimum(holdings, frame)
    loss_A = sum_by_owner(losses.account_K, losses.loss_K, holdings.accounts)
    factor = frame.parameters.maintenance_factor_ppm / PPM
    return _Requirement(
        holdings=holdings,
        items=items,
        losses=losses,
        minimum=minimum,
        equity=account_equity(holdings, frame),
        initial_A=loss_A + minimum.initial,
        maintenance_A=factor * loss_A + minimum.maintenance,
    )


def _isolated(requirement: _Requirement, frame: RiskFrame) -> tuple[Floats, Floats]:
    """Initial and maintenance requirement if every position, and every collateral balance that moves with an
    underlying, stood alone with its own worst scenario and its own minimum, [A]. Netting can only lower this."""
    accounts, items = requirement.holdings.accounts, requirement.items
    loss_A = sum_by_owner(items.account_R, isolated_losses(items, frame), accounts)
    alone = isolated_short_option_minimum(requirement.holdings, frame)
    account_P = requirement.holdings.account_P
    initial_A = loss_A + sum_by_owner(account_P, alone.initial, accounts)
    factor = frame.parameters.maintenance_factor_ppm / PPM
    maintenance_A = factor * loss_A + sum_by_owner(account_P, alone.maintenance, accounts)
    return initial_A, maintenance_A


def _worst_scenarios(requirement: _Requirement, frame: RiskFrame) -> list[dict[str, str]]:
    """Per account: the binding scenario's name by underlying."""
    worst: list[dict[str, str]] = [{} for _ in range(requirement.holdings.accounts)]
    underlyings = frame.grid.underlyings
    names = [scenario_names(frame.parameters, name) for name in underlyings]
    losses = requirement.losses
    columns = (losses.account_K.tolist(), losses.underlying_K.tolist(), losses.worst_K.tolist())
    for account, rank, scenario in zip(*columns, strict=True):
        worst[account][underlyings[rank]] = names[rank][scenario]
    return worst
