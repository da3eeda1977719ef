"""Bytes to record and back: the gate that every message passes in either direction.

Owns sizes, decoding, keys and the canonical encoding. Whatever bytes arrive, ``decode`` returns a record or raises
``SchemaError``, in time bounded by the size cap. Refuses amounts (``streams.translate`` makes them exact integers) and
anything that needs state.

Two choices where JSON leaves room: of a repeated member the last one counts, and a byte order mark is malformed.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import msgspec

from schemas.catalogue import load_catalogue, struct_types
from schemas.diagnosis import diagnose
from schemas.errors import Reason, SchemaError
from schemas.events.collateral import CollateralV1
from schemas.events.control import HOLD_US_MAX, LiquidationControlV1
from schemas.events.dead_letters import DeadLetterV1
from schemas.events.fills import FillV1
from schemas.events.gap_at_risk import GapAtRiskV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1
from schemas.events.margin_events import MarginEventV1
from schemas.events.prices import MarkV1, PriceV1
from schemas.events.reference import CollateralAssetV1, InstrumentV1, ReferenceV1, RiskParametersV1
from schemas.events.settlements import SettlementV1

INPUT_BYTES_MAX = 65_536
"""Cap before parsing of what others write: hundreds of times a fill, and a few hundred underlyings of parameters."""

OUTPUT_BYTES_MAX = 1_000_000
"""Cap of what only we write: decisions carry a whole book, dead letters a whole record in base64."""

Record = (
    FillV1
    | CollateralV1
    | LiquidationAckV1
    | PriceV1
    | MarkV1
    | ReferenceV1
    | SettlementV1
    | LiquidationControlV1
    | LiquidationCommandV1
    | MarginEventV1
    | GapAtRiskV1
    | DeadLetterV1
)
"""A decoded record of any topic."""

_TOPICS = load_catalogue()
_BYTES_MAX = {name: INPUT_BYTES_MAX if topic.dead_letters else OUTPUT_BYTES_MAX for name, topic in _TOPICS.items()}
_DECODERS: dict[str, msgspec.json.Decoder[Record]] = {
    name: msgspec.json.Decoder(topic.contract_type) for name, topic in _TOPICS.items()
}
_TOPIC_OF = {struct: name for name, topic in _TOPICS.items() for struct in struct_types(topic.contract_type)}
_ENCODER = msgspec.json.Encoder(order="deterministic")


def decode(topic: str, value: bytes | None) -> Record:
    """The record in ``value``; raises ``SchemaError`` and nothing else."""
    if not value:
        raise SchemaError(Reason.EMPTY_VALUE, "", "a tombstone or an empty value")
    decoder = _DECODERS.get(topic)
    if decoder is None:
        raise SchemaError(Reason.UNKNOWN_TOPIC, "topic", f"no topic {topic}")
    if len(value) > _BYTES_MAX[topic]:
        raise SchemaError(Reason.TOO_LARGE, "", f"{len(value)} bytes, at most {_BYTES_MAX[topic]}")
    try:
        record = decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise diagnose(error, value, decoder.type) from None
    if type(record) is CollateralV1:
        _check_collateral(record)
    elif type(record) is LiquidationCommandV1:
        _check_command(record)
    elif type(record) is LiquidationControlV1:
        _check_control(record)
    return record


def decode_record(topic: str, key: bytes | None, value: bytes | None) -> Record:
    """As ``decode``, and the record's key must be the one its content asks for: the key chooses the partition, and
    the partition chooses who owns the account."""
    record = decode(topic, value)
    if key != (expected := key_of(record)):
        raise SchemaError(Reason.WRONG_KEY, _TOPICS[topic].key, f"key {key!r}, expected {expected!r}")
    return record


def encode(record: Record) -> bytes:
    """Canonical bytes: fields in the order of the contract, members of mappings sorted, no spaces."""
    return _ENCODER.encode(record)


def key_of(record: Record) -> bytes:
    """The Kafka key of ``record``."""
    return _KEYS[type(record)](record).encode()


def topic_of(record: Record) -> str:
    """The topic that carries records of this type."""
    return _TOPIC_OF[type(record)]


def _check_collateral(record: CollateralV1) -> None:
    """Which fields a movement needs depends on its kind."""
    needs = {"transfer": ("counterparty",), "transfer_credit": ("counterparty", "transfer_sequence")}
    needed = needs.get(record.kind, ())
    for field in ("counterparty", "transfer_sequence"):
        if (getattr(record, field) is not None) != (field in needed):
            reason = Reason.MISSING_FIELD if field in needed else Reason.UNKNOWN_FIELD
            raise SchemaError(reason, field, f"a {record.kind} {'needs' if field in needed else 'has no'} {field}")
    if record.counterparty == record.account:
        raise SchemaError(Reason.OUT_OF_RANGE, "counterparty", "the account itself")


def _check_command(record: LiquidationCommandV1) -> None:
    """Legs name what to trade, an auction what is offered, and only a hedge may open a position."""
    is_leg = record.kind not in ("cancel_orders", "auction", "release")
    needs = {"instrument": is_leg, "side": is_leg, "quantity": is_leg, "limit_price": is_leg}
    for field, needed in {**needs, "auction": record.kind == "auction"}.items():
        if (getattr(record, field) is not None) != needed:
            reason = Reason.MISSING_FIELD if needed else Reason.UNKNOWN_FIELD
            raise SchemaError(reason, field, f"{record.kind} {'needs' if needed else 'has no'} {field}")
    if not record.reduce_only and record.kind != "hedge":
        raise SchemaError(Reason.OUT_OF_RANGE, "reduce_only", f"{record.kind} may not open a position")


def _check_control(record: LiquidationControlV1) -> None:
    """A hold names what it stops and when it ends; ending one names the second person."""
    needs = {
        "target": record.scope != "global",
        "until_us": record.mode != "run",
        "approved_by": record.mode == "run" or record.approved_by is not None,
    }
    for field, needed in needs.items():
        if (getattr(record, field) is not None) != needed:
            reason = Reason.MISSING_FIELD if needed else Reason.UNKNOWN_FIELD
            what = record.scope if field == "target" else record.mode
            raise SchemaError(reason, field, f"{what} {'needs' if needed else 'has no'} {field}")
    if record.approved_by is not None and record.approved_by.casefold() == record.issued_by.casefold():
        raise SchemaError(Reason.OUT_OF_RANGE, "approved_by", "is who issued it: two persons are needed")
    if record.until_us is not None and not 0 < record.until_us - record.event_time_us <= HOLD_US_MAX:
        span = f"more than {HOLD_US_MAX} after" if record.until_us > record.event_time_us else "not after"
        raise SchemaError(Reason.OUT_OF_RANGE, "until_us", f"{span} event_time_us")


def _control_key(record: LiquidationControlV1) -> str:
    return record.scope if record.target is None else f"{record.scope}:{record.target}"


def _address(letter: DeadLetterV1) -> str:
    return f"{letter.topic}:{letter.partition}:{letter.offset}"


# The version is part of the key of risk parameters: compaction must not drop the ones in force for those to come.
_KEYS: dict[type, Callable[..., str]] = {
    **{struct: attrgetter(_TOPICS[name].key) for struct, name in _TOPIC_OF.items()},
    InstrumentV1: lambda record: f"instrument:{record.instrument}",
    CollateralAssetV1: lambda record: f"collateral_asset:{record.asset}",
    RiskParametersV1: lambda record: f"risk_parameters:{record.version}",
    LiquidationControlV1: _control_key,
    GapAtRiskV1: lambda record: str(record.partition),
    DeadLetterV1: _address,
}

__all__ = [
    "INPUT_BYTES_MAX",
    "OUTPUT_BYTES_MAX",
    "Reason",
    "Record",
    "SchemaError",
    "decode",
    "decode_record",
    "encode",
    "key_of",
    "topic_of",
]
