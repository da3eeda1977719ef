"""Sensitivities: the Greeks of a portfolio, by underlying.

Owns their sum and units. Refuses scenarios and parameters: a Greek is a property of holdings and market alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.market import Market
from engine.portfolio import PortfolioLike
from engine.pricing.greeks import unit_greeks
from engine.pricing.valuation import contract_table, mark_of
from engine.risk.exposures import why_unpriced
from engine.units import E8, PPM

GREEK_NAMES = ("delta", "gamma", "vega", "theta")


def greeks(portfolio: PortfolioLike, market: Market) -> Mapping[str, Mapping[str, float]]:
    """delta, gamma, vega and theta of ``portfolio`` by underlying, added in canonical order; keys sorted.

    Units: delta in units of the underlying, gamma units per unit of price, vega numeraire per 1.00 of volatility,
    theta numeraire per calendar day. Each position is differentiated with respect to its own mark, the settlement
    asset's price held fixed. Collateral that moves with an underlying adds the amount that counts (after haircut) to
    delta, as it does to scenario PnL. Raises what ``why_unpriced`` says when a mark is missing.
    """
    held = tuple(name for name in sorted(portfolio.positions) if portfolio.positions[name].quantity_e8)
    table = contract_table(held, market)
    if not bool(table.priced_I.all()):
        raise why_unpriced(portfolio, market)
    unit = unit_greeks(table)
    columns = (unit.delta.tolist(), unit.gamma.tolist(), unit.vega.tolist(), unit.theta.tolist())
    totals: dict[str, dict[str, float]] = {}
    for name, instrument, *sensitivities in zip(held, table.instruments, *columns, strict=True):
        assert instrument is not None
        quantity = portfolio.positions[name].quantity_e8 / E8
        total = totals.setdefault(instrument.underlying, dict.fromkeys(GREEK_NAMES, 0.0))
        for greek, sensitivity in zip(GREEK_NAMES, sensitivities, strict=True):
            total[greek] += quantity * sensitivity
    for underlying, units in _collateral_units(portfolio, market):
        totals.setdefault(underlying, dict.fromkeys(GREEK_NAMES, 0.0))["delta"] += units
    return {name: totals[name] for name in sorted(totals)}


def _collateral_units(portfolio: PortfolioLike, market: Market) -> list[tuple[str, float]]:
    """(underlying, units that count) of every balance that moves with an underlying, by asset id."""
    units = []
    for name in sorted(name for name, amount in portfolio.balances.items() if amount):
        asset = market.assets.get(name)
        if asset is None or mark_of(market, asset.mark_feed) is None:
            raise why_unpriced(portfolio, market)
        if asset.underlying is not None:
            amount = portfolio.balances[name]
            counted = (PPM - asset.haircut_ppm) / PPM if amount > 0 else 1.0
            units.append((asset.underlying, amount / E8 * counted))
    return units
