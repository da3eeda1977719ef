-- requires: 22.3
-- Instants as DateTime64 next to the microseconds: aliases, computed when read.
-- Cost on a full table: none, nothing is stored.

ALTER TABLE fills
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `trade_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(trade_time_us, 'UTC');
ALTER TABLE collateral
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `event_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(event_time_us, 'UTC');
ALTER TABLE liquidation_acks
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `event_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(event_time_us, 'UTC');
ALTER TABLE prices
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `source_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(source_time_us, 'UTC');
ALTER TABLE marks
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `mark_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(mark_time_us, 'UTC');
ALTER TABLE reference
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `expiry` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(expiry_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `effective` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(effective_us, 'UTC');
ALTER TABLE settlements
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `event_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(event_time_us, 'UTC');
ALTER TABLE liquidation_controls
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `until` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(until_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `event_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(event_time_us, 'UTC');
ALTER TABLE liquidations
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `expires` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(expires_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us, 'UTC');
ALTER TABLE status_changes
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us, 'UTC');
ALTER TABLE execution_anomalies
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us, 'UTC');
ALTER TABLE liquidation_decisions
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us, 'UTC');
ALTER TABLE withdrawal_decisions
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us, 'UTC');
ALTER TABLE position_settlements
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us, 'UTC');
ALTER TABLE margin_snapshots
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us, 'UTC');
ALTER TABLE gap_at_risk
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us, 'UTC');
ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS `ts` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts_us, 'UTC'),
    ADD COLUMN IF NOT EXISTS `record_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(record_time_us, 'UTC');
