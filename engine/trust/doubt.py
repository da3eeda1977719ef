"""Doubt: whether another price inside the boxes would change the verdict on an account.

Owns the corners of the boxes and the revaluation there, exact and whole (options, netting, add-ons), on rows shared by
all accounts that ask about the same corner. Refuses statuses and deadlines (``engine.liquidation``).

A corner takes per group of feeds (an underlying with everything priced in it) either the low or the high edges of all
their boxes. For an account each group goes to the edge that is better for it, the others at their marks; then all of
them together. What this leaves out: that feeds of one group may err in opposite directions, and that the best price may
lie inside the box. Both could only find more doubt, so an account is at worst acted upon as without any box.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from engine.books.market_book import MarketBook
from engine.market import Market
from engine.portfolio import PortfolioLike
from engine.reference.parameters import RiskParameters
from engine.risk.exposures import feeds_of
from engine.risk.margin import account_risk
from engine.risk.revaluation import RiskFrame
from engine.trust.price_box import FeedTerms, PriceBox, price_box
from engine.units import PPM

LOW, HIGH = 0, 1
Corner = tuple[tuple[str, int], ...]
"""Groups, sorted, with the edge that each is at; groups that are left out are at their marks."""


class Doubts:
    """What can be doubted about ``market``, which belongs to the engine. What it keeps is valid until the next mark."""

    def __init__(self, market: MarketBook) -> None:
        self._market = market
        self._parameters: RiskParameters | None = None
        self._terms: FeedTerms | None = None
        self._listed = -1
        self._view: Market | None = None
        self._boxes: dict[str, PriceBox | None] = {}
        self._frames: dict[Corner, RiskFrame] = {}
        self._shadow: RiskFrame | None = None

    def note_terms(self) -> None:
        """Terms of something that is held changed."""
        self._terms, self._view = None, None

    def terms(self, parameters: RiskParameters) -> FeedTerms:
        """What the feeds of the market are the prices of."""
        listed = len(self._market.instruments)
        if self._terms is None or self._parameters is not parameters or self._listed != listed:
            self._parameters, self._listed, self._view = parameters, listed, None
            self._terms = FeedTerms(self._market, parameters)
        return self._terms

    def box(self, feed: str, parameters: RiskParameters) -> PriceBox | None:
        """The box of a feed as the market stands; None without a mark."""
        terms = self._refresh(parameters)
        if feed not in self._boxes:
            self._boxes[feed] = price_box(feed, self._market, parameters, terms)
        return self._boxes[feed]

    def best(
        self, portfolio: PortfolioLike, parameters: RiskParameters, weight_ppm: int = PPM, *, jumps_only: bool = False
    ) -> float | None:
        """The highest equity less ``weight_ppm`` of maintenance margin (numeraire x PPM) that the boxes allow, at the
        corners that are tried; None if no box is open or the account is not priced. ``jumps_only``: take only the
        boxes that stand for an unconfirmed jump."""
        return self._extreme(portfolio, parameters, weight_ppm, initial=False, sign=1, jumps_only=jumps_only)

    def worst(self, portfolio: PortfolioLike, parameters: RiskParameters) -> float | None:
        """The lowest equity less initial margin (numeraire x PPM) at the corners; None as above."""
        return self._extreme(portfolio, parameters, PPM, initial=True, sign=-1, jumps_only=False)

    def under(
        self, portfolio: PortfolioLike, parameters: RiskParameters, other: RiskParameters, weight_ppm: int = PPM
    ) -> float:
        """Equity less ``weight_ppm`` of maintenance margin (numeraire x PPM) at the marks, had ``other`` parameters
        been in force; NaN if they do not price the account."""
        self._refresh(parameters)
        if self._shadow is None or self._shadow.parameters is not other:
            self._shadow = RiskFrame(self._market.view(), other)
        risk = account_risk((portfolio,), self._shadow.market, other, self._shadow)
        return float(risk.equity_A[0]) * PPM - weight_ppm * float(risk.maintenance_margin_A[0])

    def jumps_end_us(self, feeds: Iterable[str], parameters: RiskParameters) -> int | None:
        """The engine time after which a box of ``feeds`` changes though no mark comes; None if none does."""
        boxes = (self.box(feed, parameters) for feed in feeds)
        ends = [box.jump_until_us for box in boxes if box is not None and box.jump_until_us is not None]
        return min(ends, default=None)

    def _refresh(self, parameters: RiskParameters) -> FeedTerms:
        """Forget what was computed for another market."""
        terms, view = self.terms(parameters), self._market.view()
        if self._view is not view:
            self._view = view
            self._boxes.clear()
            self._frames.clear()
            self._shadow = None
        return terms

    def _extreme(
        self,
        portfolio: PortfolioLike,
        parameters: RiskParameters,
        weight_ppm: int,
        *,
        initial: bool,
        sign: int,
        jumps_only: bool,
    ) -> float | None:
        terms = self._refresh(parameters)
        groups = self._open_groups(portfolio, parameters, terms, jumps_only=jumps_only)
        if not groups:
            return None

        def surplus(corner: Corner) -> float:
            frame = self._frame(corner, parameters, terms)
            risk = account_risk((portfolio,), frame.market, parameters, frame)
            required = risk.initial_margin_A if initial else risk.maintenance_margin_A
            return sign * (float(risk.equity_A[0]) * PPM - weight_ppm * float(required[0]))

        edges = {(group, edge): surplus(((group, edge),)) for group in groups for edge in (LOW, HIGH)}
        if any(value != value for value in edges.values()):
            return None
        corner = tuple((group, max((LOW, HIGH), key=lambda edge: edges[group, edge])) for group in groups)
        together = surplus(corner) if len(groups) > 1 else edges[corner[0]]
        return sign * max(together, *edges.values())

    def _open_groups(
        self, portfolio: PortfolioLike, parameters: RiskParameters, terms: FeedTerms, *, jumps_only: bool
    ) -> list[str]:
        """The groups of feeds of ``portfolio`` with a box that is open, sorted."""
        found = set()
        for feed in feeds_of(portfolio, self._market.instruments, self._market.assets):
            box = self.box(feed, parameters)
            if box is not None and box.is_open and (not jumps_only or box.jump_until_us is not None):
                found.add(terms.group.get(feed, feed))
        return sorted(found)

    def _frame(self, corner: Corner, parameters: RiskParameters, terms: FeedTerms) -> RiskFrame:
        """Rows of the market with its marks moved into ``corner``."""
        frame = self._frames.get(corner)
        if frame is None:
            market = self._market.view()
            moved = {
                feed: replace(market.marks[feed], price_e8=self._edge_e8(feed, edge, parameters))
                for group, edge in corner
                for feed in terms.members.get(group, (group,))
                if feed in market.marks
            }
            frame = self._frames[corner] = RiskFrame(replace(market, marks={**market.marks, **moved}), parameters)
        return frame

    def _edge_e8(self, feed: str, edge: int, parameters: RiskParameters) -> int:
        box = self.box(feed, parameters)
        assert box is not None, "a feed with a mark has a box"
        return box.low_e8 if edge == LOW else box.high_e8
