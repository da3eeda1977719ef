"""Recovery on a real broker: equal rows from either store, and a loud stop on anything that is not whole."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams.errors import (
    ChangelogBehindStore,
    ChangelogTruncated,
    PoisonChangelog,
    StoreUnavailable,
    UnsafeConfiguration,
)
from streams.state.fence import seal
from streams.transport import coalescing_transport
from tests.servers.kafka import create_topics, producer
from tests.streams.state.conftest import crashed, eventually, owning_all, running
from tests.streams.transport.cluster import Cluster, Sums
from tests.streams.transport.counting_worker import ROW, Counter


def sums_in(counter: Counter) -> Sums:
    rows = [row for partition in counter.rows.values() for row in partition.items()]
    return {key: (total, count) for key, (total, count, _) in rows}


def cut(cluster: Cluster, partition: int, offset: int) -> None:
    """Delete what is below ``offset`` (-1: everything). The broker does so only where retention may, too."""
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    retained = ConfigResource(ConfigResourceType.TOPIC, cluster.changelog, {"cleanup.policy": "compact,delete"})
    admin.alter_configs([retained])
    admin.delete_records({TopicPartition(cluster.changelog, partition): offset})
    admin.close()


async def count_everything(cluster: Cluster, data_dir: Path, records: int = 3000, **options: object) -> None:
    await asyncio.to_thread(cluster.produce, records, random.Random(7))
    async with running(cluster, data_dir, **options) as counter:
        await owning_all(counter)
        await eventually(lambda: sums_in(counter) == cluster.expected, "everything to be counted")
        await coalescing_transport(counter.app).gate.wait()


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
async def test_restarted_worker_has_byte_for_byte_the_rows_of_the_changelog(
    cluster: Cluster, tmp_path: Path, store: str
) -> None:
    await count_everything(cluster, tmp_path / "w", store=store)
    async with running(cluster, tmp_path / "w", store=store) as counter:
        await owning_all(counter)
        assert sums_in(counter) == cluster.expected
    assert await asyncio.to_thread(cluster.durable) == cluster.expected


async def test_wiped_store_is_rebuilt_from_the_changelog(cluster: Cluster, tmp_path: Path) -> None:
    await count_everything(cluster, tmp_path / "w")
    shutil.rmtree(tmp_path / "w")
    async with running(cluster, tmp_path / "w") as counter:
        await owning_all(counter)
        assert sums_in(counter) == cluster.expected


async def test_store_and_sources_tell_how_far_they_are(cluster: Cluster, tmp_path: Path) -> None:
    await asyncio.to_thread(cluster.produce, 400, random.Random(1))
    async with running(cluster, tmp_path / "w") as counter:
        await owning_all(counter)
        await eventually(lambda: sums_in(counter) == cluster.expected, "everything to be counted")
        await counter.table.wait_durable()
        for partition, count in enumerate(cluster.counts):
            assert counter.table.source_offsets(partition) == {cluster.topic: count - 1}
            rows = counter.table.rows(partition)
            assert {key: ROW.unpack(row) for key, row in rows.items()} == counter.rows[partition]


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (b"k1", b"{}", "a header alone has 9"),
        (b"k1", None, "tombstone"),
        (b"k1", b"\x07" + bytes(20), "format 7"),
    ],
)
async def test_poison_changelog_record_stops_recovery_with_instructions(
    cluster: Cluster, tmp_path: Path, key: bytes, value: bytes | None, why: str
) -> None:
    await count_everything(cluster, tmp_path / "w", records=200, store="memory")
    with producer(cluster.bootstrap) as client:
        client.send(cluster.changelog, key=key, value=value, partition=2)
    async with running(cluster, tmp_path / "w", store="memory") as counter:
        reason = await crashed(counter)
        assert isinstance(reason, PoisonChangelog)
        assert why in str(reason) and f"{cluster.changelog}-2" in str(reason) and "Stop the writer" in str(reason)
        assert counter.table.owned() == frozenset()


async def test_changelog_cut_below_the_store_stops_recovery(cluster: Cluster, tmp_path: Path) -> None:
    await count_everything(cluster, tmp_path / "w", records=200, store="memory")
    cut(cluster, 1, 10)
    async with running(cluster, tmp_path / "w", store="memory") as counter:
        reason = await crashed(counter)
        assert isinstance(reason, ChangelogTruncated)
        assert "begins at offset 10, the store ends at -1" in str(reason)


async def test_changelog_cut_exactly_at_the_store_needs_nothing_of_what_is_gone(
    cluster: Cluster, tmp_path: Path
) -> None:
    await count_everything(cluster, tmp_path / "w", records=200)
    cut(cluster, 1, -1)
    async with running(cluster, tmp_path / "w") as counter:
        await owning_all(counter)
        assert sums_in(counter) == cluster.expected


async def test_store_ahead_of_a_recreated_changelog_stops_recovery(cluster: Cluster, tmp_path: Path) -> None:
    await count_everything(cluster, tmp_path / "w", records=200)
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    admin.delete_topics([cluster.changelog])
    await eventually(lambda: cluster.changelog not in admin.list_topics(), "the topic to be gone")
    admin.close()
    create_topics(cluster.bootstrap, {cluster.changelog: 4}, configuration={"cleanup.policy": "compact"})
    with producer(cluster.bootstrap) as client:
        client.send(cluster.changelog, key=b"k1", value=seal(1, bytes(24)), partition=0)
    async with running(cluster, tmp_path / "w") as counter:
        reason = await crashed(counter)
        assert isinstance(reason, ChangelogBehindStore)
        assert "Delete the local store" in str(reason)


async def test_unequal_partition_counts_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    admin.delete_topics([cluster.topic])
    await eventually(lambda: cluster.topic not in admin.list_topics(), "the topic to be gone")
    admin.close()
    create_topics(cluster.bootstrap, {cluster.topic: 3})
    async with running(cluster, tmp_path / "w") as counter:
        reason = await crashed(counter)
        assert isinstance(reason, UnsafeConfiguration)
        assert f"{cluster.topic} has 3 partitions" in str(reason)


async def test_data_directory_of_another_worker_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    async with running(cluster, tmp_path / "w") as first:
        await owning_all(first)
        holder = first.table.row_store
        with pytest.raises(StoreUnavailable):
            holder.open(0)
