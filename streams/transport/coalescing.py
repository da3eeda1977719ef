"""The transport: Faust's aiokafka transport with coalesced fetches and exact commits.

Owns what consumer, fetch thread and tables of one application share: the names of coalesced topics, which of them
follow which, the fetch budget, the durability gate, the lag meter and the group lease. Refuses to know the application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar

import faust
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from streams.errors import DurabilityLost, UnsafeConfiguration
from streams.transport.consumer import CoalescingConsumer
from streams.transport.durability import DurabilityGate
from streams.transport.fetch import FetchBudget
from streams.transport.lag import LagMeter
from streams.transport.lease import GroupLease

SCHEME = "coalescing"


class CoalescingProducer(driver.Producer):
    """Faust's producer, idempotent: a retried changelog batch must not appear twice, or its owner would take the copy
    for a foreign writer's."""

    def _settings_extra(self) -> dict[str, object]:
        return {"acks": "all", "enable_idempotence": True}


class CoalescingTransport(driver.Transport):
    """``coalescing://host:port`` for Faust."""

    Consumer: ClassVar[type[CoalescingConsumer]] = CoalescingConsumer
    Producer: ClassVar[type[CoalescingProducer]] = CoalescingProducer

    def __init__(self, url: list[URL], app: faust.App, *args: Any, **kwargs: Any) -> None:
        super().__init__(url, app, *args, **kwargs)
        self.coalesced: set[str] = set()
        self.follows: dict[str, str] = {}
        self.budget = FetchBudget()
        self.gate = DurabilityGate(self._crash)
        self.lag = LagMeter()
        self._lease: GroupLease | None = None

    @property
    def lease(self) -> GroupLease:
        """The worker's membership of its group."""
        if self._lease is None:
            self._lease = GroupLease(self.app.conf.broker_session_timeout)
        return self._lease

    def _crash(self, error: DurabilityLost) -> None:
        self._crashing = asyncio.ensure_future(self.app.crash(error))


def register() -> None:
    """Make ``coalescing://`` known to Faust where the distribution's entry point is not installed; idempotent."""
    TRANSPORTS.aliases[SCHEME] = f"{CoalescingTransport.__module__}:{CoalescingTransport.__qualname__}"


def broker_urls(bootstrap: str) -> list[URL]:
    """The ``broker`` setting of a Faust app for a bootstrap list ``host:port,host:port``."""
    register()
    return [URL(f"{SCHEME}://{host.strip()}") for host in bootstrap.split(",") if host.strip()]


def coalescing_transport(app: faust.App) -> CoalescingTransport:
    """The transport of ``app``; raises ``UnsafeConfiguration`` when it is another one."""
    transport = app.transport
    if not isinstance(transport, CoalescingTransport):
        raise UnsafeConfiguration(
            f"the broker setting must be {SCHEME}://host:port (see streams.transport.broker_urls), "
            f"got {app.conf.broker}: without it nothing this worker commits is exact"
        )
    return transport


def coalesce(app: faust.App, topics: Iterable[str]) -> None:
    """Deliver these topics as one ``RecordBatch`` per fetch and partition."""
    coalescing_transport(app).coalesced.update(topics)


def follow(app: faust.App, topic: str, leader: str) -> None:
    """Never fetch ``topic`` ahead of ``leader``, partition by partition (``streams.transport.fetch_order``)."""
    coalescing_transport(app).follows[topic] = leader


def coalesced_topic(app: faust.App, name: str, partitions: int) -> faust.TopicT:
    """A source topic whose events carry a ``RecordBatch``, for ``@app.agent``."""
    coalesce(app, [name])
    return app.topic(
        name,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        partitions=partitions,
        allow_empty=True,
    )


def durability_gate(app: faust.App) -> DurabilityGate:
    """Where to register what must be durable before the offsets of this worker are committed."""
    return coalescing_transport(app).gate
