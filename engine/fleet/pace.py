"""How fast one account is closed: as slowly as depth asks for, as fast as its equity can still wait.

Owns the horizon and what of a leg goes in one round. All of it follows from figures of the decision and parameters.

Prices are reckoned to move by what maintenance margin M covers within the margin horizon H, and with the square root of
time: in time t by M sqrt(t / H). Equity E is the budget for that, so there is time until E - M sqrt(T / H) = 0, that
is T = H (E / M)^2. Inside T a plan is spread evenly over rounds, the limit of Almgren and Chriss (2000) for a seller
who is indifferent to risk inside the budget; it is planned anew at every round, so no trajectory is followed for long.
Depth allows ``participation`` of the daily volume, in proportion to the time of a round.
"""

from __future__ import annotations

from math import isfinite

from engine.units import DAY_US

ROUNDS_MAX = 1_000_000


def rounds_left(equity: float, maintenance_margin: float, horizon_us: int, round_us: int) -> int:
    """Whole rounds of ``round_us`` that end before equity may be used up; 0: no time is left."""
    if equity <= 0.0 or maintenance_margin <= 0.0:
        return 0
    share = equity / maintenance_margin
    rounds = horizon_us / round_us * share * share
    return int(min(rounds, ROUNDS_MAX)) if isfinite(rounds) else ROUNDS_MAX


def round_quantity_e8(quantity_e8: int, rounds: int, depth_e8: int | None, lot_e8: int) -> int:
    """What of ``quantity_e8`` goes in this round, in whole lots: what depth takes in a round (None: nobody knows), but
    no less than an even part over ``rounds``; everything if less than two rounds are left."""
    if rounds < 2 or depth_e8 is None:
        return quantity_e8
    even_e8 = -(-quantity_e8 // (rounds * lot_e8)) * lot_e8
    return min(quantity_e8, max(even_e8, depth_e8 // lot_e8 * lot_e8, lot_e8))


def depth_share(participation: float, daily_volume: float, round_us: int) -> float:
    """Notional (numeraire) that the market takes in a round at ``participation`` of its daily volume."""
    return participation * daily_volume * (round_us / DAY_US)
