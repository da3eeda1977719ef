"""Transfer of a book to those who committed to take one: vertical slices by share, up to each one's limit.

Owns who gets which lots and how much cash, and why somebody gets nothing. Refuses to know margin rules and prices: the
book's risk (its requirement in the hands of a taker) and its cash are inputs.

Everybody gets the same fraction of every leg, so that what hedges in the book hedges in each slice; lots are handed out
by largest remainder, and what no limit has room for is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.errors import InvalidReference
from engine.units import E8, div_up
from engine.waterfall.apportionment import in_proportion, up_to_capacity


class BackstopRefusal(StrEnum):
    """Why a participant takes nothing."""

    SUSPENDED = "suspended"
    NO_SHARE = "no_share"
    LIMIT_USED = "limit_used"
    BELOW_MINIMUM = "below_minimum"


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody committed to take books. Risk in e8 of the settlement asset; ``share`` against the others' shares."""

    name: str
    share: int
    risk_limit_e8: int
    risk_used_e8: int = 0
    suspended: bool = False

    def __post_init__(self) -> None:
        if min(self.share, self.risk_limit_e8, self.risk_used_e8) < 0:
            raise InvalidReference("participant", f"{self.name} has a negative share, limit or use")


@dataclass(frozen=True, slots=True)
class BookSlice:
    """What one participant takes: its fraction of the book, signed lots by leg, its part of cash (signed) and risk."""

    participant: str
    fraction_e8: int
    lots: tuple[int, ...]
    cash_e8: int
    risk_e8: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Slices by name, refusals by name, and what stays: together exactly the book."""

    slices: tuple[BookSlice, ...]
    refused: tuple[tuple[str, BackstopRefusal], ...]
    left_lots: tuple[int, ...]
    left_cash_e8: int


def transfer(
    lots: Sequence[int],
    cash_e8: int,
    risk_e8: int,
    participants: Sequence[Participant],
    min_fraction_e8: int = 0,
) -> Transfer:
    """Split a book (signed ``lots`` by leg, signed cash) with requirement ``risk_e8`` (above zero) over participants.

    A participant whose free limit is less than ``min_fraction_e8`` of the book takes nothing. Fractions are cut to
    1e-8; a slice's risk counts its fraction of ``risk_e8``, rounded up, and rounding to lots may add less than one lot
    of each leg to it. Does not depend on the order of the participants.
    """
    if risk_e8 <= 0 or not 0 <= min_fraction_e8 <= E8:
        raise InvalidReference("risk", "a book has a requirement above zero, a minimum fraction is a share")
    ordered = sorted(participants, key=lambda each: each.name)
    if len({each.name for each in ordered}) != len(ordered):
        raise InvalidReference("participants", "a name appears twice")
    room = [min(max(each.risk_limit_e8 - each.risk_used_e8, 0) * E8 // risk_e8, E8) for each in ordered]
    reasons = [_refusal(each, free, min_fraction_e8) for each, free in zip(ordered, room, strict=True)]
    weights = [0 if reason else each.share for each, reason in zip(ordered, reasons, strict=True)]
    fractions = up_to_capacity(E8, weights, room)
    shares = [*fractions, E8 - sum(fractions)]
    columns = [_split(each, shares) for each in (*lots, cash_e8)]
    slices = tuple(
        BookSlice(
            each.name,
            fractions[at],
            tuple(column[at] for column in columns[:-1]),
            columns[-1][at],
            div_up(risk_e8 * fractions[at], E8),
        )
        for at, each in enumerate(ordered)
        if fractions[at]
    )
    refused = tuple((each.name, reason) for each, reason in zip(ordered, reasons, strict=True) if reason)
    return Transfer(slices, refused, tuple(column[-1] for column in columns[:-1]), columns[-1][-1])


def _refusal(participant: Participant, room_e8: int, min_fraction_e8: int) -> BackstopRefusal | None:
    if participant.suspended:
        return BackstopRefusal.SUSPENDED
    if participant.share == 0:
        return BackstopRefusal.NO_SHARE
    if room_e8 == 0:
        return BackstopRefusal.LIMIT_USED
    return BackstopRefusal.BELOW_MINIMUM if room_e8 < min_fraction_e8 else None


def _split(amount: int, shares: Sequence[int]) -> list[int]:
    sign = -1 if amount < 0 else 1
    return [sign * part for part in in_proportion(abs(amount), shares)]
