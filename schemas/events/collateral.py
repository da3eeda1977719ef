"""Topic ``collateral``: what moves balances from outside, keyed by account."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.fields import Identifier, Micros, PositiveDecimal


class CollateralV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A deposit, a withdrawal request, a transfer request to ``counterparty``, or the credit leg of a transfer.

    ``transfer_credit`` is written by the risk workers only: ``counterparty`` is the payer and ``transfer_sequence``
    numbers the payer's transfers, so that a repeated delivery is applied once.
    """

    v: Literal[1]
    event_id: Identifier
    account: Identifier
    kind: Literal["deposit", "withdrawal", "transfer", "transfer_credit"]
    asset: Identifier
    amount: PositiveDecimal
    event_time_us: Micros
    counterparty: Identifier | None = None
    transfer_sequence: Annotated[int, Meta(ge=1)] | None = None
