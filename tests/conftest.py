"""Fixtures of the whole suite. Each server's fixture lives beside its launcher under ``tests/servers``."""

from tests.servers.clickhouse import clickhouse, own_clickhouse
from tests.servers.kafka import kafka, own_kafka

__all__ = ["clickhouse", "kafka", "own_clickhouse", "own_kafka"]

pytest_plugins = ["pytester", "tests.missing_parts"]
