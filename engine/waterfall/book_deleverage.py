"""Auto-deleveraging of a whole book: counterparties close slices of their own books, so hedged pairs shrink together.

Owns the progressive filling over several instruments. Refuses to know margin rules: what closing lots does to a
requirement is an input, together (``relief_e8``) and one by one (``reliefs_per_lot_e8``).

Everybody who holds the other side of some of the book's instruments closes the same fraction of all that it holds
there, until an instrument has been absorbed or an account is at its limit; the others go on. Winners come first, then
everybody whose requirement does not rise. An account that holds an instrument which was absorbed is left alone with
the rest of its pair. So that pairs are still whole when they are needed, hedged books give first what outright holders
have no room for. Only what remains at the end is closed instrument by instrument, by ``deleverage``, hedges last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from engine.errors import InvalidReference, InvariantBroken
from engine.waterfall.deleverage import Candidate, Stage, deleverage
from engine.waterfall.filling import WHOLE, fill


@dataclass(frozen=True, slots=True)
class BookLeg:
    """What of one instrument nobody took: ``lots`` above zero, and what a lot costs the other side against mark."""

    instrument: str
    lots: int
    haircut_per_lot_e8: int

    def __post_init__(self) -> None:
        if self.lots <= 0:
            raise InvalidReference("lots", f"{self.lots} of {self.instrument}")


@dataclass(frozen=True, slots=True)
class Counterparty:
    """An account on the other side of some legs: ``lots`` by leg in the order of the legs, zero where it holds none.

    ``relief_e8``: how much its requirement falls when all of ``lots`` are closed together; ``reliefs_per_lot_e8``: per
    lot of each leg closed alone (below zero where that breaks a hedge).
    """

    account: str
    lots: tuple[int, ...]
    reliefs_per_lot_e8: tuple[int, ...]
    relief_e8: int
    profit_e8: int
    equity_e8: int
    maintenance_e8: int


@dataclass(frozen=True, slots=True)
class LegReduction:
    """Lots of one leg that one account closes. ``together``: as a slice of all that it holds in the book."""

    account: str
    instrument: str
    lots: int
    stage: Stage
    haircut_e8: int
    together: bool


@dataclass(frozen=True, slots=True)
class BookDeleveraging:
    """Reductions in the order made, and the lots of each leg that nobody can absorb."""

    reductions: tuple[LegReduction, ...]
    remaining: tuple[tuple[str, int], ...]

    def haircut_e8(self) -> int:
        """Sum over all reductions."""
        return sum(each.haircut_e8 for each in self.reductions)


def deleverage_book(legs: Sequence[BookLeg], counterparties: Sequence[Counterparty]) -> BookDeleveraging:
    """Close ``legs`` against ``counterparties``, exactly in lots; the order of the counterparties does not matter."""
    parties = sorted(counterparties, key=lambda each: each.account)
    _check(legs, parties)
    rest = [leg.lots for leg in legs]
    reductions: list[LegReduction] = []
    for hedges_only in (True, False):
        for stage in (Stage.WINNER, Stage.SOUND):
            closed = _slices(legs, rest, parties, stage, hedges_only)
            for at, lots in closed:
                reductions += _reductions(parties[at].account, legs, lots, stage)
                parties[at] = _after_slice(parties[at], legs, lots)
    for at, leg in enumerate(legs):
        reductions += _one_leg(leg, at, rest, parties)
    result = BookDeleveraging(
        tuple(reductions), tuple((leg.instrument, left) for leg, left in zip(legs, rest, strict=True))
    )
    _check_sums(legs, result)
    return result


def _slices(
    legs: Sequence[BookLeg], rest: list[int], parties: Sequence[Counterparty], stage: Stage, hedges_only: bool
) -> list[tuple[int, list[int]]]:
    """Number of each counterparty that closes a slice in this round, and its lots by leg; ``rest`` is reduced."""
    wanted = _beyond_outright(legs, rest, parties) if hedges_only else None
    limits = [0 if hedges_only and not _is_hedged(each) else _limit(each, legs, stage) for each in parties]
    fractions = fill(rest, [each.lots for each in parties], limits, wanted)
    takers = [(number, fraction) for number, fraction in enumerate(fractions) if fraction]
    closed = [[lots * fraction // WHOLE for lots in parties[number].lots] for number, fraction in takers]
    for at in range(len(legs)):
        exact = [parties[number].lots[at] * fraction for number, fraction in takers]
        # levels are rounded down by less than a part: to the nearest lot an absorbed leg is absorbed
        missing = (sum(exact) + WHOLE // 2) // WHOLE - sum(lots[at] for lots in closed)
        if missing:
            by_remainder = sorted(range(len(takers)), key=lambda taker: -(exact[taker] % WHOLE))
            for taker in by_remainder[:missing]:
                closed[taker][at] += 1
        rest[at] -= sum(lots[at] for lots in closed)
    return [(number, lots) for (number, _), lots in zip(takers, closed, strict=True)]


def _beyond_outright(legs: Sequence[BookLeg], rest: Sequence[int], parties: Sequence[Counterparty]) -> list[int]:
    """Lots of each leg that no outright holder has room for: hedged books must give them, better as whole pairs."""
    wanted = list(rest)
    for each in parties:
        if not _is_hedged(each):
            limit = _limit(each, legs, Stage.SOUND)
            for at, lots in enumerate(each.lots):
                wanted[at] -= lots * limit // WHOLE
    return [max(lots, 0) for lots in wanted]


def _is_hedged(party: Counterparty) -> bool:
    """Whether closing one leg alone raises the requirement."""
    return any(relief < 0 for lots, relief in zip(party.lots, party.reliefs_per_lot_e8, strict=True) if lots)


def _limit(party: Counterparty, legs: Sequence[BookLeg], stage: Stage) -> int:
    """Fraction of its book that a slice of this stage may close, one lot per leg kept back for rounding."""
    if party.relief_e8 < 0 or not any(party.lots) or (stage is Stage.WINNER and party.profit_e8 <= 0):
        return 0
    haircut = sum(lots * leg.haircut_per_lot_e8 for lots, leg in zip(party.lots, legs, strict=True))
    held = [at for at, lots in enumerate(party.lots) if lots]
    rounding = sum(max(legs[at].haircut_per_lot_e8, 0) for at in held)
    strain = rounding + sum(max(-party.reliefs_per_lot_e8[at], 0) for at in held)
    limits = [
        _fraction(party.equity_e8 - party.maintenance_e8 - strain, haircut - party.relief_e8),
        _fraction(party.equity_e8 - rounding, haircut),
    ]
    if stage is Stage.WINNER:
        limits.append(_fraction(party.profit_e8 - rounding, haircut))
    return min(limits)


def _fraction(money: int, loss: int) -> int:
    """Largest fraction of ``loss`` that ``money`` bears; none when there is none to spend."""
    if money < 0:
        return 0
    return WHOLE if loss <= money else money * WHOLE // loss


def _reductions(account: str, legs: Sequence[BookLeg], lots: Iterable[int], stage: Stage) -> list[LegReduction]:
    return [
        LegReduction(account, leg.instrument, part, stage, part * leg.haircut_per_lot_e8, together=True)
        for leg, part in zip(legs, lots, strict=True)
        if part
    ]


def _after_slice(party: Counterparty, legs: Sequence[BookLeg], closed: Sequence[int]) -> Counterparty:
    """The counterparty when a slice is closed; of the relief it gets the least that any of its legs closed to."""
    if not any(closed):
        return party
    cost = sum(part * leg.haircut_per_lot_e8 for part, leg in zip(closed, legs, strict=True))
    shares = [(part, lots) for part, lots in zip(closed, party.lots, strict=True) if lots]
    relief = min(party.relief_e8 * part // lots for part, lots in shares)
    return replace(
        party,
        lots=tuple(lots - part for lots, part in zip(party.lots, closed, strict=True)),
        relief_e8=party.relief_e8 - relief,
        profit_e8=party.profit_e8 - cost,
        equity_e8=party.equity_e8 - cost,
        maintenance_e8=party.maintenance_e8 - relief,
    )


def _one_leg(leg: BookLeg, at: int, rest: list[int], parties: list[Counterparty]) -> list[LegReduction]:
    """What slices left of one leg, by ``deleverage``; ``rest`` and ``parties`` are brought up to date."""
    numbers = {each.account: number for number, each in enumerate(parties) if each.lots[at]}
    if not rest[at] or not numbers:
        return []
    result = deleverage(
        rest[at],
        1,
        leg.haircut_per_lot_e8,
        [
            Candidate(
                each.account, each.lots[at], each.profit_e8, each.equity_e8, each.maintenance_e8,
                each.reliefs_per_lot_e8[at],
            )
            for each in parties
            if each.lots[at]
        ],
    )  # fmt: skip
    for reduction in result.reductions:
        number = numbers[reduction.account]
        each = parties[number]
        lots = tuple(held - reduction.lots * (leg_at == at) for leg_at, held in enumerate(each.lots))
        parties[number] = replace(
            each,
            lots=lots,
            profit_e8=each.profit_e8 - reduction.haircut_e8,
            equity_e8=each.equity_e8 - reduction.haircut_e8,
            maintenance_e8=each.maintenance_e8 - reduction.lots * each.reliefs_per_lot_e8[at],
        )
    rest[at] = result.remaining_lots
    return [
        LegReduction(each.account, leg.instrument, each.lots, each.stage, each.haircut_e8, together=False)
        for each in result.reductions
    ]


def _check(legs: Sequence[BookLeg], parties: Sequence[Counterparty]) -> None:
    if len({leg.instrument for leg in legs}) != len(legs):
        raise InvalidReference("legs", "an instrument appears twice")
    if any(one.account == other.account for one, other in pairwise(parties)):
        raise InvalidReference("counterparties", "an account appears twice")
    for each in parties:
        if len(each.lots) != len(legs) or len(each.reliefs_per_lot_e8) != len(legs) or min(each.lots, default=0) < 0:
            raise InvalidReference("counterparties", f"{each.account} does not fit the legs")


def _check_sums(legs: Sequence[BookLeg], result: BookDeleveraging) -> None:
    closed = {leg.instrument: 0 for leg in legs}
    for each in result.reductions:
        closed[each.instrument] += each.lots
    for leg, (_, left) in zip(legs, result.remaining, strict=True):
        if closed[leg.instrument] + left != leg.lots or left < 0:
            raise InvariantBroken(
                f"deleveraging of {leg.instrument}: {closed[leg.instrument]} and {left} of {leg.lots}"
            )
