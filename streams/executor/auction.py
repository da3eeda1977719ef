"""An auction of one account's book: bidders by schedule, vertical slices, prices that make up what was bid.

Owns when each simulated bidder bids, which lots it gets and at which prices. The price of the book over time and the
share that may be sold are those of ``engine.rules.auction``, on the figures that the command states: an executor does
not value the account; checks and lots are those of ``engine.waterfall.auction_session``. Refuses publishing and the
clock.

A bidder gets the same share of every position, so that what hedges in the book hedges in the slice. Collateral stays
where it is: instead of a payment for the slice all its legs trade off the mark by one common rate, at which the account
gives away what it would by selling that share at the auction's price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.errors import InvalidReference
from engine.market import Market
from engine.rules.auction import AuctionFigures, AuctionTerms, apply_bid
from engine.units import E8
from engine.waterfall.auction_session import (
    SECOND_US,
    AuctionBook,
    AuctionSession,
    AuctionStatus,
    Bid,
    BidRefusal,
    SessionTerms,
    open_auction,
    place_bid,
    review,
)
from schemas.events.liquidations import AuctionOfferV1, LiquidationCommandV1
from streams.executor.history import fair_price
from streams.executor.legs import unit_notional
from streams.executor.records import Trade

_ANY_PRICE_E8 = 1 << 62
"""Simulated bidders bid when the price has come down to theirs: no other limit is needed."""


@dataclass(frozen=True, slots=True)
class Bidder:
    """Bids for ``share`` of what is left of a book once its price has fallen to ``price`` times its worth. For a book
    worth nothing, once 1 - ``price`` of the way to paying the bidder all that is missing has passed."""

    account: str
    price: float
    share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.price <= 1.0 or not 0.0 < self.share <= 1.0:
            raise InvalidReference("bidder", "price and share lie in 0..1, and the share is above zero")


@dataclass(frozen=True, slots=True)
class _Lot:
    """A position on sale: what is left of it (signed), its fair price, and numeraire per contract at that price."""

    instrument: str
    quantity_e8: int
    fair_e8: int
    tick_e8: int
    lot_e8: int
    value: float


def terms_of(offer: AuctionOfferV1) -> AuctionTerms:
    """The offer as the rule's terms."""
    return AuctionTerms(
        start=float(offer.start),
        fast_end=float(offer.fast_end),
        fast_seconds=offer.fast_us / SECOND_US,
        slow_seconds=offer.slow_us / SECOND_US,
        buffer=float(offer.buffer),
        fee_rate=0.0,
    )


def bid_seconds(price: float, terms: AuctionTerms, is_solvent: bool) -> float:
    """When the auction's price has fallen to ``price``, in seconds after its start."""
    if not is_solvent:
        return terms.fast_seconds * (1.0 - price)
    if price >= terms.start:
        return 0.0
    if price >= terms.fast_end:
        return terms.fast_seconds * (terms.start - price) / (terms.start - terms.fast_end)
    return terms.fast_seconds + terms.slow_seconds * (terms.fast_end - price) / (terms.fast_end - terms.end)


class AuctionRun:
    """One auction from its start to its end. Everything follows from the command, the book and the marks given at the
    start, so that a run taken up again after a crash repeats its trades."""

    def __init__(
        self,
        command: LiquidationCommandV1,
        offer: AuctionOfferV1,
        book: Mapping[str, int],
        market: Market,
        bidders: Sequence[Bidder],
    ) -> None:
        self._terms = terms_of(offer)
        self._figures = AuctionFigures(offer.mark_to_market, offer.margin)
        self._is_solvent = offer.mark_to_market > 0.0
        self._session = _session(command, offer, self._terms, self._figures)
        self._lots = [lot for name, quantity in book.items() if (lot := _on_sale(name, quantity, market)) is not None]
        start_us = command.versions.time_us
        timed = [
            (start_us + round(bid_seconds(bidder.price, self._terms, self._is_solvent) * SECOND_US), bidder)
            for bidder in bidders
            if bidder.account != command.account
        ]
        timed.sort(key=lambda bid: (bid[0], bid[1].account))
        self._bids = [bid for bid in timed if bid[0] < command.expires_us]
        self._made = 0

    @property
    def is_sold(self) -> bool:
        """Whether nothing more is for sale: all is sold, or the account has what it needs."""
        if not any(lot.quantity_e8 for lot in self._lots):
            return True
        return review(self._session, self._figures, self._session.started_us).status is AuctionStatus.RESTORED

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be sold."""
        return self.is_sold or self._made == len(self._bids)

    def next_bid(self, now_us: int) -> tuple[Trade, ...] | None:
        """The trades of the next bid that is due; None when none is. A bid may come to no trade at all."""
        if self.is_over or self._bids[self._made][0] > now_us:
            return None
        at_us, bidder = self._bids[self._made]
        number, self._made = self._made, self._made + 1
        sold = self._sell(bidder, at_us)
        if sold is None:
            return ()
        cuts, conceded = sold
        gross = sum(abs(cut) / E8 * lot.value for lot, cut in zip(self._lots, cuts, strict=True))
        rate = conceded / gross if gross > 0.0 else 0.0
        trades = []
        for place, (lot, cut_e8) in enumerate(zip(self._lots, cuts, strict=True)):
            if cut_e8:
                price_e8 = _price_off_mark(lot, rate)
                trades.append(Trade(f"{number}.{place}", bidder.account, lot.instrument, -cut_e8, price_e8, at_us))
        self._lots = [
            replace(lot, quantity_e8=lot.quantity_e8 - cut) for lot, cut in zip(self._lots, cuts, strict=True)
        ]
        return tuple(trades)

    def _sell(self, bidder: Bidder, at_us: int) -> tuple[tuple[int, ...], float] | None:
        """Signed quantities that the bid moves, and the value conceded for them (numeraire); None if it is refused.
        Moves the figures on."""
        figures, version = self._figures, self._session.bids
        book = AuctionBook(
            version, tuple(lot.quantity_e8 for lot in self._lots), tuple(lot.lot_e8 for lot in self._lots), 0
        )
        # Who pays is the account, by the price off the mark, so nobody is asked for cash here.
        bid = Bid(bidder.account, round(bidder.share * E8), version, _ANY_PRICE_E8, _ANY_PRICE_E8, at_us)
        self._session, slice_ = place_bid(self._session, book, figures, bid)
        if isinstance(slice_, BidRefusal):
            return None
        share, payment = slice_.share_e8 / E8, slice_.payment_e8 / E8
        if self._is_solvent:
            saleable = figures.mark_to_market - figures.reserved
            self._figures = apply_bid(
                figures, share, (at_us - self._session.started_us) / SECOND_US, self._terms
            ).figures
            return slice_.quantities_e8, saleable * share - payment
        kept = 1.0 - share
        self._figures = AuctionFigures(figures.mark_to_market * kept, figures.maintenance_margin * kept)
        return slice_.quantities_e8, min(figures.mark_to_market, 0.0) * share - payment


def _session(
    command: LiquidationCommandV1, offer: AuctionOfferV1, prices: AuctionTerms, figures: AuctionFigures
) -> AuctionSession:
    """The auction from the decision's time on; over at once for an account that misses nothing."""
    terms, start_us = SessionTerms(prices, insolvent_seconds=prices.fast_seconds), command.versions.time_us
    if offer.margin >= 0.0:
        return AuctionSession(command.account, terms, AuctionStatus.RESTORED, start_us, 0)
    return open_auction(command.account, terms, figures, start_us)


def _on_sale(name: str, quantity_e8: int, market: Market) -> _Lot | None:
    """A position with what its slices are priced by; None for one that trades no more or has no price."""
    terms = market.instruments.get(name)
    if terms is None or (terms.expiry_us is not None and terms.expiry_us <= market.time_us):
        return None
    fair, notional = fair_price(terms, market), unit_notional(terms, market)
    reference = market.marks[terms.mark_feed].price_e8 / E8 if terms.mark_feed in market.marks else 0.0
    if fair is None or notional is None or reference <= 0.0:
        return None
    value = notional * fair / reference if terms.kind.is_option else notional
    return _Lot(name, quantity_e8, round(fair * E8), terms.tick_e8, terms.lot_e8, value)


def _price_off_mark(lot: _Lot, rate: float) -> int:
    """The fair price made worse for the account by ``rate``, on the nearest tick and at least one."""
    price = lot.fair_e8 * (1.0 - rate if lot.quantity_e8 > 0 else 1.0 + rate)
    return max(round(price / lot.tick_e8), 1) * lot.tick_e8
