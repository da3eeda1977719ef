"""One Kafka record in, one audit row out, whatever the record's bytes are.

Owns the mapping from contract fields to columns. Amounts become ``Decimal`` exactly as spelled; absent optional fields
take the column's default (empty text, zero), which no contract allows as a value. A record that breaks its contract
keeps its bytes and gets ``valid = 0`` with the reason. Refuses engine arithmetic and any judgement of the content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from schemas.codec import Record, decode_record
from schemas.errors import SchemaError
from schemas.events.collateral import CollateralV1
from schemas.events.control import LiquidationControlV1
from schemas.events.dead_letters import DeadLetterV1
from schemas.events.fills import FillV1
from schemas.events.gap_at_risk import GapAtRiskV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1, VersionsV1
from schemas.events.margin_events import (
    CertificateV1,
    ExecutionAnomalyV1,
    FiguresV1,
    LiquidationDecisionV1,
    MarginSnapshotV1,
    PositionSettledV1,
    StatusChangedV1,
    WithdrawalDecidedV1,
)
from schemas.events.prices import MarkV1, PriceV1, VolatilityNodeV1
from schemas.events.reference import CollateralAssetV1, InstrumentV1, RiskParametersV1
from schemas.events.settlements import SettlementV1
from streams.audit.tables import (
    ADDRESS,
    COLLATERAL,
    DEAD_LETTERS,
    EXECUTION_ANOMALIES,
    FILLS,
    GAP_AT_RISK,
    LIQUIDATION_ACKS,
    LIQUIDATION_CONTROLS,
    LIQUIDATION_DECISIONS,
    LIQUIDATIONS,
    MARGIN_SNAPSHOTS,
    MARKS,
    POSITION_SETTLEMENTS,
    PRICES,
    REFERENCE,
    SETTLEMENTS,
    STATUS_CHANGES,
    TABLES,
    WITHDRAWAL_DECISIONS,
    Table,
    Type,
    tables_of,
)

Row = tuple[Any, ...]
"""Values in the order of a table's columns; their types are those of the columns, which no static type can follow."""

INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)


def row_for(
    topic: str, partition: int, offset: int, timestamp_ms: int | None, key: bytes | None, value: bytes | None
) -> tuple[Table, Row]:
    """The table and the row of one record; raises ``KeyError`` for a topic that is not audited."""
    group = tables_of(topic)
    ts_us = max(INT64_MIN, min(INT64_MAX, (timestamp_ms or 0) * 1000))
    address = (topic, partition, offset, ts_us, key or b"", value or b"")
    try:
        record = decode_record(topic, key, value)
    except SchemaError as error:
        reason = f"{error.reason}:{error.field}" if value is not None else "tombstone"
        return group[0], (*address, 0, reason, *_DEFAULTS[group[0].name])
    table, columns = _EXTRACTORS[type(record)]
    typed = columns(record)
    if unfit := _unfit_column(table, typed):
        return group[0], (*address, 0, f"does_not_fit:{unfit}", *_DEFAULTS[group[0].name])
    return table, (*address, 1, "", *typed)


def _fill(record: FillV1) -> Row:
    return (
        record.event_id,
        record.account,
        record.instrument,
        record.side,
        Decimal(record.quantity),
        Decimal(record.price),
        Decimal(record.fee),
        record.trade_time_us,
        record.command_id or "",
    )


def _collateral(record: CollateralV1) -> Row:
    return (
        record.event_id,
        record.account,
        record.kind,
        record.asset,
        Decimal(record.amount),
        record.event_time_us,
        record.counterparty or "",
        record.transfer_sequence or 0,
    )


def _liquidation_ack(record: LiquidationAckV1) -> Row:
    return (
        record.event_id,
        record.command_id,
        record.account,
        record.state,
        Decimal(record.filled_quantity),
        record.event_time_us,
        record.reason or "",
        record.detail or "",
        record.executor or "",
        record.epoch_seen or 0,
    )


def _price(record: PriceV1) -> Row:
    return (
        record.source,
        record.feed,
        Decimal(record.price),
        record.source_time_us,
        Decimal(record.confidence),
        Decimal(record.funding_rate),
        *_surface(record.volatility),
    )


def _mark(record: MarkV1) -> Row:
    return (
        record.feed,
        Decimal(record.price),
        Decimal(record.confidence),
        Decimal(record.funding_rate),
        Decimal(record.funding_index_linear),
        Decimal(record.funding_index_inverse),
        record.mark_time_us,
        list(record.sources),
        *_surface(record.volatility),
    )


def _surface(nodes: Sequence[VolatilityNodeV1]) -> Row:
    return (
        [Decimal(node.tenor_days) for node in nodes],
        [Decimal(node.log_moneyness) for node in nodes],
        [Decimal(node.volatility) for node in nodes],
    )


def _instrument(record: InstrumentV1) -> Row:
    return _reference(
        type="instrument",
        id=record.instrument,
        contract=record.contract,
        underlying=record.underlying,
        settlement_asset=record.settlement_asset,
        mark_feed=record.mark_feed,
        base_asset=record.base_asset or "",
        multiplier=Decimal(record.multiplier),
        tick=Decimal(record.tick),
        lot=Decimal(record.lot),
        strike=Decimal(record.strike or 0),
        expiry_us=record.expiry_us or 0,
    )


def _collateral_asset(record: CollateralAssetV1) -> Row:
    return _reference(
        type="collateral_asset",
        id=record.asset,
        underlying=record.underlying or "",
        mark_feed=record.mark_feed or "",
        haircut=Decimal(record.haircut),
    )


def _risk_parameters(record: RiskParametersV1) -> Row:
    names = list(record.underlyings)
    rows = [record.underlyings[name] for name in names]
    return _reference(
        type="risk_parameters",
        id=str(record.version),
        version=record.version,
        effective_us=record.effective_us,
        maintenance_factor=Decimal(record.maintenance_factor),
        liquidation_target=Decimal(record.liquidation_target),
        release_buffer=Decimal(record.release_buffer),
        limit_price_band=Decimal(record.limit_price_band),
        mark_age_us_max=record.mark_age_us_max,
        command_ttl_us=record.command_ttl_us,
        snapshot_interval_us=record.snapshot_interval_us,
        price_steps=[Decimal(step) for step in record.price_steps],
        tail_price_moves=[Decimal(tail.price_move) for tail in record.tails],
        tail_weights=[Decimal(tail.weight) for tail in record.tails],
        underlyings=names,
        price_ranges=[Decimal(row.price_range) for row in rows],
        volatility_ups=[Decimal(row.volatility_up) for row in rows],
        volatility_downs=[Decimal(row.volatility_down) for row in rows],
        volatility_term_powers=[Decimal(row.volatility_term_power) for row in rows],
        short_option_minimums_initial=[Decimal(row.short_option_minimum_initial) for row in rows],
        short_option_minimums_maintenance=[Decimal(row.short_option_minimum_maintenance) for row in rows],
        close_costs=[Decimal(row.close_cost) for row in rows],
    )


def _reference(**values: object) -> Row:
    """The three kinds share a table; each fills its own columns."""
    typed = REFERENCE.columns[len(ADDRESS) :]
    return tuple(values.get(column.name, _DEFAULT[column.type]) for column in typed)


def _settlement(record: SettlementV1) -> Row:
    return (record.event_id, record.instrument, Decimal(record.price), record.event_time_us)


def _liquidation_control(record: LiquidationControlV1) -> Row:
    return (
        record.event_id,
        record.scope,
        record.target or "",
        record.mode,
        record.until_us or 0,
        record.issued_by,
        record.approved_by or "",
        record.reason,
        record.event_time_us,
    )


def _liquidation(record: LiquidationCommandV1) -> Row:
    return (
        record.command_id,
        record.decision_id,
        record.account,
        record.liquidation_sequence,
        record.round,
        record.leg,
        record.instrument or "",
        record.side or "",
        Decimal(record.quantity or 0),
        Decimal(record.limit_price or 0),
        record.expires_us,
        *_versions(record.versions),
        record.kind,
        record.reason,
        record.epoch,
        record.sequence,
        record.account_version,
        list(record.supersedes),
    )


def _status_change(record: StatusChangedV1) -> Row:
    return (
        record.event_id,
        record.account,
        record.change,
        record.before,
        record.after,
        *_figures(record.figures),
        *_versions(record.versions),
    )


def _liquidation_decision(record: LiquidationDecisionV1) -> Row:
    return (
        record.event_id,
        record.account,
        record.liquidation_sequence,
        record.round,
        *_figures(record.figures),
        record.equity_after,
        record.maintenance_margin_after,
        list(record.command_ids),
        record.book,
        *_versions(record.versions),
        record.reason,
        record.explanation,
        *_certificate(record.certificate),
    )


def _certificate(certificate: CertificateV1 | None) -> Row:
    if certificate is None:
        return (0.0, 0.0, 0.0, 0.0, [], [], [])
    return (
        certificate.cost,
        certificate.lower_bound,
        certificate.gap,
        certificate.target,
        [bound.underlying for bound in certificate.binding],
        [bound.scenario for bound in certificate.binding],
        [bound.weight for bound in certificate.binding],
    )


def _execution_anomaly(record: ExecutionAnomalyV1) -> Row:
    return (
        record.event_id,
        record.account,
        record.command_id,
        record.anomaly,
        record.cause_id or "",
        *_versions(record.versions),
    )


def _withdrawal_decision(record: WithdrawalDecidedV1) -> Row:
    return (
        record.event_id,
        record.account,
        record.request_id,
        record.asset,
        Decimal(record.amount),
        int(record.granted),
        record.refusal or "",
        *_versions(record.versions),
    )


def _position_settlement(record: PositionSettledV1) -> Row:
    return (
        record.event_id,
        record.account,
        record.instrument,
        Decimal(record.quantity),
        Decimal(record.price),
        Decimal(record.cash),
        record.settlement_version,
        *_versions(record.versions),
    )


def _margin_snapshot(record: MarginSnapshotV1) -> Row:
    flat = [(under, name, value) for under, greeks in record.greeks.items() for name, value in greeks.items()]
    return (
        record.event_id,
        record.account,
        record.status,
        *_figures(record.figures),
        [under for under, _, _ in flat],
        [name for _, name, _ in flat],
        [value for _, _, value in flat],
        *_versions(record.versions),
    )


def _gap_at_risk(record: GapAtRiskV1) -> Row:
    return (
        record.event_id,
        record.partition,
        record.accounts,
        record.unpriced,
        [jump.jump for jump in record.jumps],
        [jump.total for jump in record.jumps],
        [jump.accounts for jump in record.jumps],
        [layer.name for layer in record.layers],
        [Decimal(layer.capacity) for layer in record.layers],
        *_versions(record.versions),
    )


def _figures(figures: FiguresV1) -> Row:
    return (
        figures.equity,
        figures.collateral_value,
        figures.unrealized_pnl,
        figures.option_value,
        figures.initial_margin,
        figures.maintenance_margin,
        figures.isolated_initial_margin,
        figures.isolated_maintenance_margin,
        list(figures.worst_scenarios),
        list(figures.worst_scenarios.values()),
        list(figures.add_ons),
        list(figures.add_ons.values()),
    )


def _versions(versions: VersionsV1) -> Row:
    return (
        versions.mark_version,
        versions.reference_version,
        versions.settlement_version,
        versions.control_version,
        versions.parameters_version,
        versions.time_us,
        list(versions.offsets),
        list(versions.offsets.values()),
    )


def _dead_letter(record: DeadLetterV1) -> Row:
    return (
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.reason,
        record.field,
        record.detail,
        record.payload_base64,
        record.payload_bytes,
        record.record_time_us,
    )


def _unfit_column(table: Table, typed: Row) -> str:
    """The first integer column whose value exceeds 64 bits. Counters and offsets have no upper bound on the wire;
    every other column is as wide as its contract."""
    for index, name in _INTEGERS[table.name]:
        value = typed[index]
        if isinstance(value, list):
            if any(item > INT64_MAX for item in value):
                return name
        elif value > INT64_MAX:
            return name
    return ""


_DEFAULT: Final[Mapping[Type, object]] = {
    "String": "",
    "UInt8": 0,
    "Int32": 0,
    "Int64": 0,
    "Float64": 0.0,
    "Decimal(38, 18)": Decimal(0),
    "Array(String)": [],
    "Array(Int64)": [],
    "Array(Float64)": [],
    "Array(Decimal(38, 18))": [],
}
_DEFAULTS: Final[Mapping[str, Row]] = {
    table.name: tuple(_DEFAULT[column.type] for column in table.columns[len(ADDRESS) :]) for table in TABLES
}
_INTEGERS: Final[Mapping[str, tuple[tuple[int, str], ...]]] = {
    table.name: tuple(
        (index, column.name)
        for index, column in enumerate(table.columns[len(ADDRESS) :])
        if column.type in ("Int64", "Array(Int64)")
    )
    for table in TABLES
}
_EXTRACTORS: Final[Mapping[type[Record], tuple[Table, Callable[[Any], Row]]]] = {
    FillV1: (FILLS, _fill),
    CollateralV1: (COLLATERAL, _collateral),
    LiquidationAckV1: (LIQUIDATION_ACKS, _liquidation_ack),
    PriceV1: (PRICES, _price),
    MarkV1: (MARKS, _mark),
    InstrumentV1: (REFERENCE, _instrument),
    CollateralAssetV1: (REFERENCE, _collateral_asset),
    RiskParametersV1: (REFERENCE, _risk_parameters),
    SettlementV1: (SETTLEMENTS, _settlement),
    LiquidationControlV1: (LIQUIDATION_CONTROLS, _liquidation_control),
    LiquidationCommandV1: (LIQUIDATIONS, _liquidation),
    StatusChangedV1: (STATUS_CHANGES, _status_change),
    LiquidationDecisionV1: (LIQUIDATION_DECISIONS, _liquidation_decision),
    ExecutionAnomalyV1: (EXECUTION_ANOMALIES, _execution_anomaly),
    WithdrawalDecidedV1: (WITHDRAWAL_DECISIONS, _withdrawal_decision),
    PositionSettledV1: (POSITION_SETTLEMENTS, _position_settlement),
    MarginSnapshotV1: (MARGIN_SNAPSHOTS, _margin_snapshot),
    GapAtRiskV1: (GAP_AT_RISK, _gap_at_risk),
    DeadLetterV1: (DEAD_LETTERS, _dead_letter),
}
