"""Coalescing transport: Kafka under Faust, a batch at a time and exact under kills.

One fetch of one partition is one Faust message whose value is a ``RecordBatch``; offsets are committed from a chain
ledger, and only after every write they depend on is durable. Use it so::

    app = faust.App("risk", broker=broker_urls("127.0.0.1:9092"), **faust_settings(...))
    fills = coalesced_topic(app, "fills", partitions=8)
    gate = durability_gate(app)

    @app.agent(fills)
    async def apply(stream):
        stream = stream.noack()
        async for event in stream.events():
            batch = event.message.value                       # RecordBatch: iterable of aiokafka ConsumerRecords
            try:
                ...                                           # decode, apply, table.mark_dirty(batch.partition, key)
                await table.flush(batch.partition, generation=batch.generation)
            except OwnershipLost:
                abandon(stream, event)                        # the next owner repeats it
            except Exception as error:
                await app.crash(error)                        # nothing is committed; without this the worker hangs
                raise
            else:
                await acknowledge(stream, event)              # committed once everything registered is durable

    check_worker(app)                                         # before app.main() or Worker(app).execute...()

Whatever else must be durable before the batch's offset is committed (a published command, a dead letter) is registered
before ``acknowledge``: ``gate.register(future, "what it is")``.
"""

from streams.transport.acknowledge import abandon, acknowledge
from streams.transport.coalescing import (
    CoalescingTransport,
    broker_urls,
    coalesce,
    coalesced_topic,
    coalescing_transport,
    durability_gate,
    follow,
    register,
)
from streams.transport.durability import DurabilityGate
from streams.transport.faust_settings import faust_settings
from streams.transport.fetch import FetchBudget
from streams.transport.guards import check_worker
from streams.transport.ledger import ChainLedger
from streams.transport.record_batch import Record, RecordBatch

__all__ = [
    "ChainLedger",
    "CoalescingTransport",
    "DurabilityGate",
    "FetchBudget",
    "Record",
    "RecordBatch",
    "abandon",
    "acknowledge",
    "broker_urls",
    "check_worker",
    "coalesce",
    "coalesced_topic",
    "coalescing_transport",
    "durability_gate",
    "faust_settings",
    "follow",
    "register",
]
