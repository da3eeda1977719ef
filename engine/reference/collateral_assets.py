"""Collateral assets: what one unit of a balance is worth to the pool.

Owns the haircut and the feed of each asset. Refuses balances (``books.collateral``).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import InvalidReference
from engine.units import PPM


@dataclass(frozen=True, slots=True)
class CollateralAsset:
    """An asset that an account may hold.

    ``mark_feed`` prices it in the numeraire (US dollars); ``None`` means it is the numeraire. A positive balance
    counts at ``1 - haircut``; a negative one is a debt and counts in full. An asset with an ``underlying`` moves in
    that underlying's scenarios, so that a coin held as collateral hedges a short in it; so do contracts on that
    underlying that settle in the asset.
    """

    asset_id: str
    mark_feed: str | None
    haircut_ppm: int
    underlying: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.haircut_ppm <= PPM:
            raise InvalidReference("haircut", "must lie in 0..1")
        if self.underlying is not None and self.mark_feed is None:
            raise InvalidReference("underlying", "the numeraire has no underlying")
