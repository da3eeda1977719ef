"""Exposures: which feeds a portfolio's figures depend on.

Owns that list, which is also what an account waits for when it is not priced. Refuses the marks themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.portfolio import PortfolioLike
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument


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
