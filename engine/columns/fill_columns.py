"""Fills as columns: one entry per record of a batch, as the compiled lane takes them.

Owns the layout. Refuses bytes and JSON (whoever decodes writes these) and the books (``fills`` applies them).
"""

from __future__ import annotations

from typing import NamedTuple

from engine.columns.arrays import Int32s, Int64s, UInt8s, UInt64s


class FillColumns(NamedTuple):
    """Axis N runs over the records of a batch in their order. ``lane`` is 1 where the other fields hold a fill, 0
    where the record must go through ``engine.books``. Unknown accounts and instruments are -1. ``quantity`` is
    signed; ``event_key`` and ``body_digest`` are little-endian as in the memory of an account."""

    lane_N: UInt8s
    offset_N: Int64s
    account_N: Int32s
    instrument_N: Int32s
    quantity_e8_N: Int64s
    price_e8_N: Int64s
    fee_e8_N: Int64s
    trade_time_us_N: Int64s
    event_key_N: UInt64s
    body_digest_N: UInt64s
    has_command_N: UInt8s
