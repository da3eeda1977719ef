"""Checks of the topics a row table stands on, made at each assignment.

Owns the comparison of what the store holds with what the changelog still has. Refuses to repair anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from time import monotonic

from faust.types import TP
from faust.types.transports import ConsumerT

from streams.errors import ChangelogBehindStore, ChangelogTruncated, UnsafeConfiguration
from streams.state.replica import Replica

_METADATA_DEADLINE_S = 10.0
_METADATA_POLL_S = 0.05


async def check_partition_counts(
    consumer: ConsumerT, changelog: str, sources: Iterable[str], partitions: int | None
) -> None:
    """Sources and changelog must have the same number of partitions: a row lives where its records arrive."""
    counted = await _partition_count(consumer, changelog)
    if counted is None:
        raise UnsafeConfiguration(f"the changelog topic {changelog} does not exist: create the topics first")
    if partitions is not None and counted != partitions:
        raise UnsafeConfiguration(
            f"the changelog topic {changelog} has {counted} partitions, configured are {partitions}: the count is "
            "set once per deployment; a new one needs a new application id and a replay"
        )
    for source in sources:
        count = await _partition_count(consumer, source)
        if count is None:
            raise UnsafeConfiguration(f"the source topic {source} does not exist: create the topics first")
        if count != counted:
            raise UnsafeConfiguration(f"{source} has {count} partitions, {changelog} {counted}: they must be equal")


async def _partition_count(consumer: ConsumerT, topic: str) -> int | None:
    """Asked again for a while: right after joining, the client may still be waiting for the metadata it asked for."""
    deadline = monotonic() + _METADATA_DEADLINE_S
    while (count := consumer.topic_partitions(topic)) is None and monotonic() < deadline:
        await asyncio.sleep(_METADATA_POLL_S)
    return count


async def check_changelog_bounds(consumer: ConsumerT, replicas: Mapping[int, Replica]) -> None:
    """Each store must lie within what its changelog still has."""
    tps = {TP(replica.topic, partition): replica for partition, replica in replicas.items()}
    if not tps:
        return
    earliest = await consumer.earliest_offsets(*tps)
    ends = await consumer.highwaters(*tps)
    for tp, replica in tps.items():
        where = f"{tp.topic}-{tp.partition}"
        if earliest[tp] > replica.offset + 1:
            raise ChangelogTruncated(
                f"{where}: the changelog begins at offset {earliest[tp]}, the store ends at {replica.offset}: rows are "
                "missing. Its cleanup.policy must be compact; restore the topic, or start a new application id with a "
                "replay plan."
            )
        if ends[tp] <= replica.offset:
            raise ChangelogBehindStore(
                f"{where}: the changelog ends at offset {ends[tp]}, the store holds {replica.offset}: the topic was "
                "replaced or lost its end. Delete the local store to recover from the topic."
            )
