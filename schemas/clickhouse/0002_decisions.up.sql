-- What the risk workers decide. margin-events is split by its field `type`; its undecodable records are rows of
-- status_changes with valid = 0.
-- Cost on a full table: none, tables are created empty.

CREATE TABLE IF NOT EXISTS liquidations
(
    `src_topic`            String,
    `src_partition`        Int32,
    `src_offset`           Int64,
    `ts_us`                Int64,
    `key`                  String,
    `raw`                  String,
    `valid`                UInt8,
    `error`                String,
    `command_id`           String,
    `decision_id`          String,
    `account`              String,
    `liquidation_sequence` Int64,
    `round`                Int64,
    `leg`                  Int64,
    `instrument`           String,
    `side`                 String,
    `quantity`             Decimal(38, 18),
    `limit_price`          Decimal(38, 18),
    `expires_us`           Int64,
    `mark_version`         Int64,
    `reference_version`    Int64,
    `settlement_version`   Int64,
    `control_version`      Int64,
    `parameters_version`   Int64,
    `time_us`              Int64,
    `applied_topics`       Array(String),
    `applied_offsets`      Array(Int64),
    `kind`                 String,
    `reason`               String,
    `epoch`                Int64,
    `sequence`             Int64,
    `account_version`      Int64,
    `supersedes`           Array(String)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS status_changes
(
    `src_topic`                   String,
    `src_partition`               Int32,
    `src_offset`                  Int64,
    `ts_us`                       Int64,
    `key`                         String,
    `raw`                         String,
    `valid`                       UInt8,
    `error`                       String,
    `event_id`                    String,
    `account`                     String,
    `change`                      Int64,
    `before`                      String,
    `after`                       String,
    `equity`                      Float64,
    `collateral_value`            Float64,
    `unrealized_pnl`              Float64,
    `option_value`                Float64,
    `initial_margin`              Float64,
    `maintenance_margin`          Float64,
    `isolated_initial_margin`     Float64,
    `isolated_maintenance_margin` Float64,
    `worst_scenario_underlyings`  Array(String),
    `worst_scenario_names`        Array(String),
    `add_on_names`                Array(String),
    `add_on_amounts`              Array(Float64),
    `mark_version`                Int64,
    `reference_version`           Int64,
    `settlement_version`          Int64,
    `control_version`             Int64,
    `parameters_version`          Int64,
    `time_us`                     Int64,
    `applied_topics`              Array(String),
    `applied_offsets`             Array(Int64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS liquidation_decisions
(
    `src_topic`                   String,
    `src_partition`               Int32,
    `src_offset`                  Int64,
    `ts_us`                       Int64,
    `key`                         String,
    `raw`                         String,
    `valid`                       UInt8,
    `error`                       String,
    `event_id`                    String,
    `account`                     String,
    `liquidation_sequence`        Int64,
    `round`                       Int64,
    `equity`                      Float64,
    `collateral_value`            Float64,
    `unrealized_pnl`              Float64,
    `option_value`                Float64,
    `initial_margin`              Float64,
    `maintenance_margin`          Float64,
    `isolated_initial_margin`     Float64,
    `isolated_maintenance_margin` Float64,
    `worst_scenario_underlyings`  Array(String),
    `worst_scenario_names`        Array(String),
    `add_on_names`                Array(String),
    `add_on_amounts`              Array(Float64),
    `equity_after`                Float64,
    `maintenance_margin_after`    Float64,
    `command_ids`                 Array(String),
    `book`                        String,
    `mark_version`                Int64,
    `reference_version`           Int64,
    `settlement_version`          Int64,
    `control_version`             Int64,
    `parameters_version`          Int64,
    `time_us`                     Int64,
    `applied_topics`              Array(String),
    `applied_offsets`             Array(Int64),
    `reason`                      String,
    `explanation`                 String,
    `plan_cost`                   Float64,
    `plan_lower_bound`            Float64,
    `plan_gap`                    Float64,
    `plan_target`                 Float64,
    `binding_underlyings`         Array(String),
    `binding_scenarios`           Array(String),
    `binding_weights`             Array(Float64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS execution_anomalies
(
    `src_topic`          String,
    `src_partition`      Int32,
    `src_offset`         Int64,
    `ts_us`              Int64,
    `key`                String,
    `raw`                String,
    `valid`              UInt8,
    `error`              String,
    `event_id`           String,
    `account`            String,
    `command_id`         String,
    `anomaly`            String,
    `cause_id`           String,
    `mark_version`       Int64,
    `reference_version`  Int64,
    `settlement_version` Int64,
    `control_version`    Int64,
    `parameters_version` Int64,
    `time_us`            Int64,
    `applied_topics`     Array(String),
    `applied_offsets`    Array(Int64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS withdrawal_decisions
(
    `src_topic`          String,
    `src_partition`      Int32,
    `src_offset`         Int64,
    `ts_us`              Int64,
    `key`                String,
    `raw`                String,
    `valid`              UInt8,
    `error`              String,
    `event_id`           String,
    `account`            String,
    `request_id`         String,
    `asset`              String,
    `amount`             Decimal(38, 18),
    `granted`            UInt8,
    `refusal`            String,
    `mark_version`       Int64,
    `reference_version`  Int64,
    `settlement_version` Int64,
    `control_version`    Int64,
    `parameters_version` Int64,
    `time_us`            Int64,
    `applied_topics`     Array(String),
    `applied_offsets`    Array(Int64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS position_settlements
(
    `src_topic`                   String,
    `src_partition`               Int32,
    `src_offset`                  Int64,
    `ts_us`                       Int64,
    `key`                         String,
    `raw`                         String,
    `valid`                       UInt8,
    `error`                       String,
    `event_id`                    String,
    `account`                     String,
    `instrument`                  String,
    `quantity`                    Decimal(38, 18),
    `price`                       Decimal(38, 18),
    `cash`                        Decimal(38, 18),
    `position_settlement_version` Int64,
    `mark_version`                Int64,
    `reference_version`           Int64,
    `settlement_version`          Int64,
    `control_version`             Int64,
    `parameters_version`          Int64,
    `time_us`                     Int64,
    `applied_topics`              Array(String),
    `applied_offsets`             Array(Int64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS margin_snapshots
(
    `src_topic`                   String,
    `src_partition`               Int32,
    `src_offset`                  Int64,
    `ts_us`                       Int64,
    `key`                         String,
    `raw`                         String,
    `valid`                       UInt8,
    `error`                       String,
    `event_id`                    String,
    `account`                     String,
    `status`                      String,
    `equity`                      Float64,
    `collateral_value`            Float64,
    `unrealized_pnl`              Float64,
    `option_value`                Float64,
    `initial_margin`              Float64,
    `maintenance_margin`          Float64,
    `isolated_initial_margin`     Float64,
    `isolated_maintenance_margin` Float64,
    `worst_scenario_underlyings`  Array(String),
    `worst_scenario_names`        Array(String),
    `add_on_names`                Array(String),
    `add_on_amounts`              Array(Float64),
    `greek_underlyings`           Array(String),
    `greek_names`                 Array(String),
    `greek_values`                Array(Float64),
    `mark_version`                Int64,
    `reference_version`           Int64,
    `settlement_version`          Int64,
    `control_version`             Int64,
    `parameters_version`          Int64,
    `time_us`                     Int64,
    `applied_topics`              Array(String),
    `applied_offsets`             Array(Int64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS gap_at_risk
(
    `src_topic`          String,
    `src_partition`      Int32,
    `src_offset`         Int64,
    `ts_us`              Int64,
    `key`                String,
    `raw`                String,
    `valid`              UInt8,
    `error`              String,
    `event_id`           String,
    `account_partition`  Int64,
    `accounts`           Int64,
    `unpriced`           Int64,
    `jumps`              Array(String),
    `totals`             Array(Float64),
    `short_accounts`     Array(Int64),
    `layers`             Array(String),
    `capacities`         Array(Decimal(38, 18)),
    `mark_version`       Int64,
    `reference_version`  Int64,
    `settlement_version` Int64,
    `control_version`    Int64,
    `parameters_version` Int64,
    `time_us`            Int64,
    `applied_topics`     Array(String),
    `applied_offsets`    Array(Int64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS dead_letters
(
    `src_topic`        String,
    `src_partition`    Int32,
    `src_offset`       Int64,
    `ts_us`            Int64,
    `key`              String,
    `raw`              String,
    `valid`            UInt8,
    `error`            String,
    `record_topic`     String,
    `record_partition` Int64,
    `record_offset`    Int64,
    `record_key`       String,
    `reason`           String,
    `field`            String,
    `detail`           String,
    `payload_base64`   String,
    `payload_bytes`    Int64,
    `record_time_us`   Int64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);
