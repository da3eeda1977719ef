"""Fixtures of the whole suite. Each server's fixture lives beside its launcher under ``tests/servers``."""

from streams.kernel_cache import use_kernel_cache

use_kernel_cache()  # before anything imports a kernel

from tests.servers.clickhouse import clickhouse, own_clickhouse  # noqa: E402
from tests.servers.kafka import kafka, own_kafka  # noqa: E402

__all__ = ["clickhouse", "kafka", "own_clickhouse", "own_kafka"]

pytest_plugins = ["pytester", "tests.missing_parts"]
