"""Funding of perpetuals: what a position owes since it was last touched.

Owns the payment formula and which index of a mark applies. Funding accrues in the oracle's cumulative indices
(rate x price for a linear perpetual, rate / price for an inverse one, so that contracts x multiplier x index is money
in the settlement asset either way) and is paid when a position is touched; until then it counts in equity.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.events import MarkPrice
from engine.reference.instruments import Instrument, InstrumentKind
from engine.units import E8, E12, div_up

_SCALE = E8 * E12  # contracts e8 x multiplier e8 x index e12, down to money e8


def funding_index(instrument: Instrument, marks: Mapping[str, MarkPrice]) -> int:
    """The newest index of the instrument in 10^-12 units; 0 for what pays no funding.

    A feed without a mark is at 0 as well: that is where the oracle starts every index.
    """
    if not instrument.kind.is_perpetual:
        return 0
    mark = marks.get(instrument.mark_feed)
    if mark is None:
        return 0
    if instrument.kind is InstrumentKind.INVERSE_PERPETUAL:
        return mark.funding_index_inverse_e12
    return mark.funding_index_linear_e12


def funding_payment(instrument: Instrument, quantity_e8: int, paid_index_e12: int, index_e12: int) -> int:
    """What the holder of ``quantity_e8`` pays for the move from one index to another (negative: receives).

    In 10^-8 of the settlement asset, rounded up: the account pays the fraction, never the venue.
    """
    if not instrument.kind.is_perpetual:
        return 0
    return div_up(quantity_e8 * instrument.multiplier_e8 * (index_e12 - paid_index_e12), _SCALE)
