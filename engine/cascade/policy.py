"""What a venue does when accounts fall short: the knobs that a run compares.

Owns the parameters and their bounds. Refuses defaults for what a preset must state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from engine.errors import InvalidReference


class AdlRule(StrEnum):
    """Against whom, and how much of, a book is deleveraged (``engine.cascade.adl``)."""

    PRO_RATA = "pro-rata"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class VenuePolicy:
    """Liquidation and waterfall of a venue. Shares of 1, seconds, numeraire.

    ``target``: a close aims at equity = target x requirement. ``takeover``: below this share of the requirement the
    backstop takes the whole book. ``participation``: forced flow per tick and underlying at most this share of what
    everybody trades; ``flow_per_s``: of all underlyings together; infinite ones do not bind. ``backstop_rate``: equity
    over gross that the backstop needs to take a book on; ``backstop_floor``: below this share of that need its own book
    is deleveraged. ``auction_share``: what bidders take per second, of volume, held over for ``auction_s``, at
    ``auction_discount`` to mark. ``outage_s`` from ``outage_at_s`` on nobody is liquidated.
    """

    target: float
    takeover: float
    participation: float
    flow_per_s: float
    netting: bool
    fee: float
    fund: float
    backstop_rate: float
    backstop_floor: float
    backstop_unwind_s: float
    auction_share: float
    auction_s: float
    auction_discount: float
    adl: AdlRule
    oracle_lag_s: float = 0.0
    mark_noise: float = 0.0
    outage_at_s: float = 0.0
    outage_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.target >= 1.0:
            raise InvalidReference("target", "must be at least 1")
        for name in ("participation", "flow_per_s", "backstop_rate", "backstop_unwind_s"):
            if not getattr(self, name) > 0.0:
                raise InvalidReference(name, "must be above zero")
        for name in ("takeover", "backstop_floor", "fee", "auction_discount"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidReference(name, "must lie in 0..1")
        for name in ("fund", "auction_share", "auction_s", "oracle_lag_s", "mark_noise", "outage_at_s", "outage_s"):
            if not isfinite(getattr(self, name)) or getattr(self, name) < 0.0:
                raise InvalidReference(name, "must be finite and not negative")

    @property
    def released(self) -> float:
        """Share of the requirement from which on an account is left alone again: half way to the target, so that the
        cost of the close itself does not keep it in."""
        return 1.0 + 0.5 * (min(self.target, 2.0) - 1.0)
