"""Instruments: the contract terms that valuation and the books need, and nothing that changes by the minute.

Owns the terms and their self-checks. Refuses prices (``books.marks``) and money arithmetic (``books.positions``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.errors import InvalidReference
from engine.units import E8


class InstrumentKind(StrEnum):
    """How a contract turns a price into money."""

    SPOT = "spot"
    LINEAR_PERPETUAL = "linear_perpetual"
    INVERSE_PERPETUAL = "inverse_perpetual"
    FUTURE = "future"
    CALL = "call"
    PUT = "put"

    @property
    def is_option(self) -> bool:
        return self in (InstrumentKind.CALL, InstrumentKind.PUT)

    @property
    def is_perpetual(self) -> bool:
        return self in (InstrumentKind.LINEAR_PERPETUAL, InstrumentKind.INVERSE_PERPETUAL)

    @property
    def expires(self) -> bool:
        return self in (InstrumentKind.FUTURE, InstrumentKind.CALL, InstrumentKind.PUT)


@dataclass(frozen=True, slots=True)
class Instrument:
    """Terms of one instrument.

    ``mark_feed`` names the price feed that values it: its own mark for spot, perpetuals and futures, and the forward
    for an option. The volatility of an option comes from the feed named by ``underlying``. ``multiplier_e8`` is
    units of the underlying per contract (an inverse perpetual: units of quote currency per contract).
    ``settlement_asset`` receives PnL, fees, funding and premium; for spot it is the quote asset and ``base_asset``
    is what is bought.
    """

    instrument_id: str
    kind: InstrumentKind
    underlying: str
    settlement_asset: str
    mark_feed: str
    multiplier_e8: int
    tick_e8: int
    lot_e8: int
    expiry_us: int | None = None
    strike_e8: int | None = None
    base_asset: str | None = None

    def __post_init__(self) -> None:
        for field in ("multiplier_e8", "tick_e8", "lot_e8"):
            if getattr(self, field) <= 0:
                raise InvalidReference(field.removesuffix("_e8"), "must be positive")
        if self.kind.expires != (self.expiry_us is not None):
            raise InvalidReference("expiry_us", f"{self.kind} {'needs' if self.kind.expires else 'has no'} expiry")
        if self.kind.is_option != (self.strike_e8 is not None):
            raise InvalidReference("strike", f"{self.kind} {'needs' if self.kind.is_option else 'has no'} strike")
        if self.strike_e8 is not None and self.strike_e8 <= 0:
            raise InvalidReference("strike", "must be positive")
        if (self.kind is InstrumentKind.SPOT) != (self.base_asset is not None):
            raise InvalidReference("base_asset", "exactly the spot instruments have a base asset")
        if self.kind is InstrumentKind.SPOT and self.multiplier_e8 != E8:
            raise InvalidReference("multiplier", "a spot instrument has multiplier 1")
        # One tick of one lot must be whole money units, so that linear values never round (an inverse value does).
        if self.kind is not InstrumentKind.INVERSE_PERPETUAL and (
            self.tick_e8 * self.lot_e8 * self.multiplier_e8 % (E8 * E8)
        ):
            raise InvalidReference("tick", "tick x lot x multiplier is not a whole number of 10^-8 money units")
