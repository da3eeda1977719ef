"""Wire record to engine value and back: the only package that knows both sides.

``events`` turns records into the engine's inputs, ``commands`` the engine's outputs into records, ``amounts`` decimal
text into scaled integers and back, exactly. What cannot be translated exactly is a ``SchemaError`` that names the
field.
"""

from __future__ import annotations

from streams.translate.amounts import e8_text, e12_text, float_text, to_e8, to_e12, to_ppm
from streams.translate.check import check_translatable
from streams.translate.commands import to_versions, to_wire
from streams.translate.events import (
    to_account_event,
    to_ack,
    to_asset,
    to_broadcast_event,
    to_collateral,
    to_control,
    to_fill,
    to_instrument,
    to_mark,
    to_parameters,
    to_reference_event,
    to_settlement,
)
from streams.translate.oracle import to_guarded_price, to_mark_record, to_quote

__all__ = [
    "check_translatable",
    "e8_text",
    "e12_text",
    "float_text",
    "to_account_event",
    "to_ack",
    "to_asset",
    "to_broadcast_event",
    "to_collateral",
    "to_control",
    "to_e8",
    "to_e12",
    "to_fill",
    "to_guarded_price",
    "to_instrument",
    "to_mark",
    "to_mark_record",
    "to_parameters",
    "to_ppm",
    "to_quote",
    "to_reference_event",
    "to_settlement",
    "to_versions",
    "to_wire",
]
