"""Consumers outside any group: for topics that every worker reads in full, and for reading a stretch of a log again.

Owns their construction from a Faust app's broker settings.
"""

from __future__ import annotations

import aiokafka
import faust
from faust.transport.drivers import aiokafka as driver

_FETCH_WAIT_MS = 250


def groupless_consumer(app: faust.App) -> aiokafka.AIOKafkaConsumer:
    """A consumer that commits nothing and never moves by itself: a position out of range is an error."""
    conf = app.conf
    return aiokafka.AIOKafkaConsumer(
        bootstrap_servers=driver.server_list(conf.broker_consumer, driver.Transport.default_port),
        client_id=conf.broker_client_id,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=conf.consumer_max_fetch_size,
        request_timeout_ms=int(conf.broker_request_timeout * 1000),
        check_crcs=conf.broker_check_crcs,
        **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
    )
