"""Topic ``fills``: executed trades, keyed by account."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.fields import Decimal, Identifier, Micros, PositiveDecimal


class FillV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One executed trade of one account.

    ``quantity`` is in contracts (spot: units of the base asset), ``price`` in the instrument's quote, ``fee`` in the
    settlement asset (negative: a rebate). ``command_id`` is set by executors on fills of a liquidation command.
    """

    v: Literal[1]
    event_id: Identifier
    account: Identifier
    instrument: Identifier
    side: Literal["buy", "sell"]
    quantity: PositiveDecimal
    price: PositiveDecimal
    fee: Decimal = "0"
    trade_time_us: Micros
    command_id: Identifier | None = None
