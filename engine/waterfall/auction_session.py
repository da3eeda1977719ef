"""One auction of a whole book, bid by bid: a state machine on top of ``engine.rules.auction``.

Owns the life of an auction (open, bids, conversion to insolvent, close), the checks on a bid and the exact lots and
cash that a slice moves. Refuses to value the account: whoever asks passes its figures and version, afresh each time.

A solvent auction sells slices at a falling price until the buffer margin is restored; when the account has nothing left
to sell it becomes an insolvent one, which pays bidders rising amounts until maintenance is met. Every slice changes the
account, so a bid names the account version it was made for and any other is refused: nobody buys what he has not seen.
Prices and figures are float64 in units of the settlement asset, as the rule computes them; what changes hands is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil, floor

from engine.errors import InvalidReference
from engine.rules.auction import (
    AuctionFigures,
    AuctionTerms,
    buffer_margin,
    discount_at,
    insolvent_price,
    largest_share,
    start_fee,
)
from engine.units import E8

SECOND_US = 1_000_000


class AuctionStatus(StrEnum):
    """Open in one of two modes, or over for one of two reasons."""

    SOLVENT = "solvent"
    INSOLVENT = "insolvent"
    RESTORED = "restored"
    EXPIRED = "expired"


class BidRefusal(StrEnum):
    """Why a bid moved nothing."""

    NOT_OPEN = "not_open"
    MODE_CHANGED = "mode_changed"
    VERSION_MISMATCH = "version_mismatch"
    SHARE = "share_out_of_range"
    PRICE_LIMIT = "price_limit"
    OWN_ACCOUNT = "own_account"
    BIDDER_SHORT = "bidder_short_of_cash"
    BELOW_ONE_LOT = "below_one_lot"


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """The price rule, how long an insolvent auction rises, and below which value an account is sold at once."""

    prices: AuctionTerms
    insolvent_seconds: float = 3_600.0
    small_account: float = 0.0

    def __post_init__(self) -> None:
        if self.insolvent_seconds <= 0.0 or self.small_account < 0.0:
            raise InvalidReference("auction", "an insolvent auction must last, a small account has a value")


@dataclass(frozen=True, slots=True)
class AuctionBook:
    """What is for sale, exact: signed quantities and lot sizes by leg, and cash; ``version`` of the account."""

    version: int
    quantities_e8: tuple[int, ...]
    lots_e8: tuple[int, ...]
    cash_e8: int

    def __post_init__(self) -> None:
        if len(self.quantities_e8) != len(self.lots_e8) or min(self.lots_e8, default=1) <= 0:
            raise InvalidReference("lots", "every leg has a lot above zero")


@dataclass(frozen=True, slots=True)
class AuctionSession:
    """An auction of ``account``. ``reserved_e8``: cash that bidders paid in: the account's, and not for sale."""

    account: str
    terms: SessionTerms
    status: AuctionStatus
    started_us: int
    fee_e8: int
    reserved_e8: int = 0
    bids: int = 0

    @property
    def is_open(self) -> bool:
        return self.status in (AuctionStatus.SOLVENT, AuctionStatus.INSOLVENT)


@dataclass(frozen=True, slots=True)
class Bid:
    """An offer for ``share_e8`` of the book (cut to what is for sale) at no more than ``limit_e8`` in all.

    ``limit_e8`` is what the bidder pays at most; below zero in an insolvent auction: what it must be paid at least.
    ``cash_e8`` is what the bidder has.
    """

    bidder: str
    share_e8: int
    expected_version: int
    limit_e8: int
    cash_e8: int
    at_us: int


@dataclass(frozen=True, slots=True)
class SettledSlice:
    """What one bid moves from account to bidder: signed quantities by leg, ``cash_e8`` of the account's own cash.

    ``payment_e8`` goes from bidder to account; below zero the insurance fund pays the bidder that much instead.
    """

    bidder: str
    share_e8: int
    quantities_e8: tuple[int, ...]
    cash_e8: int
    payment_e8: int

    @property
    def fund_pays_e8(self) -> int:
        return max(-self.payment_e8, 0)


def open_auction(account: str, terms: SessionTerms, figures: AuctionFigures, at_us: int) -> AuctionSession:
    """An auction from ``at_us``, solvent when the account has something to sell; the fee goes to the fund.

    Raises ``InvalidReference`` for an account that meets its maintenance requirement.
    """
    if figures.maintenance_margin >= 0.0:
        raise InvalidReference("maintenance_margin", f"{account} misses nothing")
    if figures.mark_to_market <= 0.0:
        return AuctionSession(account, terms, AuctionStatus.INSOLVENT, at_us, 0)
    return AuctionSession(account, terms, AuctionStatus.SOLVENT, at_us, floor(start_fee(figures, terms.prices) * E8))


def review(session: AuctionSession, figures: AuctionFigures, at_us: int) -> AuctionSession:
    """The session with what the account's figures and the time have made of it; call before bids and on a timer."""
    if not session.is_open:
        return session
    seconds = (at_us - session.started_us) / SECOND_US
    if session.status is AuctionStatus.INSOLVENT:
        return replace(session, status=AuctionStatus.RESTORED) if figures.maintenance_margin >= 0.0 else session
    prices = session.terms.prices
    if buffer_margin(figures, prices.buffer) >= 0.0:
        return replace(session, status=AuctionStatus.RESTORED)
    if figures.mark_to_market - figures.reserved <= 0.0:
        return replace(session, status=AuctionStatus.INSOLVENT, started_us=at_us)
    if seconds > prices.fast_seconds + prices.slow_seconds:
        return replace(session, status=AuctionStatus.EXPIRED)
    return session


def most_for_sale_e8(session: AuctionSession, figures: AuctionFigures, at_us: int) -> int:
    """Share that one bid may take now, cut to 1e-8: all of an insolvent or small account; zero when not open."""
    session = review(session, figures, at_us)
    if not session.is_open:
        return 0
    if session.status is AuctionStatus.INSOLVENT or abs(figures.mark_to_market) < session.terms.small_account:
        return E8
    discount = discount_at(session.terms.prices, (at_us - session.started_us) / SECOND_US)
    return min(ceil(largest_share(figures, discount, session.terms.prices.buffer) * E8), E8)


def price_of_all(session: AuctionSession, figures: AuctionFigures, at_us: int) -> float:
    """What the whole of what is for sale costs now; below zero when bidders are paid."""
    seconds = (at_us - session.started_us) / SECOND_US
    if session.status is AuctionStatus.INSOLVENT:
        return insolvent_price(figures, seconds, session.terms.insolvent_seconds)
    return (figures.mark_to_market - figures.reserved) * discount_at(session.terms.prices, seconds)


def place_bid(
    session: AuctionSession, book: AuctionBook, figures: AuctionFigures, bid: Bid
) -> tuple[AuctionSession, SettledSlice | BidRefusal]:
    """The session after ``bid``, and the slice it settles or why not; a refused bid changes no more than ``review``.

    Lots are rounded toward zero and the payment up, for the account. The caller moves the slice, and values the account
    anew before the next bid; the version must have changed by then.
    """
    before, session = session.status, review(session, figures, bid.at_us)
    refusal = _refusal(session, before, book, bid)
    if refusal is not None:
        return session, refusal
    share = min(bid.share_e8, most_for_sale_e8(session, figures, bid.at_us))
    payment = ceil(price_of_all(session, figures, bid.at_us) * share)
    slice_ = SettledSlice(
        bid.bidder,
        share,
        tuple(_toward_zero(held, share, lot) for held, lot in zip(book.quantities_e8, book.lots_e8, strict=True)),
        (book.cash_e8 - session.reserved_e8) * share // E8,
        payment,
    )
    if payment > bid.limit_e8:
        return session, BidRefusal.PRICE_LIMIT
    if bid.cash_e8 < max(payment, 0) + margin_needed_e8(session, figures, share):
        return session, BidRefusal.BIDDER_SHORT
    if any(book.quantities_e8) and not any(slice_.quantities_e8):
        return session, BidRefusal.BELOW_ONE_LOT
    return replace(session, reserved_e8=session.reserved_e8 + max(payment, 0), bids=session.bids + 1), slice_


def margin_needed_e8(session: AuctionSession, figures: AuctionFigures, share_e8: int) -> int:
    """Cash beyond the payment that a bidder must have: |buffer margin - reserved| * share (insolvent: of MM), up.

    Source: Derive v2-core at 7736900d, src/liquidation/DutchAuction.sol.
    """
    insolvent = session.status is AuctionStatus.INSOLVENT
    margin = figures.maintenance_margin if insolvent else buffer_margin(figures, session.terms.prices.buffer)
    return ceil(abs(margin - figures.reserved) * share_e8)


def figures_with_reserved(session: AuctionSession, mark_to_market: float, maintenance_margin: float) -> AuctionFigures:
    """Figures for the calls above from a fresh valuation of the account, cash that bidders paid in included."""
    return AuctionFigures(mark_to_market, maintenance_margin, session.reserved_e8 / E8)


def _refusal(session: AuctionSession, before: AuctionStatus, book: AuctionBook, bid: Bid) -> BidRefusal | None:
    if not session.is_open or bid.at_us < session.started_us:
        return BidRefusal.NOT_OPEN
    if session.status is not before:
        return BidRefusal.MODE_CHANGED
    if bid.bidder == session.account:
        return BidRefusal.OWN_ACCOUNT
    if bid.expected_version != book.version:
        return BidRefusal.VERSION_MISMATCH
    return None if 0 < bid.share_e8 <= E8 else BidRefusal.SHARE


def _toward_zero(quantity_e8: int, share_e8: int, lot_e8: int) -> int:
    if share_e8 == E8:
        return quantity_e8
    lots = abs(quantity_e8) * share_e8 // (E8 * lot_e8)
    return lots * lot_e8 if quantity_e8 > 0 else -lots * lot_e8
