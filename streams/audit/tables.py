"""The declared schema of the audit trail: tables, columns, and which topic's records each table takes.

Owns names and types; ``schemas/clickhouse`` must produce exactly these columns, and a test applies the files to real
servers to compare. Refuses to know how a value is decoded (``rows``) or stored (``store``).

Every record of a topic gives one row in one table of the topic's group. Where a topic is split by kind, the first
table of its group takes what cannot be decoded, marked ``valid = 0``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Type = Literal[
    "String",
    "UInt8",
    "Int32",
    "Int64",
    "Float64",
    "Decimal(38, 18)",
    "Array(String)",
    "Array(Int64)",
    "Array(Float64)",
    "Array(Decimal(38, 18))",
]


@dataclass(frozen=True, slots=True)
class Column:
    """A physical column. ``is_instant`` marks UTC microseconds, which modern servers also show as DateTime64."""

    name: str
    type: Type
    is_instant: bool = False

    @property
    def alias(self) -> str:
        """The name of the DateTime64 view of an instant: the column without ``_us``."""
        return self.name.removesuffix("_us")


@dataclass(frozen=True, slots=True)
class Table:
    """One table; ``kind`` is the wire tag of the records it takes where the topic is split."""

    name: str
    topic: str
    columns: tuple[Column, ...]
    kind: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)


def _columns(type_: Type, names: str) -> tuple[Column, ...]:
    return tuple(Column(name, type_) for name in names.split())


def _texts(names: str) -> tuple[Column, ...]:
    return _columns("String", names)


def _integers(names: str) -> tuple[Column, ...]:
    return _columns("Int64", names)


def _amounts(names: str) -> tuple[Column, ...]:
    return _columns("Decimal(38, 18)", names)


def _instants(names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "Int64", is_instant=True) for name in names.split())


ADDRESS: Final = (
    Column("src_topic", "String"),
    Column("src_partition", "Int32"),
    Column("src_offset", "Int64"),
    Column("ts_us", "Int64", is_instant=True),
    Column("key", "String"),
    Column("raw", "String"),
    Column("valid", "UInt8"),
    Column("error", "String"),
)
"""In front of every audit row: the record's address and time, its exact bytes, and whether they could be decoded."""

_SURFACE = _columns("Array(Decimal(38, 18))", "surface_tenor_days surface_log_moneyness surface_volatility")
_FIGURES = (
    *_columns(
        "Float64",
        "equity collateral_value unrealized_pnl option_value initial_margin maintenance_margin"
        " isolated_initial_margin isolated_maintenance_margin",
    ),
    *_columns("Array(String)", "worst_scenario_underlyings worst_scenario_names add_on_names"),
    *_columns("Array(Float64)", "add_on_amounts"),
)
_VERSIONS = (
    *_integers("mark_version reference_version settlement_version control_version parameters_version"),
    *_instants("time_us"),
    *_columns("Array(String)", "applied_topics"),
    *_columns("Array(Int64)", "applied_offsets"),
)

FILLS: Final = Table(
    "fills",
    "fills",
    (
        *ADDRESS,
        *_texts("event_id account instrument side"),
        *_amounts("quantity price fee"),
        *_instants("trade_time_us"),
        *_texts("command_id"),
    ),
)
COLLATERAL: Final = Table(
    "collateral",
    "collateral",
    (
        *ADDRESS,
        *_texts("event_id account kind asset"),
        *_amounts("amount"),
        *_instants("event_time_us"),
        *_texts("counterparty"),
        *_integers("transfer_sequence"),
    ),
)
LIQUIDATION_ACKS: Final = Table(
    "liquidation_acks",
    "liquidation-acks",
    (
        *ADDRESS,
        *_texts("event_id command_id account state"),
        *_amounts("filled_quantity"),
        *_instants("event_time_us"),
        *_texts("reason detail executor"),
        *_integers("epoch_seen"),
    ),
)
PRICES: Final = Table(
    "prices",
    "prices",
    (
        *ADDRESS,
        *_texts("source feed"),
        *_amounts("price"),
        *_instants("source_time_us"),
        *_amounts("confidence funding_rate"),
        *_SURFACE,
    ),
)
MARKS: Final = Table(
    "marks",
    "marks",
    (
        *ADDRESS,
        *_texts("feed"),
        *_amounts("price confidence funding_rate funding_index_linear funding_index_inverse"),
        *_instants("mark_time_us"),
        *_columns("Array(String)", "sources"),
        *_SURFACE,
    ),
)
REFERENCE: Final = Table(
    "reference",
    "reference",
    (
        *ADDRESS,
        *_texts("type id contract underlying settlement_asset mark_feed base_asset"),
        *_amounts("multiplier tick lot strike"),
        *_instants("expiry_us"),
        *_amounts("haircut"),
        *_integers("version"),
        *_instants("effective_us"),
        *_amounts("maintenance_factor liquidation_target release_buffer limit_price_band"),
        *_integers("mark_age_us_max command_ttl_us snapshot_interval_us"),
        *_columns("Array(Decimal(38, 18))", "price_steps tail_price_moves tail_weights"),
        *_columns("Array(String)", "underlyings"),
        *_columns(
            "Array(Decimal(38, 18))",
            "price_ranges volatility_ups volatility_downs volatility_term_powers short_option_minimums_initial"
            " short_option_minimums_maintenance close_costs",
        ),
    ),
)
SETTLEMENTS: Final = Table(
    "settlements",
    "settlements",
    (*ADDRESS, *_texts("event_id instrument"), *_amounts("price"), *_instants("event_time_us")),
)
LIQUIDATION_CONTROLS: Final = Table(
    "liquidation_controls",
    "liquidation-control",
    (
        *ADDRESS,
        *_texts("event_id scope target mode"),
        *_instants("until_us"),
        *_texts("issued_by approved_by reason"),
        *_instants("event_time_us"),
    ),
)
LIQUIDATIONS: Final = Table(
    "liquidations",
    "liquidations",
    (
        *ADDRESS,
        *_texts("command_id decision_id account"),
        *_integers("liquidation_sequence round leg"),
        *_texts("instrument side"),
        *_amounts("quantity limit_price"),
        *_instants("expires_us"),
        *_VERSIONS,
        *_texts("kind reason"),
        *_integers("epoch sequence account_version"),
        *_columns("Array(String)", "supersedes"),
    ),
)
STATUS_CHANGES: Final = Table(
    "status_changes",
    "margin-events",
    (
        *ADDRESS,
        *_texts("event_id account"),
        *_integers("change"),
        *_texts("before after"),
        *_FIGURES,
        *_VERSIONS,
    ),
    kind="status_changed",
)
LIQUIDATION_DECISIONS: Final = Table(
    "liquidation_decisions",
    "margin-events",
    (
        *ADDRESS,
        *_texts("event_id account"),
        *_integers("liquidation_sequence round"),
        *_FIGURES,
        *_columns("Float64", "equity_after maintenance_margin_after"),
        *_columns("Array(String)", "command_ids"),
        *_texts("book"),
        *_VERSIONS,
        *_texts("reason explanation"),
        *_columns("Float64", "plan_cost plan_lower_bound plan_gap plan_target"),
        *_columns("Array(String)", "binding_underlyings binding_scenarios"),
        *_columns("Array(Float64)", "binding_weights"),
    ),
    kind="liquidation_decision",
)
EXECUTION_ANOMALIES: Final = Table(
    "execution_anomalies",
    "margin-events",
    (*ADDRESS, *_texts("event_id account command_id anomaly cause_id"), *_VERSIONS),
    kind="execution_anomaly",
)
WITHDRAWAL_DECISIONS: Final = Table(
    "withdrawal_decisions",
    "margin-events",
    (
        *ADDRESS,
        *_texts("event_id account request_id asset"),
        *_amounts("amount"),
        *_columns("UInt8", "granted"),
        *_texts("refusal"),
        *_VERSIONS,
    ),
    kind="withdrawal_decided",
)
POSITION_SETTLEMENTS: Final = Table(
    "position_settlements",
    "margin-events",
    (
        *ADDRESS,
        *_texts("event_id account instrument"),
        *_amounts("quantity price cash"),
        *_integers("position_settlement_version"),
        *_VERSIONS,
    ),
    kind="position_settled",
)
MARGIN_SNAPSHOTS: Final = Table(
    "margin_snapshots",
    "margin-events",
    (
        *ADDRESS,
        *_texts("event_id account status"),
        *_FIGURES,
        *_columns("Array(String)", "greek_underlyings greek_names"),
        *_columns("Array(Float64)", "greek_values"),
        *_VERSIONS,
    ),
    kind="margin_snapshot",
)
GAP_AT_RISK: Final = Table(
    "gap_at_risk",
    "gap-at-risk",
    (
        *ADDRESS,
        *_texts("event_id"),
        *_integers("account_partition accounts unpriced"),
        *_columns("Array(String)", "jumps"),
        *_columns("Array(Float64)", "totals"),
        *_columns("Array(Int64)", "short_accounts"),
        *_columns("Array(String)", "layers"),
        *_columns("Array(Decimal(38, 18))", "capacities"),
        *_VERSIONS,
    ),
)
DEAD_LETTERS: Final = Table(
    "dead_letters",
    "dead-letters",
    (
        *ADDRESS,
        *_texts("record_topic"),
        *_integers("record_partition record_offset"),
        *_texts("record_key reason field detail payload_base64"),
        *_integers("payload_bytes"),
        *_instants("record_time_us"),
    ),
)

TABLES: Final = (
    FILLS,
    COLLATERAL,
    LIQUIDATION_ACKS,
    PRICES,
    MARKS,
    REFERENCE,
    SETTLEMENTS,
    LIQUIDATION_CONTROLS,
    LIQUIDATIONS,
    STATUS_CHANGES,
    LIQUIDATION_DECISIONS,
    WITHDRAWAL_DECISIONS,
    POSITION_SETTLEMENTS,
    MARGIN_SNAPSHOTS,
    EXECUTION_ANOMALIES,
    GAP_AT_RISK,
    DEAD_LETTERS,
)
"""Every table of rows, in the fixed order in which a batch is inserted."""

PROGRESS: Final = Table(
    "audit_progress",
    "",
    (Column("src_topic", "String"), Column("src_partition", "Int32"), Column("through_offset", "Int64")),
)
"""Per partition: every record up to ``through_offset`` is in its table. Written after the rows."""

PARAMETER_VERSIONS: Final = "parameter_versions"
"""A view over ``reference``: one row per version of the risk parameters."""


def tables_of(topic: str) -> tuple[Table, ...]:
    """The group of a topic, the table for undecodable records first; raises ``KeyError`` for an unknown topic."""
    return _GROUPS[topic]


def _grouped() -> dict[str, tuple[Table, ...]]:
    groups: dict[str, tuple[Table, ...]] = {}
    for table in TABLES:
        groups[table.topic] = (*groups.get(table.topic, ()), table)
    return groups


_GROUPS: Final = _grouped()
TOPICS: Final = tuple(_GROUPS)
"""Every topic the audit trail takes."""
