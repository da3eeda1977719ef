"""The line of a bulk what-if: fills, transfers and moves to look at together, as a person or a program writes them.

Owns its contract. Numbers may be JSON numbers or decimal strings; both are read exactly.
"""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec

from schemas.diagnosis import diagnose
from schemas.errors import Reason, SchemaError
from schemas.stated_portfolio import Name, Number


class FillLineV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A fill: contracts of an instrument of the document, sold negative, at a price (none: mark), for a fee."""

    instrument: Name
    quantity: Number
    price: Number | None = None
    fee: Number = Decimal(0)


class TransferLineV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An amount of ``cash`` or of a collateral asset of the document, out negative."""

    asset: Name
    amount: Number


class ChangeLineV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line. ``shock`` and ``vol`` are relative moves by underlying; ``name`` comes back in the answer."""

    name: str | None = None
    fills: tuple[FillLineV1, ...] = ()
    transfers: tuple[TransferLineV1, ...] = ()
    shock: dict[Name, Number] = {}
    vol: dict[Name, Number] = {}


def decode_change(value: bytes) -> ChangeLineV1:
    """The change that a line states; raises ``SchemaError`` and nothing else."""
    try:
        plain = json.loads(value, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise SchemaError(Reason.MALFORMED_JSON, "", str(error)) from None
    try:
        return msgspec.convert(plain, type=ChangeLineV1)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise diagnose(error, value, ChangeLineV1) from None
