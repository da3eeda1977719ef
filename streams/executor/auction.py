"""An auction of one account's book: bidders by schedule, vertical slices, prices that make up what was bid.

Owns when each simulated bidder bids, which lots it gets and at which prices. The price of the book over time and the
share that may be sold are those of ``engine.rules.auction``, on the figures that the command states: an executor does
not value the account. Refuses publishing and the clock.

A bidder gets the same share of every position, so that what hedges in the book hedges in the slice. Collateral stays
where it is: instead of a payment for the slice all its legs trade off the mark by one common rate, at which the account
gives away what it would by selling that share at the auction's price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.errors import InvalidReference
from engine.market import Market
from engine.rules.auction import AuctionFigures, AuctionTerms, apply_bid, insolvent_price, largest_share
from engine.units import E8
from schemas.events.liquidations import AuctionOfferV1, LiquidationCommandV1
from streams.executor.history import fair_price
from streams.executor.legs import unit_notional
from streams.executor.records import Trade

_SECOND_US = 1_000_000


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
        fast_seconds=offer.fast_us / _SECOND_US,
        slow_seconds=offer.slow_us / _SECOND_US,
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
        self._lots = [lot for name, quantity in book.items() if (lot := _on_sale(name, quantity, market)) is not None]
        start_us = command.versions.time_us
        timed = [
            (start_us + round(bid_seconds(bidder.price, self._terms, self._is_solvent) * _SECOND_US), bidder)
            for bidder in bidders
            if bidder.account != command.account
        ]
        timed.sort(key=lambda bid: (bid[0], bid[1].account))
        self._bids = [bid for bid in timed if bid[0] < command.expires_us]
        self._start_us = start_us
        self._made = 0

    @property
    def is_sold(self) -> bool:
        """Whether nothing more is for sale: all is sold, or the account has what it needs."""
        if not any(lot.quantity_e8 for lot in self._lots):
            return True
        return self._is_solvent and self._share_max(self._terms.start) <= 0.0

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
        share, conceded = self._sell(bidder.share, (at_us - self._start_us) / _SECOND_US)
        cuts = [_cut(lot, share) for lot in self._lots]
        gross = sum(abs(cut) / E8 * lot.value for lot, cut in zip(self._lots, cuts, strict=True))
        rate = conceded / gross if gross > 0.0 else 0.0
        trades = []
        for place, (lot, cut_e8) in enumerate(zip(self._lots, cuts, strict=True)):
            if cut_e8:
                price_e8 = _price_off_mark(lot, rate)
                trades.append(Trade(f"{number}.{place}", bidder.account, lot.instrument, -cut_e8, price_e8, at_us))
        self._lots = [
            _Lot(lot.instrument, lot.quantity_e8 - cut, lot.fair_e8, lot.tick_e8, lot.lot_e8, lot.value)
            for lot, cut in zip(self._lots, cuts, strict=True)
        ]
        return tuple(trades)

    def _sell(self, wanted: float, seconds: float) -> tuple[float, float]:
        """Share sold of what is left, and the value conceded for it (numeraire). Moves the figures on."""
        figures = self._figures
        if not self._is_solvent:
            price = insolvent_price(figures, seconds, self._terms.fast_seconds)
            conceded = (min(figures.mark_to_market, 0.0) - price) * wanted
            kept = 1.0 - wanted
            self._figures = AuctionFigures(figures.mark_to_market * kept, figures.maintenance_margin * kept)
            return wanted, conceded
        settled = apply_bid(figures, wanted, seconds, self._terms)
        saleable = figures.mark_to_market - figures.reserved
        self._figures = settled.figures
        return settled.share, saleable * settled.share - settled.payment

    def _share_max(self, discount: float) -> float:
        if self._figures.mark_to_market - self._figures.reserved <= 0.0:
            return 0.0
        return largest_share(self._figures, discount, self._terms.buffer)


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


def _cut(lot: _Lot, share: float) -> int:
    """Signed quantity in whole lots, rounded down; all of it for all of the book."""
    if share >= 1.0:
        return lot.quantity_e8
    whole = int(abs(lot.quantity_e8) * share) // lot.lot_e8 * lot.lot_e8
    return whole if lot.quantity_e8 > 0 else -whole


def _price_off_mark(lot: _Lot, rate: float) -> int:
    """The fair price made worse for the account by ``rate``, on the nearest tick and at least one."""
    price = lot.fair_e8 * (1.0 - rate if lot.quantity_e8 > 0 else 1.0 + rate)
    return max(round(price / lot.tick_e8), 1) * lot.tick_e8
