"""Suspicion: what is doubtful about the prices and terms that one account would be acted upon, and until when.

Owns the questions asked of an account about to be acted upon, and the deadlines that end every doubt. Refuses the
figures under other prices (``engine.trust.doubt``), what must then wait (``engine.trust.actions``), and to act.

An account at large or suspected that falls short is doubted while one of these holds: another price in the boxes of
its feeds would leave it sound; it is short only under parameters younger than ``shadow_us``; the breaker is open. In a
case only one thing is doubted: that it is beyond closing, while that rests on an unconfirmed jump. The first three end
with the suspicion (``Ladder.wait_until_us``, set once), the last with the jump.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from engine.books.account import AccountBook
from engine.books.market_book import MarketBook
from engine.liquidation.status import ACTIVE, AT_LARGE, is_beyond_closing
from engine.outcomes import MarginStatus
from engine.portfolio import PortfolioLike
from engine.reference.parameters import RiskParameters
from engine.trust.actions import PriceDoubt
from engine.trust.breaker import Breaker
from engine.trust.doubt import Doubts
from engine.units import PPM

_SUSPECTED = frozenset({MarginStatus.SUSPECT})
_GUARDED = AT_LARGE | _SUSPECTED


class Suspicions:
    """Asks about the accounts of one engine; ``market`` belongs to it."""

    def __init__(self, market: MarketBook) -> None:
        self._market = market
        self.doubts = Doubts(market)
        self.breaker = Breaker(market)

    def note_terms(self) -> None:
        """Parameters or terms changed."""
        self.doubts.note_terms()

    def judge(self, newly_short: int, accounts: int, parameters: RiskParameters) -> bool:
        """Tell the breaker how many of ``accounts`` are about to be acted upon; whether it stops them."""
        move_ppm = self.breaker.take_move(lambda: self.doubts.terms(parameters))
        return self.breaker.judge(newly_short, accounts, move_ppm, parameters)

    def found(
        self, book: AccountBook, equity: float, maintenance: float, parameters: RiskParameters, *, flat: bool
    ) -> frozenset[PriceDoubt]:
        """What is doubtful about acting on an account with these figures; ``flat``: it has nothing to close, so that
        only a loss is acted upon."""
        weight_ppm = 0 if flat else PPM
        if book.status in _GUARDED and equity * PPM < weight_ppm * maintenance:
            return self._about_entry(book, parameters, weight_ppm)
        if book.status in ACTIVE and not flat and is_beyond_closing(equity, maintenance, parameters):
            return self._about_handing_over(book, parameters)
        return frozenset()

    def about_withdrawal(self, after: PortfolioLike, parameters: RiskParameters) -> frozenset[PriceDoubt]:
        """What is doubtful about letting money go; ``after`` is what stays, and covers initial margin at the marks."""
        if not parameters.policy.suspect_us_max:
            return frozenset()
        worst = self.doubts.worst(after, parameters)
        return frozenset({PriceDoubt.UNCERTAIN}) if worst is not None and worst < 0 else frozenset()

    def until_us(self, doubts: Collection[PriceDoubt], parameters: RiskParameters) -> int:
        """When a suspicion that begins now ends at the latest."""
        ends_us = [self._market.time_us + parameters.policy.suspect_us_max]
        if PriceDoubt.UNTRIED in doubts:
            ends_us.append(self._shadow_us(parameters))
        if PriceDoubt.CROWDED in doubts:
            ends_us.append(self.breaker.until_us)
        return max(ends_us)

    def look_again_us(self, status: MarginStatus, feeds: Iterable[str], parameters: RiskParameters) -> int | None:
        """When time alone may end a doubt about an account with this status and ``feeds``, before any deadline."""
        if status not in ACTIVE | _SUSPECTED:
            return None
        jumps_us = self.doubts.jumps_end_us(feeds, parameters) if parameters.policy.suspect_us_max else None
        found = [jumps_us] if jumps_us is not None else []
        if status in _SUSPECTED:
            found += (self._shadow_us(parameters), self.breaker.until_us)
        return min((at_us for at_us in found if at_us >= self._market.time_us), default=None)

    def _shadow_us(self, parameters: RiskParameters) -> int:
        return self._market.parameters_since_us + parameters.policy.trust.shadow_us

    def _about_entry(self, book: AccountBook, parameters: RiskParameters, weight_ppm: int) -> frozenset[PriceDoubt]:
        if book.status is MarginStatus.SUSPECT and self._market.time_us > book.ladder.wait_until_us:
            return frozenset()
        found = set()
        if parameters.policy.suspect_us_max:
            best = self.doubts.best(book, parameters, weight_ppm)
            if best is not None and best >= 0:
                found.add(PriceDoubt.UNCERTAIN)
        if self.breaker.is_open():
            found.add(PriceDoubt.CROWDED)
        if self._is_in_shadow(book, parameters, weight_ppm):
            found.add(PriceDoubt.UNTRIED)
        return frozenset(found)

    def _is_in_shadow(self, book: AccountBook, parameters: RiskParameters, weight_ppm: int) -> bool:
        before = self._market.parameters_before
        if before is None or not parameters.policy.trust.shadow_us:
            return False
        if self._market.time_us > self._shadow_us(parameters):
            return False
        return self.doubts.under(book, parameters, before, weight_ppm) >= 0

    def _about_handing_over(self, book: AccountBook, parameters: RiskParameters) -> frozenset[PriceDoubt]:
        if not parameters.policy.suspect_us_max:
            return frozenset()
        best = self.doubts.best(book, parameters, parameters.policy.backstop_at_ppm, jumps_only=True)
        return frozenset({PriceDoubt.VOLATILE}) if best is not None and best >= 0 else frozenset()
