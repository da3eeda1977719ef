"""Topic ``dead-letters``: records that could not be applied, each with its address and the reason."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.fields import Count, Micros


class DeadLetterV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``topic``, ``partition`` and ``offset`` are the record's address, ``field`` the wire field at fault (empty when
    the record as a whole is), ``reason`` a stable code, ``detail`` a sentence. ``payload_base64`` is the value, cut at
    64 KiB; ``payload_bytes`` its full size."""

    v: Literal[1]
    topic: str
    partition: Count
    offset: Count
    key: str
    reason: str
    field: str
    detail: str
    payload_base64: str
    payload_bytes: Count
    record_time_us: Micros
