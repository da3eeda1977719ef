-- requires: 22.3
-- Compression by content. Cost on a full table: none at once; old parts take the codec when they merge.

ALTER TABLE fills
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `quantity` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `price` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `fee` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `trade_time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE collateral
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `amount` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `event_time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE liquidation_acks
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `filled_quantity` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `event_time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE prices
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `price` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `source_time_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `confidence` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `funding_rate` Decimal(38, 18) CODEC(ZSTD(1));

ALTER TABLE marks
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `price` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `confidence` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `funding_rate` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `funding_index_linear` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `funding_index_inverse` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `mark_time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE reference
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `multiplier` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `tick` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `lot` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `strike` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `expiry_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `haircut` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `effective_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `maintenance_factor` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `liquidation_target` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `release_buffer` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `limit_price_band` Decimal(38, 18) CODEC(ZSTD(1));

ALTER TABLE settlements
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `price` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `event_time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE liquidation_controls
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `until_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `event_time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE liquidations
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `quantity` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `limit_price` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `expires_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE status_changes
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `equity` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `collateral_value` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `unrealized_pnl` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `option_value` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `initial_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `maintenance_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `isolated_initial_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `isolated_maintenance_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE execution_anomalies
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE liquidation_decisions
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `equity` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `collateral_value` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `unrealized_pnl` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `option_value` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `initial_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `maintenance_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `isolated_initial_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `isolated_maintenance_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `equity_after` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `maintenance_margin_after` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `book` String CODEC(ZSTD(3)),
    MODIFY COLUMN `plan_cost` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `plan_lower_bound` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `plan_gap` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `plan_target` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE withdrawal_decisions
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `amount` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE position_settlements
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `quantity` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `price` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `cash` Decimal(38, 18) CODEC(ZSTD(1)),
    MODIFY COLUMN `time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE margin_snapshots
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `equity` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `collateral_value` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `unrealized_pnl` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `option_value` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `initial_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `maintenance_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `isolated_initial_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `isolated_maintenance_margin` Float64 CODEC(Gorilla, ZSTD(1)),
    MODIFY COLUMN `time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE gap_at_risk
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `time_us` Int64 CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE dead_letters
    MODIFY COLUMN `src_offset` Int64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `ts_us` Int64 CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `raw` String CODEC(ZSTD(3)),
    MODIFY COLUMN `payload_base64` String CODEC(ZSTD(3)),
    MODIFY COLUMN `record_time_us` Int64 CODEC(DoubleDelta, ZSTD(1));
