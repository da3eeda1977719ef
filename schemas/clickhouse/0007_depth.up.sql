-- requires: 22.3
-- Depth by version of the risk parameters and underlying, read from the records themselves: what closing one day's
-- volume at once would cost, and that volume (empty where none is stated). Cost on a full table: none.

CREATE VIEW IF NOT EXISTS parameter_depths AS
SELECT
    version, effective_us, src_offset AS reference_version, underlying_name AS underlying,
    toDecimal64OrZero(JSONExtractString(raw, 'underlyings', underlying_name, 'impact'), 6) AS impact,
    JSONExtractString(raw, 'underlyings', underlying_name, 'daily_volume') AS daily_volume
FROM reference FINAL
ARRAY JOIN underlyings AS underlying_name
WHERE valid = 1 AND type = 'risk_parameters';
