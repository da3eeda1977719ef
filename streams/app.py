"""The application factory: one Faust app per role, wired from settings.

Owns the wiring and nothing else; read it once and you know which part talks to which. Each role is a process of its
own with a consumer group of its own, so that a slow audit trail or a busy oracle never delays a liquidation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import faust
from aiokafka import AIOKafkaProducer
from faust.types import TP
from mode.types import ServiceT

from schemas.catalogue import load_catalogue
from streams.agents import concurrent_agent, ordered_agent
from streams.audit.connect import open_store
from streams.audit_worker import AuditWorker
from streams.broadcast import BroadcastReader
from streams.catch_up import Position
from streams.dead_letters import DeadLetterLimit
from streams.kafka_admin import end_offsets, ensure_changelog, require_topics
from streams.oracle_worker import OracleWorker
from streams.settings import Settings
from streams.state import MemoryStore, RocksDBStore, RowStore, row_table
from streams.transport import (
    FetchBudget,
    broker_urls,
    check_worker,
    coalescing_transport,
    durability_gate,
    faust_settings,
    follow,
)
from streams.warm_up import warm_up
from streams.worker import ACCOUNT_TOPICS, Publisher, RiskWorker

BROADCAST_TOPICS = ("reference", "liquidation-control", "settlements", "marks")
"""In the order in which they are handed over: a halt overtakes the marks that arrived with it."""
BUILT_ON = {"settlements": "reference"}
TIDY_INTERVAL_S = 0.25


class RoleApp(faust.App):
    """A Faust app with services that start before recovery, which waits for some of them, and stop after the streams
    are empty; Faust's own extra services start after recovery."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.services_first: list[ServiceT] = []
        super().__init__(*args, **options)

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Faust's services, and ours."""
        return [*super().on_init_dependencies(), *self.services_first]


class ConsumerPositions:
    """What the risk worker asks of Faust's consumer."""

    def __init__(self, app: faust.App) -> None:
        self._app = app

    def highwater(self, position: Position) -> int | None:
        """The end of a partition as the last fetch showed it."""
        return self._app.consumer.highwater(TP(*position))

    def committed(self, position: Position) -> int | None:
        """The committed offset that the consumer resumed from, or has committed since."""
        offset: int | None = self._app.consumer._committed_offset[TP(*position)]  # type: ignore[attr-defined]
        return offset

    async def ends(self, positions: Sequence[Position]) -> Mapping[Position, int]:
        """The ends of partitions, asked of the broker."""
        ends = await self._app.consumer.highwaters(*(TP(*position) for position in positions))
        return {(tp.topic, tp.partition): end for tp, end in ends.items()}


def create_app(settings: Settings, role: str) -> faust.App:
    """The Faust app of one role: ``risk``, ``oracle`` or ``audit``."""
    app = _new_app(settings, role)
    {"risk": _wire_risk, "oracle": _wire_oracle, "audit": _wire_audit}[role](app, settings)
    return app


def run_worker(settings: Settings, role: str) -> None:
    """Run one role until a signal stops it; exits the process.

    Raises ``StreamsError`` when Kafka or its topics are not as the worker needs them.
    """
    require_topics(settings.kafka, load_catalogue(), accounts=settings.partitions)
    if role == "risk":
        warm_up()
    app = create_app(settings, role)
    if role == "risk":
        (changelog,) = (table.changelog_topic_name for table in app.tables.values())
        ensure_changelog(settings.kafka, changelog, partitions=settings.partitions, replication=settings.replication)
    check_worker(app)
    worker = faust.Worker(app, loglevel=settings.log_level, redirect_stdouts=False)
    # Faust's progress spinner listens to the root logger at DEBUG: every log call of aiokafka would make a record.
    worker.spinner = None
    worker.execute_from_commandline()


def risk_application(settings: Settings) -> str:
    """Application id of the risk role: consumer group and prefix of its changelog."""
    return f"{settings.application}-risk"


def _new_app(settings: Settings, role: str) -> RoleApp:
    instance = f"{settings.instance}-{role}" if settings.instance else ""
    directory = Path(settings.data_dir).absolute() / f"{role}-{settings.instance or 'worker'}"
    directory.mkdir(parents=True, exist_ok=True)
    app = RoleApp(
        f"{settings.application}-{role}",
        broker=broker_urls(settings.kafka),
        datadir=str(directory),
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        **faust_settings(
            commit_interval_s=settings.commit_interval_s,
            session_timeout_s=settings.session_timeout_s,
            heartbeat_s=settings.heartbeat_s,
            rebalance_timeout_s=settings.rebalance_timeout_s,
            standby_replicas=settings.standby_replicas,
            instance=instance,
        ),
    )
    coalescing_transport(app).budget = FetchBudget(settings.batch_records_max, settings.batch_bytes_max)
    return app


def _partition_counts(settings: Settings) -> dict[str, int]:
    return {name: topic.partition_count(settings.partitions) for name, topic in load_catalogue().items()}


def _limits(settings: Settings) -> dict[str, DeadLetterLimit]:
    return {
        topic: DeadLetterLimit(
            topic,
            consecutive_max=settings.dead_letters_consecutive_max,
            window=settings.dead_letters_ratio_window,
        )
        for topic in load_catalogue()
    }


def _publisher(app: faust.App, settings: Settings) -> Publisher:
    def producer() -> AIOKafkaProducer:
        return cast(AIOKafkaProducer, app.producer._ensure_producer())  # type: ignore[attr-defined]

    return Publisher(producer, _partition_counts(settings))


def _row_store(settings: Settings, directory: Path) -> RowStore:
    return MemoryStore() if settings.store == "memory" else RocksDBStore(directory / "accounts")


def _wire_risk(app: RoleApp, settings: Settings) -> None:
    """fills, collateral, acks -> rows -> commands; reference, settlements and marks beside them."""
    worker = RiskWorker(
        _publisher(app, settings),
        durability_gate(app),
        settings.partitions,
        _limits(settings),
        ConsumerPositions(app),
        lambda: max((lag.seconds for lag in app.consumer.lags().values()), default=0.0),  # type: ignore[attr-defined]
    )
    worker.rows = row_table(
        app,
        "accounts",
        partitions=settings.partitions,
        row_store=_row_store(settings, Path(app.conf.datadir)),
        sources=ACCOUNT_TOPICS,
        encode=worker.runner.encode,
        on_partition_recovered=worker.on_recovered,
        on_partition_lost=worker.on_lost,
    )
    worker.broadcast = BroadcastReader(app, BROADCAST_TOPICS, worker.on_broadcast, BUILT_ON)
    app.services_first.append(worker.broadcast)
    for topic in ACCOUNT_TOPICS:
        ordered_agent(app, topic, settings.partitions, worker.on_batch)
    # What the worker knows of the collateral topic when it holds a fill is what was there when the fill was read.
    follow(app, "fills", "collateral")

    @app.timer(TIDY_INTERVAL_S)  # type: ignore[untyped-decorator]
    async def tidy() -> None:
        if not (app.rebalancing or app.in_recovery):
            await worker.tidy()


def _wire_oracle(app: RoleApp, settings: Settings) -> None:
    """prices -> marks; and the bad records of the topics that every risk worker reads."""
    worker = OracleWorker(_publisher(app, settings), durability_gate(app), _limits(settings))
    worker.broadcast = BroadcastReader(app, BROADCAST_TOPICS, worker.on_broadcast, BUILT_ON)
    app.services_first.append(worker.broadcast)
    counts = _partition_counts(settings)
    ordered_agent(app, "prices", counts["prices"], worker.on_prices)
    for topic in BROADCAST_TOPICS:
        ordered_agent(app, topic, counts[topic], worker.on_checked)


def _wire_audit(app: RoleApp, settings: Settings) -> None:
    """Every topic -> one row per record; offsets are committed after the insert."""
    partitions = _partition_counts(settings)
    worker = AuditWorker(
        open_store(settings.clickhouse),
        lambda: end_offsets(settings.kafka, partitions),
        rows_max=settings.audit_rows_max,
        linger_s=settings.audit_linger_s,
    )
    app.services_first.append(worker)
    for topic, count in partitions.items():
        concurrent_agent(app, topic, count, worker.on_batch)
