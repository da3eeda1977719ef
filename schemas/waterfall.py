"""The waterfall document: who bears a loss, in which order and up to which amount, and losses to divide.

Owns its contract and its decoding. What the layers mean is documented in docs/liquidation.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.diagnosis import diagnose
from schemas.fields import Decimal, Identifier, PositiveDecimal, UnsignedDecimal

LayerKindName = Literal["insurance_fund", "venue_capital", "backstop", "deleveraging", "loss_allocation"]


class LayerV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A layer, first to bear first. Without ``capacity`` it bears whatever reaches it, so it must be the last. That of
    the insurance fund is what the fund holds, and is not stated."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    kind: LayerKindName
    capacity: UnsignedDecimal | None = None


class LossV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one case costs beyond the account's own equity. The same case divided again gives the same answer."""

    case: Annotated[str, Meta(min_length=1, max_length=200)]
    amount: PositiveDecimal


class WaterfallV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The venue's layers, what its insurance fund holds, and the losses to divide. ``profits`` are the unrealized
    profits by account that loss allocation takes from, each up to ``share_max`` of itself. All in the numeraire."""

    v: Literal[1]
    fund: UnsignedDecimal
    layers: Annotated[tuple[LayerV1, ...], Meta(min_length=1, max_length=20)]
    losses: tuple[LossV1, ...] = ()
    profits: dict[Identifier, Decimal] = {}
    share_max: UnsignedDecimal = "1"


_DECODER = msgspec.json.Decoder(WaterfallV1)


def decode_waterfall(value: bytes) -> WaterfallV1:
    """The document in ``value``; raises ``SchemaError`` and nothing else."""
    try:
        return _DECODER.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise diagnose(error, value, WaterfallV1) from None
