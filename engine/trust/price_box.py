"""The price box: between which prices the truth may lie, given a mark and how it came about.

Owns the box of one feed and the groups of feeds that move together. Refuses accounts (``engine.trust.doubt``).

    half-width  max(confidence, age_sigmas x s x sqrt(age - fresh))        age in whole seconds, 0 while fresh
    jump        |mark - reference| > jump_sigmas x s x sqrt(dt), no second source: the box reaches to the reference

``s`` is the price times its daily standard deviation, dt in days. The confidence of a mark spans the quotes that
agreed (``engine.oracle``), so it is the dispersion between sources too. The reference is the newest price that is
confirmed or has stood for ``suspect_us_max`` (``engine.books.mark_history``), dt the time since it was last seen, at
least a second; a jump therefore ends when a second source agrees or at that deadline, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

from engine.books.market_book import MarketBook
from engine.pricing.valuation import SECOND_US, valuation_time_us
from engine.reference.parameters import RiskParameters
from engine.units import DAY_US, PPM

MOVE_US_MIN = SECOND_US
"""A move is measured against what is usual in this time at least: quotes come in fits."""


@dataclass(frozen=True, slots=True)
class PriceBox:
    """Lowest and highest believable price, 10^-8. ``jump_until_us`` is when the part of it that stands for an
    unconfirmed jump ends by time alone; None without one."""

    low_e8: int
    high_e8: int
    jump_until_us: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether the truth may be another price than the mark."""
        return self.low_e8 < self.high_e8


class FeedTerms:
    """What the feeds of ``market`` are the prices of, under one set of parameters: the group of each (an underlying, or
    the feed itself where it has none) and its daily standard deviation, in ppm of the price."""

    def __init__(self, market: MarketBook, parameters: RiskParameters) -> None:
        self.group: dict[str, str] = {}
        self.members: dict[str, list[str]] = {}
        self._range_ppm: dict[str, int] = {}
        self._sigmas = parameters.policy.trust.range_sigmas
        ranges = {name: terms.price_range_ppm for name, terms in parameters.underlyings.items()}
        for name in sorted(market.instruments):
            listed = market.instruments[name]
            self._enter(listed.mark_feed, listed.underlying, ranges)
            if listed.kind.is_option:
                self._enter(listed.underlying, listed.underlying, ranges)
        for name in sorted(market.assets):
            asset = market.assets[name]
            if asset.mark_feed is not None and asset.underlying is not None:
                self._enter(asset.mark_feed, asset.underlying, ranges)
            elif asset.mark_feed is not None:
                self._enter(asset.mark_feed, asset.mark_feed, {asset.mark_feed: asset.haircut_ppm})

    def daily_ppm(self, feed: str) -> int:
        """The daily standard deviation of ``feed``, ppm."""
        return self._range_ppm.get(feed, 0) // self._sigmas

    def _enter(self, feed: str, group: str, ranges: Mapping[str, int]) -> None:
        if feed not in self.group:
            self.group[feed] = group
            self.members.setdefault(group, []).append(feed)
        self._range_ppm[feed] = max(self._range_ppm.get(feed, 0), ranges.get(group, 0))


def price_box(feed: str, market: MarketBook, parameters: RiskParameters, terms: FeedTerms) -> PriceBox | None:
    """The box of ``feed`` at the market's time; None without a mark."""
    mark, newest = market.marks.get(feed), market.history.newest(feed)
    if mark is None or newest is None:
        return None
    policy, trust = parameters.policy, parameters.policy.trust
    old_us = valuation_time_us(market.time_us) - mark.mark_time_us - trust.fresh_us
    half_e8 = max(mark.confidence_e8, trust.age_sigmas * sigma_e8(mark.price_e8, terms.daily_ppm(feed), old_us))
    low_e8, high_e8 = max(mark.price_e8 - half_e8, 1), mark.price_e8 + half_e8
    reference = market.history.reference(feed, policy.suspect_us_max, market.time_us)
    if reference is None or reference is newest:
        return PriceBox(low_e8, high_e8)
    usual_us = max(newest.since_us - reference.until_us, MOVE_US_MIN)
    usual_e8 = sigma_e8(reference.price_e8, terms.daily_ppm(feed), usual_us)
    if abs(mark.price_e8 - reference.price_e8) <= trust.jump_sigmas * usual_e8:
        return PriceBox(low_e8, high_e8)
    until_us = market.history.next_reference_us(feed, policy.suspect_us_max, market.time_us)
    return PriceBox(min(low_e8, reference.price_e8), max(high_e8, reference.price_e8), until_us)


def sigma_e8(price_e8: int, daily_ppm: int, time_us: int) -> int:
    """One standard deviation of ``price_e8`` over ``time_us``, 10^-8, rounded down; in integers, so that it is the same
    on every machine."""
    if time_us <= 0:
        return 0
    return price_e8 * daily_ppm * isqrt(time_us * PPM * PPM // DAY_US) // (PPM * PPM)
