-- Per partition, the offset up to which every record is in its table; written after the rows.
-- Cost on a full table: none.

CREATE TABLE IF NOT EXISTS audit_progress
(
    `src_topic`      String,
    `src_partition`  Int32,
    `through_offset` Int64
)
ENGINE = ReplacingMergeTree(through_offset)
ORDER BY (src_topic, src_partition);

-- One row per version of the risk parameters, per-underlying values as parallel arrays.
CREATE VIEW IF NOT EXISTS parameter_versions AS
SELECT
    version, effective_us, src_offset AS reference_version, maintenance_factor, liquidation_target, release_buffer,
    limit_price_band, mark_age_us_max, command_ttl_us, snapshot_interval_us, price_steps, tail_price_moves,
    tail_weights, underlyings, price_ranges, volatility_ups, volatility_downs, volatility_term_powers,
    short_option_minimums_initial, short_option_minimums_maintenance, close_costs
FROM reference FINAL
WHERE valid = 1 AND type = 'risk_parameters';
