"""Topic ``gap-at-risk``: what customers would owe beyond all they have if prices jumped, keyed by account partition."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.events.liquidations import VersionsV1
from schemas.fields import Count, Float, Identifier, UnsignedDecimal


class JumpShortfallV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """After one jump: the sum over accounts of max(0, loss - equity), how many accounts that are, and the largest of
    them, falling. Numeraire."""

    jump: str
    total: Float
    accounts: Count
    largest: tuple[Float, ...]


class GapLayerV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Money committed before a loss reaches customers who did nothing wrong; first to bear first."""

    name: str
    capacity: UnsignedDecimal


class GapAtRiskV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Gap-at-risk of the accounts of one partition; the venue's is the sum over partitions. Best effort: one for every
    sweep over all accounts, none when the sweep gives way. ``unpriced`` accounts lack a mark and are not in the sums.
    ``layers`` are those of the parameters, of the whole venue."""

    v: Literal[1]
    event_id: Identifier
    partition: Count
    accounts: Count
    unpriced: Count
    jumps: tuple[JumpShortfallV1, ...]
    layers: tuple[GapLayerV1, ...]
    versions: VersionsV1
