"""Withdrawals: whether money may leave an account now.

Owns the rule. Refuses to move the money (``engine.books.collateral``).
"""

from __future__ import annotations

from engine.market import Market
from engine.outcomes import Refusal
from engine.portfolio import Portfolio, PortfolioLike, PortfolioPosition
from engine.reference.parameters import RiskParameters
from engine.risk.exposures import feeds_of
from engine.risk.margin import margin_figures


def withdrawal_refusal(
    portfolio: PortfolioLike,
    asset: str,
    amount_e8: int,
    market: Market,
    parameters: RiskParameters | None,
    in_liquidation: bool,
) -> Refusal | None:
    """Why ``amount_e8`` of ``asset`` may not leave ``portfolio``, or None.

    The balance must cover it, and equity must cover initial margin without it. Who holds no positions and owes
    nothing may always have what is theirs; everyone else needs marks no older than the parameters allow: no money
    leaves on a price we do not believe. Where parameters stop withdrawals of profit, profit that is not realized counts
    for positions and not for money that leaves.
    """
    if amount_e8 > portfolio.balances.get(asset, 0):
        return Refusal.INSUFFICIENT_BALANCE
    unencumbered = not portfolio.positions and min(portfolio.balances.values(), default=0) >= 0
    if unencumbered:
        return Refusal.ACCOUNT_IN_LIQUIDATION if in_liquidation else None
    after = _without(portfolio, asset, amount_e8)
    if parameters is None or not _fresh(portfolio, market, parameters):
        return Refusal.PRICE_UNAVAILABLE
    (figures,) = margin_figures((after,), market, parameters)
    if figures is None:
        return Refusal.PRICE_UNAVAILABLE
    if in_liquidation:
        return Refusal.ACCOUNT_IN_LIQUIDATION
    profit = 0.0 if parameters.gap.profit_withdrawals else max(figures.unrealized_pnl, 0.0)
    if figures.equity - profit < figures.initial_margin:
        return Refusal.BELOW_INITIAL_MARGIN
    return None


def _without(portfolio: PortfolioLike, asset: str, amount_e8: int) -> Portfolio:
    balances = dict(portfolio.balances)
    balances[asset] -= amount_e8
    positions = {
        name: PortfolioPosition(held.quantity_e8, held.cost_e8, held.funding_index_e12)
        for name, held in portfolio.positions.items()
    }
    return Portfolio("", balances, positions)


def _fresh(portfolio: PortfolioLike, market: Market, parameters: RiskParameters) -> bool:
    for feed in feeds_of(portfolio, market.instruments, market.assets):
        mark = market.marks.get(feed)
        if mark is None or market.time_us - mark.mark_time_us > parameters.mark_age_us_max:
            return False
    return True
