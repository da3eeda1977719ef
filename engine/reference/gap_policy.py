"""Gap policy: the price jumps that the venue means to survive, and the money that stands before its customers.

Owns the numbers of gap-at-risk (``engine.risk.gap_at_risk``). They are part of the risk parameters, so they have a
version and an effective time, and the guarantee that follows from them can be read from the audit trail.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import InvalidReference
from engine.units import PPM

JUMPS_MAX = 64


@dataclass(frozen=True, slots=True)
class Jump:
    """Everything moves at once and nothing can be traded meanwhile: ``others_ppm`` is the relative price move of every
    underlying that ``moves_ppm`` (underlyings or single feeds by id, sorted) does not name. ``volatility_ppm`` is the
    relative move of all implied volatilities."""

    name: str
    others_ppm: int
    volatility_ppm: int = 0
    moves_ppm: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidReference("gap.jumps.name", "must not be empty")
        for field, move in (("others", self.others_ppm), ("volatility", self.volatility_ppm), *self.moves_ppm):
            if not -PPM < move <= 10 * PPM:
                raise InvalidReference(f"gap.jumps.{field}", "must be above -1 and at most 10")


@dataclass(frozen=True, slots=True)
class GapLayer:
    """Money committed before a loss reaches customers who did nothing wrong: the insurance fund, own capital, a
    committed backstop."""

    name: str
    capacity_e8: int

    def __post_init__(self) -> None:
        if not self.name or self.capacity_e8 < 0:
            raise InvalidReference("gap.layers.capacity", "a layer has a name and at least zero")


STANDARD_JUMPS = (
    Jump("all -10%", -100_000, 300_000),
    Jump("all -20%", -200_000, 500_000),
    Jump("all -30%", -300_000, 750_000),
    Jump("all -50%", -500_000, 1_000_000),
    Jump("all +10%", 100_000, 200_000),
    Jump("all +20%", 200_000, 400_000),
    Jump("all +50%", 500_000, 750_000),
)
"""Falls and rises of everything together; a venue adds the jumps of its own underlyings."""


@dataclass(frozen=True, slots=True)
class GapPolicy:
    """``jumps`` against ``layers`` (first to bear first); none of the former: nothing is computed. ``cover`` is the
    number of worst accounts looked at on their own. ``profit_withdrawals``: whether profit that is not realized may
    leave the venue; a risk manager stops it when the layers are used up."""

    jumps: tuple[Jump, ...] = STANDARD_JUMPS
    layers: tuple[GapLayer, ...] = ()
    cover: int = 2
    profit_withdrawals: bool = True

    def __post_init__(self) -> None:
        if len({jump.name for jump in self.jumps}) != len(self.jumps):
            raise InvalidReference("gap.jumps.name", "appears twice")
        if len(self.jumps) > JUMPS_MAX:
            raise InvalidReference("gap.jumps", f"at most {JUMPS_MAX}")
        if len({layer.name for layer in self.layers}) != len(self.layers):
            raise InvalidReference("gap.layers.name", "appears twice")
        if not 1 <= self.cover <= 100:
            raise InvalidReference("gap.cover", "must lie in 1..100")


DEFAULT_GAP_POLICY = GapPolicy()
