"""Topic ``settlements``: final prices of expired instruments, keyed by instrument, compacted."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.fields import Identifier, Micros, UnsignedDecimal


class SettlementV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The final price of an expired instrument, in its quote: of the future itself, or of an option's underlying."""

    v: Literal[1]
    event_id: Identifier
    instrument: Identifier
    price: UnsignedDecimal
    event_time_us: Micros
