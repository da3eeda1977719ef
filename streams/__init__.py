"""Shell: Faust, Kafka, ClickHouse and the command line around the pure engine."""
