"""Consumers outside any group: for topics that every worker reads in full, and for reading a stretch of a log again.

Owns their construction from a Faust app's broker settings.
"""

from __future__ import annotations

import aiokafka
import faust
from faust.transport.drivers import aiokafka as driver

from streams.transport.idle_fetches import pace_empty_fetches
from streams.transport.partial_fetches import shorten_partial_fetches

_FETCH_WAIT_MS = 250


class GrouplessConsumer(aiokafka.AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's consumer, at rest while there is nothing to read."""

    async def start(self) -> None:
        """Connect."""
        await super().start()
        pace_empty_fetches(self._fetcher)
        shorten_partial_fetches(self._fetcher)


def groupless_consumer(app: faust.App) -> GrouplessConsumer:
    """A consumer that commits nothing and never moves by itself: a position out of range is an error."""
    conf = app.conf
    return GrouplessConsumer(
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
