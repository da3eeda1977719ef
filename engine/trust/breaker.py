"""The breaker: far more accounts fall short at once than the move of prices explains.

Owns the forecast, how it learns, and when the breaker is open. Refuses accounts: it is told numbers.

    move      = the largest move among feeds since the last judgment, in daily standard deviations
    density   = the greater of the prior (a share of all accounts per standard deviation) and what was seen lately:
                accounts newly short over moves, both fading by 1/64 with every judgment that had a move
    limit     = floor + factor x density x move

With the same crowd before the same threshold a crash brings many accounts and is a large move: the limit rises with it.
Wrong terms, parameters, surfaces, or a worker that comes back with old books bring many accounts without a move. All
in integers, from marks and judgments alone, so that a replay trips at the same batch. What was seen is not durable: a
worker that starts forecasts from the prior.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.books.market_book import MarketBook
from engine.reference.parameters import RiskParameters
from engine.trust.price_box import FeedTerms
from engine.units import PPM

_FADE = 64


class Breaker:
    """Watches how many accounts of an engine fall short; ``until_us`` is the end of the stop, 0 before the first."""

    def __init__(self, market: MarketBook) -> None:
        self._market = market
        self._prices: dict[str, int] = {}
        self._marked: set[str] = set()
        self._short_ppm = 0
        self._moved_ppm = 0
        self.until_us = 0

    def note_mark(self, feed: str) -> None:
        """The mark of ``feed`` changed."""
        self._marked.add(feed)

    def is_open(self) -> bool:
        """Whether entries into liquidation are stopped."""
        return self.until_us > 0 and self._market.time_us <= self.until_us

    def judge(self, newly_short: int, accounts: int, move_ppm: int, parameters: RiskParameters) -> bool:
        """Take how many of ``accounts`` fell short since the last call, and the move since then; whether entries are
        stopped now."""
        trust = parameters.policy.trust
        limit = trust.breaker_floor + trust.breaker_factor * self.forecast(move_ppm, accounts, parameters)
        if newly_short > limit and trust.breaker_us and not self.is_open():
            self.until_us = self._market.time_us + trust.breaker_us
        if move_ppm:
            self._short_ppm += newly_short * PPM - self._short_ppm // _FADE
            self._moved_ppm += move_ppm - self._moved_ppm // _FADE
        return self.is_open()

    def forecast(self, move_ppm: int, accounts: int, parameters: RiskParameters) -> int:
        """How many accounts a move of ``move_ppm`` millionths of a daily standard deviation should bring."""
        prior = accounts * parameters.policy.trust.breaker_prior_ppm * move_ppm // (PPM * PPM)
        seen = self._short_ppm * move_ppm // (self._moved_ppm * PPM) if self._moved_ppm else 0
        return max(prior, seen)

    def take_move(self, terms: Callable[[], FeedTerms]) -> int:
        """The largest move since the last call, in millionths of a daily standard deviation. ``terms`` is asked only
        if there was a mark."""
        largest_ppm, feeds = 0, terms() if self._marked else None
        for feed in self._marked:
            assert feeds is not None, "asked for above"
            price_e8, daily_ppm = self._market.marks[feed].price_e8, feeds.daily_ppm(feed)
            before_e8 = self._prices.get(feed, price_e8)
            if daily_ppm:
                largest_ppm = max(largest_ppm, abs(price_e8 - before_e8) * PPM * PPM // (before_e8 * daily_ppm))
            self._prices[feed] = price_e8
        self._marked.clear()
        return largest_ppm
