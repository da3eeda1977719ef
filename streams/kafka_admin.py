"""Creates the topics of the manifest on a cluster, and refuses one that does not fit it.

Owns the names, partition counts and retention that a cluster must have. Partition counts are compared, never changed:
a key would move to another partition, and with it an account to a worker that does not know its history.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import TopicAlreadyExistsError

from schemas.catalogue import Topic
from streams.errors import StreamsError
from streams.kafka_errors import BOOTSTRAP_MS, mapped_errors

_DAY_MS = 86_400_000
CHANGELOG_COMPACTION_LAG_MS = _DAY_MS
"""Longer than any outage during which a replaced worker could still be paused with unsent rows."""
_RECORD_BYTES_MAX = 2_097_152


class PartitionMismatch(StreamsError):
    """A topic exists with another number of partitions than the manifest and the settings ask for."""

    def __init__(self, topic: str, found: int, expected: int) -> None:
        super().__init__(f"topic {topic} has {found} partitions, expected {expected}; counts never change in place")
        self.topic = topic


class TopicMissing(StreamsError):
    """The cluster has no such topic; ``crossmargin topics`` creates it."""


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """What ``ensure_topics`` did, names sorted."""

    created: tuple[str, ...]
    existing: tuple[str, ...]


def ensure_topics(
    bootstrap: str, catalogue: Mapping[str, Topic], *, accounts: int, replication: int = 1
) -> TopicsReport:
    """Create the topics that are missing; ``accounts`` is the partition count of account-keyed topics.

    Raises ``PartitionMismatch`` before anything is created, ``KafkaFailed`` when the cluster cannot be reached.
    """
    with mapped_errors(bootstrap), closing(_admin(bootstrap)) as admin:
        found = {name: count for name, count in _partition_counts(admin).items() if name in catalogue}
        for name, count in sorted(found.items()):
            if count != (expected := catalogue[name].partition_count(accounts)):
                raise PartitionMismatch(name, count, expected)
        missing = {
            name: _options(topic, accounts, replication) for name, topic in catalogue.items() if name not in found
        }
        if missing:
            admin.create_topics(missing)
            admin.wait_for_topics(list(missing))
        return TopicsReport(tuple(sorted(missing)), tuple(sorted(found)))


def ensure_changelog(bootstrap: str, name: str, *, partitions: int, replication: int) -> bool:
    """Create the changelog of a row table unless it exists; returns whether it was created.

    Compacted, but not before ``CHANGELOG_COMPACTION_LAG_MS``: a row that a replaced owner wrote late must be found and
    written over before it can become the only one of its key (``streams.state.fence``). Raises ``PartitionMismatch``.
    """
    with mapped_errors(bootstrap), closing(_admin(bootstrap)) as admin:
        found = _partition_counts(admin).get(name)
        if found is not None:
            if found != partitions:
                raise PartitionMismatch(name, found, partitions)
            return False
        configs = {
            "cleanup.policy": "compact",
            "min.compaction.lag.ms": str(CHANGELOG_COMPACTION_LAG_MS),
            "max.message.bytes": str(_RECORD_BYTES_MAX),
        }
        options = {"num_partitions": partitions, "replication_factor": replication, "configs": configs}
        try:
            admin.create_topics({name: options})
        except TopicAlreadyExistsError:
            return False  # Another worker of a fresh group was first.
        admin.wait_for_topics([name])
        return True


def require_topics(bootstrap: str, catalogue: Mapping[str, Topic], *, accounts: int) -> None:
    """Make sure that a worker finds the topics of the manifest, each with its partitions.

    Raises ``TopicMissing`` or ``PartitionMismatch``, and ``KafkaFailed`` when the cluster cannot be reached.
    """
    with mapped_errors(bootstrap), closing(_admin(bootstrap)) as admin:
        found = _partition_counts(admin)
    for name, topic in sorted(catalogue.items()):
        if name not in found:
            raise TopicMissing(f"topic {name} does not exist: run crossmargin topics")
        if found[name] != (expected := topic.partition_count(accounts)):
            raise PartitionMismatch(name, found[name], expected)


def end_offsets(bootstrap: str, partitions: Mapping[str, int]) -> dict[tuple[str, int], int]:
    """Per topic and partition the offset of the next record, for the partition counts given."""
    with mapped_errors(bootstrap), closing(_reader(bootstrap)) as consumer:
        tps = [TopicPartition(topic, number) for topic, count in partitions.items() for number in range(count)]
        return {(tp.topic, tp.partition): end for tp, end in consumer.end_offsets(tps).items()}


def _admin(bootstrap: str) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=bootstrap.split(","), bootstrap_timeout_ms=BOOTSTRAP_MS)


def _reader(bootstrap: str) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=bootstrap.split(","),
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        group_id=None,
        enable_auto_commit=False,
    )


def _partition_counts(admin: KafkaAdminClient) -> dict[str, int]:
    return {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}


def _options(topic: Topic, accounts: int, replication: int) -> dict[str, object]:
    lag = {"min.compaction.lag.ms": str(topic.compaction_lag_days * _DAY_MS)} if topic.compaction_lag_days else {}
    retention_ms = topic.retention_days * _DAY_MS if topic.retention_days and topic.cleanup == "delete" else -1
    return {
        "num_partitions": topic.partition_count(accounts),
        "replication_factor": replication,
        "configs": {
            "cleanup.policy": topic.cleanup,
            "retention.ms": str(retention_ms),
            "max.message.bytes": str(_RECORD_BYTES_MAX),
            **lag,
        },
    }
