"""Takeover prices: at which prices a whole book changes hands so that its owner ends with nothing and owes nothing.

Owns the split of an account's equity over its legs, ticks included. Refuses to know margin rules and markets: shares
and the worth of a contract are inputs.

Every leg gives up (negative equity: is given) the part of equity that its share of maintenance makes,

    gain of leg i against mark = -equity * share i / sum of shares,

which for one linear leg is the published bankruptcy quote  -(change of notional) - net collateral * |change of
maintenance| / maintenance  (dYdX v4-chain at 84d4664b, x/clob/keeper/liquidations.go; ``engine.rules.close_out``).
A leg cannot give more than its price allows (a long option sells for no less than zero): the others give the rest.
Prices are rounded to ticks against the taker, then moved back one tick where the money left over pays for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from engine.errors import InvalidReference
from engine.units import E8
from engine.waterfall.apportionment import up_to_capacity

_UNBOUNDED = 1 << 120
"""Capacity of a leg whose price may move without end: beyond any sum of amounts in 64 bits."""
_HIGHEST = 1000
"""An inverse contract is worth nothing at an infinite price: it is taken as far as this multiple of its mark."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One position. ``share`` is its weight, usually its part of the maintenance requirement; hedges may have zero.

    Linear: a contract is worth value per price (settlement asset) * price. ``inverse``: -value per price / price, up to
    a constant; then ``value_per_price_e8`` is the contract's size in quote currency. The settlement asset is the one
    that equity is counted in: of a leg that settles in another, the exchange rate belongs into ``value_per_price_e8``.
    """

    name: str
    quantity_e8: int
    mark_price_e8: int
    tick_e8: int
    value_per_price_e8: int = E8
    share: int = 0
    inverse: bool = False

    def __post_init__(self) -> None:
        if self.quantity_e8 == 0:
            raise InvalidReference("quantity", f"{self.name} is not held")
        if self.mark_price_e8 < (self.tick_e8 if self.inverse else 0):
            raise InvalidReference("mark_price", f"{self.mark_price_e8} of {self.name}")
        if self.tick_e8 <= 0 or self.value_per_price_e8 <= 0 or self.share < 0:
            raise InvalidReference("leg", f"{self.name} needs a tick, a value per price and a share of zero or more")


@dataclass(frozen=True, slots=True)
class Takeover:
    """Prices by leg in the order given, and what each leg's owner gains against mark by trading there (exact e8).

    ``left_e8`` = equity + gains: what the owner keeps, zero or more. ``uncovered_e8`` is the debt that remains when no
    price of these legs is high enough; then ``left_e8`` is zero.
    """

    prices_e8: tuple[int, ...]
    gains_e8: tuple[int, ...]
    left_e8: int
    uncovered_e8: int


def takeover(legs: Sequence[Leg], equity_e8: int) -> Takeover:
    """Prices at which all legs trade so that equity ends at zero or barely above.

    ``left_e8`` is less than what one more tick on any leg that has not been moved would cost. Names must be unique.
    """
    if len({leg.name for leg in legs}) != len(legs):
        raise InvalidReference("legs", "a name appears twice")
    parts = _parts(legs, equity_e8)
    sign = -1 if equity_e8 > 0 else 1
    prices = [_price(leg, sign * part) for leg, part in zip(legs, parts, strict=True)]
    gains = [gain_e8(leg, price) for leg, price in zip(legs, prices, strict=True)]
    left = _spend_rounding(legs, prices, gains, equity_e8 + sum(gains))
    return Takeover(tuple(prices), tuple(gains), max(left, 0), max(-left, 0))


def gain_e8(leg: Leg, price_e8: int) -> int:
    """What the owner of ``leg`` gains against mark by trading all of it at ``price_e8``; rounded up, for the owner."""
    change = _worth(leg, price_e8) - _worth(leg, leg.mark_price_e8)
    return (leg.quantity_e8 * change / E8).__ceil__()


def _worth(leg: Leg, price_e8: int) -> Fraction:
    """Units of 1e-8 of the settlement asset that one contract is worth; an inverse one up to a constant."""
    if leg.inverse:
        return Fraction(-leg.value_per_price_e8 * E8, price_e8)
    return Fraction(leg.value_per_price_e8 * price_e8, E8)


def _lowest(leg: Leg) -> int:
    return leg.tick_e8 if leg.inverse else 0


def _parts(legs: Sequence[Leg], equity_e8: int) -> list[int]:
    """Magnitude of what each leg gives (or gets): by shares first, what does not fit by value of position."""
    down = equity_e8 > 0
    total = abs(equity_e8)
    capacities = [_capacity(leg, down) for leg in legs]
    values = [(abs(leg.quantity_e8 * _worth(leg, leg.mark_price_e8)) / E8).__ceil__() for leg in legs]
    parts = up_to_capacity(total, [leg.share for leg in legs], capacities)
    for weights in (values, [1] * len(legs)):
        rest = total - sum(parts)
        if rest == 0:
            break
        room = [capacity - part for capacity, part in zip(capacities, parts, strict=True)]
        parts = [part + more for part, more in zip(parts, up_to_capacity(rest, weights, room), strict=True)]
    return parts


def _capacity(leg: Leg, down: bool) -> int:
    """How much the leg's price can take from its owner (``down``) or give: what it is worth at the end of its range."""
    falls = (leg.quantity_e8 > 0) == down
    if not falls and not leg.inverse:
        return _UNBOUNDED
    end = _lowest(leg) if falls else leg.mark_price_e8 * _HIGHEST
    return (abs(leg.quantity_e8 * (_worth(leg, end) - _worth(leg, leg.mark_price_e8))) / E8).__floor__()


def _price(leg: Leg, gain: int) -> int:
    """The tick at which the owner gains at least ``gain`` against mark: up for a long, down for a short."""
    wanted = _worth(leg, leg.mark_price_e8) + Fraction(gain * E8, leg.quantity_e8)
    one = leg.value_per_price_e8
    exact = Fraction(one * E8) / -wanted if leg.inverse else wanted * E8 / one
    ticks = exact / leg.tick_e8
    price = (ticks.__ceil__() if leg.quantity_e8 > 0 else ticks.__floor__()) * leg.tick_e8
    return max(price, _lowest(leg))


def _spend_rounding(legs: Sequence[Leg], prices: list[int], gains: list[int], left: int) -> int:
    """Give money left over by rounding back to the taker, one tick per leg, dearest ticks first."""
    if left <= 0:
        return left
    moves = []
    for at, leg in enumerate(legs):
        moved = prices[at] - leg.tick_e8 if leg.quantity_e8 > 0 else prices[at] + leg.tick_e8
        if moved >= _lowest(leg):
            moves.append((gains[at] - gain_e8(leg, moved), at, moved))
    for cost, at, moved in sorted(moves, key=lambda move: (-move[0], move[1])):
        if 0 < cost <= left:
            left -= cost
            gains[at] -= cost
            prices[at] = moved
    return left
