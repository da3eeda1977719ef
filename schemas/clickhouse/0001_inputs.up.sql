-- What the venue and the oracle publish: one table per topic, one row per record, decodable or not.
--
-- Every table starts with the record's address, its Kafka time, its exact key and value, and whether the value could
-- be decoded (valid = 0: typed columns hold defaults, error says why). A repeated record has the same sorting key, so
-- it disappears when parts merge and under FINAL.
-- Partition: the month of the record's Kafka time, clamped to 2020..2099 because publishers write that time.
-- Types and functions are those of 18.16; later migrations add what newer servers offer.
-- Cost on a full table: none, tables are created empty.

CREATE TABLE IF NOT EXISTS fills
(
    `src_topic`     String,
    `src_partition` Int32,
    `src_offset`    Int64,
    `ts_us`         Int64,
    `key`           String,
    `raw`           String,
    `valid`         UInt8,
    `error`         String,
    `event_id`      String,
    `account`       String,
    `instrument`    String,
    `side`          String,
    `quantity`      Decimal(38, 18),
    `price`         Decimal(38, 18),
    `fee`           Decimal(38, 18),
    `trade_time_us` Int64,
    `command_id`    String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS collateral
(
    `src_topic`         String,
    `src_partition`     Int32,
    `src_offset`        Int64,
    `ts_us`             Int64,
    `key`               String,
    `raw`               String,
    `valid`             UInt8,
    `error`             String,
    `event_id`          String,
    `account`           String,
    `kind`              String,
    `asset`             String,
    `amount`            Decimal(38, 18),
    `event_time_us`     Int64,
    `counterparty`      String,
    `transfer_sequence` Int64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS liquidation_acks
(
    `src_topic`       String,
    `src_partition`   Int32,
    `src_offset`      Int64,
    `ts_us`           Int64,
    `key`             String,
    `raw`             String,
    `valid`           UInt8,
    `error`           String,
    `event_id`        String,
    `command_id`      String,
    `account`         String,
    `state`           String,
    `filled_quantity` Decimal(38, 18),
    `event_time_us`   Int64,
    `reason`          String,
    `detail`          String,
    `executor`        String,
    `epoch_seen`      Int64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS prices
(
    `src_topic`             String,
    `src_partition`         Int32,
    `src_offset`            Int64,
    `ts_us`                 Int64,
    `key`                   String,
    `raw`                   String,
    `valid`                 UInt8,
    `error`                 String,
    `source`                String,
    `feed`                  String,
    `price`                 Decimal(38, 18),
    `source_time_us`        Int64,
    `confidence`            Decimal(38, 18),
    `funding_rate`          Decimal(38, 18),
    `surface_tenor_days`    Array(Decimal(38, 18)),
    `surface_log_moneyness` Array(Decimal(38, 18)),
    `surface_volatility`    Array(Decimal(38, 18))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS marks
(
    `src_topic`             String,
    `src_partition`         Int32,
    `src_offset`            Int64,
    `ts_us`                 Int64,
    `key`                   String,
    `raw`                   String,
    `valid`                 UInt8,
    `error`                 String,
    `feed`                  String,
    `price`                 Decimal(38, 18),
    `confidence`            Decimal(38, 18),
    `funding_rate`          Decimal(38, 18),
    `funding_index_linear`  Decimal(38, 18),
    `funding_index_inverse` Decimal(38, 18),
    `mark_time_us`          Int64,
    `sources`               Array(String),
    `surface_tenor_days`    Array(Decimal(38, 18)),
    `surface_log_moneyness` Array(Decimal(38, 18)),
    `surface_volatility`    Array(Decimal(38, 18))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS reference
(
    `src_topic`                         String,
    `src_partition`                     Int32,
    `src_offset`                        Int64,
    `ts_us`                             Int64,
    `key`                               String,
    `raw`                               String,
    `valid`                             UInt8,
    `error`                             String,
    `type`                              String,
    `id`                                String,
    `contract`                          String,
    `underlying`                        String,
    `settlement_asset`                  String,
    `mark_feed`                         String,
    `base_asset`                        String,
    `multiplier`                        Decimal(38, 18),
    `tick`                              Decimal(38, 18),
    `lot`                               Decimal(38, 18),
    `strike`                            Decimal(38, 18),
    `expiry_us`                         Int64,
    `haircut`                           Decimal(38, 18),
    `version`                           Int64,
    `effective_us`                      Int64,
    `maintenance_factor`                Decimal(38, 18),
    `liquidation_target`                Decimal(38, 18),
    `release_buffer`                    Decimal(38, 18),
    `limit_price_band`                  Decimal(38, 18),
    `mark_age_us_max`                   Int64,
    `command_ttl_us`                    Int64,
    `snapshot_interval_us`              Int64,
    `price_steps`                       Array(Decimal(38, 18)),
    `tail_price_moves`                  Array(Decimal(38, 18)),
    `tail_weights`                      Array(Decimal(38, 18)),
    `underlyings`                       Array(String),
    `price_ranges`                      Array(Decimal(38, 18)),
    `volatility_ups`                    Array(Decimal(38, 18)),
    `volatility_downs`                  Array(Decimal(38, 18)),
    `volatility_term_powers`            Array(Decimal(38, 18)),
    `short_option_minimums_initial`     Array(Decimal(38, 18)),
    `short_option_minimums_maintenance` Array(Decimal(38, 18)),
    `close_costs`                       Array(Decimal(38, 18))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS settlements
(
    `src_topic`     String,
    `src_partition` Int32,
    `src_offset`    Int64,
    `ts_us`         Int64,
    `key`           String,
    `raw`           String,
    `valid`         UInt8,
    `error`         String,
    `event_id`      String,
    `instrument`    String,
    `price`         Decimal(38, 18),
    `event_time_us` Int64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);

CREATE TABLE IF NOT EXISTS liquidation_controls
(
    `src_topic`     String,
    `src_partition` Int32,
    `src_offset`    Int64,
    `ts_us`         Int64,
    `key`           String,
    `raw`           String,
    `valid`         UInt8,
    `error`         String,
    `event_id`      String,
    `scope`         String,
    `target`        String,
    `mode`          String,
    `until_us`      Int64,
    `issued_by`     String,
    `approved_by`   String,
    `reason`        String,
    `event_time_us` Int64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDate(toUInt16(greatest(18262, least(47481, intDiv(ts_us, 86400000000))))))
ORDER BY (src_topic, src_partition, src_offset);
