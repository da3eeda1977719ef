"""The audit's database frozen, then dead, under real workers: margin decisions do not wait, and no row is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from schemas.catalogue import load_catalogue
from streams.audit.connect import open_store
from streams.audit.errors import AuditUnavailable
from streams.audit.tables import tables_of
from streams.kafka_admin import ensure_topics
from tests.faults.cluster import Cluster, Worker, wait_until
from tests.faults.workload import Event, Workload, mark
from tests.servers.clickhouse import ClickHouseProcess
from tests.servers.kafka import KafkaBroker
from tests.streams.test_runner import deposit, fill

PARTITIONS = 2


@pytest.fixture
def cluster(own_kafka: KafkaBroker, own_clickhouse: ClickHouseProcess, tmp_path: Path) -> Iterator[Cluster]:
    """A risk worker and an audit worker over one broker and one ClickHouse server."""
    ensure_topics(own_kafka.bootstrap, load_catalogue(), accounts=PARTITIONS)
    environment = {
        "CROSSMARGIN_KAFKA": own_kafka.bootstrap,
        "CROSSMARGIN_CLICKHOUSE": url(own_clickhouse),
        "CROSSMARGIN_PARTITIONS": str(PARTITIONS),
        "CROSSMARGIN_DATA_DIR": str(tmp_path / "state"),
    }
    cluster = Cluster(own_kafka.bootstrap, "crossmargin-risk")
    workers = [
        Worker(role, environment, tmp_path / f"{role}.log", ("streams", "worker", "--role", role))
        for role in ("risk", "audit")
    ]
    for worker in workers:
        worker.start()
    yield cluster
    for worker in workers:
        worker.stop()
    cluster.close()


def url(server: ClickHouseProcess) -> str:
    return server.url("crossmargin") + "?send_receive_timeout=2&connect_timeout=1"


def publish(cluster: Cluster, *events: Event) -> None:
    for event in events:
        cluster.producer.send(event.topic, key=event.key.encode(), value=orjson.dumps(event.value))
    cluster.producer.flush()


def liquidated(cluster: Cluster) -> set[str]:
    """The accounts with a liquidation command."""
    return {orjson.loads(value or b"")["account"] for *_, value in cluster.read_all("liquidations")}


def rows(server: ClickHouseProcess, topic: str) -> int:
    """Rows of a topic in the audit."""
    store = open_store(url(server))
    try:
        return sum(int(store.query(f"SELECT count() FROM {table.name}").rows[0][0]) for table in tables_of(topic))
    finally:
        store.close()


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_decisions_do_not_wait_for_the_audit(cluster: Cluster, own_clickhouse: ClickHouseProcess) -> None:
    market = next(phase for phase in Workload(1).phases() if phase.name == "market")
    publish(cluster, *market.events, deposit("early"))
    audit = Cluster(cluster.bootstrap, "crossmargin-audit")
    try:
        wait_until(lambda: audit.is_consumed(("collateral",)), "the first row of the audit")
        assert 1 == rows(own_clickhouse, "collateral")

        own_clickhouse.pause()
        publish(cluster, deposit("frozen", event_id="d-2"), fill("frozen", "19", event_id="f-2"))
        publish(cluster, mark("ETH-PERP", "1040", time_us=1_678_320_000_000_001))
        wait_until(lambda: "frozen" in liquidated(cluster), "a liquidation while the audit's server is frozen")
        wait_until(cluster.is_consumed, "the risk worker to commit while the audit's server is frozen")

        own_clickhouse.kill()
        publish(cluster, deposit("dead", event_id="d-3"), fill("dead", "19", event_id="f-3"))
        wait_until(lambda: "dead" in liquidated(cluster), "a liquidation while the audit's server is dead")
        wait_until(cluster.is_consumed, "the risk worker to commit while the audit's server is dead")
        with pytest.raises(AuditUnavailable):
            rows(own_clickhouse, "fills")
        assert not audit.is_consumed(("fills",)), "the audit leaves on the topic what it has not stored"

        own_clickhouse.start()
        topics = tuple(load_catalogue())
        wait_until(lambda: audit.is_consumed(topics), "the audit to catch up")
    finally:
        audit.close()
    for topic in ("collateral", "fills", "marks", "liquidations", "margin-events"):
        assert len(cluster.read_all(topic)) == rows(own_clickhouse, topic), topic
