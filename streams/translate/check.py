"""Whether a record can be translated at all: what a publisher checks before sending, a replay before stepping."""

from __future__ import annotations

from engine.events import Source
from schemas.codec import Record
from schemas.events.collateral import CollateralV1
from schemas.events.control import LiquidationControlV1
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1
from schemas.events.prices import MarkV1, PriceV1
from schemas.events.reference import CollateralAssetV1, InstrumentV1, RiskParametersV1
from schemas.events.settlements import SettlementV1
from streams.translate.events import to_account_event, to_broadcast_event
from streams.translate.oracle import to_quote

_NOWHERE = Source("", 0, 0)


def check_translatable(record: Record) -> None:
    """Raise ``SchemaError`` if an input record has no exact engine form; records that we write ourselves have no
    other form to fail in."""
    if isinstance(record, (FillV1, CollateralV1, LiquidationAckV1)):
        to_account_event(record, _NOWHERE)
    elif isinstance(
        record,
        (MarkV1, SettlementV1, InstrumentV1, CollateralAssetV1, RiskParametersV1, LiquidationControlV1),
    ):
        to_broadcast_event(record, 0)
    elif isinstance(record, PriceV1):
        to_quote(record)
