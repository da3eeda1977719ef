-- Deletes the rows for good; they can be read again from Kafka as far back as its retention goes.

DROP TABLE IF EXISTS liquidation_controls;
DROP TABLE IF EXISTS settlements;
DROP TABLE IF EXISTS reference;
DROP TABLE IF EXISTS marks;
DROP TABLE IF EXISTS prices;
DROP TABLE IF EXISTS liquidation_acks;
DROP TABLE IF EXISTS collateral;
DROP TABLE IF EXISTS fills;
