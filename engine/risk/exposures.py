"""Exposures: which feeds a portfolio's figures depend on.

Owns that list, and the answer to what is missing when an account is not priced. Refuses to value anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import EngineError, InvalidReference, InvariantBroken, PriceUnavailable
from engine.market import Market
from engine.portfolio import PortfolioLike
from engine.pricing.valuation import mark_of
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument
from engine.reference.parameters import RiskParameters


def feeds_of(
    portfolio: PortfolioLike,
    instruments: Mapping[str, Instrument],
    assets: Mapping[str, CollateralAsset],
) -> frozenset[str]:
    """Every feed whose mark the figures of ``portfolio`` need.

    Of a position: its own feed, its settlement asset's, and for an option the underlying's (surface and index price).
    Of a balance: the asset's. Unlisted ids contribute nothing; the account is not priced until they are listed.
    """
    feeds: set[str | None] = set()
    for name, position in portfolio.positions.items():
        instrument = instruments.get(name)
        if instrument is None or not position.quantity_e8:
            continue
        feeds.add(instrument.mark_feed)
        if instrument.kind.is_option:
            feeds.add(instrument.underlying)
        settlement = assets.get(instrument.settlement_asset)
        if settlement is not None:
            feeds.add(settlement.mark_feed)
    for name, amount in portfolio.balances.items():
        asset = assets.get(name)
        if asset is not None and amount:
            feeds.add(asset.mark_feed)
    return frozenset(feed for feed in feeds if feed is not None)


def why_unpriced(portfolio: PortfolioLike, market: Market, parameters: RiskParameters | None = None) -> EngineError:
    """The first reason why ``portfolio`` has no figures: an unlisted id, a missing mark or surface, or an underlying
    without parameters (not looked at when ``parameters`` is None). Ids are tried in sorted order."""
    for name in sorted(name for name, amount in portfolio.balances.items() if amount):
        if name not in market.assets:
            return InvalidReference("asset", f"{name} is not listed")
    instruments = []
    for name in sorted(name for name, position in portfolio.positions.items() if position.quantity_e8):
        if name not in market.instruments:
            return InvalidReference("instrument", f"{name} is not listed")
        instruments.append(market.instruments[name])
    for instrument in instruments:
        if instrument.settlement_asset not in market.assets:
            return InvalidReference("asset", f"{instrument.settlement_asset} is not listed")
    for feed in sorted(feeds_of(portfolio, market.instruments, market.assets)):
        if mark_of(market, feed) is None:
            return PriceUnavailable(feed)
    for instrument in instruments:
        if instrument.kind.is_option and not market.marks[instrument.underlying].volatility:
            return PriceUnavailable(instrument.underlying)
    if parameters is not None:
        for name in sorted(_underlyings(portfolio, market) - parameters.underlyings.keys()):
            return InvalidReference("underlyings", f"no parameters for {name}")
    return InvariantBroken("a portfolio with every mark and parameter was not priced")


def _underlyings(portfolio: PortfolioLike, market: Market) -> set[str]:
    """Underlyings with a position or with collateral that moves with them."""
    held = {market.instruments[name].underlying for name, held in portfolio.positions.items() if held.quantity_e8}
    moving = {market.assets[name].underlying for name, amount in portfolio.balances.items() if amount}
    return held | {name for name in moving if name is not None}
