"""Liquidation policy: how long the venue waits, what it charges and when it hands an account over.

Owns the numbers of the ladder (``engine.liquidation.status``) and of what stands behind it. They are part of the risk
parameters, so a policy has a version and an effective time like everything else a risk manager may turn.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import InvalidReference
from engine.reference.trust_policy import DEFAULT_TRUST, TrustPolicy
from engine.units import DAY_US, PPM


@dataclass(frozen=True, slots=True)
class AuctionSchedule:
    """Price of an auctioned book as a share of its value: ``start`` falls to ``fast_end`` in ``fast_us``, then to zero
    in ``slow_us``, both linearly. An insolvent book's price falls from zero to what is missing of maintenance margin in
    ``fast_us``. Published examples: ``engine.rules.auction``."""

    start_ppm: int = 950_000
    fast_end_ppm: int = 700_000
    fast_us: int = 900_000_000
    slow_us: int = 43_200_000_000

    def __post_init__(self) -> None:
        if not 0 <= self.fast_end_ppm <= self.start_ppm <= PPM:
            raise InvalidReference("liquidation.auction.start", "shares must fall from start to fast_end inside 0..1")
        for field in ("fast_us", "slow_us"):
            if getattr(self, field) <= 0:
                raise InvalidReference(f"liquidation.auction.{field}", "must be positive")


DEFAULT_SCHEDULE = AuctionSchedule()


@dataclass(frozen=True, slots=True)
class LiquidationPolicy:
    """Numbers of the ladder.

    ``watch_buffer`` times initial margin is where the watch begins (1: no watch). A breach that the uncertainty of
    prices alone may explain is suspected for at most ``suspect_us_max``. Resting orders have ``cancel_us_max`` to be
    cancelled (0: there are none, the stage is skipped). After a round without cure the account rests ``cooldown_us``,
    twice as long after every further round in which nothing was filled, at most ``cooldown_us_max``; after
    ``fruitless_rounds_max`` of them, or below ``backstop_at`` times maintenance margin, the book goes to the backstop.
    Closing pays ``liquidation_fee`` of the traded value, at most what is left above the bankruptcy price. What would
    stay of a position below ``dust`` (numeraire) is closed with it. ``trust`` is how far prices are believed.
    ``hedges`` are linear perpetuals that may be sold or bought where taking off delta is cheaper than closing.

    What accounts of one input partition trade at the same time is bounded: of one instrument at most ``flow_max``
    (numeraire) of net forced flow on either side, by at most ``live_accounts_max`` accounts; 0: no bound. One account
    is closed in rounds that take at most ``participation`` of an instrument's daily volume, as long as its equity can
    wait: prices are reckoned to move by what maintenance margin covers within ``margin_horizon_us``
    (``engine.fleet.pace``). 0: all at once.
    """

    watch_buffer_ppm: int = PPM
    suspect_us_max: int = 2_000_000
    cancel_us_max: int = 1_000_000
    cooldown_us: int = 1_000_000
    cooldown_us_max: int = 60_000_000
    fruitless_rounds_max: int = 5
    backstop_at_ppm: int = 0
    liquidation_fee_ppm: int = 0
    dust_e8: int = 0
    auction: AuctionSchedule = DEFAULT_SCHEDULE
    flow_max_e8: int = 0
    live_accounts_max: int = 0
    participation_ppm: int = 0
    margin_horizon_us: int = DAY_US
    trust: TrustPolicy = DEFAULT_TRUST
    hedges: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.watch_buffer_ppm < PPM:
            raise InvalidReference("liquidation.watch_buffer", "must be at least 1")
        for field in ("suspect_us_max", "cancel_us_max", "cooldown_us", "dust_e8", "flow_max_e8", "live_accounts_max"):
            if getattr(self, field) < 0:
                raise InvalidReference(f"liquidation.{field.removesuffix('_e8')}", "must not be negative")
        if self.cooldown_us_max < self.cooldown_us:
            raise InvalidReference("liquidation.cooldown_us_max", "must not be below cooldown_us")
        if self.fruitless_rounds_max < 1:
            raise InvalidReference("liquidation.fruitless_rounds_max", "must be at least 1")
        if not 0 <= self.backstop_at_ppm < PPM:
            raise InvalidReference("liquidation.backstop_at", "must lie in 0..1, 1 excluded")
        if len(set(self.hedges)) != len(self.hedges):
            raise InvalidReference("liquidation.hedges", "names an instrument twice")
        if not 0 <= self.liquidation_fee_ppm < PPM:
            raise InvalidReference("liquidation.liquidation_fee", "must lie in 0..1, 1 excluded")
        if not 0 <= self.participation_ppm <= PPM:
            raise InvalidReference("liquidation.participation", "must lie in 0..1")
        if self.margin_horizon_us <= 0:
            raise InvalidReference("liquidation.margin_horizon_us", "must be positive")


DEFAULT_POLICY = LiquidationPolicy()
