"""Sensitivities: the Greeks of a portfolio, by underlying.

Owns their sum and units. Refuses scenarios and parameters: a Greek is a property of holdings and market alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.market import Market
from engine.portfolio import PortfolioLike
from engine.pricing.greeks import unit_greeks
from engine.pricing.valuation import ContractTable, contract_table, mark_of, unit_value
from engine.risk.exposures import why_unpriced
from engine.units import E8, E12, PPM

GREEK_NAMES = ("delta", "gamma", "vega", "theta")


def greeks(portfolio: PortfolioLike, market: Market) -> Mapping[str, Mapping[str, float]]:
    """delta, gamma, vega and theta of ``portfolio`` by underlying, added in canonical order; keys sorted.

    Units: delta in units of the underlying, gamma units per unit of price, vega numeraire per 1.00 of volatility,
    theta numeraire per calendar day. Each position is differentiated with respect to its own mark; its settlement
    asset's mark moves by the same share where it moves in scenarios, and is held fixed elsewhere. Collateral that
    moves with an underlying adds the amount that counts (after haircut) to delta, as it does to scenario PnL. Raises
    what ``why_unpriced`` says when a mark is missing.
    """
    held = tuple(name for name in sorted(portfolio.positions) if portfolio.positions[name].quantity_e8)
    table = contract_table(held, market)
    if not bool(table.priced_I.all()):
        raise why_unpriced(portfolio, market)
    unit = unit_greeks(table)
    columns = (unit.delta.tolist(), unit.gamma.tolist(), unit.vega.tolist(), unit.theta.tolist())
    worth = _worth_in_own_coin(portfolio, held, table)
    totals: dict[str, dict[str, float]] = {}
    for row, (name, instrument, *sensitivities) in enumerate(zip(held, table.instruments, *columns, strict=True)):
        assert instrument is not None
        quantity = portfolio.positions[name].quantity_e8 / E8
        total = totals.setdefault(instrument.underlying, dict.fromkeys(GREEK_NAMES, 0.0))
        for greek, sensitivity in zip(GREEK_NAMES, sensitivities, strict=True):
            total[greek] += quantity * sensitivity
        if row in worth:
            # W = U(p) S with S in proportion to p: W' = U'S + US/p and W'' = U''S + 2U'S/p.
            price = float(table.price_I[row])
            total["delta"] += worth[row] / price
            total["gamma"] += 2.0 * quantity * float(unit.delta[row]) / price
    for underlying, units in _collateral_units(portfolio, market):
        totals.setdefault(underlying, dict.fromkeys(GREEK_NAMES, 0.0))["delta"] += units
    return {name: totals[name] for name in sorted(totals)}


def _worth_in_own_coin(portfolio: PortfolioLike, held: Sequence[str], table: ContractTable) -> dict[int, float]:
    """What each position adds to equity whose settlement asset moves with its underlying, by row, numeraire."""
    rows = np.flatnonzero(table.settlement_moves_I).tolist()
    if not rows:
        return {}
    flat = np.ones((len(held), 1))
    value_I = unit_value(table, flat, flat)[:, 0]
    worth = {}
    for row in rows:
        position = portfolio.positions[held[row]]
        quantity = position.quantity_e8 / E8
        accrued = (int(table.funding_index_e12_I[row]) - position.funding_index_e12) / E12
        owed = position.cost_e8 / E8 + quantity * float(table.funding_multiplier_I[row]) * accrued
        owed *= 0.0 if table.sign_I[row] else float(table.settlement_price_I[row])
        worth[row] = quantity * float(value_I[row]) - owed
    return worth


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
