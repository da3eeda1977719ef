"""The price guard: raw quotes of several sources in, one believable price per feed out.

Owns when a price is believed. A feed's price is the median of its fresh quotes, taken over the quotes that agree with
that median; it is held back while too few of the expected sources speak, while they disagree, or while it jumps, and
every hold ends: what persists for ``hold_us_max`` of source time is accepted. Time is the sources' own; there is no
clock here. Refuses to know topics and wire formats (``streams.oracle``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.events import VolatilityNode
from engine.units import E8, PPM, div_magnitude

FUNDING_PERIOD_US = 8 * 3600 * 1_000_000
"""Funding rates are quoted per 8 hours, the interval of the large perpetual venues."""


@dataclass(frozen=True, slots=True)
class Quote:
    """One source's price of one feed. ``funding_rate_e12`` is a fraction per 8 hours in 10^-12 units."""

    feed: str
    source: str
    price_e8: int
    confidence_e8: int
    volatility: tuple[VolatilityNode, ...]
    funding_rate_e12: int
    source_time_us: int


@dataclass(frozen=True, slots=True)
class GuardedPrice:
    """A believed price with its cumulative funding indices and the sources that agreed on it."""

    feed: str
    price_e8: int
    confidence_e8: int
    volatility: tuple[VolatilityNode, ...]
    funding_rate_e12: int
    funding_index_linear_e12: int
    funding_index_inverse_e12: int
    mark_time_us: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """When a price is believed.

    ``quote_age_us_max``: an older quote no longer counts. ``deviation_ppm_max``: a quote further from the median does
    not agree. ``jump_ppm_max``: a larger move between two marks must persist. ``hold_us_max``: the deadline of every
    hold. ``mark_interval_us_max``: an unchanged price is repeated this often, so that its age stays known; one that a
    lone source has moved is repeated with every quote until it has stood that long, so that the deadlines of those who
    doubt it can pass.
    """

    quote_age_us_max: int = 120_000_000
    deviation_ppm_max: int = 30_000
    jump_ppm_max: int = 150_000
    hold_us_max: int = 120_000_000
    mark_interval_us_max: int = 30_000_000


@dataclass(slots=True)
class _Feed:
    quotes: dict[str, Quote] = field(default_factory=dict)
    mark: GuardedPrice | None = None
    held_since_us: int | None = None
    lone_move_us: int | None = None


class PriceGuard:
    """Guards any number of feeds; a pure function of the quotes it was given and the marks it was resumed from."""

    def __init__(self, settings: GuardSettings | None = None) -> None:
        self._settings = settings or GuardSettings()
        self._feeds: dict[str, _Feed] = {}

    def resume(self, mark: GuardedPrice) -> None:
        """Continue a feed from its last published mark: funding goes on from there, its sources are expected back."""
        self._feeds.setdefault(mark.feed, _Feed()).mark = mark

    def offer(self, quote: Quote) -> GuardedPrice | None:
        """Take one quote; return the new price if the feed now has one worth publishing.

        A quote that is not newer than the last one of its source changes nothing, so that a replay is harmless. A price
        that is not positive is none.
        """
        if quote.price_e8 <= 0:
            return None
        feed = self._feeds.setdefault(quote.feed, _Feed())
        known = feed.quotes.get(quote.source)
        if known is not None and known.source_time_us >= quote.source_time_us:
            return None
        if feed.mark is not None and quote.source_time_us <= feed.mark.mark_time_us - self._settings.quote_age_us_max:
            return None
        feed.quotes[quote.source] = quote
        return self._publish(feed, self._believe(feed))

    def _fresh(self, feed: _Feed) -> list[Quote]:
        newest_us = max(quote.source_time_us for quote in feed.quotes.values())
        oldest_us = newest_us - self._settings.quote_age_us_max
        return sorted(
            (quote for quote in feed.quotes.values() if quote.source_time_us >= oldest_us),
            key=lambda quote: (quote.price_e8, quote.source),
        )

    def _believe(self, feed: _Feed) -> list[Quote]:
        """The agreeing fresh quotes, or nothing while the feed is held."""
        fresh = self._fresh(feed)
        now_us = max(quote.source_time_us for quote in fresh)
        median_e8 = _median(fresh)
        limit = median_e8 * self._settings.deviation_ppm_max
        agreeing = [quote for quote in fresh if abs(quote.price_e8 - median_e8) * PPM <= limit]
        if self._is_doubtful(feed, fresh, agreeing):
            if feed.held_since_us is None:
                feed.held_since_us = now_us
            if now_us - feed.held_since_us < self._settings.hold_us_max:
                return []
        feed.held_since_us = None
        return agreeing or fresh

    def _is_doubtful(self, feed: _Feed, fresh: Sequence[Quote], agreeing: Sequence[Quote]) -> bool:
        if 2 * len(agreeing) <= len(fresh):
            return True
        if feed.mark is None:
            return False
        expected = set(feed.mark.sources) | {quote.source for quote in fresh}
        if 2 * len(fresh) <= len(expected):
            return True
        move_e8 = abs(_median(agreeing) - feed.mark.price_e8)
        return move_e8 * PPM > feed.mark.price_e8 * self._settings.jump_ppm_max

    def _publish(self, feed: _Feed, agreeing: Sequence[Quote]) -> GuardedPrice | None:
        if not agreeing:
            return None
        newest = max(agreeing, key=lambda quote: (quote.source_time_us, quote.source))
        candidate = _next_mark(feed.mark, newest, agreeing)
        if feed.mark is not None and self._is_repetition(feed, feed.mark, candidate):
            return None
        if len(agreeing) > 1:
            feed.lone_move_us = None
        elif feed.mark is not None and candidate.price_e8 != feed.mark.price_e8:
            feed.lone_move_us = candidate.mark_time_us
        feed.mark = candidate
        return candidate

    def _is_repetition(self, feed: _Feed, mark: GuardedPrice, candidate: GuardedPrice) -> bool:
        """Whether it says nothing new. That a price became less certain is news, and so is who stands behind it."""
        unchanged = (mark.price_e8, mark.volatility, mark.funding_rate_e12, mark.sources) == (
            candidate.price_e8,
            candidate.volatility,
            candidate.funding_rate_e12,
            candidate.sources,
        )
        if not unchanged or candidate.confidence_e8 > mark.confidence_e8:
            return False
        interval_us = self._settings.mark_interval_us_max
        if feed.lone_move_us is not None and candidate.mark_time_us - feed.lone_move_us < interval_us:
            return candidate.mark_time_us == mark.mark_time_us
        return candidate.mark_time_us - mark.mark_time_us < interval_us


def _median(quotes: Sequence[Quote]) -> int:
    prices = sorted(quote.price_e8 for quote in quotes)
    middle = len(prices) // 2
    if len(prices) % 2:
        return prices[middle]
    return (prices[middle - 1] + prices[middle]) // 2


def _next_mark(last: GuardedPrice | None, newest: Quote, agreeing: Sequence[Quote]) -> GuardedPrice:
    price_e8 = _median(agreeing)
    mark_time_us = newest.source_time_us if last is None else max(newest.source_time_us, last.mark_time_us)
    linear_e12, inverse_e12 = (0, 0) if last is None else _accrue(last, mark_time_us)
    spread_e8 = max(abs(quote.price_e8 - price_e8) + quote.confidence_e8 for quote in agreeing)
    return GuardedPrice(
        feed=newest.feed,
        price_e8=price_e8,
        confidence_e8=spread_e8,
        volatility=newest.volatility,
        funding_rate_e12=newest.funding_rate_e12,
        funding_index_linear_e12=linear_e12,
        funding_index_inverse_e12=inverse_e12,
        mark_time_us=mark_time_us,
        sources=tuple(sorted(quote.source for quote in agreeing)),
    )


def _accrue(last: GuardedPrice, until_us: int) -> tuple[int, int]:
    """Funding since the last mark, at that mark's rate and price: rate x price x dt / 8 h, and rate / price."""
    elapsed_us = until_us - last.mark_time_us
    weighted = last.funding_rate_e12 * elapsed_us
    linear = div_magnitude(weighted * last.price_e8, E8 * FUNDING_PERIOD_US)
    inverse = div_magnitude(weighted * E8, last.price_e8 * FUNDING_PERIOD_US)
    return last.funding_index_linear_e12 + linear, last.funding_index_inverse_e12 + inverse
