"""Why Faust is not used as it comes: each test shows the stock behavior and ours, on the same input.

A test whose stock half fails after an upgrade is good news: a workaround may go. Nothing here is a wish; the versions
are pinned, and what the stock half asserts is what these versions do.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import faust.tables.recovery
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP
from kafka import KafkaConsumer
from kafka import TopicPartition as ClientPartition

from streams.broadcast import BroadcastReader
from streams.errors import PoisonChangelog, UnsafeConfiguration
from streams.state import MemoryStore, row_table
from streams.state.replica import Replica
from streams.transport import Record, broker_urls, check_worker, durability_gate, faust_settings
from streams.transport.fetch import FetchBudget, FetchThread
from tests.servers.kafka import KafkaBroker, RunningKafka, create_topics, producer, unique
from tests.streams.state.conftest import eventually, owning_all, running
from tests.streams.transport.bench_consumer import FILLS, Bench, batch, record
from tests.streams.transport.cluster import ROOT, Cluster, wait_until
from tests.streams.transport.counting_worker import Counter
from tests.streams.transport.test_fetch import A, B, Thread

Broker = KafkaBroker | RunningKafka


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> tuple[Bench, Bench]:
    """A stock consumer and ours."""
    stock, ours = Bench(ours=False), Bench(ours=True)
    monkeypatch.setattr(ours.consumer._thread, "is_current", lambda tp, version: True)
    return stock, ours


@pytest.fixture
def cluster(kafka: Broker, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(kafka.bootstrap, tmp_path, workers=1) as cluster:
        yield cluster


def committed(bootstrap: str, group: str, topic: str) -> int:
    """The group's committed offset of partition 0, 0 for none."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    try:
        return consumer.committed(ClientPartition(topic, 0)) or 0
    finally:
        consumer.close()


@asynccontextmanager
async def stock_app(bootstrap: str, group: str) -> AsyncIterator[faust.App]:
    """A stock application that is started when the block asks for it, and stopped at its end."""
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        topic_disable_leader=True,
        web_enabled=False,
        broker_commit_interval=0.2,
        stream_recovery_delay=0.0,
    )
    try:
        yield app
    finally:
        await app.stop()


# 1. A hard kill counts twice.


@pytest.mark.faults
@pytest.mark.timeout(120)
def test_killed_worker_counts_twice(kafka: Broker, cluster: Cluster, tmp_path: Path) -> None:
    topic, group, count = unique("numbers"), unique("stock"), 300
    create_topics(kafka.bootstrap, {topic: 1})
    with producer(kafka.bootstrap) as client:
        for number in range(count):
            client.send(topic, key=b"k", value=b"%d" % number)
    cluster.produce(count, random.Random(1))
    ours = cluster.workers[0]
    command = [sys.executable, "-m", "tests.streams.transport.stock_worker", kafka.bootstrap, group, topic]

    def stock_sum() -> int:
        path = tmp_path / "sum"
        return int(path.read_text(encoding="utf-8") or 0) if path.exists() else 0

    for expected in (count, 2 * count):
        # Killed as soon as everything is counted, and before it is committed.
        stock = subprocess.Popen([*command, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL)
        ours.start()
        wait_until(lambda expected=expected: stock_sum() >= expected, f"stock to reach {expected}")
        stock.kill()
        stock.wait()
        if expected == count:
            wait_until(lambda: cluster.durable() == cluster.expected, "our rows")
            ours.end(signal.SIGKILL)
    cluster.wait_consumed()
    assert stock_sum() == 2 * count, "stock counted everything twice"
    assert cluster.durable() == cluster.expected, "ours counted everything once"


# 2. The gap ledger commits what is still in flight.


async def test_gap_before_an_unacked_record_is_committed_over(both: tuple[Bench, Bench]) -> None:
    stock, ours = both
    # 3, 5 and 6 were read, 4 was compacted away; 3 and 6 are done, 5 is still being processed.
    messages = {offset: stock.deliver(record(offset)) for offset in (3, 5, 6)}
    stock.consumer._committed_offset[FILLS] = 3
    await stock.consumer._add_gap(FILLS, 4, 5)
    for offset in (3, 6):
        stock.acknowledge(messages[offset])
    await stock.consumer.commit()
    assert stock.commits == [{FILLS: 7}], "5 would never be read again"
    ours.acknowledge(ours.deliver(batch(3, 4)))
    ours.deliver(batch(4, 6))
    ours.acknowledge(ours.deliver(batch(6, 7)))
    await ours.consumer.commit()
    assert ours.commits == [{FILLS: 4}]


async def test_second_of_two_batches_commits_both(both: tuple[Bench, Bench]) -> None:
    stock, ours = both
    stock.consumer._committed_offset[FILLS] = ours.consumer._committed_offset[FILLS] = 1001
    stock.deliver(record(5999))
    await stock.consumer._add_gap(FILLS, 1001, 5999)
    second = stock.deliver(record(10999))
    await stock.consumer._add_gap(FILLS, 6000, 10999)
    stock.acknowledge(second)
    await stock.consumer.commit()
    assert stock.commits == [{FILLS: 11000}], "the first batch would be lost"
    ours.deliver(batch(1001, 6000))
    ours.acknowledge(ours.deliver(batch(6000, 11000)))
    assert not await ours.consumer.commit()
    assert ours.commits == []


# 3. A group without committed offsets loses its first fetch in a rebalance.


async def test_first_fetch_of_a_fresh_group_is_lost_in_a_rebalance(kafka: Broker) -> None:
    topic, group = unique("numbers"), unique("fresh")
    create_topics(kafka.bootstrap, {topic: 1})
    with producer(kafka.bootstrap) as client:
        for number in range(10):
            client.send(topic, value=b"%d" % number)
    tp = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        assert len((await consumer.getmany(timeout_ms=10_000, max_records=4))[tp]) == 4
        # A rebalance drops those four, and goes back to where the group left the partition: stock Faust calls this.
        await consumer.seek_to_committed()
        assert (await consumer.getone()).offset == 4, "0 to 3 are lost"
        thread = FetchThread.__new__(FetchThread)
        topics = SimpleNamespace(acks_enabled_for=lambda name: name == topic)
        thread.__dict__.update(
            _consumer=consumer, _cursors={}, _versions=iter(range(99)), app=SimpleNamespace(topics=topics)
        )
        await thread._seek_to_committed()
        assert (await consumer.getone()).offset == 0
    finally:
        await consumer.stop()


# 4 and 5. A failing agent acknowledges what it failed on.


async def test_failing_agent_acknowledges_the_failed_event(kafka: Broker) -> None:
    plain, taken, group = unique("plain"), unique("taken"), unique("stock")
    create_topics(kafka.bootstrap, {plain: 1, taken: 1})
    with producer(kafka.bootstrap) as client:
        for number in range(10):
            client.send(plain, value=b"%d" % number)
            client.send(taken, value=b"%d" % number)
    seen: list[bytes] = []
    batches: list[int] = []
    async with stock_app(kafka.bootstrap, group) as app:

        async def one_by_one(stream: faust.StreamT[bytes]) -> None:
            async for value in stream:
                if value == b"5":
                    raise ValueError(value)
                seen.append(value)

        async def in_batches(stream: faust.StreamT[bytes]) -> None:
            async for values in stream.take(5, within=0.5):
                batches.append(len(values))
                if len(batches) == 1:
                    raise ValueError(values)

        for name, agent in ((plain, one_by_one), (taken, in_batches)):
            topic = app.topic(name, value_type=bytes, value_serializer="raw", key_type=bytes, partitions=1)
            app.agent(topic, name=name)(agent)
        starting = asyncio.ensure_future(app.start())
        await eventually(lambda: len(seen) == 9, "the agent to go on after its failure")
        await eventually(lambda: committed(kafka.bootstrap, group, plain) == 10, "the failed event to be committed")
        assert b"5" not in seen, "5 was seen once, failed, and is never seen again"
        await eventually(lambda: committed(kafka.bootstrap, group, taken) == 10, "the failed batch to be committed")
        starting.cancel()


async def test_our_failing_agent_acknowledges_nothing(cluster: Cluster, tmp_path: Path) -> None:
    await asyncio.to_thread(cluster.produce, 100, random.Random(1))

    def fail_on_partition_1(counter: Counter) -> None:
        apply = counter.apply

        def failing(batch: Any) -> None:
            if batch.partition == 1:
                raise ValueError("a bug")
            apply(batch)

        counter.apply = failing  # type: ignore[method-assign]

    async with running(cluster, tmp_path / "w") as counter:
        fail_on_partition_1(counter)
        await owning_all(counter)
        await eventually(lambda: counter.app.crashed, "the worker to stop")
    assert (await asyncio.to_thread(cluster.committed))[1] == 0
    async with running(cluster, tmp_path / "w"):
        await asyncio.to_thread(cluster.wait_consumed)
    assert await asyncio.to_thread(cluster.durable) == cluster.expected


# 6. A commit does not wait for the changelog, and a failed changelog write is only logged.


async def test_commit_does_not_wait_for_the_changelog(both: tuple[Bench, Bench]) -> None:
    stock, ours = both
    del stock.app.producer.flush  # type: ignore[method-assign]
    buffer = stock.app.producer.buffer
    unsent: Any = SimpleNamespace(message=None)
    for _ in range(20):
        buffer.pending.put_nowait(unsent)
    buffer._started.set()
    stock.acknowledge(stock.deliver(record(0)))
    assert await stock.consumer.commit()
    assert (stock.commits, buffer.size) == ([{FILLS: 1}], 20), "committed with 20 changelog messages unsent"
    durability_gate(ours.app).register(asyncio.get_running_loop().create_future(), "changelog")
    ours.acknowledge(ours.deliver(batch(0, 1)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ours.consumer.commit(), timeout=0.3)
    assert ours.commits == []


async def test_failed_changelog_write_is_only_logged(both: tuple[Bench, Bench]) -> None:
    stock, ours = both
    table = stock.app.Table("counts", key_type=str, value_type=int, partitions=1)
    sent = table.send_changelog(0, "key", 1)
    failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    failed.set_exception(RuntimeError("not enough replicas"))
    table.changelog_topic._on_published(failed, message=sent, producer=stock.app.producer, state=None)
    assert isinstance(sent.exception(), RuntimeError)
    stock.acknowledge(stock.deliver(record(0)))
    assert await stock.consumer.commit(), "committed although the changelog write failed"
    assert stock.crashes == []
    durability_gate(ours.app).register(failed, "changelog")
    ours.acknowledge(ours.deliver(batch(0, 1)))
    assert not await ours.consumer.commit()
    assert len(ours.crashes) >= 1


# 7. A GlobalTable does not show what other workers write; recovery is a message per row.


async def test_global_table_stops_reading_where_it_is_active(kafka: Broker) -> None:
    updates, marker, group, feed = 472, unique("marker"), unique("stock"), unique("marks")
    changelog = f"{group}-prices-changelog"
    create_topics(kafka.bootstrap, {marker: 1, feed: 1, changelog: 1})
    seen: list[bytes] = []
    async with stock_app(kafka.bootstrap, group) as app:
        table = app.GlobalTable("prices", key_type=bytes, value_type=bytes, partitions=1)

        async def note_marker(stream: faust.StreamT[bytes]) -> None:
            async for value in stream:
                seen.append(value)

        topic = app.topic(marker, key_type=bytes, value_type=bytes, value_serializer="raw", partitions=1)
        app.agent(topic, name="marker")(note_marker)
        starting = asyncio.ensure_future(app.start())
        await eventually(lambda: app.tables.recovery.completed.is_set(), "recovery")  # type: ignore[attr-defined]
        # Another worker, whose agent happens to get the prices, writes them.
        with producer(kafka.bootstrap) as client:
            for number in range(updates):
                client.send(changelog, key=b"feed-%d" % number, value=b"1")
            client.flush()
            client.send(marker, value=b"marker")
        await eventually(lambda: seen == [b"marker"], "what was written after the prices")
        assert TP(changelog, 0) not in app.consumer._get_active_partitions()  # type: ignore[attr-defined]
        assert len(table.data.data) == 0, "not one of them arrived, nor ever will"
        starting.cancel()

    read: list[bytes | None] = []

    def note(_topic: str, _partition: int, records: Sequence[Record]) -> None:
        read.extend(record.value for record in records)

    ours = faust.App(unique("reader"), broker=broker_urls(kafka.bootstrap), **faust_settings())
    reader = BroadcastReader(ours, [feed], note)
    await reader.start()
    await reader.wait_ready()
    with producer(kafka.bootstrap) as client:
        for number in range(updates):
            client.send(feed, value=b"%d" % number)
    await reader.catch_up()
    assert len(read) == updates
    await reader.stop()


async def test_recovery_is_a_message_per_row(both: tuple[Bench, Bench]) -> None:
    rows, delivered, changelog = 4096, [], TP("bench-rows-changelog", 0)
    for bench in both:
        coalesced = bench is both[1]
        fetched: Any = [batch(0, rows, topic=changelog.topic)] if coalesced else [record(n) for n in range(rows)]

        async def getmany(active: Any, timeout: float, fetched: Any = fetched) -> Any:
            return {changelog: fetched}

        bench.consumer._thread.getmany = getmany
        bench.consumer._thread.highwater = lambda tp: rows
        bench.consumer._active_partitions = {changelog}
        bench.consumer._started.set()
        if coalesced:
            bench.consumer.transport.coalesced.add(changelog.topic)
        delivered.append(len([message async for _, message in bench.consumer.getmany(timeout=1.0)]))
    assert delivered == [rows, 1]


# 8. A refused commit counts as done.


async def test_refused_commit_counts_as_done(both: tuple[Bench, Bench]) -> None:
    stock, ours = both
    stock.acknowledge(stock.deliver(record(0)))
    ours.acknowledge(ours.deliver(batch(0, 1)))
    for bench in both:
        bench.broker_accepts = False
        assert not await bench.consumer.commit()
        bench.broker_accepts = True
        await bench.consumer.commit()
    assert (stock.consumer._committed_offset[FILLS], stock.commits) == (1, [{FILLS: 1}]), "never tried again"
    assert ours.commits == [{FILLS: 1}, {FILLS: 1}]


# 9. A poison changelog record makes recovery wait for ever.


async def run_recovery(app: faust.App, monkeypatch: pytest.MonkeyPatch) -> asyncio.Task[None]:
    """The background task of Faust's recovery that applies changelog events, looking at its queue every 50 ms."""
    wait_for = asyncio.wait_for
    hurried = SimpleNamespace(**{name: getattr(asyncio, name) for name in ("TimeoutError", "sleep", "Event")})
    hurried.wait_for = lambda awaitable, timeout: wait_for(awaitable, 0.05)
    monkeypatch.setattr(faust.tables.recovery, "asyncio", hurried)
    recovery: Any = app.tables.recovery  # type: ignore[attr-defined]
    return asyncio.get_running_loop().create_task(recovery._slurp_changelogs.fun(recovery))


def changelog_event(tp: TP, offset: int, key: Any, value: Any) -> Any:
    """An event as the conductor puts it into the changelog queue."""
    message = SimpleNamespace(tp=tp, topic=tp.topic, partition=tp.partition, offset=offset, key=key, value=value)
    return SimpleNamespace(message=message, key=key, value=value)


async def test_poison_changelog_record_hangs_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = Bench(ours=False)
    table = stock.app.Table("counts", partitions=1)
    tp = TP(table.changelog_topic_name, 0)
    recovery: Any = stock.app.tables.recovery  # type: ignore[attr-defined]
    recovery.active_tps.add(tp)
    recovery.tp_to_table[tp] = table
    recovery.active_offsets[tp], recovery.active_highwaters[tp] = -1, 0
    recovery._set_recovery_started()
    warnings: list[str] = []
    monkeypatch.setattr(faust.tables.recovery.logger, "warning", warnings.append)
    unhashable = changelog_event(tp, 0, {"not": "a key"}, 1)
    stock.app.tables.changelog_queue.force_put_nowait(unhashable)  # type: ignore[attr-defined]
    task = await run_recovery(stock.app, monkeypatch)
    await eventually(lambda: len(warnings) > 20, "recovery to try over and over")
    assert recovery.in_recovery and not recovery.signal_recovery_end.is_set()
    assert stock.crashes == []
    task.cancel()

    ours = Bench(ours=True)
    rows = row_table(ours.app, "counts", partitions=1, row_store=MemoryStore())
    tp = TP(rows.changelog_topic_name, 0)
    rows._replicas[0] = Replica(tp.topic, 0, MemoryStore().open(0))
    poison = batch(0, 1, topic=tp.topic)
    rows.apply_changelog_batch([SimpleNamespace(message=SimpleNamespace(topic=tp.topic, partition=0, value=poison))])  # type: ignore[list-item]
    await eventually(lambda: len(ours.crashes) == 1, "the worker to stop")
    assert isinstance(ours.crashes[0], PoisonChangelog)


# 10. The web server serves table data to the network.


def test_web_server_is_open_to_the_network() -> None:
    stock = faust.App("stock", broker="kafka://127.0.0.1:9")
    assert (stock.conf.web_enabled, stock.conf.web_bind, stock.conf.web_tables_enabled) == (True, "0.0.0.0", True)
    settings = faust_settings()
    assert settings["web_enabled"] is False
    careless = faust.App("ours", broker=broker_urls("127.0.0.1:9"), **{**settings, "web_enabled": True})
    with pytest.raises(UnsafeConfiguration, match="web_bind"):
        check_worker(careless)


# More that was met on the way.


async def test_deep_backlog_of_one_partition_starves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    stock, ours = (Thread(A, B, budget=FetchBudget(records=100)) for _ in range(2))
    monkeypatch.setattr(type(stock.fetcher), "_notify", lambda self, future: None)
    for thread in (stock, ours):
        thread.buffer(A, range(10_000))
        thread.buffer(B, range(10_000))
    fetched = await stock.fetcher.fetched_records({A, B}, timeout=0, max_records=100)
    assert {tp.partition: len(records) for tp, records in fetched.items()} == {0: 100}
    assert {tp: len(batches[0]) for tp, batches in (await ours.drain(A, B)).items()} == {A: 50, B: 50}


async def test_refused_join_is_waited_out_for_ever(kafka: Broker, cluster: Cluster, tmp_path: Path) -> None:
    topic, group = unique("numbers"), unique("stock")
    create_topics(kafka.bootstrap, {topic: 1})
    async with stock_app(kafka.bootstrap, group) as app:
        app.conf.broker_session_timeout, app.conf.broker_heartbeat_interval = 0.1, 0.03
        app.agent(app.topic(topic, value_type=bytes), name="idle")(lambda stream: stream)
        starting = asyncio.ensure_future(app.start())

        def refused() -> bool:
            thread: Any = app.consumer._thread  # type: ignore[attr-defined]
            coordinator = getattr(thread._consumer, "_coordinator", None)
            return coordinator is not None and coordinator._pending_exception is not None

        await eventually(refused, "the refusal")
        assert not app.crashed, "a refused session timeout, and nobody says so"
        starting.cancel()
    async with running(cluster, tmp_path / "w", session_timeout_s=0.1) as counter:
        await eventually(lambda: counter.app.crashed, "the worker to stop")
        assert "InvalidSessionTimeout" in repr(counter.app.crash_reason)
