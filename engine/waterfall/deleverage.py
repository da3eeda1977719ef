"""Auto-deleveraging of one instrument: who closes how much of what nobody bought, at the bankrupt's price.

Owns the stages, the capacities and the split. Refuses to know margin rules and markets: what closing a lot does to an
account's requirement is an input (``relief_per_lot_e8``, from scenario margin: below zero, closing breaks a hedge).

With haircut h per lot against mark, a candidate closing y lots has equity - h y and a requirement of maintenance -
relief y. Its stages, each used only when the one before is full:

1. winner  : in profit and loses no more than that, closing does not raise its requirement, it stays above maintenance
2. sound   : the same whatever its profit
3. hedge   : closing breaks a hedge, but it stays above maintenance; those whose requirement rises least go first
4. solvent : falls below maintenance, but its equity stays at zero or more

What is left then is not closed against anybody: it goes on to loss allocation. Inside the other stages everybody gives
the same share of profit (``Weighting.PROFIT``, stage 1) or of position, up to capacity: the allocation with the least
weighted haircut sum (h y)^2 / weight. Hedges are not shared out, or every one of them would be broken a little.

The parts sum to whole lots of the quantity, so an event overshoots by less than a lot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from engine.errors import InvalidReference, InvariantBroken
from engine.units import div_up
from engine.waterfall.apportionment import up_to_capacity


class Stage(StrEnum):
    """Why a candidate was used; in the order of use."""

    WINNER = "winner"
    SOUND = "sound"
    HEDGE = "hedge"
    SOLVENT = "solvent"


class Weighting(StrEnum):
    """What winners are haircut in proportion to."""

    PROFIT = "profit"
    POSITION = "position"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account on the other side. ``lots`` it holds (above zero), money in e8 of the settlement asset.

    ``relief_per_lot_e8``: how much its maintenance requirement falls per lot closed; below zero, rises. It must hold
    for all of ``lots``: where margin is not linear, pass the least of the slopes on the way.
    """

    account: str
    lots: int
    profit_e8: int
    equity_e8: int
    maintenance_e8: int
    relief_per_lot_e8: int

    def __post_init__(self) -> None:
        if self.lots <= 0:
            raise InvalidReference("lots", f"{self.account} holds {self.lots}")


@dataclass(frozen=True, slots=True)
class Reduction:
    """Lots that one candidate closes in one stage, and what that costs it against mark (negative: it gains)."""

    account: str
    lots: int
    stage: Stage
    haircut_e8: int


@dataclass(frozen=True, slots=True)
class Deleveraging:
    """Reductions by stage then account. ``closed_lots`` + ``remaining_lots`` is the quantity in whole lots, rounded up.

    ``overshoot_e8``: what rounding up closes beyond the quantity, less than a lot.
    """

    reductions: tuple[Reduction, ...]
    closed_lots: int
    remaining_lots: int
    overshoot_e8: int

    def haircut_e8(self) -> int:
        """Sum over all reductions."""
        return sum(each.haircut_e8 for each in self.reductions)


def deleverage(
    quantity_e8: int,
    lot_e8: int,
    haircut_per_lot_e8: int,
    candidates: Sequence[Candidate],
    weighting: Weighting = Weighting.PROFIT,
) -> Deleveraging:
    """Split ``quantity_e8`` (above zero) of one instrument over ``candidates``.

    ``haircut_per_lot_e8`` is what a candidate loses against mark by trading one lot at the bankruptcy price; negative
    when that price is better than mark. The result does not depend on the order of the candidates.
    """
    if quantity_e8 <= 0 or lot_e8 <= 0:
        raise InvalidReference("quantity", "quantity and lot must be above zero")
    ordered = sorted(candidates, key=lambda each: each.account)
    if any(one.account == other.account for one, other in pairwise(ordered)):
        raise InvalidReference("candidates", "an account appears twice")
    wanted = div_up(quantity_e8, lot_e8)
    used = [0] * len(ordered)
    rest, reductions = wanted, []
    for stage in Stage:
        limits = [lot_limit(each, stage, haircut_per_lot_e8) for each in ordered]
        room = [max(limit - done, 0) for limit, done in zip(limits, used, strict=True)]
        if stage is Stage.HEDGE:
            parts = _least_rise(rest, ordered, room)
        else:
            parts = up_to_capacity(rest, [_weight(each, stage, weighting) for each in ordered], room)
        for at, part in enumerate(parts):
            if part:
                used[at] += part
                reductions.append(Reduction(ordered[at].account, part, stage, part * haircut_per_lot_e8))
        rest -= sum(parts)
        if rest == 0:
            break
    return _checked(Deleveraging(tuple(reductions), wanted - rest, rest, wanted * lot_e8 - quantity_e8), lot_e8)


def lot_limit(candidate: Candidate, stage: Stage, haircut_per_lot_e8: int) -> int:
    """Lots that ``candidate`` may have closed when ``stage`` is full, those of earlier stages included."""
    relief, haircut = candidate.relief_per_lot_e8, haircut_per_lot_e8
    if stage is Stage.SOLVENT:
        return _until(candidate.equity_e8, haircut, candidate.lots)
    spare = candidate.equity_e8 - candidate.maintenance_e8
    if spare < 0 or candidate.equity_e8 < 0:
        return 0
    if relief < 0 and stage is not Stage.HEDGE:
        return 0
    solvent = _until(candidate.equity_e8, haircut, candidate.lots)
    sound = min(_until(spare, haircut - relief, candidate.lots), solvent)
    if stage is not Stage.WINNER:
        return sound
    return min(sound, _until(candidate.profit_e8, haircut, candidate.lots)) if candidate.profit_e8 > 0 else 0


def _least_rise(lots: int, candidates: Sequence[Candidate], room: Sequence[int]) -> list[int]:
    """``lots`` by how little a lot raises the requirement, then by account: the least total rise."""
    parts = [0] * len(candidates)
    for at in sorted(range(len(candidates)), key=lambda number: -candidates[number].relief_per_lot_e8):
        parts[at] = min(lots, room[at])
        lots -= parts[at]
    return parts


def _until(money: int, loss_per_lot: int, lots: int) -> int:
    """Most of ``lots`` whose losses ``money`` bears."""
    if loss_per_lot <= 0:
        return lots if money >= 0 else 0
    return min(lots, max(money, 0) // loss_per_lot)


def _weight(candidate: Candidate, stage: Stage, weighting: Weighting) -> int:
    if stage is Stage.WINNER and weighting is Weighting.PROFIT:
        return max(candidate.profit_e8, 0)
    return candidate.lots


def _checked(result: Deleveraging, lot_e8: int) -> Deleveraging:
    if sum(each.lots for each in result.reductions) != result.closed_lots or not 0 <= result.overshoot_e8 < lot_e8:
        raise InvariantBroken(f"deleveraging closed {result.closed_lots} lots with {result.overshoot_e8} too much")
    return result
