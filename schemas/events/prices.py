"""Topics ``prices`` (raw quotes of one source) and ``marks`` (guarded prices), keyed by feed."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.fields import Decimal, Identifier, Micros, PositiveDecimal, UnsignedDecimal


class VolatilityNodeV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One node of an implied volatility surface: log-moneyness is ln(strike / forward), volatility 1.0 is 100 %."""

    tenor_days: PositiveDecimal
    log_moneyness: Decimal
    volatility: PositiveDecimal


class PriceV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One oracle quote. ``confidence`` is the half-width of the source's own interval, in price units.

    ``funding_rate`` is a fraction per 8 hours, accrued continuously; positive means longs pay.
    """

    v: Literal[1]
    source: Identifier
    feed: Identifier
    price: PositiveDecimal
    source_time_us: Micros
    confidence: UnsignedDecimal = "0"
    volatility: Annotated[tuple[VolatilityNodeV1, ...], Meta(max_length=256)] = ()
    funding_rate: Decimal = "0"


class MarkV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A guarded price; its offset on the topic is the price version.

    ``funding_index_linear`` accumulates rate x price, ``funding_index_inverse`` rate / price. ``sources`` are the
    sources that agreed.
    """

    v: Literal[1]
    feed: Identifier
    price: PositiveDecimal
    confidence: UnsignedDecimal
    volatility: tuple[VolatilityNodeV1, ...]
    funding_rate: Decimal
    funding_index_linear: Decimal
    funding_index_inverse: Decimal
    mark_time_us: Micros
    sources: tuple[Identifier, ...]
