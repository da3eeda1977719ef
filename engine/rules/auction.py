"""Partial liquidation by an auction with a falling price.

Owns the price over time, the buffer, the largest share one bidder may take, the start fee and what a bid does to the
account's figures. Refuses to know how mark-to-market and margin are computed: the caller values the portfolio and
passes both in, afresh before every bid, and scales the positions by what ``Settled`` says.

    buffer margin BM = MM + buffer * (MM - MtM),  largest share = BM / (BM - MtM d - R (1 - d))

with d the discount at the time of the bid and R the cash that earlier bidders paid in: it stays with the account and
is not for sale. MM is net (negative: missing). All amounts are float64 in quote currency, as risk valuation gives them.
Source: Derive v2-core at 7736900d, src/liquidation/DutchAuction.sol.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import InvalidReference
from engine.rules.refusals import RuleRefusal


@dataclass(frozen=True, slots=True)
class AuctionTerms:
    """Discount from ``start`` to ``fast_end`` in ``fast_seconds``, then to ``end`` in ``slow_seconds``; both linear."""

    start: float = 0.98
    fast_end: float = 0.8
    fast_seconds: float = 100.0
    slow_seconds: float = 14_400.0
    end: float = 0.0
    buffer: float = 0.2
    fee_rate: float = 0.02

    def __post_init__(self) -> None:
        if not 0.0 <= self.end <= self.fast_end <= self.start <= 1.0:
            raise InvalidReference("auction", "discounts must fall from start to fast_end to end inside 0 to 1")
        if self.fast_seconds <= 0.0 or self.slow_seconds <= 0.0:
            raise InvalidReference("auction", "both phases must last")
        if self.buffer < 0.0 or self.fee_rate < 0.0:
            raise InvalidReference("auction", "buffer and fee_rate must not be negative")


@dataclass(frozen=True, slots=True)
class AuctionFigures:
    """An account under auction, valued now: ``reserved`` is part of both figures."""

    mark_to_market: float
    maintenance_margin: float
    reserved: float = 0.0


@dataclass(frozen=True, slots=True)
class Settled:
    """After a bid. Positions, and the cash that is not reserved, are multiplied by ``kept``; ``payment`` is added.

    ``figures`` are the account's at unchanged prices, which is exact as long as margin is proportional to size.
    """

    share: float
    payment: float
    kept: float
    figures: AuctionFigures


def discount_at(terms: AuctionTerms, seconds: float) -> float:
    """Price of the auction as a share of mark-to-market, ``seconds`` after its start; flat before and after."""
    if seconds <= 0.0:
        return terms.start
    if seconds < terms.fast_seconds:
        return terms.start - (terms.start - terms.fast_end) * seconds / terms.fast_seconds
    slow = min((seconds - terms.fast_seconds) / terms.slow_seconds, 1.0)
    return terms.fast_end - (terms.fast_end - terms.end) * slow


def buffer_margin(figures: AuctionFigures, buffer: float) -> float:
    """Margin with a cushion, what a solvent auction must restore: negative while more must be sold."""
    return figures.maintenance_margin + buffer * (figures.maintenance_margin - figures.mark_to_market)


def largest_share(figures: AuctionFigures, discount: float, buffer: float) -> float:
    """Share of the account whose sale at ``discount`` brings the buffer margin to zero; 0 to 1.

    Zero when nothing is missing. Refuses with ``insolvent`` an account whose saleable part is worth nothing.
    """
    missing = buffer_margin(figures, buffer)
    if missing >= 0.0:
        return 0.0
    if figures.mark_to_market - figures.reserved <= 0.0:
        raise RuleRefusal("insolvent", "the account has nothing to sell: see insolvent_price")
    gain = figures.mark_to_market * discount + figures.reserved * (1.0 - discount)
    return min(missing / (missing - gain), 1.0)


def start_fee(figures: AuctionFigures, terms: AuctionTerms) -> float:
    """Fee of starting: fee rate * |MtM| * the largest share without discount and before any bid."""
    fresh = AuctionFigures(figures.mark_to_market, figures.maintenance_margin)
    return largest_share(fresh, 1.0, terms.buffer) * abs(figures.mark_to_market) * terms.fee_rate


def apply_bid(figures: AuctionFigures, wanted: float, seconds: float, terms: AuctionTerms) -> Settled:
    """A bid for ``wanted`` of the account: cut to the largest share, paid at the discount, settled."""
    if not 0.0 < wanted <= 1.0:
        raise InvalidReference("fraction_wanted", f"{wanted} is not a share above zero")
    discount = discount_at(terms, seconds)
    share = min(wanted, largest_share(figures, discount, terms.buffer))
    payment = (figures.mark_to_market - figures.reserved) * discount * share
    kept, reserved = 1.0 - share, figures.reserved
    after = AuctionFigures(
        mark_to_market=(figures.mark_to_market - reserved) * kept + reserved + payment,
        maintenance_margin=(figures.maintenance_margin - reserved) * kept + reserved + payment,
        reserved=reserved + payment,
    )
    return Settled(share, payment, kept, after)


def cash_after(cash: float, figures: AuctionFigures, settled: Settled) -> float:
    """The account's cash after a bid: (cash - reserved) * kept + reserved + payment."""
    return (cash - figures.reserved) * settled.kept + figures.reserved + settled.payment


def insolvent_price(figures: AuctionFigures, seconds: float, duration_seconds: float) -> float:
    """What a bidder pays for all of an insolvent account: from min(MtM, 0) linearly to MM, so never above zero.

    Negative means that the insurance fund pays the bidder to take the account over.
    """
    if duration_seconds <= 0.0:
        raise InvalidReference("duration_seconds", "must be above zero")
    start, end = min(figures.mark_to_market, 0.0), min(figures.maintenance_margin, 0.0)
    return start + (end - start) * min(max(seconds / duration_seconds, 0.0), 1.0)
