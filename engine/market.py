"""The market as valuation sees it: contract terms, collateral terms and the newest marks at one instant.

Owns nothing; it is the one value that carries all market inputs of a computation, so that a function of
(portfolios, market, parameters) is all there is to a margin figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.controls import NO_HOLDS, Controls
from engine.events import MarkPrice
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument


@dataclass(frozen=True, slots=True)
class Market:
    """Terms by id, the newest mark by feed, engine time (the time of the newest mark, UTC microseconds), and what
    people have stopped."""

    instruments: Mapping[str, Instrument]
    assets: Mapping[str, CollateralAsset]
    marks: Mapping[str, MarkPrice]
    time_us: int
    controls: Controls = NO_HOLDS
