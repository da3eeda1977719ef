-- Deletes the rows for good; they can be read again from Kafka as far back as its retention goes.

DROP TABLE IF EXISTS dead_letters;
DROP TABLE IF EXISTS gap_at_risk;
DROP TABLE IF EXISTS margin_snapshots;
DROP TABLE IF EXISTS position_settlements;
DROP TABLE IF EXISTS withdrawal_decisions;
DROP TABLE IF EXISTS execution_anomalies;
DROP TABLE IF EXISTS liquidation_decisions;
DROP TABLE IF EXISTS status_changes;
DROP TABLE IF EXISTS liquidations;
