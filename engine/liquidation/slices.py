"""Slices: what of a plan is traded now, where not all of it may be.

Owns the limits of one leg and the slices worth trying. Two things limit a leg: the room that the flow of others leaves
under the cap of its instrument, which is not exceeded while there is anybody to wait for; and the pace
(``engine.fleet.pace``), which gives way where it would make things worse. Refuses to value a slice (``plan``): the
first that does not raise what is missing is taken.

An even slice never raises it but for rounding to lots: what is missing is a convex function of what is closed, positive
before the plan and not positive after it, so on the line between them it is nowhere above its value at the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.fleet.flow import room_e8
from engine.fleet.pace import depth_share, round_quantity_e8, rounds_left
from engine.liquidation.closing import Closing
from engine.reference.parameters import RiskParameters
from engine.units import E8, PPM


class Throttled(Exception):
    """There may be a plan, but nothing of it is to be traded before others have."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Unsigned bounds of one leg in 10^-8, both in whole lots: ``room`` beside others (None: unlimited) and what the
    ``pace`` allows. ``crowded``: others are to trade on the same side."""

    lot: int
    room: int | None
    pace: int
    crowded: bool

    def within_room(self, quantity_e8: int) -> int:
        """``quantity_e8`` as far as there is room."""
        return quantity_e8 if self.room is None else min(quantity_e8, self.room)


def is_full(closing: Closing, parameters: RiskParameters) -> bool:
    """Whether others leave no room for a lot of anything that could be closed: then there is no need to plan."""
    most_e8 = parameters.policy.flow_max_e8
    return most_e8 > 0 and all(
        closing.net_flow_e8(name) > 0
        and room_e8(closing.net_flow_e8(name), 1, _units_e8(most_e8 / E8, closing.notional_each(name)))
        < closing.lot_e8(name)
        for name in closing.closable
    )


def limit_of(
    name: str, quantity_e8: int, closing: Closing, parameters: RiskParameters, figures: tuple[float, float]
) -> Limit:
    """The limits of closing ``quantity_e8`` of a position; ``figures`` are equity and maintenance margin."""
    policy, lot_e8, each = parameters.policy, closing.lot_e8(name), closing.notional_each(name)
    net_e8, room, pace = closing.net_flow_e8(name), None, quantity_e8
    if policy.flow_max_e8:
        room = room_e8(net_e8, 1, _units_e8(policy.flow_max_e8 / E8, each)) // lot_e8 * lot_e8
        if net_e8 <= 0:
            room = max(room, lot_e8)  # With nobody to wait for, a cap below one lot would stop the account for ever.
    volume = closing.daily_volume(name)
    if policy.participation_ppm and volume is not None:
        round_us = parameters.command_ttl_us + policy.cooldown_us
        share = depth_share(policy.participation_ppm / PPM, volume, round_us)
        rounds = rounds_left(*figures, policy.margin_horizon_us, round_us)
        pace = round_quantity_e8(quantity_e8, rounds, _units_e8(share, each), lot_e8)
    return Limit(lot_e8, room, pace, net_e8 > 0)


def _units_e8(notional: float, each: float) -> int:
    """Contracts of ``notional``; a contract that is worth nothing has no limit that could be told in money."""
    return int(min(notional / each, float(1 << 62) / E8) * E8) if each > 0.0 else 1 << 62


def candidates(closes: Mapping[str, int], limits: Mapping[str, Limit]) -> Iterator[dict[str, int]]:
    """Slices of ``closes`` to try, in this order: every leg as far as its limits allow; the largest even part of all
    legs inside them; the same two inside the room alone."""
    paced = {name: limits[name].within_room(min(quantity, limits[name].pace)) for name, quantity in closes.items()}
    roomy = {name: limits[name].within_room(quantity) for name, quantity in closes.items()}
    for bounds in (paced, roomy):
        for part in (bounds, _even(closes, bounds, limits)):
            if traded := {name: quantity for name, quantity in part.items() if quantity}:
                yield traded


def _even(closes: Mapping[str, int], bounds: Mapping[str, int], limits: Mapping[str, Limit]) -> dict[str, int]:
    """The same share of every leg, as large as ``bounds`` allow, rounded down to lots."""
    tightest = min(closes, key=lambda name: (bounds[name] / closes[name], name))
    most, whole = bounds[tightest], closes[tightest]
    return {
        name: min(quantity * most // (whole * limits[name].lot) * limits[name].lot, bounds[name])
        for name, quantity in closes.items()
    }


def must_wait(closes: Mapping[str, int], limits: Mapping[str, Limit]) -> bool:
    """Whether a plan that no slice fits has somebody to wait for. If not, it is traded as a whole: waiting would not
    make room."""
    return any(limits[name].crowded and limits[name].within_room(closes[name]) < closes[name] for name in closes)
